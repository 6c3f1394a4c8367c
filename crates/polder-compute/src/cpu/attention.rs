//! Attention with grouped-query heads, in blocks of rows and of keys that stay in the cache: no (T, T) matrix is kept, and
//! blocks of keys that no row of a block sees are passed over.
//!
//! # Source
//! Dao, FlashAttention-2, 2023: running maxima and sums forwards, probabilities from the saved logarithms backwards.

use std::ops::Range;

use rayon::prelude::*;

use super::panel::{COLUMNS, ROWS, Source, pack, packed_len};
use super::scratch;
use super::simd::{LANES, exp, exp_sum, max_over, multiversion, sum_over};
use super::tile::{Kind, Left, To, tile};
use crate::Attention;
use crate::number::Number;

/// Query rows of a block: a few panels.
const QUERIES: usize = 8 * ROWS;
/// Keys of a block, at most.
const KEYS: usize = 16 * COLUMNS;
/// Numbers of a block of scores. Rows lie apart by an odd count of cache lines, so that they do not crowd in one place.
const SCORES: usize = QUERIES * (KEYS + APART);
const APART: usize = 16;

/// A pointer that tasks share; each writes only its own elements.
pub(super) struct Shared<T>(*mut T, usize);
// SAFETY: who takes slices keeps them apart.
unsafe impl<T: Send> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Shared<T> {
    pub fn new(x: &mut [T]) -> Self {
        Self(x.as_mut_ptr(), x.len())
    }

    /// Where an element stands from which on `len` are used.
    ///
    /// # Panics
    /// When they leave the buffer.
    pub fn place(&self, first: usize, len: usize) -> *mut T {
        assert!(first + len <= self.1, "a part leaves its buffer");
        self.0.wrapping_add(first)
    }

    /// # Safety
    /// No two slices that live at once may share an element.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn slice(&self, first: usize, len: usize) -> &mut [T] {
        assert!(first + len <= self.1, "a slice leaves its buffer");
        // SAFETY: inside the slice that this was made of; apart from others by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(first), len) }
    }
}

/// The rows that each row of a sequence sees.
#[derive(Clone, Copy)]
struct Sight<'a> {
    shape: Attention,
    documents: Option<&'a [i32]>,
}

impl Sight<'_> {
    fn of(&self, b: usize, row: usize) -> Range<usize> {
        let document = self.documents.map_or((0, self.shape.time), |d| {
            let at = 2 * (b * self.shape.time + row);
            (d[at] as usize, (d[at + 1] as usize).min(self.shape.time))
        });
        let (from, to) = self.shape.seen(row, document);
        from..to.max(from)
    }

    /// For each panel of a block's rows, the end of what it sees of a block of keys, counted from that block's first.
    fn ends(&self, b: usize, rows: &Range<usize>, keys: &Range<usize>) -> [usize; QUERIES / ROWS] {
        let end = |row: usize| {
            let seen = self.of(b, row);
            if seen.is_empty() { 0 } else { seen.end.clamp(keys.start, keys.end) - keys.start }
        };
        std::array::from_fn(|i| {
            let first = rows.start + i * ROWS;
            (first..rows.end.min(first + ROWS)).map(end).max().unwrap_or(0)
        })
    }

    /// Blocks of keys that some of the rows see; each begins at a panel's edge.
    fn blocks(&self, b: usize, rows: Range<usize>) -> impl Iterator<Item = Range<usize>> {
        let seen = rows.map(|row| self.of(b, row)).filter(|seen| !seen.is_empty());
        let (from, to) = seen.fold((usize::MAX, 0), |(from, to), seen| (from.min(seen.start), to.max(seen.end)));
        let from = if to == 0 { 0 } else { from / COLUMNS * COLUMNS };
        (from..to).step_by(KEYS).map(move |first| first..to.min(first + KEYS))
    }
}

/// Rounded up to whole panels of columns.
fn wide(n: usize) -> usize {
    n.next_multiple_of(COLUMNS)
}

/// Panels of one operand: `steps` of them, of which those from `first` on are multiplied.
#[derive(Clone, Copy)]
struct Panels<'a> {
    numbers: &'a [u32],
    steps: usize,
    first: usize,
}

