//! The decoder's forward pass over a cache of keys and values: any number of tokens at once, or one at a time.

use polder_compute::{Attention, Gemm, Rope, cpu};
use polder_model::Weights;

/// Keys and values of the tokens seen so far, and space to work in.
pub(crate) struct Decoder<'a> {
    weights: &'a Weights,
    rope: &'a [f32],
    n_seen: usize,
    /// A layer's keys, then values, each (context, key heads · D).
    cache: Vec<[Vec<f32>; 2]>,
    space: Space,
}

#[derive(Default)]
struct Space {
    x: Vec<f32>,
    norm: Vec<f32>,
    rstd: Vec<f32>,
    qkv: Vec<f32>,
    mixed: Vec<f32>,
    lse: Vec<f32>,
    scores: Vec<f32>,
    gate_up: Vec<f32>,
    act: Vec<f32>,
    added: Vec<f32>,
}

/// `out (n, rows of w) = x (n, columns) · wᵀ`.
fn project(out: &mut Vec<f32>, x: &[f32], weight: &[f32], n: usize) {
    let columns = x.len() / n;
    let rows = weight.len() / columns;
    out.resize(n * rows, 0.0);
    if n == 1 {
        cpu::gemv(out, weight, x);
    } else {
        cpu::gemm(out, x, weight, Gemm { m: n, n: rows, k: columns, transpose_a: false, transpose_b: true, accumulate: false });
    }
}

impl<'a> Decoder<'a> {
    /// Starts with an empty cache that has room for `capacity` tokens. `rope` is the table over the whole context.
    pub fn new(weights: &'a Weights, rope: &'a [f32], capacity: usize) -> Self {
        let width = weights.config.num_key_value_heads * weights.config.head_dim;
        let layer = || [vec![0f32; capacity * width], vec![0f32; capacity * width]];
        let cache = (0..weights.config.num_hidden_layers).map(|_| layer()).collect();
        Self { weights, rope, n_seen: 0, cache, space: Space::default() }
    }

    /// Takes more tokens and returns their normalised hidden states, (n, C).
    ///
    /// The caller has checked that the tokens are known and that the cache has room.
    pub fn extend(&mut self, tokens: &[u32]) -> &[f32] {
        let config = &self.weights.config;
        let (n, c, head) = (tokens.len(), config.hidden_size, config.head_dim);
        let eps = config.rms_norm_eps as f32;
        let s = &mut self.space;
        let ids: Vec<i32> = tokens.iter().map(|t| *t as i32).collect();
        s.x.resize(n * c, 0.0);
        s.norm.resize(n * c, 0.0);
        s.rstd.resize(n, 0.0);
        s.mixed.resize(n * config.num_attention_heads * head, 0.0);
        s.act.resize(n * config.intermediate_size, 0.0);
        cpu::embedding_forward(&mut s.x, &self.weights.data[..config.vocab_size * c], &ids, c);
        for (i, cache) in self.cache.iter_mut().enumerate() {
            let layer = self.weights.layer(i);
            cpu::rms_norm_forward(&mut s.norm, &mut s.rstd, &s.x, layer.input_norm, eps);
            project(&mut s.qkv, &s.norm, layer.qkv, n);
            attend(s, cache, self.rope, config, self.n_seen, n);
            project(&mut s.added, &s.mixed, layer.o, n);
            cpu::add(&mut s.x, &s.added);
            cpu::rms_norm_forward(&mut s.norm, &mut s.rstd, &s.x, layer.post_norm, eps);
            project(&mut s.gate_up, &s.norm, layer.gate_up, n);
            cpu::swiglu_forward(&mut s.act, &s.gate_up, config.intermediate_size);
            project(&mut s.added, &s.act, layer.down, n);
            cpu::add(&mut s.x, &s.added);
        }
        let last = &self.weights.data[self.weights.data.len() - c..];
        cpu::rms_norm_forward(&mut s.norm, &mut s.rstd, &s.x, last, eps);
        self.n_seen += n;
        &s.norm
    }

    /// Takes more tokens and returns the logits after the last one.
    pub fn next_logits(&mut self, tokens: &[u32], logits: &mut Vec<f32>) {
        let weights = self.weights;
        let c = weights.config.hidden_size;
        let hidden = self.extend(tokens);
        project(logits, &hidden[hidden.len() - c..], weights.head(), 1);
    }

    /// Counts the tokens taken.
    pub fn n_seen(&self) -> usize {
        self.n_seen
    }
}

/// Rotates, caches and attends one layer's packed rows in `s.qkv` into `s.mixed`.
fn attend(s: &mut Space, [keys, values]: &mut [Vec<f32>; 2], rope: &[f32], config: &polder_model::ModelConfig, n_seen: usize, n: usize) {
    let (heads, kv_heads, head, row) = (config.num_attention_heads, config.num_key_value_heads, config.head_dim, config.qkv_row());
    let (q, width) = (heads * head, kv_heads * head);
    let rotation = Rope { time: config.max_position_embeddings, n_rotated: heads + kv_heads, head, row, inverse: false };
    for (t, packed) in s.qkv.chunks_exact_mut(row).enumerate() {
        cpu::rope_row(packed, rope, n_seen + t, &rotation);
        keys[(n_seen + t) * width..][..width].copy_from_slice(&packed[q..q + width]);
        values[(n_seen + t) * width..][..width].copy_from_slice(&packed[q + width..]);
    }
    if n_seen == 0 && n > 1 {
        s.lse.resize(heads * n, 0.0);
        let shape = Attention { batch: 1, time: n, n_heads: heads, n_kv_heads: kv_heads, head };
        return cpu::attention_forward(&mut s.mixed, &mut s.lse, &s.qkv, shape);
    }
    let scale = 1.0 / (head as f32).sqrt();
    for t in 0..n {
        s.scores.resize(n_seen + t + 1, 0.0);
        for h in 0..heads {
            let place = h / (heads / kv_heads) * head;
            let query = &s.qkv[t * row + h * head..][..head];
            cpu::attend_row(&mut s.mixed[t * q + h * head..][..head], &mut s.scores, query, &keys[place..], &values[place..], width, scale);
        }
    }
}
