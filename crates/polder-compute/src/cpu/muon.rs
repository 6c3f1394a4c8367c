//! Muon's update: momentum made orthogonal by a few matrix products.

use rayon::prelude::*;

use super::gemm::gemm;
use super::plain;
use super::plain::{TASK, sum_squares};
use super::simd::multiversion;
use crate::number::Number;
use crate::{Gemm, Muon, MuonStep};

multiversion! {
    fn momentum_task(x: &mut [f32], m: &mut [f32], g: &[f32], scale: f32, mu: f32) {
        for ((x, m), g) in x.iter_mut().zip(m).zip(g) {
            let g = g * scale;
            *m = mu * *m + (1.0 - mu) * g;
            *x = mu * *m + (1.0 - mu) * g;
        }
    }
}

multiversion! {
    /// `out = a · out + b · x`.
    fn mix_task(out: &mut [f32], x: &[f32], a: f32, b: f32) {
        for (o, x) in out.iter_mut().zip(x) {
            *o = a * *o + b * x;
        }
    }
}

fn mix(out: &mut [f32], x: &[f32], a: f32, b: f32) {
    out.par_chunks_mut(TASK).zip(x.par_chunks(TASK)).for_each(|(out, x)| mix_task(out, x, a, b));
}

/// Updates a matrix, its rounded copy and its momentum from gradients times `scale` by [`MuonStep::scalars`]; `space` has
/// [`Muon::scratch_len`] numbers.
///
/// # Panics
/// When a slice does not have its size.
#[allow(clippy::too_many_arguments)]
pub fn muon<W: Number>(
    params: &mut [f32],
    working: Option<&mut [W]>,
    momentum: &mut [f32],
    grads: &[f32],
    space: &mut [f32],
    scale: f32,
    scalars: [f32; MuonStep::SCALARS],
    matrix: Muon,
) {
    let (Muon { rows, columns }, [mu, keep, rate, _]) = (matrix, scalars);
    let (len, tall, n) = (rows * columns, rows > columns, rows.min(columns));
    assert_eq!((params.len(), momentum.len(), grads.len()), (len, len, len), "sizes of {matrix:?}");
    assert!(space.len() >= matrix.scratch_len(), "sizes of {matrix:?}");
    let (mut x, rest) = space.split_at_mut(len);
    let (mut next, rest) = rest.split_at_mut(len);
    let (square, fourth) = rest[..2 * n * n].split_at_mut(n * n);
    let tasks = x.par_chunks_mut(TASK).zip(momentum.par_chunks_mut(TASK)).zip(grads.par_chunks(TASK));
    tasks.for_each(|((x, m), g)| momentum_task(x, m, g, scale, mu));
    let norm = sum_squares(x).sqrt().max(f64::from(Muon::EPS));
    next.fill(0.0);
    mix(x, next, (1.0 / norm) as f32, 0.0);
    let ((a, b, c), times) = Muon::NEWTON_SCHULZ;
    for _ in 0..times {
        // The small square of both: x·xᵀ of a wide matrix, xᵀ·x of a tall one.
        let shape = Gemm { m: n, n, k: rows.max(columns), transpose_a: tall, transpose_b: !tall, accumulate: false };
        gemm(square, x, x, None, shape);
        let shape = Gemm { m: n, n, k: n, transpose_a: false, transpose_b: false, accumulate: false };
        gemm(fourth, square, square, None, shape);
        mix(square, fourth, b, c);
        let shape = Gemm { m: rows, n: columns, k: n, transpose_a: false, transpose_b: false, accumulate: false };
        if tall {
            gemm(next, x, square, None, shape)
        } else {
            gemm(next, square, x, None, shape)
        }
        mix(next, x, 1.0, a);
        (x, next) = (next, x);
    }
    mix(params, x, keep, -rate);
    if let Some(working) = working {
        plain::copy(working, params);
    }
}
