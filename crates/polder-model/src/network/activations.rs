//! Every buffer of rows, planned once: the same plan makes the buffers and counts their bytes.

use std::collections::BTreeMap;

use polder_compute::{Buffer, Dtype, View};

use super::step::{Inputs, batches_at_once};
use super::{NetworkOptions, Recompute};
use crate::config::{Head, ModelConfig, NormPlace};
use crate::{ParamTable, Parts};

/// Numbers before the losses, for the norm of the gradients comes out with them.
pub(super) const NORM_ROOM: usize = aligned(1);

/// Numbers, or ids, with which the next begin where a buffer would.
pub(super) const fn aligned(len: usize) -> usize {
    len.next_multiple_of(64)
}

/// What a layer keeps for the backward pass.
pub(super) struct LayerViews {
    /// The layer's input: the residual stream, or normalised rows where norms stand behind.
    pub x: View,
    /// What attention reads: x normalised, x itself, or x rounded.
    pub attention_in: View,
    pub attention_stats: Option<View>,
    /// Queries, keys and values before heads are normalised, where they are.
    pub raw: Option<View>,
    pub q_rstd: Option<View>,
    pub k_rstd: Option<View>,
    pub qkv: View,
    pub mixed: View,
    pub lse: View,
    /// The residual stream behind attention.
    pub middle: View,
    pub ffn_in: View,
    pub ffn_stats: View,
    pub up: View,
    pub act: View,
    /// The residual stream behind the feed-forward layer, where a norm stands behind it.
    pub end: Option<View>,
}

/// What the head keeps.
pub(super) struct HeadViews {
    /// The rows that are judged, where these are not all.
    pub chosen: Option<View>,
    pub dense: Option<View>,
    pub act: Option<View>,
    pub norm: Option<View>,
    pub norm_stats: Option<View>,
    pub logits: Option<View>,
    /// Logits' gradients as rows are stored, where these are not f32.
    pub dlogits: Option<View>,
    /// Gradients of `chosen`, and of what stands between; like rows.
    pub drows: [View; 2],
}

/// All buffers of rows.
pub(super) struct Activations {
    /// Sums of embeddings, where they are normalised.
    pub embedded: Option<(View, View)>,
    pub layers: Vec<LayerViews>,
    /// What leaves the last layer.
    pub x: View,
    pub final_stats: Option<View>,
    /// The last hidden states, normalised where the family does so.
    pub hidden: View,
    pub head: HeadViews,
    /// What comes out of a step: the square of the gradients' norm, then each batch's losses.
    pub results: View,
    /// The losses of the batch under way.
    pub losses: View,
    pub pooled: View,
    /// Gradients of the residual stream.
    pub dx: View,
    pub ds: View,
    /// Gradients of rows; one set serves all layers.
    pub drow: View,
    pub dqkv: View,
    pub dmixed: View,
    pub dup: View,
    pub dact: View,
    pub rounded: View,
}

impl Activations {
    pub fn new(config: &ModelConfig, options: &NetworkOptions, alloc: &mut dyn FnMut(usize, Dtype) -> View) -> Self {
        let parts = config.parts();
        let n = options.batch * options.time;
        let (c, f, rows) = (config.hidden_size, config.intermediate_size, options.dtype);
        let (q, width) = (config.num_attention_heads * config.head_dim, parts.activation.n_inputs() * f);
        let qkv = config.qkv_row();
        let behind = parts.norm_place == NormPlace::Behind;
        let stats = n * parts.norm.kind.n_stats();
        let embedded = parts.embedding_norm.then(|| (alloc(n * c, Dtype::F32), alloc(stats, Dtype::F32)));
        let mut shared = Shared { options, views: BTreeMap::new(), alloc: &mut *alloc };
        let layers: Vec<LayerViews> = (0..config.num_hidden_layers).map(|i| layer(config, &parts, options, i, &mut shared)).collect();
        let x = alloc(n * c, if behind { rows } else { Dtype::F32 });
        let hidden = if parts.final_norm { alloc(n * c, rows) } else { x };
        // Without gradients, one buffer of nothing stands for all of them.
        let none = alloc(0, rows);
        let keep = !options.frozen;
        let mut grad = |len: usize, dtype: Dtype| if keep { alloc(len, dtype) } else { none };
        let (dx, ds) = (grad(n * c, Dtype::F32), grad(n * c, Dtype::F32));
        let (drow, dqkv, dmixed) = (grad(n * c, rows), grad(n * qkv, rows), grad(n * q, rows));
        let (dup, dact) = (grad(n * width, rows), grad(n * f, rows));
        let results = alloc(NORM_ROOM + batches_at_once(options) * aligned(n), Dtype::F32);
        Self {
            embedded,
            layers,
            x,
            final_stats: parts.final_norm.then(|| alloc(stats, Dtype::F32)),
            hidden,
            head: head(config, &parts, options, alloc),
            results,
            losses: losses_of(results, 0, n),
            pooled: alloc(n * c, rows),
            dx,
            ds,
            drow,
            dqkv,
            dmixed,
            dup,
            dact,
            rounded: if rows == Dtype::F32 { none } else { alloc(n * c, rows) },
        }
    }

    /// The losses of one of several batches that go in at once.
    pub fn losses_of(&self, slot: usize, n: usize) -> View {
        losses_of(self.results, slot, n)
    }
}

/// Where the losses of one of several batches of `n` rows stand.
fn losses_of(results: View, slot: usize, n: usize) -> View {
    results.part(NORM_ROOM + slot * aligned(n), n)
}

