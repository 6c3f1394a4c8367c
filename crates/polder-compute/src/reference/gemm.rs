//! Matrix products.

use crate::Gemm;

pub fn gemm(out: &mut [f64], a: &[f64], b: &[f64], bias: Option<&[f64]>, shape: Gemm) {
    let Gemm { m, n, k, transpose_a, transpose_b, accumulate } = shape;
    for i in 0..m {
        for j in 0..n {
            let left = |t: usize| if transpose_a { a[t * m + i] } else { a[i * k + t] };
            let right = |t: usize| if transpose_b { b[j * k + t] } else { b[t * n + j] };
            let sum = (0..k).map(|t| left(t) * right(t)).sum::<f64>() + bias.map_or(0.0, |b| b[j]);
            out[i * n + j] = if accumulate { out[i * n + j] + sum } else { sum };
        }
    }
}
