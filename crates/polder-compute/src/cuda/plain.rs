//! Fills, copies, sums of two and sums of squares.

use super::Cuda;
use super::table::{Pointer, kernels};
use crate::{Dtype, View};

/// Blocks of the first of the two passes of [`sum_squares`], whatever the device, so that the order of the sum is fixed.
const PARTS: i64 = 1024;

kernels! {
    file "plain"; types t0 t1 t2;

    /// `out (n) = value`.
    fill [F32] [Bf16] (out: Out0, n: Long, value: Float)
        threads 256; grid line(ceil(n * t0, 256 * 16)); shared 0; bytes n * t0; flop 0;

    /// `out (n) = x`.
    copy [F32, F32] [F32, Bf16] [Bf16, F32] [Bf16, Bf16] (out: Out0, x: In1, n: Long)
        threads 256; grid line(ceil(n, 256 * 8)); shared 0; bytes n * (t0 + t1); flop 0;

    /// `out (n) += x`.
    add [F32, F32] [F32, Bf16] [Bf16, F32] [Bf16, Bf16] (out: Out0, x: In1, n: Long)
        threads 256; grid line(ceil(n, 256 * 8)); shared 0; bytes n * (2 * t0 + t1); flop 0;

    /// `parts (PARTS) = sums of x² over as many runs`.
    sum_squares_parts [F32] [Bf16] (parts: OutF32, x: In0, n: Long)
        threads 256; grid line(PARTS); shared 0; bytes n * t0; flop 0;

    /// `out (1) = Σ parts`.
    sum_parts [] (out: OutF32, parts: InF32, n: Long)
        threads 256; grid line(1); shared 0; bytes n * 4; flop 0;
}

pub fn fill(cuda: &mut Cuda, out: View, value: f32) {
    let at = cuda.at(out);
    launch::fill(cuda.device(), &[out.dtype], at, out.len as i64, value);
}

pub fn copy(cuda: &mut Cuda, out: View, x: View) {
    assert_eq!(out.len, x.len, "sizes of a copy");
    let (to, from) = (cuda.at(out), cuda.at(x));
    copy_at(cuda, to, out.dtype, from, x);
}

/// The same to any address.
pub fn copy_at(cuda: &mut Cuda, to: Pointer, dtype: Dtype, from: Pointer, x: View) {
    launch::copy(cuda.device(), &[dtype, x.dtype], to, from, x.len as i64);
}

pub fn add(cuda: &mut Cuda, out: View, x: View) {
    assert_eq!(out.len, x.len, "sizes of a sum");
    let (to, from) = (cuda.at(out), cuda.at(x));
    launch::add(cuda.device(), &[out.dtype, x.dtype], to, from, out.len as i64);
}

pub fn sum_squares(cuda: &mut Cuda, out: View, x: View) {
    let (to, from) = (cuda.at(out), cuda.at(x));
    sum_squares_at(cuda, to, from, x);
}

/// The same to any address.
pub fn sum_squares_at(cuda: &mut Cuda, to: Pointer, from: Pointer, x: View) {
    let parts = cuda.scratch(PARTS as usize * 4);
    launch::sum_squares_parts(cuda.device(), &[x.dtype], parts, from, x.len as i64);
    launch::sum_parts(cuda.device(), &[], to, parts, PARTS);
}
