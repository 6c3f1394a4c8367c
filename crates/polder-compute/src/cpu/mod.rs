//! The CPU half: f32, on the threads of the current rayon pool, with results that do not depend on their number.
//!
//! Each operation is a plain function over slices in a file of its name; [`Cpu`] lends its buffers to them.

mod adamw;
mod attention;
mod cross_entropy;
mod elementwise;
mod embedding;
mod gemm;
mod gemv;
mod rms_norm;
mod rope;
mod simd;
mod swiglu;

use crate::{AdamW, Attention, Backend, Buffer, Gemm, IdBuffer, IdView, Rope, View};

pub use adamw::{adamw, clip_scale, sum_squares};
pub use attention::{attention_backward, attention_forward};
pub use cross_entropy::{cross_entropy_backward, cross_entropy_forward};
pub use elementwise::add;
pub use embedding::{embedding_backward, embedding_forward};
pub use gemm::gemm;
pub use gemv::{attend_row, gemv};
pub use rms_norm::{rms_norm_backward, rms_norm_forward};
pub use rope::{rope, rope_row};
pub use swiglu::{swiglu_backward, swiglu_forward};

/// The flat buffers of a [`Cpu`].
#[derive(Default)]
struct Arena(Vec<Vec<f32>>);

impl Arena {
    /// Lends outputs and inputs at once.
    ///
    /// # Panics
    /// When a view leaves its buffer or an output overlaps another view.
    fn lend<const O: usize, const I: usize>(&mut self, outs: [View; O], ins: [View; I]) -> ([&mut [f32]; O], [&[f32]; I]) {
        for (i, out) in outs.iter().enumerate() {
            assert!(!outs[..i].iter().chain(&ins).any(|other| out.overlaps(other)), "an output overlaps another argument");
        }
        for view in outs.iter().chain(&ins) {
            assert!(view.offset + view.len <= self.0[view.buffer.0].len(), "a view leaves its buffer");
        }
        // SAFETY: every view is inside its live buffer, no output shares an element with any other view (both checked
        // above), and the borrow of `self` keeps the buffers in place while the slices live.
        let outs = outs.map(|v| unsafe { std::slice::from_raw_parts_mut(self.0[v.buffer.0].as_mut_ptr().add(v.offset), v.len) });
        // SAFETY: as above.
        let ins = ins.map(|v| unsafe { std::slice::from_raw_parts(self.0[v.buffer.0].as_ptr().add(v.offset), v.len) });
        (outs, ins)
    }
}

/// The CPU as a backend.
#[derive(Default)]
pub struct Cpu {
    arena: Arena,
    ids: Vec<Vec<i32>>,
    scratch: Vec<f32>,
}

impl Cpu {
    /// Makes one with no buffers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the numbers of a view.
    pub fn slice(&self, view: View) -> &[f32] {
        &self.arena.0[view.buffer.0][view.offset..][..view.len]
    }

    /// Returns the numbers of a view for writing.
    pub fn slice_mut(&mut self, view: View) -> &mut [f32] {
        &mut self.arena.0[view.buffer.0][view.offset..][..view.len]
    }
}

fn ids_of(ids: &[Vec<i32>], view: IdView) -> &[i32] {
    &ids[view.buffer.0][view.offset..][..view.len]
}

