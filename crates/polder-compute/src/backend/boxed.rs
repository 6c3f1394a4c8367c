//! A backend that is chosen while the program runs.

use super::{Activation, Attention, Backend, CrossEntropy, Dtype, Gemm, IdView, KvCache, LogitsRoom, Muon, Norm, Rope, View};
use crate::Cpu;

impl From<Cpu> for Box<dyn Backend> {
    fn from(cpu: Cpu) -> Self {
        Box::new(cpu)
    }
}

impl Backend for Box<dyn Backend> {
    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn logits_room(&self) -> LogitsRoom {
        (**self).logits_room()
    }

    fn alloc(&mut self, len: usize, dtype: Dtype) -> View {
        (**self).alloc(len, dtype)
    }

    fn alloc_ids(&mut self, len: usize) -> IdView {
        (**self).alloc_ids(len)
    }

    fn upload(&mut self, to: View, values: &[f32]) {
        (**self).upload(to, values);
    }

    fn upload_ids(&mut self, to: IdView, values: &[i32]) {
        (**self).upload_ids(to, values);
    }

    fn download(&mut self, from: View, values: &mut [f32]) {
        (**self).download(from, values);
    }

    fn download_ids(&mut self, from: IdView, ids: &mut [i32]) {
        (**self).download_ids(from, ids);
    }

    fn alloc_inputs(&mut self, n_ids: usize, n_numbers: usize) -> (IdView, View) {
        (**self).alloc_inputs(n_ids, n_numbers)
    }

    fn upload_inputs(&mut self, ids: IdView, id_values: &[i32], numbers: View, values: &[f32]) {
        (**self).upload_inputs(ids, id_values, numbers, values);
    }

    fn replays(&self) -> bool {
        (**self).replays()
    }

    fn replay(&mut self, key: u64) -> bool {
        (**self).replay(key)
    }

    fn record_end(&mut self) {
        (**self).record_end();
    }

    fn fill(&mut self, out: View, value: f32) {
        (**self).fill(out, value);
    }

    fn copy(&mut self, out: View, x: View) {
        (**self).copy(out, x);
    }

    fn add(&mut self, out: View, x: View) {
        (**self).add(out, x);
    }

    fn gemm(&mut self, out: View, a: View, b: View, bias: Option<View>, shape: Gemm) {
        (**self).gemm(out, a, b, bias, shape);
    }

    fn gemm_onto(&mut self, out: View, onto: View, a: View, b: View, bias: Option<View>, shape: Gemm) {
        (**self).gemm_onto(out, onto, a, b, bias, shape);
    }

    fn bias_backward(&mut self, dbias: View, dout: View) {
        (**self).bias_backward(dbias, dout);
    }

    fn embedding_forward(&mut self, out: View, weight: View, ids: IdView, channels: usize, accumulate: bool) {
        (**self).embedding_forward(out, weight, ids, channels, accumulate);
    }

    fn embedding_backward(&mut self, dweight: View, dout: View, ids: IdView, channels: usize) {
        (**self).embedding_backward(dweight, dout, ids, channels);
    }

    fn pool_forward(&mut self, out: View, x: View, ranges: IdView, channels: usize) {
        (**self).pool_forward(out, x, ranges, channels);
    }

    fn pool_backward(&mut self, dx: View, dout: View, ranges: IdView, channels: usize) {
        (**self).pool_backward(dx, dout, ranges, channels);
    }

    fn norm_forward(&mut self, out: View, stats: View, x: View, weight: View, bias: Option<View>, norm: Norm) {
        (**self).norm_forward(out, stats, x, weight, bias, norm);
    }

    fn norm_backward(&mut self, dx: View, dweight: View, dbias: Option<View>, dout: View, x: View, weight: View, stats: View, norm: Norm) {
        (**self).norm_backward(dx, dweight, dbias, dout, x, weight, stats, norm);
    }

    fn norm_backward_rounded(
        &mut self,
        dx: View,
        rounded: View,
        dweight: View,
        dbias: Option<View>,
        dout: View,
        x: View,
        weight: View,
        stats: View,
        norm: Norm,
    ) {
        (**self).norm_backward_rounded(dx, rounded, dweight, dbias, dout, x, weight, stats, norm);
    }

    fn head_norm_forward(&mut self, out: View, rstd: View, x: View, weight: View, row: usize, first: usize, n_heads: usize, eps: f32) {
        (**self).head_norm_forward(out, rstd, x, weight, row, first, n_heads, eps);
    }

    fn head_norm_backward(&mut self, dx: View, dweight: View, x: View, weight: View, rstd: View, row: usize, first: usize, n_heads: usize) {
        (**self).head_norm_backward(dx, dweight, x, weight, rstd, row, first, n_heads);
    }

    fn rope(&mut self, x: View, table: View, positions: IdView, shape: Rope) {
        (**self).rope(x, table, positions, shape);
    }

    fn attention_forward(&mut self, out: View, lse: View, qkv: View, documents: Option<IdView>, shape: Attention) {
        (**self).attention_forward(out, lse, qkv, documents, shape);
    }

    fn attention_backward(&mut self, dqkv: View, dout: View, out: View, lse: View, qkv: View, documents: Option<IdView>, shape: Attention) {
        (**self).attention_backward(dqkv, dout, out, lse, qkv, documents, shape);
    }

    fn attention_append(&mut self, cache: &KvCache, qkv: View, shape: Attention) {
        (**self).attention_append(cache, qkv, shape);
    }

    fn attention_decode(&mut self, out: View, qkv: View, cache: &KvCache, keys_max: usize, shape: Attention) {
        (**self).attention_decode(out, qkv, cache, keys_max, shape);
    }

    fn activation_forward(&mut self, out: View, x: View, width: usize, activation: Activation) {
        (**self).activation_forward(out, x, width, activation);
    }

    fn activation_backward(&mut self, dx: View, dout: View, x: View, width: usize, activation: Activation) {
        (**self).activation_backward(dx, dout, x, width, activation);
    }

    fn cross_entropy(&mut self, losses: View, logits: View, targets: IdView, scale: Option<View>, settings: CrossEntropy) {
        (**self).cross_entropy(losses, logits, targets, scale, settings);
    }

    fn sample(&mut self, tokens: IdView, logits: View, settings: IdView, places: IdView, vocab: usize, n_classes: usize) {
        (**self).sample(tokens, logits, settings, places, vocab, n_classes);
    }

    fn sum_squares(&mut self, out: View, x: View) {
        (**self).sum_squares(out, x);
    }

    fn adamw(&mut self, params: View, working: Option<View>, m: View, v: View, grads: View, norm_squared: View, scalars: View) {
        (**self).adamw(params, working, m, v, grads, norm_squared, scalars);
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
        (**self).muon(params, working, momentum, grads, scratch, norm_squared, scalars, matrix);
    }
}
