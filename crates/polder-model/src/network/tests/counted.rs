//! A backend that computes nothing and counts the bytes it is asked for.

use polder_compute::*;

#[derive(Default)]
pub(super) struct Counted {
    pub bytes: u64,
}

#[allow(unused_variables)]
impl Backend for Counted {
    fn name(&self) -> &'static str {
        "counted"
    }
    fn alloc(&mut self, len: usize, dtype: Dtype) -> View {
        self.bytes += (len * dtype.bytes()) as u64;
        View { buffer: Buffer(0), dtype, offset: 0, len }
    }
    fn alloc_ids(&mut self, len: usize) -> IdView {
        self.bytes += 4 * len as u64;
        IdView { buffer: IdBuffer(0), offset: 0, len }
    }
    fn upload(&mut self, to: View, values: &[f32]) {}
    fn upload_ids(&mut self, to: IdView, values: &[i32]) {}
    fn download(&mut self, from: View, values: &mut [f32]) {}
    fn download_ids(&mut self, from: IdView, ids: &mut [i32]) {}
    fn fill(&mut self, out: View, value: f32) {}
    fn copy(&mut self, out: View, x: View) {}
    fn add(&mut self, out: View, x: View) {}
    fn gemm(&mut self, out: View, a: View, b: View, bias: Option<View>, shape: Gemm) {}
    fn bias_backward(&mut self, dbias: View, dout: View) {}
    fn embedding_forward(&mut self, out: View, weight: View, ids: IdView, channels: usize, accumulate: bool) {}
    fn embedding_backward(&mut self, dweight: View, dout: View, ids: IdView, channels: usize) {}
    fn pool_forward(&mut self, out: View, x: View, ranges: IdView, channels: usize) {}
    fn pool_backward(&mut self, dx: View, dout: View, ranges: IdView, channels: usize) {}
    fn norm_forward(&mut self, out: View, stats: View, x: View, weight: View, bias: Option<View>, norm: Norm) {}
    fn norm_backward(&mut self, dx: View, dweight: View, dbias: Option<View>, dout: View, x: View, weight: View, stats: View, norm: Norm) {}
    fn head_norm_forward(&mut self, out: View, rstd: View, x: View, weight: View, row: usize, first: usize, n_heads: usize, eps: f32) {}
    fn head_norm_backward(&mut self, dx: View, dweight: View, x: View, weight: View, rstd: View, row: usize, first: usize, n_heads: usize) {
    }
    fn rope(&mut self, x: View, table: View, positions: IdView, shape: Rope) {}
    fn attention_forward(&mut self, out: View, lse: View, qkv: View, documents: Option<IdView>, shape: Attention) {}
    fn attention_backward(&mut self, dqkv: View, dout: View, out: View, lse: View, qkv: View, documents: Option<IdView>, shape: Attention) {
    }
    fn attention_append(&mut self, cache: &KvCache, qkv: View, shape: Attention) {}
    fn attention_decode(&mut self, out: View, qkv: View, cache: &KvCache, keys_max: usize, shape: Attention) {}
    fn activation_forward(&mut self, out: View, x: View, width: usize, activation: Activation) {}
    fn activation_backward(&mut self, dx: View, dout: View, x: View, width: usize, activation: Activation) {}
    fn cross_entropy(&mut self, losses: View, logits: View, targets: IdView, scale: Option<View>, settings: CrossEntropy) {}
    fn sample(&mut self, tokens: IdView, logits: View, settings: IdView, places: IdView, vocab: usize, n_classes: usize) {}
    fn sum_squares(&mut self, out: View, x: View) {}
    fn adamw(&mut self, params: View, working: Option<View>, m: View, v: View, grads: View, norm_squared: View, scalars: View) {}
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
    }
}
