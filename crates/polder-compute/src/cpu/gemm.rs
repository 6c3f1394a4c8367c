//! Matrix products of packed panels, in blocks that fit the caches.
//!
//! Every element is summed over all its terms in one order whatever the blocks are, so results depend neither on the
//! number of threads nor on how work is cut.

use std::ops::Range;

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
/// Panels of the right matrix that one task takes whole where it packs its rows itself.
const WHOLE: usize = 2 * GROUP;
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
    let right_block = (BLOCK / (steps.max(1) * COLUMNS)).max(WHOLE).min(n_right);
    let rows = match Left::rows(a, k, k, kind) {
        Some(rows) if !transpose_a => Rows::Standing(rows),
        _ if n_right <= WHOLE && n_left >= TASKS / 3 => Rows::Unpacked,
        _ => Rows::Packed(&[]),
    };
    let left_block = if matches!(rows, Rows::Packed(_)) { (BLOCK / (steps.max(1) * ROWS)).max(STRIPE).min(n_left) } else { n_left };
    let left_space = if matches!(rows, Rows::Packed(_)) { left_block * steps * ROWS } else { 0 };
    scratch::with::<u32, _>(left_space, |a| {
        scratch::with::<u32, _>(right_block * steps * COLUMNS, |b| {
            for right_first in (0..n_right).step_by(right_block) {
                let right_count = right_block.min(n_right - right_first);
                let b = pack_block::<T, COLUMNS>(b, right, right_first, right_count, kind);
                for left_first in (0..n_left).step_by(left_block) {
                    let left_count = left_block.min(n_left - left_first);
                    // The left block is packed anew for every right one, unless there is but one.
                    let rows = match rows {
                        Rows::Packed(_) if right_first > 0 && n_left <= left_block => Rows::Packed(&a[..left_space]),
                        Rows::Packed(_) => Rows::Packed(pack_block::<T, ROWS>(a, left, left_first, left_count, kind)),
                        rows => rows,
                    };
                    let block = Block { left, rows, b, left_first, left_count, right_first, right_count, steps, kind };
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
    // Several panels a task, so that what is read follows each other; as many as are worth a task.
    let Some(least) = (1usize << 14).checked_div(panel) else { return out };
    let panels = STRIPE.min(count.div_ceil(GROUP)).max(least + 1);
    out.par_chunks_mut(panels * panel).enumerate().for_each(|(i, out)| pack::<T, W>(out, source, first + i * panels, kind));
    out
}

/// The left matrix' rows.
#[derive(Clone, Copy)]
enum Rows<'a> {
    /// Panels, from the block's first on.
    Packed(&'a [u32]),
    /// All rows, as they are stored.
    Standing(Left<'a>),
    /// Each task packs the steps it is about to multiply, into its own cache: where one task's columns are all there are.
    Unpacked,
}

/// The left matrix, panels of the right one, and where they stand.
struct Block<'a, T> {
    left: Source<'a, T>,
    rows: Rows<'a>,
    b: &'a [u32],
    left_first: usize,
    left_count: usize,
    right_first: usize,
    right_count: usize,
    steps: usize,
    kind: Kind,
}

impl<T: Number> Block<'_, T> {
    /// Some steps of a stripe's panels, by the number of the panel in the stripe.
    fn rows<'b>(&'b self, space: &'b mut [u32], stripe: Range<usize>, steps: Range<usize>) -> impl Fn(usize) -> Left<'b> {
        let (first, all) = (self.left_first + stripe.start, self.steps);
        let (whole, len) = match self.rows {
            Rows::Standing(rows) => (rows.from(first * ROWS, steps.start), 0),
            Rows::Packed(a) => (Left::packed(&a[stripe.start * all * ROWS..]).from(0, steps.start), all * ROWS),
            Rows::Unpacked => {
                let space = &mut space[..stripe.len() * steps.len() * ROWS];
                let terms = self.left.terms(steps.start * self.kind.terms()..steps.end * self.kind.terms());
                pack::<T, ROWS>(space, terms, first, self.kind);
                (Left::packed(space), steps.len() * ROWS)
            }
        };
        let is_standing = matches!(self.rows, Rows::Standing(_));
        move |panel| if is_standing { whole.from(panel * ROWS, 0) } else { whole.from(panel * len, 0) }
    }
}

fn multiply<O: Number, T: Number>(out: &Shared<O>, block: Block<T>, bias: &[f32], shape: Gemm) {
    let by_task = matches!(block.rows, Rows::Unpacked);
    let (groups, tasks) = if by_task { (1, TASKS / 3) } else { (block.right_count.div_ceil(GROUP), TASKS) };
    let group = block.right_count.div_ceil(groups);
    let stripe = (block.left_count * groups).div_ceil(tasks).clamp(1, if by_task { GROUP } else { STRIPE });
    let stripes = block.left_count.div_ceil(stripe);
    let most = if by_task { STEPS * GROUP / group } else { STEPS };
    let at_once = block.steps.div_ceil(block.steps.div_ceil(most).max(1)).next_multiple_of(16);
    let partial = if block.steps > at_once { stripe * group * ROWS * COLUMNS } else { 0 };
    let packed = if by_task { stripe * at_once * ROWS } else { 0 };
    (0..stripes * groups).into_par_iter().for_each(|task| {
        let (left, right) = (task % stripes * stripe, task / stripes * group);
        let (left, right) = (left..(left + stripe).min(block.left_count), right..(right + group).min(block.right_count));
        scratch::with::<u32, _>(packed, |packed| {
            scratch::with::<f32, _>(partial, |partial| {
                for first in (0..block.steps.max(1)).step_by(at_once.max(1)) {
                    let steps = first..block.steps.min(first + at_once);
                    let mut partial = partial.as_chunks_mut::<{ ROWS * COLUMNS }>().0.iter_mut();
                    let rows = block.rows(packed, left.clone(), steps.clone());
                    for i in left.clone() {
                        let rows = rows(i - left.start);
                        for j in right.clone() {
                            multiply_tile(out, &block, rows, (i, j), steps.clone(), partial.next(), bias, shape);
                        }
                    }
                }
            });
        });
    });
}

/// Multiplies some steps for one tile, and writes its sums where these are the last.
#[allow(clippy::too_many_arguments)]
fn multiply_tile<O: Number, T: Number>(
    out: &Shared<O>,
    block: &Block<T>,
    left: Left,
    (i, j): (usize, usize),
    steps: Range<usize>,
    partial: Option<&mut Sums>,
    bias: &[f32],
    Gemm { m, n, accumulate, .. }: Gemm,
) {
    let (row, column) = ((block.left_first + i) * ROWS, (block.right_first + j) * COLUMNS);
    let (rows, columns) = (ROWS.min(m - row), COLUMNS.min(n - column));
    let right = &block.b[(j * block.steps + steps.start) * COLUMNS..];
    match partial {
        Some(partial) if steps.end < block.steps => {
            let (start, add) = (partial.as_mut_ptr(), steps.start > 0);
            let to = To { start, stride: COLUMNS, rows, columns: COLUMNS, factor: 1.0, bias: &[], add, before: None };
            // SAFETY: these sums are a whole tile, and belong to this task.
            unsafe { tile(to, left, right, steps.len(), block.kind) }
        }
        partial => {
            let start = out.place(row * n + column, (rows - 1) * n + columns);
            let bias = if bias.is_empty() { bias } else { &bias[column..][..columns] };
            let before = partial.filter(|_| steps.start > 0).map(|p| &*p);
            let to = To { start, stride: n, rows, columns, factor: 1.0, bias, add: accumulate, before };
            // SAFETY: this part of these rows belongs to this task alone.
            unsafe { tile(to, left, right, steps.len(), block.kind) }
        }
    }
}
