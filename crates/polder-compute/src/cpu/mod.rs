//! The CPU half: f32 and bf16, on the threads of the current rayon pool, with results that do not depend on their number.
//!
//! Each operation is a plain function over slices in a file of its name; [`Cpu`] lends its buffers to them.

mod activation;
mod adamw;
mod arena;
mod attention;
mod bias;
mod cached;
mod cross_entropy;
mod embedding;
mod gemm;
mod gemv;
mod head_norm;
mod muon;
mod norm;
mod panel;
mod plain;
mod pool;
mod rope;
mod sample;
mod scratch;
mod simd;
mod tile;

use crate::{
    Activation, AdamW, Attention, Backend, CrossEntropy, Dtype, Gemm, IdBuffer, IdView, KvCache, Muon, MuonStep, Norm, Rope, View,
};
use arena::{Arena, alike, typed};

pub use activation::{activation_backward, activation_forward};
pub use adamw::{adamw, clip_scale};
pub use attention::{attention_backward, attention_forward};
pub use bias::bias_backward;
pub use cached::{attention_append, attention_decode};
pub use cross_entropy::cross_entropy;
pub use embedding::{embedding_backward, embedding_forward};
pub use gemm::gemm;
pub use gemv::{attend_row, gemv};
pub use head_norm::{head_norm_backward, head_norm_forward};
pub use muon::muon;
pub use norm::{norm_backward, norm_forward};
pub use plain::{add, copy, fill, sum_squares};
pub use pool::{pool_backward, pool_forward};
pub use rope::{rope, rope_row};
pub use sample::{Sampling, sample};

/// The CPU as a backend.
#[derive(Default)]
pub struct Cpu {
    arena: Arena,
    ids: Vec<Vec<i32>>,
}

impl Cpu {
    /// Makes one with no buffers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the numbers of an f32 view.
    ///
    /// # Panics
    /// When the view is of another type.
    pub fn slice(&self, view: View) -> &[f32] {
        self.arena.get(view).f32()
    }

    /// Returns the numbers of an f32 view for writing.
    ///
    /// # Panics
    /// When the view is of another type.
    pub fn slice_mut(&mut self, view: View) -> &mut [f32] {
        self.arena.get_mut(view).f32()
    }
}

fn ids_of(ids: &[Vec<i32>], view: IdView) -> &[i32] {
    &ids[view.buffer.0][view.offset..][..view.len]
}

/// The scalars of an update.
///
/// # Panics
/// When there are more or fewer.
fn scalars_of<const N: usize>(scalars: &[f32]) -> [f32; N] {
    assert_eq!(scalars.len(), N, "sizes of an update's scalars");
    std::array::from_fn(|i| scalars[i])
}

/// Stands for an argument that is not there.
fn nothing(like: View) -> View {
    like.part(0, 0)
}

