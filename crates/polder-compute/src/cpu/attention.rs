//! Causal attention with grouped-query heads, a block of rows at a time: no (T, T) matrix is kept.

use std::cell::RefCell;

use gemm::Parallelism;
use rayon::prelude::*;

use super::gemm::{Matrix, gemm_raw};
use super::simd::{exp, exp_sum, max_of, multiversion, sum_over};
use crate::Attention;

/// Query rows that one block handles.
const ROWS: usize = 64;

thread_local! {
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Lends this thread's scratch space; it grows at the first step and stays.
fn with_scratch<R>(len: usize, work: impl FnOnce(&mut [f32]) -> R) -> R {
    SCRATCH.with_borrow_mut(|scratch| {
        if scratch.len() < len {
            scratch.resize(len, 0.0);
        }
        work(&mut scratch[..len])
    })
}

/// A pointer that tasks share; each writes only its own heads' columns.
#[derive(Clone, Copy)]
struct Shared(*mut f32);
// SAFETY: tasks are told apart by (sequence, key head) and reach disjoint elements only.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    /// # Safety
    /// `offset` must be inside the allocation.
    unsafe fn at(self, offset: usize) -> *mut f32 {
        // SAFETY: passed on from the caller.
        unsafe { self.0.add(offset) }
    }
}

multiversion! {
    /// Softmax of row i over columns 0..=i; the columns behind become 0. Returns the logarithm of the sum.
    fn softmax_row(row: &mut [f32], n_seen: usize) -> f32 {
        let (seen, unseen) = row.split_at_mut(n_seen);
        let max = max_of(seen);
        let sum = exp_sum(seen, max);
        let factor = 1.0 / sum;
        for x in seen {
            *x *= factor;
        }
        unseen.fill(0.0);
        max + sum.ln()
    }
}

multiversion! {
    /// Turns scores into probabilities and their gradients into gradients of scaled scores.
    fn softmax_backward_row(scores: &mut [f32], dprob: &mut [f32], n_seen: usize, lse: f32, dot: f32, scale: f32) {
        for (s, d) in scores[..n_seen].iter_mut().zip(&mut dprob[..n_seen]) {
            let p = exp(*s - lse);
            *d = p * (*d - dot) * scale;
            *s = p;
        }
        scores[n_seen..].fill(0.0);
        dprob[n_seen..].fill(0.0);
    }
}

multiversion! {
    fn dot(a: &[f32], b: &[f32]) -> f32 {
        sum_over(a, b, |x, y| x * y)
    }
}

/// `out (B·T, H·D) = softmax(q·kᵀ/√D, causal)·v`; saves `lse (B, H, T)`.
///
/// # Panics
/// When a slice does not have the shape's size.
pub fn attention_forward(out: &mut [f32], lse: &mut [f32], qkv: &[f32], shape: Attention) {
    let Attention { batch, time, n_heads, n_kv_heads, head } = shape;
    let (row, out_row, group) = (shape.row(), n_heads * head, n_heads / n_kv_heads);
    assert_eq!((out.len(), qkv.len()), (batch * time * out_row, batch * time * row), "sizes of {shape:?}");
    assert_eq!((lse.len(), n_heads % n_kv_heads), (batch * n_heads * time, 0), "sizes of {shape:?}");
    let (out, lse, scale) = (Shared(out.as_mut_ptr()), Shared(lse.as_mut_ptr()), shape.scale() as f32);
    (0..batch * n_kv_heads).into_par_iter().for_each(|task| {
        let (b, kv) = (task / n_kv_heads, task % n_kv_heads);
        let base = &qkv[b * time * row..][..time * row];
        let keys = Matrix { start: base[(n_heads + kv) * head..].as_ptr(), row: 1, column: row };
        let values = Matrix { start: base[(n_heads + n_kv_heads + kv) * head..].as_ptr(), row, column: 1 };
        with_scratch(ROWS * time, |scores| {
            for h in kv * group..(kv + 1) * group {
                for first in (0..time).step_by(ROWS) {
                    let last = (first + ROWS).min(time);
                    let n = last - first;
                    let scores = &mut scores[..n * last];
                    let queries = Matrix { start: base[first * row + h * head..].as_ptr(), row, column: 1 };
                    // SAFETY: queries, keys and values lie in this sequence's rows of `qkv`; `scores` holds n × last.
                    unsafe { gemm_raw(scores.as_mut_ptr(), last, queries, keys, (n, last, head), scale, false, Parallelism::None) };
                    for (i, scores) in scores.chunks_exact_mut(last).enumerate() {
                        let sum = softmax_row(scores, first + i + 1);
                        // SAFETY: (b, h, first + i) is inside `lse` and belongs to this task alone.
                        unsafe { *lse.at((b * n_heads + h) * time + first + i) = sum };
                    }
                    let probabilities = Matrix { start: scores.as_ptr(), row: last, column: 1 };
                    // SAFETY: the block's rows and this head's columns of `out` belong to this task alone.
                    unsafe {
                        let place = out.at((b * time + first) * out_row + h * head);
                        gemm_raw(place, out_row, probabilities, values, (n, head, last), 1.0, false, Parallelism::None);
                    }
                }
            }
        });
    });
}

