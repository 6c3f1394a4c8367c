//! The update of Muon.

use super::gemm::gemm;
use crate::{Gemm, Muon};

pub fn muon(params: &mut [f64], momentum: &mut [f64], grads: &[f64], scalars: &[f64], s: Muon) {
    let (rows, columns, [mu, keep, rate]) = (s.rows, s.columns, [0, 1, 2].map(|i| scalars[i]));
    let mut x = vec![0.0; rows * columns];
    for (i, g) in grads.iter().enumerate() {
        momentum[i] = mu * momentum[i] + (1.0 - mu) * g;
        x[i] = mu * momentum[i] + (1.0 - mu) * g;
    }
    let norm = x.iter().map(|x| x * x).sum::<f64>().sqrt().max(Muon::EPS.into());
    x.iter_mut().for_each(|x| *x /= norm);
    // The small square of both: x·xᵀ of a wide matrix, xᵀ·x of a tall one.
    let (tall, n) = (rows > columns, rows.min(columns));
    let ((a, b, c), times) = Muon::NEWTON_SCHULZ;
    let (a, b, c) = (f64::from(a), f64::from(b), f64::from(c));
    for _ in 0..times {
        let (mut square, mut fourth, mut next) = (vec![0.0; n * n], vec![0.0; n * n], vec![0.0; rows * columns]);
        let shape = Gemm { m: n, n, k: rows.max(columns), transpose_a: tall, transpose_b: !tall, accumulate: false };
        gemm(&mut square, &x, &x, None, shape);
        gemm(&mut fourth, &square, &square, None, Gemm { m: n, n, k: n, transpose_a: false, transpose_b: false, accumulate: false });
        let mixed: Vec<f64> = square.iter().zip(&fourth).map(|(s, f)| b * s + c * f).collect();
        let shape = Gemm { m: rows, n: columns, k: n, transpose_a: false, transpose_b: false, accumulate: false };
        if tall {
            gemm(&mut next, &x, &mixed, None, shape)
        } else {
            gemm(&mut next, &mixed, &x, None, shape)
        }
        x.iter_mut().zip(&next).for_each(|(x, next)| *x = a * *x + next);
    }
    for (p, x) in params.iter_mut().zip(&x) {
        *p = keep * *p - rate * x;
    }
}
