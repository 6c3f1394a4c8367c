//! Rows of tables by id.

use super::Cuda;
use super::table::{Pointer, kernels};
use crate::{Dtype, IdView, View};

/// Rows that a block of the sort has.
const TILE: usize = 2048;
/// Digits of a pass of the sort.
const DIGITS: usize = 256;
/// Sorted rows that a warp sums: long runs leave few parts, short ones keep more of the device at work.
const RUN: usize = 32;

kernels! {
    file "embedding"; types t0 t1 t2;

    /// `out (N, C) = weight[ids]`, or `+=`.
    embedding_forward [F32, F32] [F32, Bf16] [Bf16, F32] [Bf16, Bf16]
        (out: Out0, weight: In1, ids: InIds, n: Long, n_ids: Int, channels: Int, accumulate: Int)
        threads 256; grid line(ceil(n, 8)); shared 0; bytes n * i64::from(channels) * (t0 * i64::from(1 + accumulate) + t1); flop 0;

    /// Counts the first digits of tiles of rows.
    embedding_backward_count [] (counts: OutIds, ids: InIds, n: Int, n_ids: Int, n_passes: Int)
        threads 256; grid line(ceil(n.into(), TILE as i64)); shared 8 * DIGITS * 4; bytes i64::from(n) * 4; flop 0;

    /// Sorts row numbers by one digit of their ids, stably.
    embedding_backward_sort [] (sorted: OutIds, counts: OutIds, from: InIds, ids: InIds, n: Int, n_ids: Int, n_passes: Int, pass: Int)
        threads 256; grid line(ceil(n.into(), TILE as i64)); shared (8 * DIGITS + 32) * 4; bytes i64::from(n) * 16; flop 0;

    /// Sums runs of sorted rows: ids that lie in one run to `dweight (V, C)`, those that reach over to `parts`.
    embedding_backward_runs [F32, F32] [F32, Bf16] [Bf16, F32] [Bf16, Bf16]
        (dweight: Out0, parts: OutF32, dout: In1, sorted: InIds, n: Int, n_ids: Int, channels: Int, run: Int)
        threads 256; grid line(ceil(ceil(n.into(), run.into()) * ceil(channels.into(), 32 * 16 / t1), 8)); shared 0;
        bytes i64::from(n) * i64::from(channels) * t1; flop 0;

    /// Adds the parts of ids that reach over runs to `dweight`.
    embedding_backward_join [F32] [Bf16] (dweight: Out0, parts: InF32, sorted: InIds, n: Int, n_ids: Int, channels: Int, run: Int)
        threads 256; grid [ceil(n.into(), 8 * i64::from(run)), ceil(channels.into(), 128), 1]; shared 8 * 128 * 4 + 32; bytes 0; flop 0;
}

pub fn embedding_forward(cuda: &mut Cuda, out: View, weight: View, ids: IdView, channels: usize, accumulate: bool) {
    assert_eq!(out.len, ids.len * channels, "sizes of an embedding");
    let (to, from, of, n_ids) = (cuda.at(out), cuda.at(weight), cuda.ids_at(ids), (weight.len / channels) as i32);
    let types = [out.dtype, weight.dtype];
    launch::embedding_forward(cuda.device(), &types, to, from, of, ids.len as i64, n_ids, channels as i32, accumulate.into());
}

/// Where the memory of a backward pass begins: rows sorted by one digit and by the next, digits' counts, sums.
struct Room {
    sorted: [Pointer; 2],
    counts: Pointer,
    parts: Pointer,
}

fn room(cuda: &mut Cuda, n: usize, n_passes: usize, channels: usize) -> Room {
    let n_pairs = n.next_multiple_of(32) * 2;
    let n_counts = n_passes * n.div_ceil(TILE) * DIGITS;
    let n_sums = n.div_ceil(RUN) * 2 * channels.next_multiple_of(8);
    let at = cuda.scratch((2 * n_pairs + n_counts + n_sums) * 4);
    let word = |i: usize| at.offset(i, Dtype::F32);
    Room { sorted: [at, word(n_pairs)], counts: word(2 * n_pairs), parts: word(2 * n_pairs + n_counts) }
}

pub fn embedding_backward(cuda: &mut Cuda, dweight: View, dout: View, ids: IdView, channels: usize) {
    assert_eq!(dout.len, ids.len * channels, "sizes of an embedding's gradient");
    let (n, n_ids) = (ids.len, dweight.len / channels);
    // Ids and one number for rows without one, in digits of 8 bits.
    let n_passes = (usize::BITS - n_ids.leading_zeros()).div_ceil(DIGITS.ilog2()).max(1) as usize;
    let Room { sorted: [mut sorted, mut other], counts, parts } = room(cuda, n, n_passes, channels);
    let (to, from, of) = (cuda.at(dweight), cuda.at(dout), cuda.ids_at(ids));
    let [n, n_ids, channels, run] = [n, n_ids, channels, RUN].map(|n| n as i32);
    let device = cuda.device();
    launch::embedding_backward_count(device, &[], counts, of, n, n_ids, n_passes as i32);
    for pass in 0..n_passes as i32 {
        (sorted, other) = (other, sorted);
        launch::embedding_backward_sort(device, &[], sorted, counts, other, of, n, n_ids, n_passes as i32, pass);
    }
    launch::embedding_backward_runs(device, &[dweight.dtype, dout.dtype], to, parts, from, sorted, n, n_ids, channels, run);
    launch::embedding_backward_join(device, &[dweight.dtype], to, parts, sorted, n, n_ids, channels, run);
}
