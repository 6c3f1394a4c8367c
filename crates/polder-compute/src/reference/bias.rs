//! The gradient of a bias.

pub fn bias_backward(dbias: &mut [f64], dout: &[f64]) {
    for row in dout.chunks(dbias.len()) {
        for (total, d) in dbias.iter_mut().zip(row) {
            *total += d;
        }
    }
}