impl Backend for Cpu {
    fn name(&self) -> &'static str {
        "cpu"
    }

    fn alloc(&mut self, len: usize, dtype: Dtype) -> View {
        self.arena.alloc(len, dtype)
    }

    fn alloc_ids(&mut self, len: usize) -> IdView {
        self.ids.push(vec![0; len]);
        IdView { buffer: IdBuffer(self.ids.len() - 1), offset: 0, len }
    }

    fn upload(&mut self, to: View, values: &[f32]) {
        let to = self.arena.get_mut(to);
        typed!([to] copy(to, values));
    }

    fn upload_ids(&mut self, to: IdView, values: &[i32]) {
        self.ids[to.buffer.0][to.offset..][..to.len].copy_from_slice(values);
    }

    fn download(&mut self, from: View, values: &mut [f32]) {
        let from = self.arena.get(from);
        typed!([from] copy(values, from));
    }

    fn download_ids(&mut self, from: IdView, ids: &mut [i32]) {
        ids.copy_from_slice(ids_of(&self.ids, from));
    }

    fn fill(&mut self, out: View, value: f32) {
        let out = self.arena.get_mut(out);
        typed!([out] fill(out, value));
    }

    fn copy(&mut self, out: View, x: View) {
        let ([out], [x]) = self.arena.lend([out], [x]);
        typed!([out, x] copy(out, x));
    }

    fn add(&mut self, out: View, x: View) {
        let ([out], [x]) = self.arena.lend([out], [x]);
        typed!([out, x] add(out, x));
    }

    fn gemm(&mut self, out: View, a: View, b: View, bias: Option<View>, shape: Gemm) {
        let ([out], [a, b, bias_or_b]) = self.arena.lend([out], [a, b, bias.unwrap_or(nothing(b))]);
        let bias = bias.map(|_| bias_or_b.f32());
        typed!([out] alike!([a, b] gemm(out, a, b, bias, shape)));
    }

    fn bias_backward(&mut self, dbias: View, dout: View) {
        let ([dbias], [dout]) = self.arena.lend([dbias], [dout]);
        typed!([dout] bias_backward(dbias.f32(), dout));
    }

    fn embedding_forward(&mut self, out: View, weight: View, ids: IdView, channels: usize, accumulate: bool) {
        let ([out], [weight]) = self.arena.lend([out], [weight]);
        let ids = ids_of(&self.ids, ids);
        typed!([out, weight] embedding_forward(out, weight, ids, channels, accumulate));
    }

    fn embedding_backward(&mut self, dweight: View, dout: View, ids: IdView, channels: usize) {
        let ([dweight], [dout]) = self.arena.lend([dweight], [dout]);
        let ids = ids_of(&self.ids, ids);
        typed!([dweight, dout] embedding_backward(dweight, dout, ids, channels));
    }

    fn pool_forward(&mut self, out: View, x: View, ranges: IdView, channels: usize) {
        let ([out], [x]) = self.arena.lend([out], [x]);
        let ranges = ids_of(&self.ids, ranges);
        typed!([out, x] pool_forward(out, x, ranges, channels));
    }

    fn pool_backward(&mut self, dx: View, dout: View, ranges: IdView, channels: usize) {
        let ([dx], [dout]) = self.arena.lend([dx], [dout]);
        let ranges = ids_of(&self.ids, ranges);
        typed!([dx, dout] pool_backward(dx, dout, ranges, channels));
    }

    fn norm_forward(&mut self, out: View, stats: View, x: View, weight: View, bias: Option<View>, norm: Norm) {
        let ([out, stats], [x, weight, b]) = self.arena.lend([out, stats], [x, weight, bias.unwrap_or(nothing(weight))]);
        let (stats, weight, b) = (stats.f32(), weight.f32(), b.f32());
        typed!([out, x] norm_forward(out, stats, x, weight, bias.map(|_| b), norm));
    }

    fn norm_backward(&mut self, dx: View, dweight: View, dbias: Option<View>, dout: View, x: View, weight: View, stats: View, norm: Norm) {
        let outs = [dx, dweight, dbias.unwrap_or(nothing(dweight))];
        let ([dx, dweight, db], [dout, x, weight, stats]) = self.arena.lend(outs, [dout, x, weight, stats]);
        let (dweight, db, weight, stats) = (dweight.f32(), db.f32(), weight.f32(), stats.f32());
        let db = dbias.map(|_| db);
        typed!([dx, dout, x] norm_backward(dx, dweight, db, dout, x, weight, stats, norm));
    }

    fn head_norm_forward(&mut self, out: View, rstd: View, x: View, weight: View, row: usize, first: usize, n_heads: usize, eps: f32) {
        let ([out, rstd], [x, weight]) = self.arena.lend([out, rstd], [x, weight]);
        let (rstd, weight) = (rstd.f32(), weight.f32());
        alike!([out, x] head_norm_forward(out, rstd, x, weight, row, first, n_heads, eps));
    }

    fn head_norm_backward(&mut self, dx: View, dweight: View, x: View, weight: View, rstd: View, row: usize, first: usize, n_heads: usize) {
        let ([dx, dweight], [x, weight, rstd]) = self.arena.lend([dx, dweight], [x, weight, rstd]);
        let (dweight, weight, rstd) = (dweight.f32(), weight.f32(), rstd.f32());
        alike!([dx, x] head_norm_backward(dx, dweight, x, weight, rstd, row, first, n_heads));
    }

    fn rope(&mut self, x: View, table: View, positions: IdView, shape: Rope) {
        let ([x], [table]) = self.arena.lend([x], [table]);
        let positions = ids_of(&self.ids, positions);
        typed!([x] rope(x, table.f32(), positions, shape));
    }

    fn attention_forward(&mut self, out: View, lse: View, qkv: View, documents: Option<IdView>, shape: Attention) {
        let ([out, lse], [qkv]) = self.arena.lend([out, lse], [qkv]);
        let documents = documents.map(|d| ids_of(&self.ids, d));
        alike!([out, qkv] attention_forward(out, lse.f32(), qkv, documents, shape));
    }

    fn attention_backward(&mut self, dqkv: View, dout: View, out: View, lse: View, qkv: View, documents: Option<IdView>, shape: Attention) {
        let ([dqkv], [dout, out, lse, qkv]) = self.arena.lend([dqkv], [dout, out, lse, qkv]);
        let (lse, documents) = (lse.f32(), documents.map(|d| ids_of(&self.ids, d)));
        alike!([dqkv, dout, out, qkv] attention_backward(dqkv, dout, out, lse, qkv, documents, shape));
    }

    fn attention_append(&mut self, cache: &KvCache, qkv: View, shape: Attention) {
        let ([keys, values], [qkv]) = self.arena.lend([cache.keys, cache.values], [qkv]);
        let n_seen = ids_of(&self.ids, cache.n_seen);
        alike!([keys, values, qkv] attention_append(keys, values, qkv, n_seen, shape));
    }

    fn attention_decode(&mut self, out: View, qkv: View, cache: &KvCache, _keys_max: usize, shape: Attention) {
        let ([out], [qkv, keys, values]) = self.arena.lend([out], [qkv, cache.keys, cache.values]);
        let n_seen = ids_of(&self.ids, cache.n_seen);
        alike!([out, qkv, keys, values] attention_decode(out, qkv, keys, values, n_seen, shape));
    }

    fn activation_forward(&mut self, out: View, x: View, width: usize, activation: Activation) {
        let ([out], [x]) = self.arena.lend([out], [x]);
        alike!([out, x] activation_forward(out, x, width, activation));
    }

    fn activation_backward(&mut self, dx: View, dout: View, x: View, width: usize, activation: Activation) {
        let ([dx], [dout, x]) = self.arena.lend([dx], [dout, x]);
        alike!([dx, dout, x] activation_backward(dx, dout, x, width, activation));
    }

    fn cross_entropy(&mut self, losses: View, logits: View, targets: IdView, scale: Option<View>, settings: CrossEntropy) {
        let scale = scale.map(|s| self.slice(s)[0]);
        let ([losses, logits], []) = self.arena.lend([losses, logits], []);
        let (losses, targets) = (losses.f32(), ids_of(&self.ids, targets));
        typed!([logits] cross_entropy(losses, logits, targets, scale, settings));
    }

    fn sample(&mut self, tokens: IdView, logits: View, settings: IdView, places: IdView, vocab: usize, n_classes: usize) {
        let logits = self.arena.get(logits);
        let mut drawn = vec![0; tokens.len];
        let (settings, places) = (ids_of(&self.ids, settings), ids_of(&self.ids, places));
        typed!([logits] sample(&mut drawn, logits, settings, places, vocab, n_classes));
        self.upload_ids(tokens, &drawn);
    }

    fn sum_squares(&mut self, out: View, x: View) {
        let ([out], [x]) = self.arena.lend([out], [x]);
        out.f32()[0] = typed!([x] sum_squares(x)) as f32;
    }

    fn adamw(&mut self, params: View, working: Option<View>, m: View, v: View, grads: View, norm_squared: View, scalars: View) {
        let outs = [params, m, v, working.unwrap_or(nothing(params))];
        let ([params, m, v, w], [grads, norm_squared, scalars]) = self.arena.lend(outs, [grads, norm_squared, scalars]);
        let (params, m, v, grads, scalars) = (params.f32(), m.f32(), v.f32(), grads.f32(), scalars_of(scalars.f32()));
        let scale = clip_scale(f64::from(norm_squared.f32()[0]), scalars[AdamW::SCALARS - 1]);
        typed!([w] adamw(params, working.map(|_| w), m, v, grads, scale, scalars));
    }

    fn muon(
        &mut self,
        params: View,
        working: Option<View>,
        momentum: View,
        grads: View,
        scratch: View,
        norm_squared: View,
        scalars: View,
        matrix: Muon,
    ) {
        let outs = [params, momentum, scratch, working.unwrap_or(nothing(params))];
        let ([params, momentum, space, w], [grads, norm_squared, scalars]) = self.arena.lend(outs, [grads, norm_squared, scalars]);
        let (params, momentum, space, grads, scalars) = (params.f32(), momentum.f32(), space.f32(), grads.f32(), scalars_of(scalars.f32()));
        let scale = clip_scale(f64::from(norm_squared.f32()[0]), scalars[MuonStep::SCALARS - 1]);
        typed!([w] muon(params, working.map(|_| w), momentum, grads, space, scale, scalars, matrix));
    }
}