impl<'a> Panels<'a> {
    /// A panel of columns, from a step on.
    fn get(&self, panel: usize, step: usize) -> &'a [u32] {
        &self.numbers[(panel * self.steps + self.first + step) * COLUMNS..]
    }
}

/// Rows of the left operand, packed or where they stand.
#[derive(Clone, Copy)]
enum Rows<'a> {
    Packed(Panels<'a>),
    Standing(Left<'a>),
}

impl<'a> Rows<'a> {
    /// Takes rows as they stand where that is possible, and else packs them.
    fn of<T: Number>(space: &'a mut [u32], source: Source<'a, T>, kind: Kind) -> Self {
        let standing = if source.terms_together { Left::rows(source.numbers, source.stride, source.terms, kind) } else { None };
        standing.map_or_else(|| Self::Packed(pack_all::<T, ROWS>(space, source, kind)), Self::Standing)
    }

    /// Lanes that follow each other, as they stand where that is possible.
    fn of_lanes<T: Number>(space: &'a mut [u32], source: Source<'a, T>, kind: Kind) -> Self {
        let standing = Left::lanes(source.numbers, source.stride, kind);
        standing.map_or_else(|| Self::Packed(pack_all::<T, ROWS>(space, source, kind)), Self::Standing)
    }

    fn get(&self, panel: usize) -> Left<'a> {
        match self {
            Self::Packed(panels) => Left::packed(&panels.numbers[panel * panels.steps * ROWS..][..panels.steps * ROWS]),
            Self::Standing(rows) => rows.from(panel * ROWS, 0),
        }
    }
}

/// What of a product is wanted for a panel of rows: columns from the first on, and steps.
struct Wanted {
    columns: usize,
    steps: Range<usize>,
}

/// `out (rows, columns) = factor · a · b`, or `+= a · b`; `out` has rows of `stride`, whole panels wide.
#[allow(clippy::too_many_arguments)]
fn product(
    out: &mut [f32],
    stride: usize,
    rows: usize,
    a: Rows,
    b: Panels,
    wanted: impl Fn(usize) -> Wanted,
    factor: f32,
    add: bool,
    kind: Kind,
) {
    for i in 0..rows.div_ceil(ROWS) {
        let n = ROWS.min(rows - i * ROWS);
        let Wanted { columns, steps } = wanted(i);
        if add && steps.is_empty() {
            continue;
        }
        let a = a.get(i).from(0, steps.start);
        for j in 0..columns.div_ceil(COLUMNS) {
            let out = &mut out[i * ROWS * stride + j * COLUMNS..][..(n - 1) * stride + COLUMNS];
            let to = To { start: out.as_mut_ptr(), stride, rows: n, columns: COLUMNS, factor, bias: &[], add, before: None };
            // SAFETY: `out` holds the tile's rows.
            unsafe { tile(to, a, b.get(j, steps.start), steps.len(), kind) }
        }
    }
}

/// Packs a matrix whole.
fn pack_all<'a, T: Number, const W: usize>(space: &'a mut [u32], source: Source<T>, kind: Kind) -> Panels<'a> {
    let space = &mut space[..packed_len::<W>(source.lanes, source.terms, kind)];
    pack::<T, W>(space, source, 0, kind);
    Panels { numbers: space, steps: kind.steps(source.terms), first: 0 }
}

multiversion! {
    /// One row of a block: scores become e^(score − max) where they are seen and 0 elsewhere. Returns the new maximum and
    /// the sum.
    fn weigh(scores: &mut [f32], seen_from: usize, seen_to: usize, max: f32) -> (f32, f32) {
        scores[..seen_from].fill(0.0);
        // Whole vectors only, filled up with what weighs nothing.
        let end = seen_from + (seen_to - seen_from).next_multiple_of(LANES);
        scores[seen_to..end].fill(f32::NEG_INFINITY);
        let seen = &mut scores[seen_from..end];
        let new = max_over(seen, |x| x);
        let new = if new > max { new } else { max };
        let sum = exp_sum(seen, new);
        scores[seen_to..].fill(0.0);
        (new, sum)
    }
}

multiversion! {
    fn scale(x: &mut [f32], factor: f32) {
        for x in x {
            *x *= factor;
        }
    }
}

