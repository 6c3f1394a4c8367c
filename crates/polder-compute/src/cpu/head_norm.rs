//! Normalisation of heads within packed rows, as Qwen 3 does with queries and keys.

use rayon::prelude::*;

use super::bias::add_partials;
use super::scratch;
use super::simd::{multiversion, sum_over};
use crate::number::Number;

/// Rows that one task handles; fixed, because the weight's gradient is summed task by task.
const ROWS: usize = 64;

multiversion! {
    fn forward_row<T: Number>(out: &mut [T], rstd: &mut [f32], x: &[T], weight: &[f32], eps: f32) {
        let head = weight.len();
        for ((out, x), rstd) in out.chunks_exact_mut(head).zip(x.chunks_exact(head)).zip(rstd) {
            let f = 1.0 / (sum_over(x, x, |a, b| a * b) / head as f32 + eps).sqrt();
            *rstd = f;
            for ((o, x), w) in out.iter_mut().zip(x).zip(weight) {
                *o = T::of(x.get() * f * w);
            }
        }
    }
}

multiversion! {
    fn backward_row<T: Number>(dx: &mut [T], dweight: &mut [f32], x: &[T], weight: &[f32], rstd: &[f32]) {
        let head = weight.len();
        for ((dx, x), f) in dx.chunks_exact_mut(head).zip(x.chunks_exact(head)).zip(rstd) {
            let mut product = 0.0;
            for ((d, x), w) in dx.iter().zip(x).zip(weight) {
                product += d.get() * x.get() * w;
            }
            let shared = product * f * f * f / head as f32;
            for (((dx, x), w), dw) in dx.iter_mut().zip(x).zip(weight).zip(dweight.iter_mut()) {
                let (d, x) = (dx.get(), x.get());
                *dw += d * x * f;
                *dx = T::of(d * w * f - x * shared);
            }
        }
    }
}

/// Normalises `n_heads` heads from `first` on of each packed row; saves `rstd (N, n_heads)`.
///
/// # Panics
/// When a slice does not have its size.
#[allow(clippy::too_many_arguments)]
pub fn head_norm_forward<T: Number>(
    out: &mut [T],
    rstd: &mut [f32],
    x: &[T],
    weight: &[f32],
    row: usize,
    first: usize,
    n_heads: usize,
    eps: f32,
) {
    assert_eq!((out.len(), rstd.len() * row), (x.len(), x.len() * n_heads), "sizes of heads' normalisation");
    let part = first * weight.len()..(first + n_heads) * weight.len();
    let rows = out.par_chunks_mut(row).zip(rstd.par_chunks_mut(n_heads)).zip(x.par_chunks(row)).with_min_len(ROWS);
    rows.for_each(|((out, rstd), x)| forward_row(&mut out[part.clone()], rstd, &x[part.clone()], weight, eps));
}

/// In `dx` these heads' gradients of the output become those of the input; `dweight += …`.
///
/// # Panics
/// When a slice does not have its size.
#[allow(clippy::too_many_arguments)]
pub fn head_norm_backward<T: Number>(
    dx: &mut [T],
    dweight: &mut [f32],
    x: &[T],
    weight: &[f32],
    rstd: &[f32],
    row: usize,
    first: usize,
    n_heads: usize,
) {
    assert_eq!((dx.len(), rstd.len() * row), (x.len(), x.len() * n_heads), "sizes of heads' normalisation's gradient");
    let head = weight.len();
    let part = first * head..(first + n_heads) * head;
    scratch::with(x.len().div_ceil(ROWS * row) * head, |partials| {
        dx.par_chunks_mut(ROWS * row)
            .zip(partials.par_chunks_mut(head))
            .zip(x.par_chunks(ROWS * row))
            .zip(rstd.par_chunks(ROWS * n_heads))
            .for_each(|(((dx, dweight), x), rstd)| {
                dweight.fill(0.0);
                for ((dx, x), rstd) in dx.chunks_exact_mut(row).zip(x.chunks_exact(row)).zip(rstd.chunks_exact(n_heads)) {
                    backward_row(&mut dx[part.clone()], dweight, &x[part.clone()], weight, rstd);
                }
            });
        add_partials(dweight, partials);
    });
}
