//! Matrix products of any shape. Which kernel, and into how many sums, is decided here.

use super::table::{Pointer, kernels};
use super::{Cuda, cublaslt, gemm_sm90};
use crate::{Dtype, Gemm, View};

kernels! {
    file "gemm"; types t0 t1 t2;

    /// `out (m, n) = a · b [+ bias]`, 128×128 results a block.
    gemm [F32, Bf16] [Bf16, Bf16] (out: Out0, a: In1, b: In1, bias: InF32, m: Int, n: Int, k: Int, terms: Int, flags: Int)
        threads 128; grid blocks(m, n, k, terms, 128); shared 3 * (128 + 128) * 32 * 2;
        bytes moved(m, n, k, terms, flags, t0, t1); flop flops(m, n, k);

    /// The same, 64×64 results a block.
    gemm_small [F32, Bf16] [Bf16, Bf16] (out: Out0, a: In1, b: In1, bias: InF32, m: Int, n: Int, k: Int, terms: Int, flags: Int)
        threads 128; grid blocks(m, n, k, terms, 64); shared 4 * (64 + 64) * 32 * 2;
        bytes moved(m, n, k, terms, flags, t0, t1); flop flops(m, n, k);

    /// `out (m, n) = a · b [+ bias]` of f32, 128×128 results a block.
    gemm_fma [F32] (out: Out0, a: In0, b: In0, bias: InF32, m: Int, n: Int, k: Int, terms: Int, flags: Int)
        threads 256; grid blocks(m, n, k, terms, 128); shared 2 * 2 * 16 * (128 + 4) * 4;
        bytes moved(m, n, k, terms, flags, t0, t0); flop flops(m, n, k);

    /// The same, 64×64 results a block.
    gemm_fma_small [F32] (out: Out0, a: In0, b: In0, bias: InF32, m: Int, n: Int, k: Int, terms: Int, flags: Int)
        threads 256; grid blocks(m, n, k, terms, 64); shared 2 * 2 * 16 * (64 + 4) * 4;
        bytes moved(m, n, k, terms, flags, t0, t0); flop flops(m, n, k);

    /// `out (n_results) = Σ parts (splits, n_results) [+ bias (n)]`, in order.
    gemm_sum [F32] [Bf16] (out: Out0, parts: InF32, bias: InF32, n_results: Long, n: Int, splits: Int, flags: Int)
        threads 256; grid line(ceil(n_results * t0, 256 * 16)); shared 0;
        bytes n_results * (4 * i64::from(splits) + t0 * (1 + i64::from(flags & ACCUMULATE != 0))); flop 0;
}

// As `kernels/gemm.cu` reads them.
const LEFT_TOGETHER: i32 = 1;
const RIGHT_TOGETHER: i32 = 2;
const WIDE: i32 = 4;
const ACCUMULATE: i32 = 8;

fn blocks(m: i32, n: i32, k: i32, terms: i32, tile: i64) -> [i64; 3] {
    let count = |x: i32, of: i64| (i64::from(x) + of - 1) / of;
    // An empty sum is one split: its results are the bias, or zeros.
    [count(m, tile) * count(n, tile), count(k, i64::from(terms)).max(1), 1]
}

fn moved(m: i32, n: i32, k: i32, terms: i32, flags: i32, out_bytes: i64, bytes: i64) -> f64 {
    let [m, n, k, terms] = [m, n, k, terms].map(f64::from);
    let per_result = if flags & ACCUMULATE == 0 { 1.0 } else { 2.0 } * (k / terms).ceil().max(1.0) * out_bytes as f64;
    (m * k + k * n) * bytes as f64 + m * n * per_result
}

fn flops(m: i32, n: i32, k: i32) -> f64 {
    2.0 * f64::from(m) * f64::from(n) * f64::from(k)
}

/// Most splits of a sum.
const SPLITS_MAX: usize = 64;

/// Into how many sums each result is cut: by sizes alone, so that the same numbers come out on every GPU.
///
/// Few tiles are split until they fill a GPU, two blocks to each of its hundred or so multiprocessors; more tiles only where sums are so long that
/// writing the parts and adding them up costs little, so that the last round of blocks is a small part of all rounds. Of few rows, such as those of tokens
/// that are drawn, the reading of b is all there is to it, and more blocks read faster.
fn splits(Gemm { m, n, k, .. }: Gemm) -> usize {
    let tiles = m.div_ceil(128) * n.div_ceil(128);
    let (blocks, terms_least) = match tiles {
        ..128 if m <= 64 => (256, 128),
        ..128 => (256, 512),
        _ => (1024, 4096),
    };
    (blocks / tiles).min(k / terms_least).clamp(1, SPLITS_MAX)
}

