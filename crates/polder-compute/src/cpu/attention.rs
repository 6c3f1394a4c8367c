//! Attention with grouped-query heads, a row at a time: no (T, T) matrix is kept.

use rayon::prelude::*;

use super::scratch;
use super::simd::{exp, exp_sum, max_over, multiversion, sum_over};
use crate::Attention;
use crate::number::Number;

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

    /// # Safety
    /// No two slices that live at once may share an element.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn slice(&self, first: usize, len: usize) -> &mut [T] {
        assert!(first + len <= self.1, "a slice leaves its buffer");
        // SAFETY: inside the slice that this was made of; apart from others by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(first), len) }
    }
}

/// The rows that a row sees; an empty range where there are none.
fn seen(s: &Attention, documents: Option<&[i32]>, b: usize, row: usize) -> std::ops::Range<usize> {
    let document = documents.map_or((0, s.time), |d| {
        let at = 2 * (b * s.time + row);
        (d[at] as usize, (d[at + 1] as usize).min(s.time))
    });
    let (from, to) = s.seen(row, document);
    from..to.max(from)
}

multiversion! {
    fn scores_of<T: Number>(scores: &mut [f32], query: &[T], keys: &[T], row: usize, scale: f32) {
        for (score, key) in scores.iter_mut().zip(keys.chunks(row)) {
            *score = sum_over(query, &key[..query.len()], |q, k| q * k) * scale;
        }
    }
}

multiversion! {
    fn softmax(scores: &mut [f32]) -> f32 {
        let max = max_over(scores, |x| x);
        let sum = exp_sum(scores, max);
        let factor = 1.0 / sum;
        for x in scores.iter_mut() {
            *x *= factor;
        }
        max + sum.ln()
    }
}

multiversion! {
    fn mix<T: Number>(out: &mut [f32], p: &[f32], values: &[T], row: usize) {
        out.fill(0.0);
        for (p, value) in p.iter().zip(values.chunks(row)) {
            for (o, v) in out.iter_mut().zip(value) {
                *o += p * v.get();
            }
        }
    }
}

multiversion! {
    fn store<T: Number>(out: &mut [T], x: &[f32]) {
        for (o, x) in out.iter_mut().zip(x) {
            *o = T::of(*x);
        }
    }
}

multiversion! {
    #[allow(clippy::too_many_arguments)]
    fn backward_row<T: Number>(
        dq: &mut [f32], dk: &mut [f32], dv: &mut [f32], scores: &[f32], query: &[T], dout: &[T], keys: &[T], values: &[T], row: usize,
        numbers: (f32, f32, f32),
    ) {
        let (head, (lse, dot, scale)) = (query.len(), numbers);
        for (t, score) in scores.iter().enumerate() {
            let (key, value) = (&keys[t * row..][..head], &values[t * row..][..head]);
            let p = exp(score - lse);
            let ds = p * (sum_over(dout, value, |d, v| d * v) - dot) * scale;
            for d in 0..head {
                dq[d] += ds * key[d].get();
                dk[t * head + d] += ds * query[d].get();
                dv[t * head + d] += p * dout[d].get();
            }
        }
    }
}

/// `out (B·T, H·D) = softmax(q·kᵀ/√D)·v` over the rows that each row sees; saves `lse (B, H, T)`.
///
/// # Panics
/// When a slice does not have the shape's size.
pub fn attention_forward<T: Number>(out: &mut [T], lse: &mut [f32], qkv: &[T], documents: Option<&[i32]>, shape: Attention) {
    let Attention { batch, time, n_heads, n_kv_heads, head, .. } = shape;
    let (row, out_row, group) = (shape.row(), n_heads * head, n_heads / n_kv_heads);
    assert_eq!((out.len(), qkv.len()), (batch * time * out_row, batch * time * row), "sizes of {shape:?}");
    assert_eq!((lse.len(), n_heads % n_kv_heads), (batch * n_heads * time, 0), "sizes of {shape:?}");
    let (out, scale) = (Shared::new(out), shape.scale() as f32);
    lse.par_chunks_mut(time).enumerate().for_each(|(task, lse)| {
        let (b, h) = (task / n_heads, task % n_heads);
        let (key, value) = ((n_heads + h / group) * head, (n_heads + n_kv_heads + h / group) * head);
        let base = &qkv[b * time * row..][..time * row];
        scratch::with::<f32, _>(time + head, |space| {
            let (mixed, scores) = space.split_at_mut(head);
            for (t, lse) in lse.iter_mut().enumerate() {
                let seen = seen(&shape, documents, b, t);
                let scores = &mut scores[..seen.len()];
                *lse = 0.0;
                mixed.fill(0.0);
                if !seen.is_empty() {
                    scores_of(scores, &base[t * row + h * head..][..head], &base[seen.start * row + key..], row, scale);
                    *lse = softmax(scores);
                    mix(mixed, scores, &base[seen.start * row + value..], row);
                }
                // SAFETY: this row's part of this head belongs to this task alone.
                store(unsafe { out.slice((b * time + t) * out_row + h * head, head) }, mixed);
            }
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
    let (row, out_row, group) = (shape.row(), n_heads * head, n_heads / n_kv_heads);
    assert_eq!((dqkv.len(), qkv.len(), dout.len()), (batch * time * row, dqkv.len(), batch * time * out_row), "sizes of {shape:?}");
    assert_eq!((out.len(), lse.len()), (dout.len(), batch * n_heads * time), "sizes of {shape:?}");
    let (dqkv, scale) = (Shared::new(dqkv), shape.scale() as f32);
    (0..batch * n_kv_heads).into_par_iter().for_each(|task| {
        let (b, kv) = (task / n_kv_heads, task % n_kv_heads);
        let base = &qkv[b * time * row..][..time * row];
        let (key, value) = ((n_heads + kv) * head, (n_heads + n_kv_heads + kv) * head);
        scratch::with::<f32, _>(time + head + 2 * time * head, |space| {
            let (scores, space) = space.split_at_mut(time);
            let (dq, space) = space.split_at_mut(head);
            let (dk, dv) = space.split_at_mut(time * head);
            dk.fill(0.0);
            dv.fill(0.0);
            for h in kv * group..(kv + 1) * group {
                for t in 0..time {
                    let seen = seen(&shape, documents, b, t);
                    let query = &base[t * row + h * head..][..head];
                    let place = (b * time + t) * out_row + h * head;
                    let (dout, out) = (&dout[place..][..head], &out[place..][..head]);
                    dq.fill(0.0);
                    if !seen.is_empty() {
                        let scores = &mut scores[..seen.len()];
                        let (keys, values) = (&base[seen.start * row + key..], &base[seen.start * row + value..]);
                        scores_of(scores, query, keys, row, scale);
                        let dot = sum_over(dout, out, |d, o| d * o);
                        let numbers = (lse[(b * n_heads + h) * time + t], dot, scale);
                        let (dk, dv) = (&mut dk[seen.start * head..], &mut dv[seen.start * head..]);
                        backward_row(dq, dk, dv, scores, query, dout, keys, values, row, numbers);
                    }
                    // SAFETY: this row's part of this head belongs to this task alone.
                    store(unsafe { dqkv.slice((b * time + t) * row + h * head, head) }, dq);
                }
            }
            for t in 0..time {
                let place = (b * time + t) * row;
                // SAFETY: this row's parts of this key head belong to this task alone.
                unsafe {
                    store(dqkv.slice(place + key, head), &dk[t * head..][..head]);
                    store(dqkv.slice(place + value, head), &dv[t * head..][..head]);
                }
            }
        });
    });
}