impl Backend for Cpu {
    fn name(&self) -> &'static str {
        "cpu"
    }

    fn alloc(&mut self, len: usize) -> View {
        self.arena.0.push(vec![0.0; len]);
        View { buffer: Buffer(self.arena.0.len() - 1), offset: 0, len }
    }

    fn alloc_ids(&mut self, len: usize) -> IdView {
        self.ids.push(vec![0; len]);
        IdView { buffer: IdBuffer(self.ids.len() - 1), offset: 0, len }
    }

    fn upload(&mut self, to: View, values: &[f32]) {
        self.slice_mut(to).copy_from_slice(values);
    }

    fn upload_ids(&mut self, to: IdView, values: &[i32]) {
        self.ids[to.buffer.0][to.offset..][..to.len].copy_from_slice(values);
    }

    fn download(&mut self, from: View, values: &mut [f32]) {
        values.copy_from_slice(self.slice(from));
    }

    fn fill(&mut self, out: View, value: f32) {
        self.slice_mut(out).fill(value);
    }

    fn copy(&mut self, out: View, x: View) {
        let ([out], [x]) = self.arena.lend([out], [x]);
        out.copy_from_slice(x);
    }

    fn add(&mut self, out: View, x: View) {
        let ([out], [x]) = self.arena.lend([out], [x]);
        add(out, x);
    }

    fn gemm(&mut self, out: View, a: View, b: View, shape: Gemm) {
        let ([out], [a, b]) = self.arena.lend([out], [a, b]);
        gemm(out, a, b, shape);
    }

    fn embedding_forward(&mut self, out: View, weight: View, ids: IdView, channels: usize) {
        let ([out], [weight]) = self.arena.lend([out], [weight]);
        embedding_forward(out, weight, ids_of(&self.ids, ids), channels);
    }

    fn embedding_backward(&mut self, dweight: View, dout: View, ids: IdView, channels: usize) {
        let ([dweight], [dout]) = self.arena.lend([dweight], [dout]);
        embedding_backward(dweight, dout, ids_of(&self.ids, ids), channels);
    }

    fn rms_norm_forward(&mut self, out: View, rstd: View, x: View, weight: View, eps: f32) {
        let ([out, rstd], [x, weight]) = self.arena.lend([out, rstd], [x, weight]);
        rms_norm_forward(out, rstd, x, weight, eps);
    }

    fn rms_norm_backward(&mut self, dx: View, dweight: View, dout: View, x: View, weight: View, rstd: View) {
        let ([dx, dweight], [dout, x, weight, rstd]) = self.arena.lend([dx, dweight], [dout, x, weight, rstd]);
        rms_norm_backward(dx, dweight, dout, x, weight, rstd, &mut self.scratch);
    }

    fn rope(&mut self, x: View, table: View, shape: Rope) {
        let ([x], [table]) = self.arena.lend([x], [table]);
        rope(x, table, shape);
    }

    fn attention_forward(&mut self, out: View, lse: View, qkv: View, shape: Attention) {
        let ([out, lse], [qkv]) = self.arena.lend([out, lse], [qkv]);
        attention_forward(out, lse, qkv, shape);
    }

    fn attention_backward(&mut self, dqkv: View, dout: View, out: View, lse: View, qkv: View, shape: Attention) {
        let ([dqkv], [dout, out, lse, qkv]) = self.arena.lend([dqkv], [dout, out, lse, qkv]);
        attention_backward(dqkv, dout, out, lse, qkv, shape);
    }

    fn swiglu_forward(&mut self, out: View, gate_up: View, width: usize) {
        let ([out], [gate_up]) = self.arena.lend([out], [gate_up]);
        swiglu_forward(out, gate_up, width);
    }

    fn swiglu_backward(&mut self, dgate_up: View, dout: View, gate_up: View, width: usize) {
        let ([dgate_up], [dout, gate_up]) = self.arena.lend([dgate_up], [dout, gate_up]);
        swiglu_backward(dgate_up, dout, gate_up, width);
    }

    fn cross_entropy(&mut self, losses: View, logits: View, targets: IdView, vocab: usize, scale: Option<f32>) {
        let ([losses, logits], []) = self.arena.lend([losses, logits], []);
        let targets = ids_of(&self.ids, targets);
        match scale {
            Some(scale) => cross_entropy_backward(losses, logits, targets, vocab, scale),
            None => cross_entropy_forward(losses, logits, targets, vocab),
        }
    }

    fn sum_squares(&mut self, out: View, x: View) {
        let ([out], [x]) = self.arena.lend([out], [x]);
        out[0] = sum_squares(x) as f32;
    }

    fn adamw(&mut self, params: View, m: View, v: View, grads: View, norm_squared: View, step: AdamW) {
        let ([params, m, v], [grads, norm_squared]) = self.arena.lend([params, m, v], [grads, norm_squared]);
        adamw(params, m, v, grads, clip_scale(f64::from(norm_squared[0]), step.clip), step);
    }
}
