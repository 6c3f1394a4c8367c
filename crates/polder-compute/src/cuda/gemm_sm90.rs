//! Matrix products of bf16 on Hopper: the copy engine loads, groups of four warps multiply.

use super::Cuda;
use super::device::{CudaError, TensorMap, Tiled};
use super::table::{Pointer, kernels};
use crate::{Dtype, Gemm, View};

kernels! {
    file "gemm_sm90"; types t0 t1 t2;

    /// `out (m, n) = a (m, k) · b (n, k)ᵀ`; this and the next three write tiles or, where they are split along k, parts of them. `blocks` is the grid.
    gemm_sm90_mk_nk [Bf16] [F32] (
        out: Out0, parts: OutF32, boxes: Map, a: Map, b: Map, bias: InF32, m: Int, n: Int, k: Int,
        direct: Int, processors: Int, least: Int, accumulate: Int, boxed: Int, blocks: Int,
    ) threads 384; grid line(i64::from(blocks)); shared SHARED; bytes bytes(m, n, k, t0, accumulate); flop flop(m, n, k);

    /// `out (m, n) = a (m, k) · b (k, n)`.
    gemm_sm90_mk_kn [Bf16] [F32] (
        out: Out0, parts: OutF32, boxes: Map, a: Map, b: Map, bias: InF32, m: Int, n: Int, k: Int,
        direct: Int, processors: Int, least: Int, accumulate: Int, boxed: Int, blocks: Int,
    ) threads 384; grid line(i64::from(blocks)); shared SHARED; bytes bytes(m, n, k, t0, accumulate); flop flop(m, n, k);

    /// `out (m, n) = a (k, m)ᵀ · b (k, n)`.
    gemm_sm90_km_kn [Bf16] [F32] (
        out: Out0, parts: OutF32, boxes: Map, a: Map, b: Map, bias: InF32, m: Int, n: Int, k: Int,
        direct: Int, processors: Int, least: Int, accumulate: Int, boxed: Int, blocks: Int,
    ) threads 384; grid line(i64::from(blocks)); shared SHARED; bytes bytes(m, n, k, t0, accumulate); flop flop(m, n, k);

    /// `out (m, n) = a (k, m)ᵀ · b (n, k)ᵀ`.
    gemm_sm90_km_nk [Bf16] [F32] (
        out: Out0, parts: OutF32, boxes: Map, a: Map, b: Map, bias: InF32, m: Int, n: Int, k: Int,
        direct: Int, processors: Int, least: Int, accumulate: Int, boxed: Int, blocks: Int,
    ) threads 384; grid line(i64::from(blocks)); shared SHARED; bytes bytes(m, n, k, t0, accumulate); flop flop(m, n, k);

    /// `out = Σ parts`, of the last `split` tiles.
    gemm_sm90_sum [Bf16] [F32] (
        out: Out0, parts: InF32, bias: InF32, m: Int, n: Int, k: Int, direct: Int, processors: Int, least: Int, accumulate: Int, split: Int,
    ) threads 256; grid [PART / 1024, i64::from(split), 1]; shared 0;
        bytes i64::from(split) * PART * (4 + t0 * (1 + i64::from(accumulate))); flop 0;
}

/// A tile's sizes, and steps along k, as of `kernels/gemm_sm90.cu`.
const TILE_M: usize = 128;
const TILE_N: usize = 256;
const TILE_K: usize = 64;
const STAGES: i64 = 4;
/// Numbers of a tile.
const PART: i64 = (TILE_M * TILE_N) as i64;
/// A ring of stages, four boxes on their way out, and barriers.
const SHARED: i64 = STAGES * (TILE_M + TILE_N) as i64 * TILE_K as i64 * 2 + 4 * 64 * 128 + 2 * STAGES * 8;

/// Multiprocessors that work is cut for, whatever the device has: how sums are cut must not depend on it. An H100's and an H200's.
const PROCESSORS: usize = 132;

fn bytes(m: i32, n: i32, k: i32, out: i64, accumulate: i32) -> f64 {
    let [m, n, k] = [m, n, k].map(f64::from);
    2.0 * k * (m + n) + m * n * (out * (1 + i64::from(accumulate))) as f64
}

fn flop(m: i32, n: i32, k: i32) -> f64 {
    2.0 * f64::from(m) * f64::from(n) * f64::from(k)
}

/// How a product's tiles are dealt out to the multiprocessors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GemmPlan {
    /// Tiles that are done whole; the others are split along k.
    pub direct: usize,
    /// How many the others are split for.
    pub processors: usize,
    /// Steps of 64 along k that a part has at least.
    pub least: usize,
}

impl GemmPlan {
    /// The plan for a product: whole tiles in rounds of one a multiprocessor; the rest of a round whole too, unless cutting it into equal parts saves
    /// more than writing the parts and adding them up costs.
    pub fn of(shape: Gemm) -> Self {
        let (tiles, steps) = (shape.m.div_ceil(TILE_M) * shape.n.div_ceil(TILE_N), shape.k.div_ceil(TILE_K));
        let rest = tiles % PROCESSORS;
        // In steps: 0.6 µs each for a multiprocessor. A part is 128 KB to be written and read back from the second-level cache.
        let (saved, cost) = (steps * (PROCESSORS - rest) / PROCESSORS, 8 + (PROCESSORS + rest) / 12);
        let split = rest > 0 && saved > cost;
        Self { direct: if split { tiles - rest } else { tiles }, processors: PROCESSORS, least: 16 }
    }
}

