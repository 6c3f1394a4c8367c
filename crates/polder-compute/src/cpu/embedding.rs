//! Rows of a table by id, and their gradient.

use rayon::prelude::*;

use super::simd::multiversion;
use crate::number::Number;

/// Rows that one task copies.
const ROWS: usize = 64;
/// Ranges of ids that tasks own in the gradient; fixed, and enough for many threads.
const RANGES: usize = 32;

multiversion! {
    fn set_row<O: Number, W: Number>(out: &mut [O], weight: &[W]) {
        for (o, w) in out.iter_mut().zip(weight) {
            *o = O::of(w.get());
        }
    }
}

multiversion! {
    fn add_row<O: Number, W: Number>(out: &mut [O], weight: &[W]) {
        for (o, w) in out.iter_mut().zip(weight) {
            *o = O::of(o.get() + w.get());
        }
    }
}

/// `out (N, C) = weight[ids]`, or `+=`; negative ids stand for zeros.
///
/// # Panics
/// On an id outside the table.
pub fn embedding_forward<O: Number, W: Number>(out: &mut [O], weight: &[W], ids: &[i32], channels: usize, accumulate: bool) {
    assert_eq!(out.len(), ids.len() * channels, "sizes of an embedding");
    let task = |(out, ids): (&mut [O], &[i32])| {
        for (row, id) in out.chunks_exact_mut(channels).zip(ids) {
            let Ok(id) = usize::try_from(*id) else {
                if !accumulate {
                    row.fill(O::default());
                }
                continue;
            };
            let weight = &weight[id * channels..][..channels];
            if accumulate { add_row(row, weight) } else { set_row(row, weight) }
        }
    };
    if ids.len() <= ROWS {
        return task((out, ids));
    }
    out.par_chunks_mut(ROWS * channels).zip(ids.par_chunks(ROWS)).for_each(task);
}

/// `dweight[ids] += dout`. Each task owns a range of ids and meets them in order of rows, so the sums do not depend on
/// the number of threads. Negative ids are passed over.
///
/// # Panics
/// On an id outside the table.
pub fn embedding_backward<O: Number, D: Number>(dweight: &mut [O], dout: &[D], ids: &[i32], channels: usize) {
    assert_eq!(dout.len(), ids.len() * channels, "sizes of an embedding's gradient");
    let n_ids = dweight.len() / channels;
    assert!(ids.iter().all(|id| *id < n_ids as i32), "an id is outside the table of {n_ids}");
    let ids_per_task = n_ids.div_ceil(RANGES).max(1);
    dweight.par_chunks_mut(ids_per_task * channels).enumerate().for_each(|(task, part)| {
        let first = (task * ids_per_task) as i32;
        let own = first..first + (part.len() / channels) as i32;
        for (dout, id) in dout.chunks_exact(channels).zip(ids) {
            if own.contains(id) {
                add_row(&mut part[(id - first) as usize * channels..][..channels], dout);
            }
        }
    });
}
