//! The naive truth: every operation in f64, with plain loops that follow the formula. Slow on purpose; it is the oracle.
//!
//! Only [`Backend::upload`] rounds to a view's type, so that both sides of a comparison begin with the same numbers.
//! What operations write is kept in f64 whatever the type, so that gradients can be checked against differences.

mod activation;
mod adamw;
mod attention;
mod bias;
mod cached;
mod cross_entropy;
mod embedding;
mod gemm;
mod head_norm;
mod muon;
mod norm;
mod pool;
mod rope;

#[cfg(test)]
pub(crate) use activation::erf;

use crate::number::round;
use crate::{Activation, Attention, Backend, Buffer, CrossEntropy, Dtype, Gemm, IdBuffer, IdView, KvCache, Muon, Norm, Rope, View};

/// The reference as a backend, so that a whole model runs on it.
#[derive(Default)]
pub struct Reference {
    buffers: Vec<Vec<f64>>,
    ids: Vec<Vec<i32>>,
}

impl Reference {
    /// Makes one with no buffers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the numbers of a view, in f64.
    pub fn slice(&self, view: View) -> &[f64] {
        &self.buffers[view.buffer.0][view.offset..][..view.len]
    }

    /// Returns the numbers of a view for writing, in f64.
    pub fn slice_mut(&mut self, view: View) -> &mut [f64] {
        &mut self.buffers[view.buffer.0][view.offset..][..view.len]
    }

    // Copies are the price of plain loops over views of one buffer.
    fn get(&self, view: View) -> Vec<f64> {
        self.slice(view).to_vec()
    }

    fn set(&mut self, view: View, values: &[f64]) {
        self.slice_mut(view).copy_from_slice(values);
    }

    fn ids(&self, view: IdView) -> Vec<i32> {
        self.ids[view.buffer.0][view.offset..][..view.len].to_vec()
    }

    fn pairs(&self, view: IdView) -> Vec<(usize, usize)> {
        self.ids(view).as_chunks::<2>().0.iter().map(|[first, end]| (*first as usize, *end as usize)).collect()
    }
}

/// What gradients are multiplied by, so that their norm is at most `clip`; 1 for a clip of 0.
fn clip_scale(norm_squared: f64, clip: f64) -> f64 {
    let norm = norm_squared.sqrt();
    if clip > 0.0 && norm > clip { clip / (norm + 1e-6) } else { 1.0 }
}