/// Makes the buffers of layers; what is not kept for the backward pass exists once and serves all of them.
struct Shared<'a> {
    options: &'a NetworkOptions,
    views: BTreeMap<&'static str, View>,
    alloc: &'a mut dyn FnMut(usize, Dtype) -> View,
}

impl Shared<'_> {
    /// A buffer that is made again from the level on at which it need not be kept.
    fn view(&mut self, name: &'static str, level: Recompute, len: usize, dtype: Dtype) -> View {
        if self.options.frozen || self.options.recompute >= level {
            let alloc = &mut *self.alloc;
            return *self.views.entry(name).or_insert_with(|| alloc(len, dtype));
        }
        (self.alloc)(len, dtype)
    }

    /// A layer's input: kept unless nothing is learnt.
    fn input(&mut self, len: usize, dtype: Dtype) -> View {
        if self.options.frozen { self.view("x", Recompute::Layers, len, dtype) } else { (self.alloc)(len, dtype) }
    }
}

fn layer(config: &ModelConfig, parts: &Parts, options: &NetworkOptions, i: usize, shared: &mut Shared<'_>) -> LayerViews {
    use Recompute::{Layers, Pointwise};
    let n = options.batch * options.time;
    let (c, f, rows) = (config.hidden_size, config.intermediate_size, options.dtype);
    let (heads, kv_heads) = (config.num_attention_heads, config.num_key_value_heads);
    let qkv = config.qkv_row();
    let behind = parts.norm_place == NormPlace::Behind;
    let stats = n * parts.norm.kind.n_stats();
    let x = shared.input(n * c, if behind { rows } else { Dtype::F32 });
    let is_normed = !behind && (i > 0 || parts.first_norm);
    LayerViews {
        x,
        attention_in: if is_normed || x.dtype != rows { shared.view("attention_in", Pointwise, n * c, rows) } else { x },
        attention_stats: (is_normed || behind).then(|| shared.view("attention_stats", Layers, stats, Dtype::F32)),
        raw: parts.qk_norm.then(|| shared.view("raw", Layers, n * qkv, rows)),
        q_rstd: parts.qk_norm.then(|| shared.view("q_rstd", Layers, n * heads, Dtype::F32)),
        k_rstd: parts.qk_norm.then(|| shared.view("k_rstd", Layers, n * kv_heads, Dtype::F32)),
        qkv: shared.view("qkv", Layers, n * qkv, rows),
        mixed: shared.view("mixed", Layers, n * heads * config.head_dim, rows),
        lse: shared.view("lse", Layers, n * heads, Dtype::F32),
        middle: shared.view("middle", Layers, n * c, Dtype::F32),
        ffn_in: shared.view("ffn_in", Pointwise, n * c, rows),
        ffn_stats: shared.view("ffn_stats", Layers, stats, Dtype::F32),
        up: shared.view("up", Layers, n * parts.activation.n_inputs() * f, rows),
        act: shared.view("act", Pointwise, n * f, rows),
        end: behind.then(|| shared.view("end", Layers, n * c, Dtype::F32)),
    }
}

fn head(config: &ModelConfig, parts: &Parts, options: &NetworkOptions, alloc: &mut dyn FnMut(usize, Dtype) -> View) -> HeadViews {
    let (n, c, rows) = (options.batch * options.time, config.hidden_size, options.dtype);
    let places = ParamTable::new(config).places().head;
    let is_chosen = matches!(config.head, Head::MaskedLm | Head::Classifier { .. });
    // The vocabulary's matrix product runs over blocks of rows.
    let block = |v: usize| (options.logits.numbers / v).clamp(1, n) * v;
    let as_rows = options.logits.as_rows;
    let is_half = rows != Dtype::F32 && !options.frozen && !as_rows;
    let head = places.output.map(|o| block(o.n_out));
    let grads = if options.frozen || !is_chosen { 0 } else { n * c };
    HeadViews {
        chosen: is_chosen.then(|| alloc(n * c, rows)),
        dense: places.dense.map(|_| alloc(n * c, rows)),
        act: places.dense.map(|_| alloc(n * c, rows)),
        norm: places.norm.map(|_| alloc(n * c, rows)),
        norm_stats: places.norm.map(|_| alloc(n * parts.norm.kind.n_stats(), Dtype::F32)),
        logits: head.map(|len| alloc(len, if as_rows { rows } else { Dtype::F32 })),
        dlogits: head.filter(|_| is_half).map(|len| alloc(len, rows)),
        drows: [alloc(grads, rows), alloc(grads, rows)],
    }
}

/// Counts the bytes that a network takes on its backend: parameters, rows, what goes in, tables of rotations, and when it learns, gradients and both
/// moments. What Muon computes in is not counted, nor what a backend takes for itself.
pub fn memory_bytes(config: &ModelConfig, options: &NetworkOptions) -> u64 {
    let mut bytes = 0u64;
    let mut count = |len: usize, dtype: Dtype| {
        bytes += (len * dtype.bytes()) as u64;
        View { buffer: Buffer(0), dtype, offset: 0, len }
    };
    Activations::new(config, options, &mut count);
    let table = ParamTable::new(config);
    let masters = match (options.frozen, options.dtype) {
        (true, Dtype::F32) => table.len(),
        // Vectors alone.
        (true, Dtype::Bf16) => table.len() - table.n_decayed(),
        (false, _) => 4 * table.len(),
    };
    let working = if options.dtype == Dtype::F32 { 0 } else { table.n_decayed() * options.dtype.bytes() };
    let (n_ids, n_scalars) = Inputs::lens(config, &table, options);
    let rotations = config.rotations().len() * config.max_position_embeddings * config.head_dim;
    bytes + (4 * (masters + n_ids + n_scalars + rotations) + working) as u64
}
