//! Rows of a table by id, and their gradient.

pub fn embedding_forward(out: &mut [f64], weight: &[f64], ids: &[i32], channels: usize, accumulate: bool) {
    for (r, id) in ids.iter().enumerate() {
        for c in 0..channels {
            let x = if *id >= 0 { weight[*id as usize * channels + c] } else { 0.0 };
            let o = &mut out[r * channels + c];
            *o = if accumulate { *o + x } else { x };
        }
    }
}

pub fn embedding_backward(dweight: &mut [f64], dout: &[f64], ids: &[i32], channels: usize) {
    for (r, id) in ids.iter().enumerate().filter(|(_, id)| **id >= 0) {
        for c in 0..channels {
            dweight[*id as usize * channels + c] += dout[r * channels + c];
        }
    }
}