impl Backend for Reference {
    fn name(&self) -> &'static str {
        "reference"
    }

    fn alloc(&mut self, len: usize, dtype: Dtype) -> View {
        self.buffers.push(vec![0.0; len]);
        View { buffer: Buffer(self.buffers.len() - 1), dtype, offset: 0, len }
    }

    fn alloc_ids(&mut self, len: usize) -> IdView {
        self.ids.push(vec![0; len]);
        IdView { buffer: IdBuffer(self.ids.len() - 1), offset: 0, len }
    }

    fn upload(&mut self, to: View, values: &[f32]) {
        let rounded: Vec<f64> = values.iter().map(|v| f64::from(round(*v, to.dtype))).collect();
        self.set(to, &rounded);
    }

    fn upload_ids(&mut self, to: IdView, values: &[i32]) {
        self.ids[to.buffer.0][to.offset..][..to.len].copy_from_slice(values);
    }

    fn download(&mut self, from: View, values: &mut [f32]) {
        self.slice(from).iter().zip(values).for_each(|(f, v)| *v = *f as f32);
    }

    fn download_ids(&mut self, from: IdView, ids: &mut [i32]) {
        ids.copy_from_slice(&self.ids(from));
    }

    fn fill(&mut self, out: View, value: f32) {
        self.slice_mut(out).fill(f64::from(value));
    }

    fn copy(&mut self, out: View, x: View) {
        let x = self.get(x);
        self.set(out, &x);
    }

    fn add(&mut self, out: View, x: View) {
        let x = self.get(x);
        self.slice_mut(out).iter_mut().zip(x).for_each(|(o, x)| *o += x);
    }

    fn gemm(&mut self, out: View, a: View, b: View, bias: Option<View>, shape: Gemm) {
        let (a, b, bias) = (self.get(a), self.get(b), bias.map(|v| self.get(v)));
        gemm::gemm(self.slice_mut(out), &a, &b, bias.as_deref(), shape);
    }

    fn bias_backward(&mut self, dbias: View, dout: View) {
        let dout = self.get(dout);
        bias::bias_backward(self.slice_mut(dbias), &dout);
    }

    fn embedding_forward(&mut self, out: View, weight: View, ids: IdView, channels: usize, accumulate: bool) {
        let (weight, ids) = (self.get(weight), self.ids(ids));
        embedding::embedding_forward(self.slice_mut(out), &weight, &ids, channels, accumulate);
    }

    fn embedding_backward(&mut self, dweight: View, dout: View, ids: IdView, channels: usize) {
        let (dout, ids) = (self.get(dout), self.ids(ids));
        embedding::embedding_backward(self.slice_mut(dweight), &dout, &ids, channels);
    }

    fn pool_forward(&mut self, out: View, x: View, ranges: IdView, channels: usize) {
        let (x, ranges) = (self.get(x), self.pairs(ranges));
        pool::pool_forward(self.slice_mut(out), &x, &ranges, channels);
    }

    fn pool_backward(&mut self, dx: View, dout: View, ranges: IdView, channels: usize) {
        let (dout, ranges) = (self.get(dout), self.pairs(ranges));
        pool::pool_backward(self.slice_mut(dx), &dout, &ranges, channels);
    }

    fn norm_forward(&mut self, out: View, stats: View, x: View, weight: View, bias: Option<View>, norm: Norm) {
        let (x, weight, bias) = (self.get(x), self.get(weight), bias.map(|v| self.get(v)));
        let (mut o, mut s) = (self.get(out), self.get(stats));
        norm::norm_forward(&mut o, &mut s, &x, &weight, bias.as_deref(), norm);
        self.set(out, &o);
        self.set(stats, &s);
    }

    fn norm_backward(&mut self, dx: View, dweight: View, dbias: Option<View>, dout: View, x: View, weight: View, stats: View, norm: Norm) {
        let (dout, x, weight, stats) = (self.get(dout), self.get(x), self.get(weight), self.get(stats));
        let (mut d, mut dw, mut db) = (self.get(dx), self.get(dweight), dbias.map(|v| self.get(v)));
        norm::norm_backward(&mut d, &mut dw, db.as_deref_mut(), &dout, &x, &weight, &stats, norm);
        self.set(dx, &d);
        self.set(dweight, &dw);
        if let (Some(view), Some(db)) = (dbias, db) {
            self.set(view, &db);
        }
    }

    fn head_norm_forward(&mut self, out: View, rstd: View, x: View, weight: View, row: usize, first: usize, n_heads: usize, eps: f32) {
        let (x, weight) = (self.get(x), self.get(weight));
        let (mut o, mut s) = (self.get(out), self.get(rstd));
        head_norm::head_norm_forward(&mut o, &mut s, &x, &weight, row, first, n_heads, eps);
        self.set(out, &o);
        self.set(rstd, &s);
    }

    fn head_norm_backward(&mut self, dx: View, dweight: View, x: View, weight: View, rstd: View, row: usize, first: usize, n_heads: usize) {
        let (x, weight, rstd) = (self.get(x), self.get(weight), self.get(rstd));
        let (mut d, mut dw) = (self.get(dx), self.get(dweight));
        head_norm::head_norm_backward(&mut d, &mut dw, &x, &weight, &rstd, row, first, n_heads);
        self.set(dx, &d);
        self.set(dweight, &dw);
    }

    fn rope(&mut self, x: View, table: View, positions: IdView, shape: Rope) {
        let (table, positions) = (self.get(table), self.ids(positions));
        rope::rope(self.slice_mut(x), &table, &positions, shape);
    }

    fn attention_forward(&mut self, out: View, lse: View, qkv: View, documents: Option<IdView>, shape: Attention) {
        let (qkv, documents) = (self.get(qkv), documents.map(|v| self.pairs(v)));
        let (mut o, mut l) = (self.get(out), self.get(lse));
        attention::attention_forward(&mut o, &mut l, &qkv, documents.as_deref(), shape);
        self.set(out, &o);
        self.set(lse, &l);
    }

    fn attention_backward(&mut self, dqkv: View, dout: View, _: View, _: View, qkv: View, documents: Option<IdView>, shape: Attention) {
        let (qkv, dout, documents) = (self.get(qkv), self.get(dout), documents.map(|v| self.pairs(v)));
        attention::attention_backward(self.slice_mut(dqkv), &dout, &qkv, documents.as_deref(), shape);
    }

    fn attention_append(&mut self, cache: &KvCache, qkv: View, shape: Attention) {
        let (qkv, n_seen) = (self.get(qkv), self.ids(cache.n_seen));
        let (mut keys, mut values) = (self.get(cache.keys), self.get(cache.values));
        cached::attention_append(&mut keys, &mut values, &qkv, &n_seen, shape);
        self.set(cache.keys, &keys);
        self.set(cache.values, &values);
    }

    fn attention_decode(&mut self, out: View, qkv: View, cache: &KvCache, _keys_max: usize, shape: Attention) {
        let (qkv, keys, values, n_seen) = (self.get(qkv), self.get(cache.keys), self.get(cache.values), self.ids(cache.n_seen));
        cached::attention_decode(self.slice_mut(out), &qkv, &keys, &values, &n_seen, shape);
    }

    fn activation_forward(&mut self, out: View, x: View, width: usize, activation: Activation) {
        let x = self.get(x);
        activation::activation_forward(self.slice_mut(out), &x, width, activation);
    }

    fn activation_backward(&mut self, dx: View, dout: View, x: View, width: usize, activation: Activation) {
        let (dout, x) = (self.get(dout), self.get(x));
        activation::activation_backward(self.slice_mut(dx), &dout, &x, width, activation);
    }

    fn cross_entropy(&mut self, losses: View, logits: View, targets: IdView, scale: Option<View>, settings: CrossEntropy) {
        let (targets, scale) = (self.ids(targets), scale.map(|s| self.slice(s)[0]));
        let (mut l, mut x) = (self.get(losses), self.get(logits));
        cross_entropy::cross_entropy(&mut l, &mut x, &targets, scale, settings);
        self.set(losses, &l);
        self.set(logits, &x);
    }

    fn sample(&mut self, tokens: IdView, logits: View, settings: IdView, places: IdView, vocab: usize, n_classes: usize) {
        // Draws are defined to the bit, over logits as they are stored.
        let stored: Vec<f32> = self.slice(logits).iter().map(|x| round(*x as f32, logits.dtype)).collect();
        let mut drawn = vec![0; tokens.len];
        crate::cpu::sample(&mut drawn, &stored, &self.ids(settings), &self.ids(places), vocab, n_classes);
        self.upload_ids(tokens, &drawn);
    }

    fn sum_squares(&mut self, out: View, x: View) {
        self.slice_mut(out)[0] = self.slice(x).iter().map(|x| x * x).sum();
    }

    fn adamw(&mut self, params: View, working: Option<View>, m: View, v: View, grads: View, norm_squared: View, scalars: View) {
        let scalars = self.get(scalars);
        let grads: Vec<f64> = {
            let scale = clip_scale(self.slice(norm_squared)[0], scalars[6]);
            self.slice(grads).iter().map(|g| g * scale).collect()
        };
        let (mut p, mut first, mut second) = (self.get(params), self.get(m), self.get(v));
        adamw::adamw(&mut p, &mut first, &mut second, &grads, &scalars);
        self.set(params, &p);
        self.set(m, &first);
        self.set(v, &second);
        if let Some(working) = working {
            self.set(working, &p);
        }
    }

    fn muon(
        &mut self,
        params: View,
        working: Option<View>,
        momentum: View,
        grads: View,
        _: View,
        norm_squared: View,
        scalars: View,
        matrix: Muon,
    ) {
        let scalars = self.get(scalars);
        let grads: Vec<f64> = {
            let scale = clip_scale(self.slice(norm_squared)[0], scalars[3]);
            self.slice(grads).iter().map(|g| g * scale).collect()
        };
        let (mut p, mut m) = (self.get(params), self.get(momentum));
        muon::muon(&mut p, &mut m, &grads, &scalars, matrix);
        self.set(params, &p);
        self.set(momentum, &m);
        if let Some(working) = working {
            self.set(working, &p);
        }
    }
}