/// `out = a · b [+ bias]`, or `+=`.
pub fn gemm(cuda: &mut Cuda, out: View, a: View, b: View, bias: Option<View>, shape: Gemm) {
    let Gemm { m, n, k, .. } = shape;
    assert_eq!((out.len, a.len, b.len), (m * n, m * k, k * n), "sizes of {shape:?}");
    assert!(a.dtype == b.dtype && (out.dtype == a.dtype || out.dtype == Dtype::F32), "types of {shape:?}");
    assert!(bias.is_none_or(|b| b.len == n && b.dtype == Dtype::F32), "the bias of {shape:?}");
    assert!([m, n, k].iter().all(|x| *x < i32::MAX as usize), "{shape:?} is too large");
    if m == 0 || n == 0 {
        return;
    }
    // An empty sum is no product to other implementations.
    if k > 0 && cublaslt::gemm(cuda, out, a, b, bias, shape) {
        return;
    }
    if gemm_sm90::takes(cuda, out, a, b, bias, shape) {
        return gemm_sm90::gemm(cuda, out, a, b, bias, shape);
    }
    own(cuda, out, a, b, bias, shape);
}

/// `out = onto + a · b [+ bias]`.
pub fn gemm_onto(cuda: &mut Cuda, out: View, onto: View, a: View, b: View, bias: Option<View>, shape: Gemm) {
    let has_another = cuda.cublaslt().is_some();
    if !has_another && out.dtype == onto.dtype && gemm_sm90::takes(cuda, out, a, b, bias, shape) {
        return gemm_sm90::gemm_planned(cuda, out, Some(onto), a, b, bias, shape, gemm_sm90::GemmPlan::of(shape));
    }
    super::plain::copy(cuda, out, onto);
    gemm(cuda, out, a, b, bias, Gemm { accumulate: true, ..shape });
}

/// By this file's kernels.
fn own(cuda: &mut Cuda, out: View, a: View, b: View, bias: Option<View>, shape: Gemm) {
    let Gemm { m, n, k, transpose_a, transpose_b, accumulate } = shape;
    let (to, left, right, added) = (cuda.at(out), cuda.at(a), cuda.at(b), cuda.at_maybe(bias));
    let wide = [(left, if transpose_a { m } else { k }), (right, if transpose_b { k } else { n })]
        .iter()
        .all(|(at, row)| at.0.is_multiple_of(16) && (row * a.dtype.bytes()).is_multiple_of(16));
    let flag = |on: bool, flag: i32| if on { flag } else { 0 };
    let layout = flag(!transpose_a, LEFT_TOGETHER) | flag(transpose_b, RIGHT_TOGETHER) | flag(wide, WIDE);
    let finish = flag(accumulate, ACCUMULATE);
    // A multiple of the terms of a stage, so that only the last split ends within one.
    let terms = k.div_ceil(splits(shape)).next_multiple_of(32).max(32);
    let n_splits = k.div_ceil(terms).max(1);
    // The tile changes no sum, so it may depend on the device: the large one costs less, once each multiprocessor has one.
    // Of bf16, the large one copies 16 bytes at a time or not at all.
    let large = (wide || a.dtype == Dtype::F32) && m.div_ceil(128) * n.div_ceil(128) * n_splits >= cuda.device().n_multiprocessors();
    let [m, n, k, terms] = [m, n, k, terms].map(|x| x as i32);
    let multiply = |cuda: &mut Cuda, to: Pointer, out: Dtype, added: Pointer, flags: i32| {
        let device = cuda.device();
        match (a.dtype, large) {
            (Dtype::Bf16, true) => launch::gemm(device, &[out, Dtype::Bf16], to, left, right, added, m, n, k, terms, flags),
            (Dtype::Bf16, false) => launch::gemm_small(device, &[out, Dtype::Bf16], to, left, right, added, m, n, k, terms, flags),
            (Dtype::F32, true) => launch::gemm_fma(device, &[Dtype::F32], to, left, right, added, m, n, k, terms, flags),
            (Dtype::F32, false) => launch::gemm_fma_small(device, &[Dtype::F32], to, left, right, added, m, n, k, terms, flags),
        }
    };
    if n_splits == 1 {
        return multiply(cuda, to, out.dtype, added, layout | finish);
    }
    let parts = cuda.scratch(n_splits * out.len * 4);
    multiply(cuda, parts, Dtype::F32, Pointer::NONE, layout);
    launch::gemm_sum(cuda.device(), &[out.dtype], to, parts, added, out.len as i64, n, n_splits as i32, finish);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_split_where_results_are_few_and_never_into_more_than_scratch_is_counted_for() {
        let of = |m, n, k| splits(Gemm { m, n, k, transpose_a: true, transpose_b: false, accumulate: true });
        assert_eq!(
            [of(768, 768, 65_536), of(768, 3072, 65_536), of(8192, 768, 768), of(1, 1, 1 << 20), of(4096, 4096, 65_536), of(16, 3072, 768)],
            [7, 7, 1, 64, 1, 6]
        );
        for (m, n) in [(1, 1), (1024, 2000), (2048, 1024), (50_304, 768), (8192, 1024)] {
            let splits = of(m, n, 1 << 20);
            assert!(splits == 1 || splits * m * n * 4 <= 64 << 20, "{m} × {n}");
        }
    }
}