multiversion! {
    fn store<T: Number>(out: &mut [T], x: &[f32], factor: f32) {
        for (o, x) in out.iter_mut().zip(x) {
            *o = T::of(*x * factor);
        }
    }
}

multiversion! {
    fn inner<T: Number>(a: &[T], b: &[T]) -> f32 {
        sum_over(a, b, |a, b| a * b)
    }
}

multiversion! {
    /// One row of a block: scores become probabilities, and their gradients those of the scores before they were scaled.
    fn slopes(scores: &mut [f32], dprob: &mut [f32], from: usize, to: usize, lse: f32, dot: f32, scale: f32) {
        // Whole vectors only; what is computed beyond the end becomes 0 below.
        let end = from + (to - from).next_multiple_of(LANES);
        let (s, d) = (scores[from..end].as_chunks_mut::<LANES>().0, dprob[from..end].as_chunks_mut::<LANES>().0);
        for (s, d) in s.iter_mut().zip(d) {
            for i in 0..LANES {
                let p = exp(s[i] - lse);
                d[i] = p * (d[i] - dot) * scale;
                s[i] = p;
            }
        }
        scores[..from].fill(0.0);
        dprob[..from].fill(0.0);
        scores[to..].fill(0.0);
        dprob[to..].fill(0.0);
    }
}

/// Lends probabilities as the type that they are multiplied as: f32 where they stand, bf16 in space of their own.
fn stored<'a, T: Number>(x: &'a mut [f32], space: &'a mut [T]) -> &'a [T] {
    if let Ok(same) = bytemuck::try_cast_slice::<f32, T>(x)
        && T::DTYPE == crate::Dtype::F32
    {
        return &same[..x.len()];
    }
    let space = &mut space[..x.len()];
    store(space, x, 1.0);
    space
}

/// Numbers of `T` that [`stored`] needs for a block.
fn stored_len<T: Number>(len: usize) -> usize {
    if T::DTYPE == crate::Dtype::F32 { 0 } else { len }
}

/// `out (B·T, H·D) = softmax(q·kᵀ/√D)·v` over the rows that each row sees; saves `lse (B, H, T)`.
///
/// # Panics
/// When a slice does not have the shape's size.
pub fn attention_forward<T: Number>(out: &mut [T], lse: &mut [f32], qkv: &[T], documents: Option<&[i32]>, shape: Attention) {
    let Attention { batch, time, n_heads, n_kv_heads, head, .. } = shape;
    assert_eq!((out.len(), qkv.len()), (batch * time * n_heads * head, batch * time * shape.row()), "sizes of {shape:?}");
    assert_eq!((lse.len(), n_heads % n_kv_heads), (batch * n_heads * time, 0), "sizes of {shape:?}");
    let (out, lse, sight) = (Shared::new(out), Shared::new(lse), Sight { shape, documents });
    let group = n_heads / n_kv_heads;
    (0..batch * n_kv_heads).into_par_iter().for_each(|task| {
        let (b, kv) = (task / n_kv_heads, task % n_kv_heads);
        let kind = Kind::of(T::DTYPE);
        let n_keys = packed_len::<COLUMNS>(time, head, kind);
        let n_values = packed_len::<COLUMNS>(head, time, kind);
        scratch::with::<u32, _>(n_keys + n_values, |space| {
            let (keys, values) = space.split_at_mut(n_keys);
            let rows = &qkv[b * time * shape.row()..][..time * shape.row()];
            let keys = pack_all::<T, COLUMNS>(keys, heads_source(rows, &shape, n_heads + kv, true, 0..time), kind);
            let values = pack_all::<T, COLUMNS>(values, heads_source(rows, &shape, n_heads + n_kv_heads + kv, false, 0..time), kind);
            for h in kv * group..(kv + 1) * group {
                for first in (0..time).step_by(QUERIES) {
                    let place = first..time.min(first + QUERIES);
                    forward_block(&out, &lse, rows, keys, values, sight, (b, h), place, kind);
                }
            }
        });
    });
}

/// One head's part of a sequence's packed rows: rows as lanes and the head's numbers as terms, or the other way round.
fn heads_source<'a, T>(rows: &'a [T], shape: &Attention, head: usize, rows_are_lanes: bool, range: Range<usize>) -> Source<'a, T> {
    strided(rows, shape.row(), head * shape.head, shape.head, rows_are_lanes, range)
}