/// `dqkv = …` for [`attention_forward`]; probabilities are computed again from `lse`.
///
/// # Panics
/// When a slice does not have the shape's size.
pub fn attention_backward(dqkv: &mut [f32], dout: &[f32], out: &[f32], lse: &[f32], qkv: &[f32], shape: Attention) {
    let Attention { batch, time, n_heads, n_kv_heads, head } = shape;
    let (row, out_row, group) = (shape.row(), n_heads * head, n_heads / n_kv_heads);
    assert_eq!((dqkv.len(), qkv.len(), dout.len()), (batch * time * row, dqkv.len(), batch * time * out_row), "sizes of {shape:?}");
    assert_eq!((out.len(), lse.len()), (dout.len(), batch * n_heads * time), "sizes of {shape:?}");
    let (shared, scale) = (Shared(dqkv.as_mut_ptr()), shape.scale() as f32);
    (0..batch * n_kv_heads).into_par_iter().for_each(|task| {
        let (b, kv) = (task / n_kv_heads, task % n_kv_heads);
        let start = b * time * row;
        let base = &qkv[start..][..time * row];
        let (key, value) = ((n_heads + kv) * head, (n_heads + n_kv_heads + kv) * head);
        let at = |place: usize, row, column| Matrix { start: base[place..].as_ptr(), row, column };
        with_scratch(2 * ROWS * time, |scratch| {
            let (scores, dprobs) = scratch.split_at_mut(ROWS * time);
            for h in kv * group..(kv + 1) * group {
                for first in (0..time).step_by(ROWS) {
                    let last = (first + ROWS).min(time);
                    let n = last - first;
                    let (scores, dprobs) = (&mut scores[..n * last], &mut dprobs[..n * last]);
                    let place = (b * time + first) * out_row + h * head;
                    let douts = Matrix { start: dout[place..].as_ptr(), row: out_row, column: 1 };
                    let queries = at(first * row + h * head, row, 1);
                    // SAFETY: all operands lie in this sequence's rows; the scratch blocks hold n × last.
                    unsafe {
                        let none = Parallelism::None;
                        gemm_raw(scores.as_mut_ptr(), last, queries, at(key, 1, row), (n, last, head), scale, false, none);
                        gemm_raw(dprobs.as_mut_ptr(), last, douts, at(value, 1, row), (n, last, head), 1.0, false, none);
                    }
                    for (i, (scores, dprobs)) in scores.chunks_exact_mut(last).zip(dprobs.chunks_exact_mut(last)).enumerate() {
                        let place = place + i * out_row;
                        let dot = dot(&dout[place..][..head], &out[place..][..head]);
                        let lse = lse[(b * n_heads + h) * time + first + i];
                        softmax_backward_row(scores, dprobs, first + i + 1, lse, dot, scale);
                    }
                    let block = |x: &[f32], row, column| Matrix { start: x.as_ptr(), row, column };
                    // Blocks run from the first rows to the last: for the first head of a group, a block's own rows of
                    // dk and dv are written for the first time, the rows before it are added to.
                    let fresh = h == kv * group;
                    // SAFETY: this head's columns of dq, and this key head's columns of dk and dv, in this sequence's rows,
                    // belong to this task alone.
                    unsafe {
                        let none = Parallelism::None;
                        let dq = shared.at(start + first * row + h * head);
                        gemm_raw(dq, row, block(dprobs, last, 1), at(key, row, 1), (n, head, last), 1.0, false, none);
                        for (left, right, column) in [(&*dprobs, queries, key), (&*scores, douts, value)] {
                            if fresh {
                                let own = shared.at(start + first * row + column);
                                gemm_raw(own, row, block(&left[first..], 1, last), right, (n, head, n), 1.0, false, none);
                                if first > 0 {
                                    let before = shared.at(start + column);
                                    gemm_raw(before, row, block(left, 1, last), right, (first, head, n), 1.0, true, none);
                                }
                            } else {
                                gemm_raw(shared.at(start + column), row, block(left, 1, last), right, (last, head, n), 1.0, true, none);
                            }
                        }
                    }
                }
            }
        });
    });
}
