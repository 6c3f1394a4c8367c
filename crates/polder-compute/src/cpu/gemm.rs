//! Matrix products of packed panels, in blocks that fit the caches.
//!
//! Every element is summed over all its terms in one order whatever the blocks are, so results depend neither on the
//! number of threads nor on how work is cut.

use rayon::prelude::*;

use super::attention::Shared;
use super::panel::{COLUMNS, ROWS, Source, pack};
use super::scratch;
use super::tile::{Kind, Left, Sums, To, tile};
use crate::Gemm;
use crate::number::Number;

/// Packed numbers of 32 bits of each matrix that are in memory at once: four megabytes.
const BLOCK: usize = 1 << 20;
/// Steps that are summed in registers before they are added to the sums so far: keeps long sums exact, and panels of so
/// many in the second cache.
const STEPS: usize = 512;
/// Panels of the left matrix that one task multiplies with [`GROUP`] panels of the right, at most.
const STRIPE: usize = 16;
/// Panels of the right matrix a task, at most.
const GROUP: usize = 8;
/// Tasks that a product is cut into where it is large enough: threads end together.
const TASKS: usize = 64;

/// `out (m, n) = a · b [+ bias]`, or `+=`; on the threads of the current rayon pool.
///
/// # Panics
/// When a slice does not have its matrix' size.
pub fn gemm<O: Number, T: Number>(out: &mut [O], a: &[T], b: &[T], bias: Option<&[f32]>, shape: Gemm) {
    let Gemm { m, n, k, transpose_a, transpose_b, .. } = shape;
    assert_eq!((out.len(), a.len(), b.len()), (m * n, m * k, k * n), "sizes of {shape:?}");
    assert!(bias.is_none_or(|b| b.len() == n), "sizes of {shape:?}");
    if m == 0 || n == 0 {
        return;
    }
    let (kind, out, bias) = (Kind::of(T::DTYPE), Shared::new(out), bias.unwrap_or_default());
    let left = Source { numbers: a, stride: if transpose_a { m } else { k }, terms_together: !transpose_a, lanes: m, terms: k };
    let right = Source { numbers: b, stride: if transpose_b { k } else { n }, terms_together: transpose_b, lanes: n, terms: k };
    let steps = kind.steps(k);
    let (n_left, n_right) = (m.div_ceil(ROWS), n.div_ceil(COLUMNS));
    let as_they_stand = if transpose_a { None } else { Left::rows(a, k, k, kind) };
    let left_block = if as_they_stand.is_some() { n_left } else { (BLOCK / (steps.max(1) * ROWS)).max(STRIPE).min(n_left) };
    let left_space = if as_they_stand.is_some() { 0 } else { left_block * steps * ROWS };
    let right_block = (BLOCK / (steps.max(1) * COLUMNS)).max(GROUP).min(n_right);
    scratch::with::<u32, _>(left_space, |a| {
        scratch::with::<u32, _>(right_block * steps * COLUMNS, |b| {
            for right_first in (0..n_right).step_by(right_block) {
                let right_count = right_block.min(n_right - right_first);
                let b = pack_block::<T, COLUMNS>(b, right, right_first, right_count, kind);
                for left_first in (0..n_left).step_by(left_block) {
                    let left_count = left_block.min(n_left - left_first);
                    // The left block is packed anew for every right one, unless there is but one.
                    let rows = match as_they_stand {
                        Some(rows) => Rows::Standing(rows),
                        None if right_first > 0 && n_left <= left_block => Rows::Packed(&a[..left_space]),
                        None => Rows::Packed(pack_block::<T, ROWS>(a, left, left_first, left_count, kind)),
                    };
                    let block = Block { rows, b, left_first, left_count, right_first, right_count, steps, kind };
                    multiply(&out, block, bias, shape);
                }
            }
        });
    });
}

