//! Forward and backward of the Llama-style decoder, written once, by hand, over any backend.

use polder_compute::{Attention, Backend, Cpu, Gemm, IdView, Rope, View};

use crate::{ModelConfig, ModelError, ParamTable, Weights};

/// Sum of losses over tokens, in nats, and how many tokens it is over.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Loss {
    /// Σ −ln p(target).
    pub sum: f64,
    /// Targets that were not ignored.
    pub count: u64,
}

impl Loss {
    /// Returns the mean loss; 0 over nothing.
    pub fn mean(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum / self.count as f64 }
    }
}

/// Adds losses of several batches.
impl std::ops::AddAssign for Loss {
    fn add_assign(&mut self, other: Self) {
        self.sum += other.sum;
        self.count += other.count;
    }
}

/// What a layer keeps for the backward pass.
struct LayerViews {
    x: View,
    norm: View,
    rstd: View,
    qkv: View,
    attention: View,
    lse: View,
    middle: View,
    post_norm: View,
    post_rstd: View,
    gate_up: View,
    act: View,
}

/// Parameters, gradients, moments and activations of one model on one backend, for batches of a fixed size.
pub struct Network<B: Backend> {
    backend: B,
    config: ModelConfig,
    table: ParamTable,
    batch: usize,
    time: usize,
    params: View,
    grads: View,
    moments: Option<(View, View)>,
    norm_squared: View,
    rope: View,
    tokens: IdView,
    targets: IdView,
    losses: View,
    layers: Vec<LayerViews>,
    x: View,
    norm: View,
    rstd: View,
    logits: View,
    // Gradients of activations; one set serves all layers.
    dx: View,
    dnorm: View,
    dqkv: View,
    dattention: View,
    dgate_up: View,
    dact: View,
}

/// Logits in memory at once; the vocabulary's matrix product runs over blocks of rows of this size.
const LOGITS: usize = 1 << 20;

impl<B: Backend> Network<B> {
    /// Puts a model on a backend, with room for `batch` sequences of `time` tokens.
    ///
    /// # Errors
    /// A batch of nothing, or a sequence longer than the model's context.
    pub fn new(mut backend: B, weights: &Weights, batch: usize, time: usize) -> Result<Self, ModelError> {
        let config = weights.config.clone();
        config.check()?;
        if batch == 0 || time == 0 || time > config.max_position_embeddings {
            let reason = format!("{batch} sequences of {time} tokens for a context of {}", config.max_position_embeddings);
            return Err(ModelError::Input { reason });
        }
        let (n, c, f, v) = (batch * time, config.hidden_size, config.intermediate_size, config.vocab_size);
        let (heads, qkv) = (config.num_attention_heads, config.qkv_row());
        let q = heads * config.head_dim;
        let b = &mut backend;
        let layers = (0..config.num_hidden_layers).map(|_| LayerViews {
            x: b.alloc(n * c),
            norm: b.alloc(n * c),
            rstd: b.alloc(n),
            qkv: b.alloc(n * qkv),
            attention: b.alloc(n * q),
            lse: b.alloc(n * heads),
            middle: b.alloc(n * c),
            post_norm: b.alloc(n * c),
            post_rstd: b.alloc(n),
            gate_up: b.alloc(n * 2 * f),
            act: b.alloc(n * f),
        });
        let layers = layers.collect();
        let rows = (LOGITS / v).clamp(1, n);
        let mut network = Self {
            params: b.alloc(weights.data.len()),
            grads: b.alloc(weights.data.len()),
            moments: None,
            norm_squared: b.alloc(1),
            rope: b.alloc(time * config.head_dim),
            tokens: b.alloc_ids(n),
            targets: b.alloc_ids(n),
            losses: b.alloc(n),
            layers,
            x: b.alloc(n * c),
            norm: b.alloc(n * c),
            rstd: b.alloc(n),
            logits: b.alloc(rows * v),
            dx: b.alloc(n * c),
            dnorm: b.alloc(n * c),
            dqkv: b.alloc(n * qkv),
            dattention: b.alloc(n * q),
            dgate_up: b.alloc(n * 2 * f),
            dact: b.alloc(n * f),
            table: weights.table.clone(),
            config,
            batch,
            time,
            backend,
        };
        network.backend.upload(network.params, &weights.data);
        let table = Rope::table(time, network.config.head_dim, network.config.rope_theta);
        network.backend.upload(network.rope, &table);
        Ok(network)
    }

