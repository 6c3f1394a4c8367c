//! One token at a time: a matrix times a vector, and attention of one row over a cache. Decoding lives on these.

use rayon::prelude::*;

use super::simd::{LANES, exp_sum, max_over, multiversion, reduce, sum_over};
use crate::number::Number;

/// Weights that one task reads; below it, threads cost more than they bring.
const TASK: usize = 1 << 19;

#[inline(always)]
fn multiply_add<W: Number>(sums: &mut [f32; LANES], w: &[W; LANES], x: &[f32; LANES]) {
    for i in 0..LANES {
        sums[i] += w[i].get() * x[i];
    }
}

multiversion! {
    fn rows_task<W: Number>(out: &mut [f32], weight: &[W], x: &[f32]) {
        let n = x.len();
        let (whole, rest) = out.as_chunks_mut::<4>();
        let (xs, x_rest) = x.as_chunks::<LANES>();
        // Four rows at once share the loads of x, and their sums do not wait for each other.
        for (out, w) in whole.iter_mut().zip(weight.chunks_exact(4 * n)) {
            let row = |r: usize| &w[r * n..][..n].as_chunks::<LANES>().0[..xs.len()];
            let (w0, w1, w2, w3) = (row(0), row(1), row(2), row(3));
            let (mut s0, mut s1, mut s2, mut s3) = ([0f32; LANES], [0f32; LANES], [0f32; LANES], [0f32; LANES]);
            for c in 0..xs.len() {
                multiply_add(&mut s0, &w0[c], &xs[c]);
                multiply_add(&mut s1, &w1[c], &xs[c]);
                multiply_add(&mut s2, &w2[c], &xs[c]);
                multiply_add(&mut s3, &w3[c], &xs[c]);
            }
            let sums = [s0, s1, s2, s3];
            for r in 0..4 {
                let mut sums = sums[r];
                for i in 0..x_rest.len() {
                    sums[i] += w[(r + 1) * n - x_rest.len() + i].get() * x_rest[i];
                }
                out[r] = reduce(sums);
            }
        }
        let first = whole.len() * 4;
        for (i, out) in rest.iter_mut().enumerate() {
            *out = sum_over(&weight[(first + i) * n..][..n], x, |w, x| w * x);
        }
    }
}

/// `out (n) = weight (n, k) · x (k)`.
///
/// # Panics
/// When a slice does not have its size.
pub fn gemv<W: Number>(out: &mut [f32], weight: &[W], x: &[f32]) {
    assert_eq!(weight.len(), out.len() * x.len(), "sizes of a matrix times a vector");
    if weight.len() <= 2 * TASK || x.is_empty() {
        return rows_task(out, weight, x);
    }
    // A multiple of four rows a task, so that the split does not change how a row is summed.
    let rows = (TASK / x.len()).next_multiple_of(4);
    out.par_chunks_mut(rows).zip(weight.par_chunks(rows * x.len())).for_each(|(out, weight)| rows_task(out, weight, x));
}

multiversion! {
    /// Attends one head's query over the cached keys and values, each (S, D) with `stride` numbers between rows.
    ///
    /// `scores` lends S numbers of space.
    pub fn attend_row(out: &mut [f32], scores: &mut [f32], query: &[f32], keys: &[f32], values: &[f32], stride: usize, scale: f32) {
        let head = query.len();
        for (s, score) in scores.iter_mut().enumerate() {
            *score = sum_over(&keys[s * stride..][..head], query, |k, q| k * q) * scale;
        }
        let max = max_over(scores, |x| x);
        let factor = 1.0 / exp_sum(scores, max);
        out.fill(0.0);
        for (s, score) in scores.iter().enumerate() {
            let p = score * factor;
            for (o, v) in out.iter_mut().zip(&values[s * stride..][..head]) {
                *o += p * v;
            }
        }
    }
}
