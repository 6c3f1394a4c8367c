//! One token at a time: a matrix times a vector, and attention of one row over a cache. Decoding lives on these.

use rayon::prelude::*;

use super::simd::{LANES, exp_sum, max_of, multiversion, reduce, sum_over};

/// Weights that one task reads; below it, threads cost more than they bring.
const TASK: usize = 1 << 17;

multiversion! {
    fn rows_task(out: &mut [f32], weight: &[f32], x: &[f32]) {
        let n = x.len();
        let (whole, rest) = out.as_chunks_mut::<4>();
        // Four rows at once share the loads of x.
        for (out, w) in whole.iter_mut().zip(weight.chunks_exact(4 * n)) {
            let mut lanes = [[0f32; LANES]; 4];
            let (xs, x_rest) = x.as_chunks::<LANES>();
            for (c, x) in xs.iter().enumerate() {
                for r in 0..4 {
                    let w = &w[r * n + c * LANES..][..LANES];
                    for i in 0..LANES {
                        lanes[r][i] += w[i] * x[i];
                    }
                }
            }
            for r in 0..4 {
                for (i, x) in x_rest.iter().enumerate() {
                    lanes[r][i] += w[r * n + xs.len() * LANES + i] * x;
                }
                out[r] = reduce(lanes[r]);
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
pub fn gemv(out: &mut [f32], weight: &[f32], x: &[f32]) {
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
        let max = max_of(scores);
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