/// Packs some panels of a matrix, in parallel.
fn pack_block<'a, T: Number, const W: usize>(out: &'a mut [u32], source: Source<T>, first: usize, count: usize, kind: Kind) -> &'a [u32] {
    let panel = kind.steps(source.terms) * W;
    let out = &mut out[..count * panel];
    if panel > 0 {
        // Several panels a task, so that what is read follows each other; as many as are worth a task.
        let panels = STRIPE.min(count.div_ceil(GROUP)).max((1usize << 14) / panel + 1);
        out.par_chunks_mut(panels * panel).enumerate().for_each(|(i, out)| pack::<T, W>(out, source, first + i * panels, kind));
    }
    out
}

/// The left matrix' rows.
#[derive(Clone, Copy)]
enum Rows<'a> {
    /// Panels, from the block's first on.
    Packed(&'a [u32]),
    /// All rows, as they are stored.
    Standing(Left<'a>),
}

/// Panels of both matrices, and where they stand.
struct Block<'a> {
    rows: Rows<'a>,
    b: &'a [u32],
    left_first: usize,
    left_count: usize,
    right_first: usize,
    right_count: usize,
    steps: usize,
    kind: Kind,
}

impl Block<'_> {
    /// A panel's rows, from a step on.
    fn left(&self, panel: usize, step: usize) -> Left<'_> {
        match self.rows {
            Rows::Packed(a) => Left::packed(&a[panel * self.steps * ROWS..][..self.steps * ROWS]).from(0, step),
            Rows::Standing(rows) => rows.from((self.left_first + panel) * ROWS, step),
        }
    }
}

fn multiply<O: Number>(out: &Shared<O>, block: Block, bias: &[f32], shape: Gemm) {
    let groups = block.right_count.div_ceil(GROUP);
    let group = block.right_count.div_ceil(groups);
    let stripe = (block.left_count * groups).div_ceil(TASKS).clamp(1, STRIPE);
    let stripes = block.left_count.div_ceil(stripe);
    let times = block.steps.div_ceil(STEPS).max(1);
    let space = if times > 1 { stripe * group * ROWS * COLUMNS } else { 0 };
    (0..stripes * groups).into_par_iter().for_each(|task| {
        let (left, right) = (task % stripes * stripe, task / stripes * group);
        scratch::with::<f32, _>(space, |partial| {
            for time in 0..times {
                let mut partial = partial.as_chunks_mut::<{ ROWS * COLUMNS }>().0.iter_mut();
                for i in left..(left + stripe).min(block.left_count) {
                    for j in right..(right + group).min(block.right_count) {
                        multiply_tile(out, &block, (i, j), (time, times), partial.next(), bias, shape);
                    }
                }
            }
        });
    });
}

/// Multiplies the `time`th of several runs of steps for one tile, and writes its sums where it is the last.
fn multiply_tile<O: Number>(
    out: &Shared<O>,
    block: &Block,
    (i, j): (usize, usize),
    (time, times): (usize, usize),
    partial: Option<&mut Sums>,
    bias: &[f32],
    Gemm { m, n, accumulate, .. }: Gemm,
) {
    let (row, column) = ((block.left_first + i) * ROWS, (block.right_first + j) * COLUMNS);
    let (rows, columns) = (ROWS.min(m - row), COLUMNS.min(n - column));
    let first = time * STEPS;
    let steps = STEPS.min(block.steps - first);
    let (left, right) = (block.left(i, first), &block.b[(j * block.steps + first) * COLUMNS..]);
    match partial {
        Some(partial) if time + 1 < times => {
            let start = partial.as_mut_ptr();
            let (columns, add) = (COLUMNS, time > 0);
            let to = To { start, stride: COLUMNS, rows, columns, factor: 1.0, bias: &[], add, before: None };
            // SAFETY: these sums are a whole tile, and belong to this task.
            unsafe { tile(to, left, right, steps, block.kind) }
        }
        partial => {
            let start = out.place(row * n + column, (rows - 1) * n + columns);
            let bias = if bias.is_empty() { bias } else { &bias[column..][..columns] };
            let before = partial.filter(|_| time > 0).map(|p| &*p);
            let to = To { start, stride: n, rows, columns, factor: 1.0, bias, add: accumulate, before };
            // SAFETY: this part of these rows belongs to this task alone.
            unsafe { tile(to, left, right, steps, block.kind) }
        }
    }
}
