//! Normalisation of heads.

use super::Cuda;
use super::bias::add_parts;
use super::table::{Pointer, kernels};
use crate::View;

/// Blocks of the backward pass, whatever the device, so that the order of the sums over heads is fixed.
const PARTS_MAX: i64 = 396;

kernels! {
    file "head_norm"; types t0 t1 t2;

    /// The first..first + n_heads of each row's heads in `out = normalised x · weight`, and their factors; `n` counts heads of all rows.
    head_norm_forward [F32] [Bf16]
        (out: Out0, rstd: OutF32, x: In0, weight: InF32, n: Int, row: Int, first: Int, n_heads: Int, head: Int, eps: Float)
        threads 256; grid line(ceil(n.into(), 4 * heads_at_once(head))); shared 0; bytes 2 * i64::from(n) * i64::from(head) * t0; flop 0;

    /// The same heads of `dx` become gradients of the input; `parts` gets a block's sums for the gradient of the weight.
    head_norm_backward [F32] [Bf16]
        (dx: Out0, parts: OutF32, x: In0, weight: InF32, rstd: InF32, n: Int, row: Int, first: Int, n_heads: Int, head: Int)
        threads 256; grid line(n_parts(n, head)); shared 256 * 8 * 4; bytes 3 * i64::from(n) * i64::from(head) * t0; flop 0;
}

/// Heads that a block of 256 threads holds, a thread having 8 numbers.
fn heads_at_once(head: i32) -> i64 {
    256 / (head as u64).div_ceil(8).next_power_of_two().min(32) as i64
}

fn n_parts(n: i32, head: i32) -> i64 {
    super::table::ceil(n.into(), 2 * heads_at_once(head)).min(PARTS_MAX)
}

/// Heads of all rows; kernels count them in 32 bits, and leave room for a step beyond the last.
fn n_in_all(rstd: View) -> i32 {
    assert!(rstd.len < 1 << 30, "{} heads are more than can be normalised at once", rstd.len);
    rstd.len as i32
}

#[allow(clippy::too_many_arguments)]
pub fn head_norm_forward(
    cuda: &mut Cuda,
    out: View,
    rstd: View,
    x: View,
    weight: View,
    row: usize,
    first: usize,
    n_heads: usize,
    eps: f32,
) {
    assert_eq!((out.dtype, out.len, rstd.len * row), (x.dtype, x.len, x.len * n_heads), "sizes of heads' normalisation");
    assert!((first + n_heads) * weight.len <= row, "heads beyond a row");
    let (to, saved, from, by) = (cuda.at(out), cuda.at(rstd), cuda.at(x), cuda.at(weight));
    let (n, [row, first, n_heads, head]) = (n_in_all(rstd), [row, first, n_heads, weight.len].map(|n| n as i32));
    launch::head_norm_forward(cuda.device(), &[x.dtype], to, saved, from, by, n, row, first, n_heads, head, eps);
}

#[allow(clippy::too_many_arguments)]
pub fn head_norm_backward(
    cuda: &mut Cuda,
    dx: View,
    dweight: View,
    x: View,
    weight: View,
    rstd: View,
    row: usize,
    first: usize,
    n_heads: usize,
) {
    assert_eq!((dx.dtype, dx.len, rstd.len * row), (x.dtype, x.len, x.len * n_heads), "sizes of heads' normalisation's gradient");
    assert!((first + n_heads) * weight.len <= row && dweight.len == weight.len, "sizes of heads' normalisation's gradient");
    let (n, [row, first, n_heads, head]) = (n_in_all(rstd), [row, first, n_heads, weight.len].map(|n| n as i32));
    let n_parts = n_parts(n, head);
    let parts = cuda.scratch(n_parts as usize * weight.len * 4);
    let (to, from, by, saved, sum) = (cuda.at(dx), cuda.at(x), cuda.at(weight), cuda.at(rstd), cuda.at(dweight));
    launch::head_norm_backward(cuda.device(), &[x.dtype], to, parts, from, by, saved, n, row, first, n_heads, head);
    add_parts(cuda, sum, Pointer::NONE, parts, n_parts, weight.len);
}
