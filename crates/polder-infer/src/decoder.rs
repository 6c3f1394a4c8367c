//! A decoder's forward pass over a cache of keys and values: any number of tokens at once, or one at a time.
//!
//! The families differ in the same parts as in training ([`Parts`]); norms stand before the blocks in all that decode.

use polder_compute::{Attention, Gemm, Rope, cpu};
use polder_model::{Linear, ModelConfig, Normalisation, Parts, Positions, Weights};

/// Keys and values of the tokens seen so far, and space to work in.
pub(crate) struct Decoder<'a> {
    weights: &'a Weights,
    parts: Parts,
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
    stats: Vec<f32>,
    qkv: Vec<f32>,
    raw: Vec<f32>,
    head_stats: Vec<f32>,
    mixed: Vec<f32>,
    lse: Vec<f32>,
    scores: Vec<f32>,
    up: Vec<f32>,
    act: Vec<f32>,
    added: Vec<f32>,
}

/// `out (n, rows of w) = x (n, columns) · wᵀ + bias`.
fn project(out: &mut Vec<f32>, x: &[f32], l: Linear<'_>, n: usize) {
    let columns = x.len() / n;
    let rows = l.weight.len() / columns;
    out.resize(n * rows, 0.0);
    if n == 1 {
        cpu::gemv(out, l.weight, x);
        if let Some(bias) = l.bias {
            cpu::add(out, bias);
        }
    } else {
        let shape = Gemm { m: n, n: rows, k: columns, transpose_a: false, transpose_b: true, accumulate: false };
        cpu::gemm(out, x, l.weight, l.bias, shape);
    }
}

impl Space {
    /// `self.norm = x normalised`.
    fn normalise(&mut self, at: Normalisation<'_>, parts: &Parts) {
        cpu::norm_forward(&mut self.norm, &mut self.stats, &self.x, at.weight, at.bias, parts.norm);
    }
}

impl<'a> Decoder<'a> {
    /// Starts with an empty cache that has room for `capacity` tokens. `rope` is the table over the whole context.
    pub fn new(weights: &'a Weights, rope: &'a [f32], capacity: usize) -> Self {
        let width = weights.config.num_key_value_heads * weights.config.head_dim;
        let layer = || [vec![0f32; capacity * width], vec![0f32; capacity * width]];
        let cache = (0..weights.config.num_hidden_layers).map(|_| layer()).collect();
        Self { weights, parts: weights.config.parts(), rope, n_seen: 0, cache, space: Space::default() }
    }

    /// Takes more tokens and returns their normalised hidden states, (n, C).
    ///
    /// The caller has checked that the tokens are known and that the cache has room.
    pub fn extend(&mut self, tokens: &[u32]) -> &[f32] {
        let (config, parts) = (&self.weights.config, &self.parts);
        let (n, c) = (tokens.len(), config.hidden_size);
        let s = &mut self.space;
        s.x.resize(n * c, 0.0);
        s.norm.resize(n * c, 0.0);
        s.stats.resize(n * parts.norm.kind.n_stats(), 0.0);
        s.mixed.resize(n * config.num_attention_heads * config.head_dim, 0.0);
        s.act.resize(n * config.intermediate_size, 0.0);
        let ids: Vec<i32> = tokens.iter().map(|t| *t as i32).collect();
        let (words, positions) = self.weights.embeddings();
        cpu::embedding_forward(&mut s.x, words, &ids, c, false);
        if let Some(positions) = positions {
            let places: Vec<i32> = (self.n_seen as i32..).take(n).collect();
            cpu::embedding_forward(&mut s.x, positions, &places, c, true);
        }
        for (i, cache) in self.cache.iter_mut().enumerate() {
            let layer = self.weights.layer(i);
            if let Some(norm) = layer.attention_norm {
                s.normalise(norm, parts);
            }
            project(&mut s.qkv, &s.norm, layer.qkv, n);
            normalise_heads(s, layer.q_norm, layer.k_norm, config, parts);
            attend(s, cache, self.rope, config, parts, (self.n_seen, n));
            project(&mut s.added, &s.mixed, layer.o, n);
            cpu::add(&mut s.x, &s.added);
            s.normalise(layer.ffn_norm, parts);
            project(&mut s.up, &s.norm, layer.up, n);
            cpu::activation_forward(&mut s.act, &s.up, config.intermediate_size, parts.activation);
            project(&mut s.added, &s.act, layer.down, n);
            cpu::add(&mut s.x, &s.added);
        }
        if let Some(norm) = self.weights.final_norm() {
            s.normalise(norm, parts);
        }
        self.n_seen += n;
        &s.norm
    }

    /// Takes more tokens and returns the logits after the last one.
    pub fn next_logits(&mut self, tokens: &[u32], logits: &mut Vec<f32>) {
        let weights = self.weights;
        let c = weights.config.hidden_size;
        let hidden = self.extend(tokens);
        project(logits, &hidden[hidden.len() - c..], Linear { weight: weights.head(), bias: None }, 1);
    }
}

/// Normalises query and key heads of the packed rows in `s.qkv`, where the model does so.
fn normalise_heads(s: &mut Space, q_norm: Option<&[f32]>, k_norm: Option<&[f32]>, config: &ModelConfig, parts: &Parts) {
    let (heads, kv_heads, row) = (config.num_attention_heads, config.num_key_value_heads, config.qkv_row());
    let n = s.qkv.len() / row;
    for (norm, first, n_heads) in [(q_norm, 0, heads), (k_norm, heads, kv_heads)] {
        if let Some(weight) = norm {
            s.raw.clone_from(&s.qkv);
            s.head_stats.resize(n * n_heads, 0.0);
            cpu::head_norm_forward(&mut s.qkv, &mut s.head_stats, &s.raw, weight, row, first, n_heads, parts.norm.eps);
        }
    }
}

/// Rotates, caches and attends one layer's packed rows in `s.qkv` into `s.mixed`.
fn attend(
    s: &mut Space,
    [keys, values]: &mut [Vec<f32>; 2],
    rope: &[f32],
    config: &ModelConfig,
    parts: &Parts,
    (n_seen, n): (usize, usize),
) {
    let (heads, kv_heads, head, row) = (config.num_attention_heads, config.num_key_value_heads, config.head_dim, config.qkv_row());
    let (q, width) = (heads * head, kv_heads * head);
    let rotation = Rope { n_rotated: heads + kv_heads, head, row, inverse: false };
    for (t, packed) in s.qkv.chunks_exact_mut(row).enumerate() {
        if parts.positions == Positions::Rotated {
            cpu::rope_row(packed, rope, n_seen + t, &rotation);
        }
        keys[(n_seen + t) * width..][..width].copy_from_slice(&packed[q..q + width]);
        values[(n_seen + t) * width..][..width].copy_from_slice(&packed[q + width..]);
    }
    if n_seen == 0 && n > 1 {
        s.lse.resize(heads * n, 0.0);
        let shape = Attention { batch: 1, time: n, n_heads: heads, n_kv_heads: kv_heads, head, causal: true, window: None };
        return cpu::attention_forward(&mut s.mixed, &mut s.lse, &s.qkv, None, shape);
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
