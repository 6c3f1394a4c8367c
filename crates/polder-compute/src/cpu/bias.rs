//! The gradient of a bias: sums over rows.

use rayon::prelude::*;

use super::scratch;
use super::simd::multiversion;
use crate::number::Number;

/// Rows that one task sums; fixed, because the sums are added up task by task.
const ROWS: usize = 128;

multiversion! {
    fn sum_rows<D: Number>(sums: &mut [f32], dout: &[D]) {
        sums.fill(0.0);
        for row in dout.chunks_exact(sums.len()) {
            for (s, d) in sums.iter_mut().zip(row) {
                *s += d.get();
            }
        }
    }
}

/// `dbias (C) += Σ dout (N, C)` over rows.
///
/// # Panics
/// When `dout` is not whole rows.
pub fn bias_backward<D: Number>(dbias: &mut [f32], dout: &[D]) {
    let channels = dbias.len();
    assert_eq!(dout.len() % channels, 0, "sizes of a bias' gradient");
    scratch::with(dout.len().div_ceil(ROWS * channels) * channels, |partials| {
        partials.par_chunks_mut(channels).zip(dout.par_chunks(ROWS * channels)).for_each(|(p, dout)| sum_rows(p, dout));
        add_partials(dbias, partials);
    });
}

/// Adds tasks' sums in their order.
pub(super) fn add_partials(total: &mut [f32], partials: &[f32]) {
    for partial in partials.chunks_exact(total.len()) {
        for (t, p) in total.iter_mut().zip(partial) {
            *t += p;
        }
    }
}
