//! Rows of a table by token id, and their gradient.

use rayon::prelude::*;

/// `out (N, C) = weight[ids]`.
///
/// # Panics
/// On an id outside the table.
pub fn embedding_forward(out: &mut [f32], weight: &[f32], ids: &[i32], channels: usize) {
    assert_eq!(out.len(), ids.len() * channels, "size of an embedding");
    for (row, id) in out.chunks_exact_mut(channels).zip(ids) {
        row.copy_from_slice(&weight[*id as usize * channels..][..channels]);
    }
}

/// `dweight[ids] += dout`. Each task owns a range of ids and meets them in order of rows, so the sums do not depend on
/// the number of threads.
pub fn embedding_backward(dweight: &mut [f32], dout: &[f32], ids: &[i32], channels: usize) {
    assert_eq!(dout.len(), ids.len() * channels, "size of an embedding's gradient");
    let n_ids = dweight.len() / channels;
    let ids_per_task = n_ids.div_ceil(16).max(1);
    dweight.par_chunks_mut(ids_per_task * channels).enumerate().for_each(|(task, part)| {
        let first = task * ids_per_task;
        for (dout, id) in dout.chunks_exact(channels).zip(ids) {
            let Some(place) = (*id as usize).checked_sub(first).filter(|p| p * channels < part.len()) else { continue };
            for (w, d) in part[place * channels..][..channels].iter_mut().zip(dout) {
                *w += d;
            }
        }
    });
}