fn strided<T>(rows: &[T], row: usize, first: usize, width: usize, rows_are_lanes: bool, range: Range<usize>) -> Source<'_, T> {
    let numbers = &rows[range.start * row + first..];
    let (lanes, terms) = if rows_are_lanes { (range.len(), width) } else { (width, range.len()) };
    Source { numbers, stride: row, terms_together: rows_are_lanes, lanes, terms }
}

#[allow(clippy::too_many_arguments)]
fn forward_block<T: Number>(
    out: &Shared<T>,
    lse: &Shared<f32>,
    rows: &[T],
    keys: Panels,
    values: Panels,
    sight: Sight,
    (b, h): (usize, usize),
    place: Range<usize>,
    kind: Kind,
) {
    let Attention { time, n_heads, head, .. } = sight.shape;
    let (n, width) = (place.len(), wide(head));
    let n_queries = packed_len::<ROWS>(QUERIES, head, kind);
    let n_probs = packed_len::<ROWS>(QUERIES, KEYS, kind);
    scratch::with::<u32, _>(n_queries + n_probs, |packed| {
        let (queries, probs) = packed.split_at_mut(n_queries);
        let queries = Rows::of(queries, heads_source(rows, &sight.shape, h, true, place.clone()), kind);
        scratch::with::<T, _>(stored_len::<T>(SCORES), |rounded| {
            scratch::with::<f32, _>(SCORES + QUERIES * width, |space| {
                let (scores, mixed) = space.split_at_mut(SCORES);
                let (mut maxima, mut sums) = ([f32::NEG_INFINITY; QUERIES], [0f32; QUERIES]);
                mixed.fill(0.0);
                for block in sight.blocks(b, place.clone()) {
                    let stride = wide(block.len()) + APART;
                    let b_keys = Panels { numbers: &keys.numbers[block.start * keys.steps..], ..keys };
                    let factor = sight.shape.scale() as f32;
                    let ends = sight.ends(b, &place, &block);
                    let wanted = |i: usize| Wanted { columns: ends[i], steps: 0..keys.steps };
                    product(scores, stride, n, queries, b_keys, wanted, factor, false, kind);
                    for r in 0..n {
                        let seen = sight.of(b, place.start + r);
                        let from = seen.start.clamp(block.start, block.end) - block.start;
                        let to = (seen.end.clamp(block.start, block.end) - block.start).max(from);
                        let scores = &mut scores[r * stride..][..stride];
                        if from == to {
                            scores.fill(0.0);
                            continue;
                        }
                        let (max, sum) = weigh(scores, from, to, maxima[r]);
                        if max > maxima[r] && sums[r] > 0.0 {
                            let factor = exp(maxima[r] - max);
                            sums[r] *= factor;
                            scale(&mut mixed[r * width..][..width], factor);
                        }
                        (maxima[r], sums[r]) = (max, sums[r] + sum);
                    }
                    let probabilities: &[T] = stored(&mut scores[..n * stride], rounded);
                    let source = strided(probabilities, stride, 0, block.len().next_multiple_of(2), true, 0..n);
                    let b = Panels { first: block.start / kind.terms(), ..values };
                    let wanted = |i: usize| Wanted { columns: head, steps: 0..kind.steps(ends[i]) };
                    product(mixed, width, n, Rows::of(probs, source, kind), b, wanted, 1.0, true, kind);
                }
                for r in 0..n {
                    let row = place.start + r;
                    let factor = if sums[r] > 0.0 { 1.0 / sums[r] } else { 0.0 };
                    // SAFETY: this row's part of this head belongs to this task alone.
                    let (out, lse) =
                        unsafe { (out.slice(((b * time + row) * n_heads + h) * head, head), lse.slice((b * n_heads + h) * time + row, 1)) };
                    store(out, &mixed[r * width..][..head], factor);
                    lse[0] = if sums[r] > 0.0 { maxima[r] + sums[r].ln() } else { 0.0 };
                }
            });
        });
    });
}