    /// The configuration.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Where each tensor stands in parameters and gradients.
    pub fn table(&self) -> &ParamTable {
        &self.table
    }

    /// The backend, to look at its views.
    pub fn backend_mut(&mut self) -> &mut B {
        &mut self.backend
    }

    /// The view of all parameters.
    pub fn params_view(&self) -> View {
        self.params
    }

    /// The view of all gradients.
    pub fn grads_view(&self) -> View {
        self.grads
    }

    /// Checks a batch, whole sequences of this network's length, and copies it in.
    fn take(&mut self, tokens: &[u32], targets: Option<&[i32]>) -> Result<usize, ModelError> {
        let wrong = |reason: String| Err(ModelError::Input { reason });
        let n = tokens.len();
        if n == 0 || !n.is_multiple_of(self.time) || n > self.batch * self.time {
            return wrong(format!("{n} tokens are not 1 to {} sequences of {}", self.batch, self.time));
        }
        if let Some(t) = tokens.iter().find(|t| **t as usize >= self.config.vocab_size) {
            return wrong(format!("token {t} is outside the vocabulary of {}", self.config.vocab_size));
        }
        let tokens: Vec<i32> = tokens.iter().map(|t| *t as i32).collect();
        self.backend.upload_ids(self.tokens.part(0, n), &tokens);
        if let Some(targets) = targets {
            if targets.len() != n {
                return wrong(format!("{} targets for {n} tokens", targets.len()));
            }
            if let Some(t) = targets.iter().find(|t| **t >= self.config.vocab_size as i32) {
                return wrong(format!("target {t} is outside the vocabulary of {}", self.config.vocab_size));
            }
            self.backend.upload_ids(self.targets.part(0, n), targets);
        }
        Ok(n)
    }

    fn attention_shape(&self, n: usize) -> Attention {
        Attention {
            batch: n / self.time,
            time: self.time,
            n_heads: self.config.num_attention_heads,
            n_kv_heads: self.config.num_key_value_heads,
            head: self.config.head_dim,
        }
    }

    fn rope_shape(&self, inverse: bool) -> Rope {
        let c = &self.config;
        let n_rotated = c.num_attention_heads + c.num_key_value_heads;
        Rope { time: self.time, n_rotated, head: c.head_dim, row: c.qkv_row(), inverse }
    }

    fn head_place(&self) -> usize {
        self.table.get("lm_head.weight").map_or(0, |p| p.offset)
    }

    /// Runs the layers; the normalised hidden states end in `self.norm`.
    fn forward(&mut self, n: usize) {
        let (c, f, qkv) = (self.config.hidden_size, self.config.intermediate_size, self.config.qkv_row());
        let q = self.config.num_attention_heads * self.config.head_dim;
        let eps = self.config.rms_norm_eps as f32;
        let (attention, rope) = (self.attention_shape(n), self.rope_shape(false));
        let (b, params) = (&mut self.backend, self.params);
        let embedding = params.part(0, self.config.vocab_size * c);
        let first = self.layers[0].x.part(0, n * c);
        b.embedding_forward(first, embedding, self.tokens.part(0, n), c);
        for (i, l) in self.layers.iter().enumerate() {
            let at = self.table.layer(&self.config, i);
            let x = l.x.part(0, n * c);
            let (norm, rstd, packed) = (l.norm.part(0, n * c), l.rstd.part(0, n), l.qkv.part(0, n * qkv));
            b.rms_norm_forward(norm, rstd, x, params.part(at.input_norm, c), eps);
            b.gemm(packed, norm, params.part(at.qkv, c * qkv), linear(n, qkv, c));
            b.rope(packed, self.rope, rope);
            let mixed = l.attention.part(0, n * q);
            b.attention_forward(mixed, l.lse.part(0, n * self.config.num_attention_heads), packed, attention);
            let middle = l.middle.part(0, n * c);
            b.copy(middle, x);
            b.gemm(middle, mixed, params.part(at.o, c * q), Gemm { accumulate: true, ..linear(n, c, q) });
            let (norm, rstd, gate_up) = (l.post_norm.part(0, n * c), l.post_rstd.part(0, n), l.gate_up.part(0, n * 2 * f));
            b.rms_norm_forward(norm, rstd, middle, params.part(at.post_norm, c), eps);
            b.gemm(gate_up, norm, params.part(at.gate_up, 2 * c * f), linear(n, 2 * f, c));
            let act = l.act.part(0, n * f);
            b.swiglu_forward(act, gate_up, f);
            let out = self.layers.get(i + 1).map_or(self.x, |next| next.x).part(0, n * c);
            b.copy(out, middle);
            b.gemm(out, act, params.part(at.down, c * f), Gemm { accumulate: true, ..linear(n, c, f) });
        }
        let weight = params.part(self.table.len() - c, c);
        b.rms_norm_forward(self.norm.part(0, n * c), self.rstd.part(0, n), self.x.part(0, n * c), weight, eps);
    }

