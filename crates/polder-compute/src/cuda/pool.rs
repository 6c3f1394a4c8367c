//! Means over ranges of rows.

use super::Cuda;
use super::table::kernels;
use crate::{IdView, View};

kernels! {
    file "pool"; types t0 t1 t2;

    /// `out (B, C) = means over ranges of rows of x`.
    pool_forward [F32, F32] [F32, Bf16] [Bf16, F32] [Bf16, Bf16] (out: Out0, x: In1, ranges: InIds, n_ranges: Int, channels: Int)
        threads 256; grid [n_ranges.into(), ceil(channels.into(), 8 * 16 / t1), 1]; shared 256 * 4 * 16 / t1;
        bytes i64::from(n_ranges) * i64::from(channels) * t0; flop 0;

    /// `dx (N, C) += …`.
    pool_backward [F32, F32] [F32, Bf16] [Bf16, F32] [Bf16, Bf16] (dx: Out0, dout: In1, ranges: InIds, n: Long, n_ranges: Int, channels: Int)
        threads 256; grid line(ceil(n, 64)); shared 0; bytes 2 * n * i64::from(channels) * t0; flop 0;
}

pub fn pool_forward(cuda: &mut Cuda, out: View, x: View, ranges: IdView, channels: usize) {
    assert_eq!(out.len * 2, ranges.len * channels, "sizes of a mean");
    let (to, from, of) = (cuda.at(out), cuda.at(x), cuda.ids_at(ranges));
    launch::pool_forward(cuda.device(), &[out.dtype, x.dtype], to, from, of, (ranges.len / 2) as i32, channels as i32);
}

pub fn pool_backward(cuda: &mut Cuda, dx: View, dout: View, ranges: IdView, channels: usize) {
    assert_eq!(dout.len * 2, ranges.len * channels, "sizes of a mean's gradient");
    let (to, from, of, n) = (cuda.at(dx), cuda.at(dout), cuda.ids_at(ranges), (dx.len / channels) as i64);
    launch::pool_backward(cuda.device(), &[dx.dtype, dout.dtype], to, from, of, n, (ranges.len / 2) as i32, channels as i32);
}