/// `dqkv = …` for [`attention_forward`]; probabilities are computed again from `lse`.
///
/// # Panics
/// When a slice does not have the shape's size.
pub fn attention_backward<T: Number>(
    dqkv: &mut [T],
    dout: &[T],
    out: &[T],
    lse: &[f32],
    qkv: &[T],
    documents: Option<&[i32]>,
    shape: Attention,
) {
    let Attention { batch, time, n_heads, n_kv_heads, head, .. } = shape;
    let out_row = n_heads * head;
    assert_eq!((dqkv.len(), qkv.len()), (batch * time * shape.row(), batch * time * shape.row()), "sizes of {shape:?}");
    assert_eq!((dout.len(), out.len()), (batch * time * out_row, batch * time * out_row), "sizes of {shape:?}");
    assert_eq!((lse.len(), n_heads % n_kv_heads), (batch * n_heads * time, 0), "sizes of {shape:?}");
    let (dqkv, sight, group) = (Shared::new(dqkv), Sight { shape, documents }, n_heads / n_kv_heads);
    (0..batch * n_kv_heads).into_par_iter().for_each(|task| {
        let (b, kv) = (task / n_kv_heads, task % n_kv_heads);
        let (kind, width) = (Kind::of(T::DTYPE), wide(head));
        let n_lanes = packed_len::<COLUMNS>(time, head, kind);
        let n_terms = packed_len::<COLUMNS>(head, time, kind);
        let rows = &qkv[b * time * shape.row()..][..time * shape.row()];
        let (key, value) = (n_heads + kv, n_heads + n_kv_heads + kv);
        scratch::with::<u32, _>(2 * n_lanes + n_terms, |packed| {
            let (keys, packed) = packed.split_at_mut(n_lanes);
            let (values, key_terms) = packed.split_at_mut(n_lanes);
            let sequence = Sequence {
                rows,
                dout: &dout[b * time * out_row..][..time * out_row],
                out: &out[b * time * out_row..][..time * out_row],
                lse: &lse[b * n_heads * time..][..n_heads * time],
                keys: pack_all::<T, COLUMNS>(keys, heads_source(rows, &shape, key, true, 0..time), kind),
                values: pack_all::<T, COLUMNS>(values, heads_source(rows, &shape, value, true, 0..time), kind),
                key_terms: pack_all::<T, COLUMNS>(key_terms, heads_source(rows, &shape, key, false, 0..time), kind),
                sight,
                b,
                kind,
            };
            scratch::with::<f32, _>(2 * time * width, |grads| {
                grads.fill(0.0);
                let (dk, dv) = grads.split_at_mut(time * width);
                for h in kv * group..(kv + 1) * group {
                    for first in (0..time).step_by(QUERIES) {
                        backward_block(&dqkv, dk, dv, &sequence, h, first..time.min(first + QUERIES));
                    }
                }
                for t in 0..time {
                    let place = (b * time + t) * shape.row();
                    // SAFETY: this row's parts of this key head belong to this task alone.
                    unsafe {
                        store(dqkv.slice(place + key * head, head), &dk[t * width..][..head], 1.0);
                        store(dqkv.slice(place + value * head, head), &dv[t * width..][..head], 1.0);
                    }
                }
            });
        });
    });
}

/// What the backward pass reads of one sequence and key head.
struct Sequence<'a, T> {
    rows: &'a [T],
    dout: &'a [T],
    out: &'a [T],
    lse: &'a [f32],
    keys: Panels<'a>,
    values: Panels<'a>,
    key_terms: Panels<'a>,
    sight: Sight<'a>,
    b: usize,
    kind: Kind,
}

