//! Matrix products of packed panels, in blocks that fit the caches.
//!
//! Every element is summed over all its terms in one order whatever the blocks are, so results depend neither on the
//! number of threads nor on how work is cut.

use rayon::prelude::*;

use super::attention::Shared;
use super::panel::{COLUMNS, ROWS, Source, pack};
use super::scratch;
use super::simd::multiversion;
use super::tile::{Kind, Sums, tile};
use crate::Gemm;
use crate::number::Number;

/// Packed numbers of 32 bits of each matrix that are in memory at once: four megabytes.
const BLOCK: usize = 1 << 20;
/// Panels of the left matrix that one task multiplies with [`GROUP`] panels of the right.
const STRIPE: usize = 16;
/// Panels of the right matrix a task.
const GROUP: usize = 4;

multiversion! {
    /// Writes a row of a tile where it belongs.
    fn write<O: Number>(out: &mut [O], sums: &[f32], bias: &[f32], accumulate: bool) {
        match (bias.is_empty(), accumulate) {
            (true, false) => out.iter_mut().zip(sums).for_each(|(o, s)| *o = O::of(*s)),
            (true, true) => out.iter_mut().zip(sums).for_each(|(o, s)| *o = O::of(o.get() + s)),
            (false, false) => out.iter_mut().zip(sums).zip(bias).for_each(|((o, s), b)| *o = O::of(s + b)),
            (false, true) => out.iter_mut().zip(sums).zip(bias).for_each(|((o, s), b)| *o = O::of(o.get() + (s + b))),
        }
    }
}

/// `out (m, n) = a · b [+ bias]`, or `+=`; on the threads of the current rayon pool.
///
/// # Panics
/// When a slice does not have its matrix' size.
pub fn gemm<O: Number, T: Number>(out: &mut [O], a: &[T], b: &[T], bias: Option<&[f32]>, shape: Gemm) {
    let Gemm { m, n, k, transpose_a, transpose_b, accumulate } = shape;
    assert_eq!((out.len(), a.len(), b.len()), (m * n, m * k, k * n), "sizes of {shape:?}");
    assert!(bias.is_none_or(|b| b.len() == n), "sizes of {shape:?}");
    if m == 0 || n == 0 {
        return;
    }
    let (kind, out) = (Kind::of(T::DTYPE), Shared::new(out));
    let left = Source { numbers: a, stride: if transpose_a { m } else { k }, terms_together: !transpose_a, lanes: m, terms: k };
    let right = Source { numbers: b, stride: if transpose_b { k } else { n }, terms_together: transpose_b, lanes: n, terms: k };
    let steps = kind.steps(k).max(1);
    let (n_left, n_right) = (m.div_ceil(ROWS), n.div_ceil(COLUMNS));
    let left_block = (BLOCK / (steps * ROWS)).next_multiple_of(STRIPE).min(n_left);
    let right_block = (BLOCK / (steps * COLUMNS)).next_multiple_of(GROUP).min(n_right);
    scratch::with::<u32, _>(left_block * steps * ROWS, |a| {
        scratch::with::<u32, _>(right_block * steps * COLUMNS, |b| {
            for right_first in (0..n_right).step_by(right_block) {
                let right_count = right_block.min(n_right - right_first);
                let b = pack_block::<T, COLUMNS>(b, right, right_first, right_count, kind);
                for left_first in (0..n_left).step_by(left_block) {
                    let left_count = left_block.min(n_left - left_first);
                    // The left block is packed anew for every right one, unless there is but one.
                    let a = if right_first == 0 || n_left > left_block {
                        pack_block::<T, ROWS>(a, left, left_first, left_count, kind)
                    } else {
                        &a[..left_count * kind.steps(k) * ROWS]
                    };
                    let block = Block { a, b, left_first, left_count, right_first, right_count, steps: kind.steps(k), kind };
                    multiply(&out, block, bias.unwrap_or_default(), (m, n), accumulate);
                }
            }
        });
    });
}

/// Packs some panels of a matrix, in parallel.
fn pack_block<'a, T: Number, const W: usize>(out: &'a mut [u32], source: Source<T>, first: usize, count: usize, kind: Kind) -> &'a [u32] {
    let panel = kind.steps(source.terms) * W;
    let out = &mut out[..count * panel];
    if let Some(min) = (1usize << 14).checked_div(panel) {
        let min = min + 1;
        out.par_chunks_mut(panel).with_min_len(min).enumerate().for_each(|(i, out)| pack::<T, W>(out, source, first + i, kind));
    }
    out
}

/// Packed panels of both matrices, and where they stand.
struct Block<'a> {
    a: &'a [u32],
    b: &'a [u32],
    left_first: usize,
    left_count: usize,
    right_first: usize,
    right_count: usize,
    steps: usize,
    kind: Kind,
}

fn multiply<O: Number>(out: &Shared<O>, block: Block, bias: &[f32], (m, n): (usize, usize), accumulate: bool) {
    let stripes = block.left_count.div_ceil(STRIPE);
    let tasks = stripes * block.right_count.div_ceil(GROUP);
    (0..tasks).into_par_iter().for_each(|task| {
        let (left, right) = (task % stripes * STRIPE, task / stripes * GROUP);
        let mut sums: Sums = [0.0; ROWS * COLUMNS];
        for j in right..(right + GROUP).min(block.right_count) {
            let column = (block.right_first + j) * COLUMNS;
            let columns = COLUMNS.min(n - column);
            let bias = if bias.is_empty() { bias } else { &bias[column..][..columns] };
            let b = &block.b[j * block.steps * COLUMNS..][..block.steps * COLUMNS];
            for i in left..(left + STRIPE).min(block.left_count) {
                let row = (block.left_first + i) * ROWS;
                let rows = ROWS.min(m - row);
                tile(&mut sums, &block.a[i * block.steps * ROWS..][..block.steps * ROWS], b, rows, block.kind);
                for (r, sums) in sums.chunks_exact(COLUMNS).enumerate().take(rows) {
                    // SAFETY: this part of this row belongs to this task alone.
                    write(unsafe { out.slice((row + r) * n + column, columns) }, &sums[..columns], bias, accumulate);
                }
            }
        }
    });
}
