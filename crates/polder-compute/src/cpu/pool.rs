//! Means over ranges of rows, and their gradient.

use rayon::prelude::*;

use super::scratch;
use super::simd::multiversion;
use crate::number::Number;

multiversion! {
    fn mean<O: Number, X: Number>(out: &mut [O], sums: &mut [f32], x: &[X]) {
        let channels = out.len();
        sums.fill(0.0);
        for row in x.chunks_exact(channels) {
            for (s, x) in sums.iter_mut().zip(row) {
                *s += x.get();
            }
        }
        let n = x.len() / channels;
        let factor = if n == 0 { 0.0 } else { 1.0 / n as f32 };
        for (o, s) in out.iter_mut().zip(sums.iter()) {
            *o = O::of(s * factor);
        }
    }
}

multiversion! {
    fn spread<O: Number, D: Number>(dx: &mut [O], dout: &[D]) {
        let channels = dout.len();
        let factor = channels as f32 / dx.len() as f32;
        for row in dx.chunks_exact_mut(channels) {
            for (x, d) in row.iter_mut().zip(dout) {
                *x = O::of(x.get() + d.get() * factor);
            }
        }
    }
}

fn range(pair: &[i32], channels: usize) -> std::ops::Range<usize> {
    let (first, end) = (pair[0] as usize, pair[1] as usize);
    first * channels..end.max(first) * channels
}

/// `out (B, C) = mean of x (N, C)` over rows `ranges[2b]..ranges[2b + 1]`; 0 for an empty range.
///
/// # Panics
/// On a range outside the rows.
pub fn pool_forward<O: Number, X: Number>(out: &mut [O], x: &[X], ranges: &[i32], channels: usize) {
    assert_eq!(out.len() * 2, ranges.len() * channels, "sizes of a mean");
    let tasks = out.par_chunks_mut(channels).zip(ranges.par_chunks(2));
    tasks.for_each(|(out, pair)| scratch::with(channels, |sums| mean(out, sums, &x[range(pair, channels)])));
}

/// `dx += …` for [`pool_forward`].
///
/// # Panics
/// On a range outside the rows.
pub fn pool_backward<O: Number, D: Number>(dx: &mut [O], dout: &[D], ranges: &[i32], channels: usize) {
    assert_eq!(dout.len() * 2, ranges.len() * channels, "sizes of a mean's gradient");
    for (dout, pair) in dout.chunks_exact(channels).zip(ranges.chunks_exact(2)) {
        let range = range(pair, channels);
        if !range.is_empty() {
            spread(&mut dx[range], dout);
        }
    }
}
