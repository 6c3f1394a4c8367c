//! Matrix products of bf16 on Hopper: the copy engine loads, groups of four warps multiply.

use super::Cuda;
use super::device::{CudaError, TensorMap, Tiled};
use super::table::{Pointer, kernels};
use crate::{Dtype, Gemm, View};

/// The products differ in how factors are stored and in how wide a tile is, and have the same arguments; `blocks` is the grid.
macro_rules! products {
    ($($(#[$doc:meta])* $name:ident $columns:literal)*; $($(#[$sum_doc:meta])* $sum:ident $sum_columns:literal)*) => {
        kernels! {
            file "gemm_sm90"; types t0 t1 t2;
            $(
                $(#[$doc])*
                $name [Bf16] [F32] (
                    out: Out0, parts: OutF32, boxes: Map, onto: In0, a: Map, b: Map, bias: InF32, m: Int, n: Int, k: Int,
                    direct: Int, processors: Int, least: Int, boxed: Int, blocks: Int,
                ) threads 384; grid line(i64::from(blocks)); shared shared_bytes($columns);
                    bytes bytes(m, n, k, t0, onto); flop flop(m, n, k);
            )*
            $(
                $(#[$sum_doc])*
                $sum [Bf16] [F32] (
                    out: Out0, onto: In0, parts: InF32, bias: InF32, m: Int, n: Int, k: Int,
                    direct: Int, processors: Int, least: Int, split: Int,
                ) threads 256; grid [TILE_M * $sum_columns / 1024, i64::from(split), 1]; shared 0;
                    bytes i64::from(split) * TILE_M * $sum_columns * (4 + t0 * (1 + i64::from(onto != Pointer::NONE))); flop 0;
            )*
        }
    };
}

products! {
    /// `out (m, n) = a (m, k) · b (n, k)ᵀ`, by tiles or parts of tiles.
    gemm_sm90_mk_nk_256 256
    /// `out (m, n) = a (m, k) · b (k, n)`.
    gemm_sm90_mk_kn_256 256
    /// `out (m, n) = a (k, m)ᵀ · b (k, n)`.
    gemm_sm90_km_kn_256 256
    /// `out (m, n) = a (k, m)ᵀ · b (n, k)ᵀ`.
    gemm_sm90_km_nk_256 256
    /// As the first, with tiles of 192 columns; the same of the next three.
    gemm_sm90_mk_nk_192 192
    /// With 192 columns.
    gemm_sm90_mk_kn_192 192
    /// With 192 columns.
    gemm_sm90_km_kn_192 192
    /// With 192 columns.
    gemm_sm90_km_nk_192 192;
    /// `out = Σ parts`, of the last `split` tiles.
    gemm_sm90_sum_256 256
    /// With 192 columns.
    gemm_sm90_sum_192 192
}

/// Rows of a tile, and of k what a step takes, as of `kernels/gemm_sm90.cu`.
const TILE_M: i64 = 128;
const TILE_K: usize = 64;

/// Multiprocessors that work is cut for, whatever the device has: how sums are cut must not depend on it. An H100's and an H200's.
const PROCESSORS: usize = 132;

/// A ring of four stages, four boxes on their way out, and nine barriers.
fn shared_bytes(columns: i64) -> i64 {
    4 * (TILE_M + columns) * TILE_K as i64 * 2 + 4 * 64 * 128 + (2 * 4 + 1) * 8
}

fn bytes(m: i32, n: i32, k: i32, out: i64, onto: Pointer) -> f64 {
    let [m, n, k] = [m, n, k].map(f64::from);
    2.0 * k * (m + n) + m * n * (out * (1 + i64::from(onto != Pointer::NONE))) as f64
}

fn flop(m: i32, n: i32, k: i32) -> f64 {
    2.0 * f64::from(m) * f64::from(n) * f64::from(k)
}

/// How a product is cut into tiles, and these are dealt out to the multiprocessors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GemmPlan {
    /// Columns of a tile of 128 rows: 256, or 192.
    pub columns: usize,
    /// Tiles that are done whole; the others are split along k.
    pub direct: usize,
    /// How many multiprocessors the others are split for.
    pub processors: usize,
    /// Steps of 64 along k that a part has at least.
    pub least: usize,
}

impl GemmPlan {
    /// Tiles of an output.
    pub fn tiles(shape: Gemm, columns: usize) -> usize {
        shape.m.div_ceil(TILE_M as usize) * shape.n.div_ceil(columns)
    }

    /// The plan for a product, which takes the least time by this measure: whole tiles in rounds of one a multiprocessor, and what remains of a round
    /// whole too, unless cutting it into equal parts saves more than writing the parts and adding them up costs.
    pub fn of(shape: Gemm) -> Self {
        let steps = shape.k.div_ceil(TILE_K) as f64;
        let plan = |columns: usize| {
            let tiles = Self::tiles(shape, columns);
            let (rounds, rest) = (tiles / PROCESSORS, tiles % PROCESSORS);
            // In steps of a tile of 256 columns: 0.6 µs. Narrow tiles load more for each product. A part is written and read back from the second-level
            // cache, by one more kernel.
            let (scale, share) = (if columns == 256 { 1.0 } else { 0.79 }, rest as f64 / PROCESSORS as f64);
            let whole = (steps + 2.0) * scale;
            let cut = steps * share * scale + 8.0 + (1.0 + share) * 11.0 * scale;
            let split = rest > 0 && cut < whole;
            let last = if rest == 0 { 0.0 } else { cut.min(whole) };
            (
                rounds as f64 * whole + last,
                Self { columns, direct: if split { tiles - rest } else { tiles }, processors: PROCESSORS, least: 16 },
            )
        };
        let (wide, narrow) = (plan(256), plan(192));
        if narrow.0 < wide.0 { narrow.1 } else { wide.1 }
    }
}

/// Whether this product is one for these kernels: bf16 that the copy engine can load, and enough of it.
pub(in crate::cuda) fn takes(cuda: &mut Cuda, out: View, a: View, b: View, bias: Option<View>, shape: Gemm) -> bool {
    let Gemm { m, n, k, .. } = shape;
    let large = m >= 64 && n >= 64 && k >= 64 && m as f64 * n as f64 * k as f64 >= f64::from(1 << 28);
    large && can(cuda, out, a, b, bias, shape)
}

/// Whether the copy engine can load the factors, whatever their sizes.
fn can(cuda: &mut Cuda, out: View, a: View, b: View, bias: Option<View>, shape: Gemm) -> bool {
    let Gemm { m, n, k, transpose_a, transpose_b, .. } = shape;
    let aligned = |cuda: &Cuda, x: View, row: usize| cuda.at(x).0.is_multiple_of(16) && row.is_multiple_of(8);
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
    gemm_planned(cuda, out, shape.accumulate.then_some(out), a, b, bias, shape, GemmPlan::of(shape));
}

/// `out = onto + a · b [+ bias]`, or without `onto`, by any plan.
///
/// # Panics
/// When the copy engine cannot load the factors, or `onto` is not like `out`.
#[allow(clippy::too_many_arguments)]
pub fn gemm_planned(cuda: &mut Cuda, out: View, onto: Option<View>, a: View, b: View, bias: Option<View>, shape: Gemm, plan: GemmPlan) {
    assert!(onto.is_none_or(|o| (o.dtype, o.len) == (out.dtype, out.len)), "what a product is added to is like its output");
    assert!(can(cuda, out, a, b, bias, shape), "a product that the copy engine cannot load");
    let Gemm { m, n, k, transpose_a, transpose_b, .. } = shape;
    let GemmPlan { columns, direct, processors, least } = plan;
    let split = GemmPlan::tiles(shape, columns) - direct;
    // Each processor and each tile begins a part at most, beside those that are dealt out in whole rounds.
    let parts = if split > 0 { cuda.scratch((split + processors) * TILE_M as usize * columns * 4) } else { Pointer::NONE };
    let (to, onto_at, bias) = (cuda.at(out), cuda.at_maybe(onto), cuda.at_maybe(bias));
    let a_map = tiled(cuda, a, [m, k], transpose_a, TILE_M as usize);
    let b_map = tiled(cuda, b, [n, k], !transpose_b, columns);
    let boxed = out.dtype == Dtype::Bf16 && onto.is_none() && direct > 0 && n.is_multiple_of(8) && to.0.is_multiple_of(16);
    let out_map = if boxed { map(cuda, to, [n, m], 64) } else { a_map };
    let blocks = cuda.device().n_multiprocessors().min(direct.max(if split > 0 { processors } else { 0 }));
    let [m, n, k, direct, processors, least, split, blocks] = [m, n, k, direct, processors, least, split, blocks].map(|x| x as i32);
    let launch = match (columns, transpose_a, transpose_b) {
        (192, false, true) => launch::gemm_sm90_mk_nk_192,
        (192, false, false) => launch::gemm_sm90_mk_kn_192,
        (192, true, false) => launch::gemm_sm90_km_kn_192,
        (192, true, true) => launch::gemm_sm90_km_nk_192,
        (_, false, true) => launch::gemm_sm90_mk_nk_256,
        (_, false, false) => launch::gemm_sm90_mk_kn_256,
        (_, true, false) => launch::gemm_sm90_km_kn_256,
        (_, true, true) => launch::gemm_sm90_km_nk_256,
    };
    let sum = if columns == 192 { launch::gemm_sm90_sum_192 } else { launch::gemm_sm90_sum_256 };
    let (types, boxed) = ([out.dtype], i32::from(boxed));
    launch(cuda.device(), &types, to, parts, out_map, onto_at, a_map, b_map, bias, m, n, k, direct, processors, least, boxed, blocks);
    sum(cuda.device(), &types, to, onto_at, parts, bias, m, n, k, direct, processors, least, split);
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
    fn tiles_fill_the_multiprocessors_and_are_split_only_where_that_pays() {
        let plan = |m, n, k| GemmPlan::of(Gemm { m, n, k, transpose_a: false, transpose_b: true, accumulate: false });
        let of = |m, n, k| plan(m, n, k).direct;
        // Forward and backward of a layer: whole tiles. Gradients of its weights, and of the head's input: split.
        assert_eq!([of(65_536, 768, 768), of(65_536, 2304, 768), of(65_536, 768, 3072), of(8192, 50_304, 768)], [1536, 4608, 1536, 12_608]);
        assert_eq!([of(768, 768, 65_536), of(768, 2304, 65_536), of(3072, 768, 65_536), of(8192, 768, 50_304)], [0, 0, 0, 132]);
        // Narrow tiles where wide ones would be half empty, and where they fill rounds.
        assert_eq!([plan(65_536, 768, 768), plan(65_536, 384, 1536), plan(8192, 768, 768)].map(|p| p.columns), [256, 192, 192]);
    }
}