/// Whether this product is one for these kernels: bf16 that the copy engine can load, and enough of it.
pub(in crate::cuda) fn takes(cuda: &mut Cuda, out: View, a: View, b: View, bias: Option<View>, shape: Gemm) -> bool {
    let Gemm { m, n, k, .. } = shape;
    let large = m >= 64 && n >= 64 && k >= 64 && m as f64 * n as f64 * k as f64 >= f64::from(1 << 26);
    large && can(cuda, out, a, b, bias, shape)
}

/// Whether the copy engine can load the factors, whatever their sizes.
fn can(cuda: &mut Cuda, out: View, a: View, b: View, bias: Option<View>, shape: Gemm) -> bool {
    let Gemm { m, n, k, transpose_a, transpose_b, .. } = shape;
    let aligned = |cuda: &Cuda, x: View, row: usize| cuda.at(x).0 % 16 == 0 && row % 8 == 0;
    cuda.device().capability() == (9, 0)
        && (a.dtype, b.dtype) == (Dtype::Bf16, Dtype::Bf16)
        && bias.is_none_or(|x| x.dtype == Dtype::F32)
        && aligned(cuda, a, if transpose_a { m } else { k })
        && aligned(cuda, b, if transpose_b { k } else { n })
        && [m, n, k].iter().all(|x| *x > 0 && *x < 1 << 30)
        && out.len == m * n
}

/// `out = a · b [+ bias]`, or `+=`, of what `takes` has taken.
pub(in crate::cuda) fn gemm(cuda: &mut Cuda, out: View, a: View, b: View, bias: Option<View>, shape: Gemm) {
    gemm_planned(cuda, out, a, b, bias, shape, GemmPlan::of(shape));
}

/// The same by any plan.
///
/// # Panics
/// When the copy engine cannot load the factors.
pub fn gemm_planned(cuda: &mut Cuda, out: View, a: View, b: View, bias: Option<View>, shape: Gemm, plan: GemmPlan) {
    assert!(can(cuda, out, a, b, bias, shape), "a product that the copy engine cannot load");
    let Gemm { m, n, k, transpose_a, transpose_b, accumulate } = shape;
    let tiles = m.div_ceil(TILE_M) * n.div_ceil(TILE_N);
    let GemmPlan { direct, processors, least } = plan;
    let split = tiles - direct;
    // A tile that is dealt out has at most one part more than the processors that it is cut for.
    let parts = if split > 0 { cuda.scratch((split + processors) * PART as usize * 4) } else { Pointer::NONE };
    let (to, bias) = (cuda.at(out), cuda.at_maybe(bias));
    let a_map = tiled(cuda, a, [m, k], transpose_a, TILE_M);
    let b_map = tiled(cuda, b, [n, k], !transpose_b, TILE_N);
    let boxed = out.dtype == Dtype::Bf16 && !accumulate && direct > 0 && n % 8 == 0 && to.0 % 16 == 0;
    let out_map = if boxed { map(cuda, to, [n, m], 64) } else { a_map };
    let blocks = cuda.device().n_multiprocessors().min(direct.max(if split > 0 { processors } else { 0 }));
    let [m, n, k, direct, processors, least, split, blocks] = [m, n, k, direct, processors, least, split, blocks].map(|x| x as i32);
    let launch = match (transpose_a, transpose_b) {
        (false, true) => launch::gemm_sm90_mk_nk,
        (false, false) => launch::gemm_sm90_mk_kn,
        (true, false) => launch::gemm_sm90_km_kn,
        (true, true) => launch::gemm_sm90_km_nk,
    };
    let (types, accumulate, boxed) = ([out.dtype], i32::from(accumulate), i32::from(boxed));
    launch(cuda.device(), &types, to, parts, out_map, a_map, b_map, bias, m, n, k, direct, processors, least, accumulate, boxed, blocks);
    launch::gemm_sm90_sum(cuda.device(), &types, to, parts, bias, m, n, k, direct, processors, least, accumulate, split);
}

/// A factor of `rows` (m or n) and k, its rows of 64 along k or, `along_rows`, along m or n; a box of the latter is as deep as a step.
fn tiled(cuda: &mut Cuda, x: View, [rows, k]: [usize; 2], along_rows: bool, tile: usize) -> TensorMap {
    let at = cuda.at(x);
    if along_rows { map(cuda, at, [rows, k], TILE_K) } else { map(cuda, at, [k, rows], tile) }
}

/// A matrix with its contiguous size first, copied in boxes of 64 by `rows`.
#[allow(clippy::panic)]
fn map(cuda: &mut Cuda, base: Pointer, [width, height]: [usize; 2], rows: usize) -> TensorMap {
    let sizes = [width as u64, height as u64, 1, 1];
    let strides_bytes = [width as u64 * 2, 0, 0];
    let tensor = Tiled { base, sizes, strides_bytes, n_dims: 2, copied: [64, rows as u32, 1, 1] };
    let result: Result<TensorMap, CudaError> = cuda.device().tensor_map(tensor);
    match result {
        Ok(map) => map,
        // As of `begin`: a bug or a broken device.
        Err(e) => panic!("{e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_leaves_multiprocessors_idle_for_long_is_split() {
        let of = |m, n, k| GemmPlan::of(Gemm { m, n, k, transpose_a: false, transpose_b: true, accumulate: false }).direct;
        // Forward and backward of a layer: whole tiles. Gradients of its weights, and of the head's input: split.
        assert_eq!([of(65_536, 768, 768), of(65_536, 2304, 768), of(65_536, 768, 3072), of(8192, 50_304, 768)], [1536, 4608, 1536, 12_608]);
        assert_eq!([of(768, 768, 65_536), of(768, 2304, 65_536), of(3072, 768, 65_536), of(8192, 768, 50_304)], [0, 0, 0, 132]);
    }
}