fn backward_block<T: Number>(dqkv: &Shared<T>, dk: &mut [f32], dv: &mut [f32], s: &Sequence<T>, h: usize, place: Range<usize>) {
    let (shape, kind) = (s.sight.shape, s.kind);
    let Attention { time, n_heads, head, .. } = shape;
    let (n, width, out_row, factor) = (place.len(), wide(head), n_heads * head, shape.scale() as f32);
    let (n_left, n_right) = (packed_len::<ROWS>(QUERIES, head, kind), packed_len::<COLUMNS>(head, QUERIES, kind));
    let n_slopes = packed_len::<ROWS>(QUERIES, KEYS, kind).max(packed_len::<ROWS>(KEYS, QUERIES, kind));
    scratch::with::<u32, _>(2 * n_left + 2 * n_right + n_slopes, |packed| {
        let (queries, packed) = packed.split_at_mut(n_left);
        let (douts, packed) = packed.split_at_mut(n_left);
        let (query_terms, packed) = packed.split_at_mut(n_right);
        let (dout_terms, slopes_space) = packed.split_at_mut(n_right);
        let of_dout = |lanes| strided(s.dout, out_row, h * head, head, lanes, place.clone());
        let queries = Rows::of(queries, heads_source(s.rows, &shape, h, true, place.clone()), kind);
        let douts = Rows::of(douts, of_dout(true), kind);
        let query_terms = pack_all::<T, COLUMNS>(query_terms, heads_source(s.rows, &shape, h, false, place.clone()), kind);
        let dout_terms = pack_all::<T, COLUMNS>(dout_terms, of_dout(false), kind);
        scratch::with::<T, _>(2 * stored_len::<T>(SCORES), |rounded| {
            let (rounded_p, rounded_ds) = rounded.split_at_mut(rounded.len() / 2);
            scratch::with::<f32, _>(2 * SCORES + QUERIES * width, |space| {
                let (scores, space) = space.split_at_mut(SCORES);
                let (dprobs, dq) = space.split_at_mut(SCORES);
                dq.fill(0.0);
                for block in s.sight.blocks(s.b, place.clone()) {
                    let (m, stride) = (block.len(), wide(block.len()) + APART);
                    let of_block = |panels: Panels<'_>| block.start * panels.steps;
                    let keys = Panels { numbers: &s.keys.numbers[of_block(s.keys)..], ..s.keys };
                    let values = Panels { numbers: &s.values.numbers[of_block(s.values)..], ..s.values };
                    let ends = s.sight.ends(s.b, &place, &block);
                    let wanted = |i: usize| Wanted { columns: ends[i], steps: 0..keys.steps };
                    product(scores, stride, n, queries, keys, wanted, factor, false, kind);
                    product(dprobs, stride, n, douts, values, wanted, 1.0, false, kind);
                    for r in 0..n {
                        let row = place.start + r;
                        let seen = s.sight.of(s.b, row);
                        let from = seen.start.clamp(block.start, block.end) - block.start;
                        let to = (seen.end.clamp(block.start, block.end) - block.start).max(from);
                        let at = row * out_row + h * head;
                        let dot = inner(&s.dout[at..][..head], &s.out[at..][..head]);
                        let (scores, dprobs) = (&mut scores[r * stride..][..stride], &mut dprobs[r * stride..][..stride]);
                        slopes(scores, dprobs, from, to, s.lse[h * time + row], dot, factor);
                    }
                    let p: &[T] = stored(&mut scores[..n * stride], rounded_p);
                    let ds: &[T] = stored(&mut dprobs[..n * stride], rounded_ds);
                    let rows = Rows::of(slopes_space, strided(ds, stride, 0, m.next_multiple_of(2), true, 0..n), kind);
                    let keys = Panels { first: block.start / kind.terms(), ..s.key_terms };
                    let wanted = |i: usize| Wanted { columns: head, steps: 0..kind.steps(ends[i]) };
                    product(dq, width, n, rows, keys, wanted, 1.0, true, kind);
                    // Rows of the block that see nothing as far as a panel of keys stand first, where they see in order.
                    let first = |i: usize| ends.iter().position(|end| *end > i * ROWS).map_or(n, |panel| panel * ROWS);
                    for (grads, from, right) in [(&mut *dk, ds, query_terms), (&mut *dv, p, dout_terms)] {
                        let rows = Rows::of_lanes(slopes_space, strided(from, stride, 0, m, false, 0..n), kind);
                        let wanted = |i: usize| Wanted { columns: head, steps: first(i).min(n) / kind.terms()..right.steps };
                        product(&mut grads[block.start * width..], width, m, rows, right, wanted, 1.0, true, kind);
                    }
                }
                for r in 0..n {
                    let at = (s.b * time + place.start + r) * shape.row() + h * head;
                    // SAFETY: this row's part of this head belongs to this task alone.
                    store(unsafe { dqkv.slice(at, head) }, &dq[r * width..][..head], 1.0);
                }
            });
        });
    });
}