    /// Runs the output layer and the loss over blocks of rows; with `scale`, its backward too, into `self.dnorm`.
    fn losses(&mut self, n: usize, scale: Option<f32>) {
        let (c, v) = (self.config.hidden_size, self.config.vocab_size);
        let place = self.head_place();
        let (weight, dweight) = (self.params.part(place, v * c), self.grads.part(place, v * c));
        let block = self.logits.len / v;
        let b = &mut self.backend;
        for first in (0..n).step_by(block) {
            let rows = block.min(n - first);
            let (logits, norm) = (self.logits.part(0, rows * v), self.norm.part(first * c, rows * c));
            b.gemm(logits, norm, weight, linear(rows, v, c));
            b.cross_entropy(self.losses.part(first, rows), logits, self.targets.part(first, rows), v, scale);
            if scale.is_some() {
                b.gemm(self.dnorm.part(first * c, rows * c), logits, weight, dinput(rows, v, c));
                b.gemm(dweight, logits, norm, dweights(rows, v, c));
            }
        }
    }

    /// Runs the layers backwards from the gradient of the hidden states in `self.dnorm`.
    fn backward(&mut self, n: usize) {
        let (c, f, qkv) = (self.config.hidden_size, self.config.intermediate_size, self.config.qkv_row());
        let q = self.config.num_attention_heads * self.config.head_dim;
        let (attention, rope) = (self.attention_shape(n), self.rope_shape(true));
        let (b, params, grads) = (&mut self.backend, self.params, self.grads);
        let (dx, dnorm) = (self.dx.part(0, n * c), self.dnorm.part(0, n * c));
        let (dqkv, dattention) = (self.dqkv.part(0, n * qkv), self.dattention.part(0, n * q));
        let (dgate_up, dact) = (self.dgate_up.part(0, n * 2 * f), self.dact.part(0, n * f));
        let last = self.table.len() - c;
        b.fill(dx, 0.0);
        b.rms_norm_backward(dx, grads.part(last, c), dnorm, self.x.part(0, n * c), params.part(last, c), self.rstd.part(0, n));
        for (i, l) in self.layers.iter().enumerate().rev() {
            let at = self.table.layer(&self.config, i);
            b.gemm(dact, dx, params.part(at.down, c * f), dinput(n, c, f));
            b.gemm(grads.part(at.down, c * f), dx, l.act.part(0, n * f), dweights(n, c, f));
            b.swiglu_backward(dgate_up, dact, l.gate_up.part(0, n * 2 * f), f);
            b.gemm(dnorm, dgate_up, params.part(at.gate_up, 2 * c * f), dinput(n, 2 * f, c));
            b.gemm(grads.part(at.gate_up, 2 * c * f), dgate_up, l.post_norm.part(0, n * c), dweights(n, 2 * f, c));
            let (dweight, weight) = (grads.part(at.post_norm, c), params.part(at.post_norm, c));
            b.rms_norm_backward(dx, dweight, dnorm, l.middle.part(0, n * c), weight, l.post_rstd.part(0, n));

            let (mixed, packed) = (l.attention.part(0, n * q), l.qkv.part(0, n * qkv));
            b.gemm(dattention, dx, params.part(at.o, c * q), dinput(n, c, q));
            b.gemm(grads.part(at.o, c * q), dx, mixed, dweights(n, c, q));
            b.attention_backward(dqkv, dattention, mixed, l.lse.part(0, n * self.config.num_attention_heads), packed, attention);
            b.rope(dqkv, self.rope, rope);
            b.gemm(dnorm, dqkv, params.part(at.qkv, c * qkv), dinput(n, qkv, c));
            b.gemm(grads.part(at.qkv, c * qkv), dqkv, l.norm.part(0, n * c), dweights(n, qkv, c));
            let (dweight, weight) = (grads.part(at.input_norm, c), params.part(at.input_norm, c));
            b.rms_norm_backward(dx, dweight, dnorm, l.x.part(0, n * c), weight, l.rstd.part(0, n));
        }
        b.embedding_backward(grads.part(0, self.config.vocab_size * c), dx, self.tokens.part(0, n), c);
    }

