//! Normalisation of rows.

use super::Cuda;
use super::bias::add_parts;
use super::table::{Pointer, kernels};
use crate::{Dtype, Norm, NormKind, View};

/// Rows up to this width are a warp's.
const WARP_CHANNELS: usize = 1024;
/// Blocks of the backward pass, whatever the device, so that the order of the sums over rows is fixed.
const PARTS_MAX: usize = 264;

kernels! {
    file "norm"; types t0 t1 t2;

    /// `out (N, C) = normalised x · weight [+ bias]`, and the rows' statistics; C ≤ 1024.
    norm_forward_warp [F32, F32] [F32, Bf16] [Bf16, F32] [Bf16, Bf16]
        (out: Out0, stats: OutF32, x: In1, weight: InF32, bias: InF32, n: Long, channels: Int, eps: Float, centred: Int)
        threads 256; grid line(ceil(n, 8)); shared 0; bytes n * i64::from(channels) * (t0 + t1); flop 0;

    /// The same for any C.
    norm_forward_block [F32, F32] [F32, Bf16] [Bf16, F32] [Bf16, Bf16]
        (out: Out0, stats: OutF32, x: In1, weight: InF32, bias: InF32, n: Long, channels: Int, eps: Float, centred: Int)
        threads 256; grid line(ceil(n, 2)); shared 0; bytes n * i64::from(channels) * (t0 + t1); flop 0;

    /// `dx (N, C) += …`; `parts` gets a block's sums over rows for the gradients of weight and bias.
    norm_backward [F32, F32, F32] [F32, F32, Bf16] [F32, Bf16, Bf16]
        [Bf16, F32, F32] [Bf16, F32, Bf16] [Bf16, Bf16, F32] [Bf16, Bf16, Bf16]
        (dx: Out0, parts: OutF32, dout: In1, x: In2, weight: InF32, stats: InF32, n: Long, channels: Int, centred: Int, with_bias: Int)
        threads 256; grid line(n_parts(n as usize) as i64); shared (2 * 8 * 16 + 256 * 4) * 4;
        bytes n * i64::from(channels) * (2 * t0 + t1 + t2); flop 0;

    /// The same of f32 beside rows of bf16; `rounded`, where it is given, gets what `dx` becomes.
    norm_backward_rounded []
        (dx: OutF32, rounded: OutBf16, parts: OutF32, dout: InBf16, x: InF32, weight: InF32, stats: InF32, n: Long, channels: Int, centred: Int, with_bias: Int)
        threads 256; grid line(n_parts(n as usize) as i64); shared (2 * 8 * 16 + 256 * 4) * 4;
        bytes n * i64::from(channels) * (2 * 4 + 2 + 4 + if rounded == Pointer::NONE { 0 } else { 2 }); flop 0;
}

fn n_parts(n: usize) -> usize {
    n.div_ceil(8).min(PARTS_MAX)
}

pub fn norm_forward(cuda: &mut Cuda, out: View, stats: View, x: View, weight: View, bias: Option<View>, norm: Norm) {
    let (channels, n) = (weight.len, x.len / weight.len);
    assert_eq!((out.len, n * channels, stats.len), (x.len, x.len, n * norm.kind.n_stats()), "sizes of a normalisation");
    assert!(bias.is_none_or(|b| b.len == channels), "sizes of a normalisation's bias");
    let (to, saved, from, by, plus) = (cuda.at(out), cuda.at(stats), cuda.at(x), cuda.at(weight), cuda.at_maybe(bias));
    let (types, centred) = ([out.dtype, x.dtype], i32::from(norm.kind == NormKind::Layer));
    let launch = if channels <= WARP_CHANNELS { launch::norm_forward_warp } else { launch::norm_forward_block };
    launch(cuda.device(), &types, to, saved, from, by, plus, n as i64, channels as i32, norm.eps, centred);
}

#[allow(clippy::too_many_arguments)]
pub fn norm_backward(
    cuda: &mut Cuda,
    dx: View,
    rounded: Option<View>,
    dweight: View,
    dbias: Option<View>,
    dout: View,
    x: View,
    weight: View,
    stats: View,
    norm: Norm,
) {
    let (channels, n) = (weight.len, x.len / weight.len);
    assert_eq!((dx.len, dout.len, dweight.len), (x.len, x.len, channels), "sizes of a normalisation's gradient");
    assert_eq!((n * channels, stats.len), (x.len, n * norm.kind.n_stats()), "sizes of a normalisation's gradient");
    assert!(dbias.is_none_or(|b| b.len == channels), "sizes of a normalisation's gradient");
    let n_parts = n_parts(n);
    let parts = cuda.scratch(n_parts * channels * (1 + usize::from(dbias.is_some())) * 4);
    let (to, slope, from, by, saved) = (cuda.at(dx), cuda.at(dout), cuda.at(x), cuda.at(weight), cuda.at(stats));
    let (centred, with_bias) = (i32::from(norm.kind == NormKind::Layer), i32::from(dbias.is_some()));
    let types = [dx.dtype, dout.dtype, x.dtype];
    let (rows, width) = (n as i64, channels as i32);
    let fused = types == [Dtype::F32, Dtype::Bf16, Dtype::F32] && rounded.is_none_or(|r| r.dtype == Dtype::Bf16);
    assert!(rounded.is_none_or(|r| r.len == dx.len), "sizes of a normalisation's gradient");
    if fused {
        let copy = cuda.at_maybe(rounded);
        launch::norm_backward_rounded(cuda.device(), &[], to, copy, parts, slope, from, by, saved, rows, width, centred, with_bias);
    } else {
        launch::norm_backward(cuda.device(), &types, to, parts, slope, from, by, saved, rows, width, centred, with_bias);
    }
    let (of_weight, of_bias) = (cuda.at(dweight), cuda.at_maybe(dbias));
    add_parts(cuda, of_weight, of_bias, parts, n_parts as i64, channels);
    if let (Some(rounded), false) = (rounded, fused) {
        super::plain::copy(cuda, rounded, dx);
    }
}
