//! Gradients of biases, and the sum of blocks' parts that other gradients of vectors share.

use super::Cuda;
use super::table::{Pointer, ceil, kernels};
use crate::View;

kernels! {
    file "bias"; types t0 t1 t2;

    /// `parts (n_parts, C) = sums of runs of rows`.
    bias_backward_parts [F32] [Bf16] (parts: OutF32, dout: In0, n: Long, channels: Int, rows_per_part: Int)
        threads 256; grid [ceil(channels.into(), tile(channels.into(), t0)), ceil(n, rows_per_part.into()), 1]; shared 256 * 4 * 16 / t0;
        bytes n * i64::from(channels) * t0; flop 0;

    /// `out (columns) += parts (n_parts, ..)`, and the same of what stands behind in each part to `second`.
    add_parts [] (out: OutF32, second: OutF32, parts: InF32, n_parts: Int, columns: Int, stride: Int)
        threads 1024; grid [ceil(columns.into(), 32), 1 + i64::from(second != Pointer::NONE), 1]; shared 0;
        bytes i64::from(n_parts) * i64::from(stride) * 4; flop 0;
}

/// Columns that a block of [`launch::bias_backward_parts`] sums.
fn tile(channels: i64, bytes: i64) -> i64 {
    let vector = 16 / bytes;
    (ceil(channels, vector) as u64).next_power_of_two().min(32) as i64 * vector
}

/// Rows of a part, until there would be more than `PARTS_MAX` parts.
const PART_ROWS: i64 = 256;
const PARTS_MAX: i64 = 1024;

pub fn bias_backward(cuda: &mut Cuda, dbias: View, dout: View) {
    assert_eq!(dout.len % dbias.len, 0, "sizes of a bias' gradient");
    let (channels, n) = (dbias.len, (dout.len / dbias.len) as i64);
    let rows_per_part = PART_ROWS.max(ceil(n, PARTS_MAX));
    let n_parts = ceil(n, rows_per_part);
    let parts = cuda.scratch(n_parts as usize * channels * 4);
    let (to, from) = (cuda.at(dbias), cuda.at(dout));
    launch::bias_backward_parts(cuda.device(), &[dout.dtype], parts, from, n, channels as i32, rows_per_part as i32);
    add_parts(cuda, to, Pointer::NONE, parts, n_parts, channels);
}

/// Adds parts in their order to one or two vectors of `columns` numbers, the second one's parts behind the first one's.
pub fn add_parts(cuda: &mut Cuda, out: Pointer, second: Pointer, parts: Pointer, n_parts: i64, columns: usize) {
    let stride = columns * (1 + usize::from(second != Pointer::NONE));
    launch::add_parts(cuda.device(), &[], out, second, parts, n_parts as i32, columns as i32, stride as i32);
}