    fn read_loss(&mut self, n: usize, targets: &[i32]) -> Loss {
        let mut losses = vec![0f32; n];
        self.backend.download(self.losses.part(0, n), &mut losses);
        Loss { sum: losses.iter().map(|l| f64::from(*l)).sum(), count: targets.iter().filter(|t| **t >= 0).count() as u64 }
    }

    /// Computes the loss of a batch: whole sequences of this network's length, at most as many as it has room for.
    /// A target of −1 is ignored.
    ///
    /// # Errors
    /// Sizes or ids that do not fit.
    pub fn loss(&mut self, tokens: &[u32], targets: &[i32]) -> Result<Loss, ModelError> {
        let n = self.take(tokens, Some(targets))?;
        self.forward(n);
        self.losses(n, None);
        Ok(self.read_loss(n, targets))
    }

    /// Computes −ln p(target) of each token of a batch; 0 where the target is ignored.
    ///
    /// # Errors
    /// Sizes or ids that do not fit.
    pub fn token_losses(&mut self, tokens: &[u32], targets: &[i32]) -> Result<Vec<f32>, ModelError> {
        let n = self.take(tokens, Some(targets))?;
        self.forward(n);
        self.losses(n, None);
        let mut losses = vec![0f32; n];
        self.backend.download(self.losses.part(0, n), &mut losses);
        Ok(losses)
    }

    /// Computes the loss of a batch and adds the gradients of `scale ·` its sum.
    ///
    /// # Errors
    /// Sizes or ids that do not fit.
    pub fn loss_and_grads(&mut self, tokens: &[u32], targets: &[i32], scale: f32) -> Result<Loss, ModelError> {
        let n = self.take(tokens, Some(targets))?;
        self.forward(n);
        self.losses(n, Some(scale));
        self.backward(n);
        Ok(self.read_loss(n, targets))
    }

    /// Computes the logits (N, V) of a batch.
    ///
    /// # Errors
    /// Sizes or ids that do not fit.
    pub fn logits(&mut self, tokens: &[u32]) -> Result<Vec<f32>, ModelError> {
        let n = self.take(tokens, None)?;
        self.forward(n);
        let (c, v) = (self.config.hidden_size, self.config.vocab_size);
        let weight = self.params.part(self.head_place(), v * c);
        let block = self.logits.len / v;
        let mut out = vec![0f32; n * v];
        for (i, out) in out.chunks_mut(block * v).enumerate() {
            let rows = out.len() / v;
            let logits = self.logits.part(0, rows * v);
            self.backend.gemm(logits, self.norm.part(i * block * c, rows * c), weight, linear(rows, v, c));
            self.backend.download(logits, out);
        }
        Ok(out)
    }

    /// Copies the parameters out as weights.
    pub fn weights(&mut self) -> Weights {
        let mut data = vec![0f32; self.params.len];
        self.backend.download(self.params, &mut data);
        Weights { config: self.config.clone(), table: self.table.clone(), data }
    }
}

impl Network<Cpu> {
    /// All parameters, in place.
    pub fn params_mut(&mut self) -> &mut [f32] {
        self.backend.slice_mut(self.params)
    }

    /// All parameters.
    pub fn params(&self) -> &[f32] {
        self.backend.slice(self.params)
    }

    /// All gradients.
    pub fn grads(&self) -> &[f32] {
        self.backend.slice(self.grads)
    }
}

/// y (n, out) = x (n, in) · wᵀ, w (out, in).
fn linear(n: usize, out: usize, input: usize) -> Gemm {
    Gemm { m: n, n: out, k: input, transpose_a: false, transpose_b: true, accumulate: false }
}

/// dx (n, in) = dy (n, out) · w.
fn dinput(n: usize, out: usize, input: usize) -> Gemm {
    Gemm { m: n, n: input, k: out, transpose_a: false, transpose_b: false, accumulate: false }
}

/// dw (out, in) += dyᵀ · x.
fn dweights(n: usize, out: usize, input: usize) -> Gemm {
    Gemm { m: out, n: input, k: n, transpose_a: true, transpose_b: false, accumulate: true }
}

mod update;

#[cfg(test)]
mod tests;
