//! Means over ranges of rows.

pub fn pool_forward(out: &mut [f64], x: &[f64], ranges: &[(usize, usize)], channels: usize) {
    for (b, (first, end)) in ranges.iter().enumerate() {
        for c in 0..channels {
            let sum: f64 = (*first..*end).map(|r| x[r * channels + c]).sum();
            out[b * channels + c] = if end > first { sum / (end - first) as f64 } else { 0.0 };
        }
    }
}

pub fn pool_backward(dx: &mut [f64], dout: &[f64], ranges: &[(usize, usize)], channels: usize) {
    for (b, (first, end)) in ranges.iter().enumerate() {
        for r in *first..*end {
            for c in 0..channels {
                dx[r * channels + c] += dout[b * channels + c] / (end - first) as f64;
            }
        }
    }
}
