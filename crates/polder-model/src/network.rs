//! A model on a backend: forward and backward of all families, written once, by hand.
//!
//! Blocks read top to bottom in `network/layers.rs` (attention, feed-forward, where the norms stand) and
//! `network/head.rs` (which rows are judged, and the loss). The residual stream and all gradients of parameters are f32;
//! rows between products have the type that the options say, and so have the matrices they meet, beside f32 masters.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;

use polder_compute::{Backend, Cpu, CrossEntropy, Dtype, Gemm, IdView, LogitsRoom, Rope, View};
use serde::{Deserialize, Serialize};

use crate::table::{Linear, Place};
use crate::{Head, ModelConfig, ModelError, ParamTable, Parts, Pooling, Weights};

mod activations;
mod batch;
mod decode;
mod head;
mod layers;
mod step;
mod update;

pub use activations::memory_bytes;
pub use batch::Batch;
pub use decode::{DecodeOptions, Growing, Reading};
pub use polder_compute::MuonStep;
pub use step::{BATCHES_AT_ONCE_MAX, StepGrads, StepPart};

use activations::Activations;
use batch::Judged;
use decode::{Growth, Slots};
use step::Inputs;

/// Sum of losses over tokens (of a classifier: over texts), in nats, and how many it is over.
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

/// What of a layer is computed a second time in the backward pass instead of being kept. The bits are the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recompute {
    /// Nothing: the fastest.
    #[default]
    None,
    /// Normalised rows and what the activation gives: cheap, and about a third of the rows.
    Pointwise,
    /// All but the layer's input: a third more work, and one layer's rows serve all.
    Layers,
}

/// How a network is laid out and judged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NetworkOptions {
    /// B: the most sequences at once.
    pub batch: usize,
    /// T: tokens a sequence.
    pub time: usize,
    /// How rows between products, and the matrices they meet, are stored.
    pub dtype: Dtype,
    /// Weight of ln² of the softmax's sum in what gradients descend.
    pub z_loss: f32,
    /// What the backward pass computes again.
    pub recompute: Recompute,
    /// It only judges: no gradients are kept.
    pub frozen: bool,
    /// How logits are kept, as the backend wants it; of a frozen network as f32, and no more of them at once than stands here.
    pub logits: LogitsRoom,
    /// Batches that [`Network::step_grads`] takes at once, up to [`BATCHES_AT_ONCE_MAX`]; one where the backend replays nothing.
    pub batches_at_once: usize,
}

impl NetworkOptions {
    /// Plain f32.
    pub fn new(batch: usize, time: usize) -> Self {
        let (dtype, recompute, logits) = (Dtype::F32, Recompute::None, LogitsRoom::PROCESSOR);
        Self { batch, time, dtype, z_loss: 0.0, recompute, frozen: false, logits, batches_at_once: 1 }
    }
}

/// Parameters, gradients, moments and activations of one model on one backend, for batches of a fixed size.
pub struct Network<B: Backend> {
    backend: B,
    config: ModelConfig,
    parts: Parts,
    table: ParamTable,
    options: NetworkOptions,
    params: View,
    /// The first parameter in `params`: where nothing is learnt, rounded matrices have no masters.
    params_from: usize,
    /// Matrices as rows meet them, where these are not f32.
    working: Option<View>,
    grads: Option<View>,
    /// Of the part that this rank owns.
    moments: Option<[View; 2]>,
    /// The part of the parameters that each rank updates, and this one's.
    owners: Vec<Range<usize>>,
    own: Range<usize>,
    muon_scratch: Option<View>,
    norm_squared: View,
    rotations: Vec<View>,
    inputs: Inputs,
    /// Those of the batch under way.
    ids: Ids,
    choices: Option<Choices>,
    /// Where sequences grow, in a network that generates.
    slots: Option<Slots>,
    a: Activations,
}

/// Ids of a batch.
struct Ids {
    tokens: IdView,
    positions: IdView,
    token_types: Option<IdView>,
    /// First and end of each row's document within its sequence.
    documents: IdView,
    /// First and end of each document within the batch.
    ranges: IdView,
    /// Rows that pass the head.
    rows: IdView,
    targets: IdView,
}

/// What is asked of the most probable ids, and they.
#[derive(Clone, Copy)]
struct Choices {
    ids: IdView,
    settings: IdView,
    places: IdView,
}

/// Sizes of the batch under way.
#[derive(Clone, Copy, Debug)]
struct Step {
    /// Rows.
    n: usize,
    /// Sequences hold several documents.
    split: bool,
    /// Rows that pass the head: all, those with a target, or one a document.
    n_judged: usize,
    /// Its rows go behind sequences in slots.
    growth: Option<Growth>,
}

impl Step {
    /// Rows alone.
    fn of(n: usize) -> Self {
        Self { n, split: false, n_judged: 0, growth: None }
    }

    /// Tells apart what differs in an operation or a size.
    fn key(steps: &[Self], what: impl Hash) -> u64 {
        let mut hasher = DefaultHasher::new();
        what.hash(&mut hasher);
        steps.iter().for_each(|s| (s.n, s.split, s.n_judged).hash(&mut hasher));
        hasher.finish()
    }
}

impl<B: Backend> Network<B> {
    /// Puts a model on a backend, with room for `batch` sequences of `time` tokens, in f32.
    ///
    /// # Errors
    /// A batch of nothing, or a sequence longer than the model's context.
    pub fn new(backend: B, weights: &Weights, batch: usize, time: usize) -> Result<Self, ModelError> {
        Self::with_options(backend, weights, NetworkOptions::new(batch, time))
    }

    /// The same, stored and judged as the options say.
    ///
    /// # Errors
    /// Those of [`Network::new`].
    pub fn with_options(mut backend: B, weights: &Weights, options: NetworkOptions) -> Result<Self, ModelError> {
        let batches_at_once = if backend.replays() { options.batches_at_once } else { 1 };
        let room = backend.logits_room();
        let logits = match options.frozen {
            // What only judges or draws loses nothing of its logits.
            true => LogitsRoom { numbers: room.numbers.min(options.logits.numbers), as_rows: false },
            false => room,
        };
        let options = NetworkOptions { logits, batches_at_once, ..options };
        let config = weights.config.clone();
        config.check()?;
        let (batch, time) = (options.batch, options.time);
        if batch == 0 || time == 0 || time > config.max_position_embeddings {
            let reason = format!("{batch} sequences of {time} tokens for a context of {}", config.max_position_embeddings);
            return Err(ModelError::Input { reason });
        }
        let (parts, table) = (config.parts(), weights.table.clone());
        let b = &mut backend;
        let n_matrices = table.n_decayed();
        // What learns nothing needs no masters of matrices that are rounded.
        let is_half = options.frozen && options.dtype != Dtype::F32;
        let working = (options.dtype != Dtype::F32).then(|| b.alloc(n_matrices, options.dtype));
        let rotations = config.rotations();
        // Positions may be any of the context's, however short the sequences are.
        let table_len = config.max_position_embeddings * config.head_dim;
        let inputs = Inputs::new(b, &config, &table, &options);
        let a = Activations::new(&config, &options, &mut |len, dtype| b.alloc(len, dtype));
        let mut network = Self {
            params: b.alloc(if is_half { table.len() - n_matrices } else { table.len() }, Dtype::F32),
            params_from: if is_half { n_matrices } else { 0 },
            working,
            grads: (!options.frozen).then(|| b.alloc(table.len(), Dtype::F32)),
            moments: None,
            owners: std::iter::once(0..table.len()).collect(),
            own: 0..table.len(),
            muon_scratch: None,
            norm_squared: a.results.part(0, 1),
            rotations: rotations.iter().map(|_| b.alloc(table_len, Dtype::F32)).collect(),
            ids: Ids::of(inputs.ids, &config, &options, 0),
            inputs,
            choices: None,
            slots: None,
            a,
            options,
            parts,
            table,
            config,
            backend,
        };
        for (view, (theta, scaling)) in network.rotations.iter().zip(rotations) {
            let table = Rope::table(network.config.max_position_embeddings, network.config.head_dim, theta, scaling);
            network.backend.upload(*view, &table);
        }
        network.set_params(&weights.data);
        Ok(network)
    }

    /// The configuration.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// How it is laid out.
    pub fn options(&self) -> &NetworkOptions {
        &self.options
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

    /// The view of the matrices as rows meet them, where these are rounded copies; they stand as the parameters do.
    pub fn working_view(&self) -> Option<View> {
        self.working
    }

    /// The view of all gradients.
    ///
    /// # Panics
    /// When the network is frozen.
    #[allow(clippy::expect_used)]
    pub fn grads_view(&self) -> View {
        self.grads.expect("a frozen network keeps no gradients")
    }

    /// Copies parameters in.
    ///
    /// # Panics
    /// When there are more or fewer than the model has.
    pub fn set_params(&mut self, params: &[f32]) {
        assert_eq!(params.len(), self.table.len(), "parameters of another model");
        self.backend.upload(self.params, &params[self.params_from..]);
        match self.working {
            Some(working) if self.params_from > 0 => self.backend.upload(working, &params[..working.len]),
            _ => self.refresh(),
        }
    }

    /// Rounds the matrices that rows meet from the parameters.
    fn refresh(&mut self) {
        if let Some(working) = self.working {
            self.backend.copy(working, self.params.part(0, working.len));
        }
    }

    /// Copies the parameters out as weights; matrices as they are kept.
    pub fn weights(&mut self) -> Weights {
        let mut data = vec![0f32; self.table.len()];
        self.backend.download(self.params, &mut data[self.params_from..]);
        if let Some(working) = self.working.filter(|_| self.params_from > 0) {
            self.backend.download(working, &mut data[..working.len]);
        }
        Weights { config: self.config.clone(), table: self.table.clone(), data }
    }

    /// Computes the loss of a batch: whole sequences of this network's length, at most as many as it has room for.
    ///
    /// # Errors
    /// Sizes or ids that do not fit.
    pub fn loss(&mut self, batch: &Batch<'_>) -> Result<Loss, ModelError> {
        Ok(Loss::of(&self.target_losses(batch)?, batch.targets))
    }

    /// Computes −ln p(target) of each target of a batch; 0 where it is ignored.
    ///
    /// # Errors
    /// Sizes or ids that do not fit.
    pub fn target_losses(&mut self, batch: &Batch<'_>) -> Result<Vec<f32>, ModelError> {
        let step = self.take(batch, Judged::Targets)?;
        if !self.backend.replay(Step::key(&[step], "losses")) {
            self.forward(step);
            self.judge(step, false);
            self.backend.record_end();
        }
        Ok(self.read_losses(step, batch.targets))
    }

    /// Computes, for each target of a batch, −ln p(target) and the most probable id, of equals the first; `None` where it is ignored.
    ///
    /// # Errors
    /// Sizes or ids that do not fit.
    pub fn target_choices(&mut self, batch: &Batch<'_>) -> Result<Vec<Option<(f32, u32)>>, ModelError> {
        let step = self.take(batch, Judged::Targets)?;
        self.forward(step);
        self.choose(step);
        Ok(self.read_choices(step, batch.targets))
    }

    /// Computes the loss of a batch and adds the gradients of `scale ·` its sum.
    ///
    /// # Errors
    /// Sizes or ids that do not fit; a frozen network.
    pub fn loss_and_grads(&mut self, batch: &Batch<'_>, scale: f32) -> Result<Loss, ModelError> {
        let part = StepPart { scale, is_first: false, measures: false, update: None };
        Ok(self.step_grads(&[*batch], part)?.loss)
    }

    /// Computes the logits of a batch: a row of V for each token, or a row of classes for each document.
    ///
    /// # Errors
    /// Sizes or ids that do not fit; a model without logits.
    pub fn logits(&mut self, batch: &Batch<'_>) -> Result<Vec<f32>, ModelError> {
        if self.config.head == Head::Embedding {
            return Err(ModelError::Input { reason: "this model has no logits, only embeddings".into() });
        }
        let step = self.take(batch, Judged::Logits)?;
        self.forward(step);
        Ok(self.read_logits(step))
    }

    /// Pools the last hidden states of each document: (documents, C).
    ///
    /// # Errors
    /// Sizes or ids that do not fit.
    pub fn embeddings(&mut self, batch: &Batch<'_>, pooling: Pooling) -> Result<Vec<f32>, ModelError> {
        let step = self.take(batch, Judged::Documents)?;
        self.forward(step);
        Ok(self.read_embeddings(step, pooling))
    }

    /// Computes the last hidden states: (N, C).
    ///
    /// # Errors
    /// Sizes or ids that do not fit.
    pub fn hidden_states(&mut self, batch: &Batch<'_>) -> Result<Vec<f32>, ModelError> {
        let step = self.take(batch, Judged::Logits)?;
        self.forward(step);
        let mut out = vec![0f32; step.n * self.config.hidden_size];
        self.backend.download(self.a.hidden.part(0, out.len()), &mut out);
        Ok(out)
    }

    /// A matrix as rows meet it.
    fn matrix(&self, place: Place) -> View {
        self.working.unwrap_or(self.params).part(place.offset, place.len)
    }

    /// A vector of parameters.
    fn vector(&self, place: Place) -> View {
        self.params.part(place.offset - self.params_from, place.len)
    }

    fn grad(&self, place: Place) -> View {
        self.grads_view().part(place.offset, place.len)
    }

    /// `out (n, out) = x (n, in) · wᵀ + bias`.
    fn linear(&mut self, out: View, x: View, l: Linear) {
        let (weight, bias) = (self.matrix(l.weight), l.bias.map(|b| self.vector(b)));
        self.backend.gemm(out, x, weight, bias, forward(x, l));
    }

    /// `out (n, out) = onto + x (n, in) · wᵀ + bias`.
    fn linear_onto(&mut self, out: View, onto: View, x: View, l: Linear) {
        let (weight, bias) = (self.matrix(l.weight), l.bias.map(|b| self.vector(b)));
        self.backend.gemm_onto(out, onto, x, weight, bias, forward(x, l));
    }

    /// `dx (n, in) = dy (n, out) · w`, or `+=`; and dw += dyᵀ · x, dbias += Σ dy.
    fn linear_backward(&mut self, dx: View, dy: View, x: View, l: Linear, accumulate: bool) {
        let rows = x.len / l.n_in;
        let shape = Gemm { m: rows, n: l.n_in, k: l.n_out, transpose_a: false, transpose_b: false, accumulate };
        self.backend.gemm(dx, dy, self.matrix(l.weight), None, shape);
        let shape = Gemm { m: l.n_out, n: l.n_in, k: rows, transpose_a: true, transpose_b: false, accumulate: true };
        let dweight = self.grad(l.weight);
        self.backend.gemm(dweight, dy, x, None, shape);
        if let Some(bias) = l.bias {
            let dbias = self.grad(bias);
            self.backend.bias_backward(dbias, dy);
        }
    }

    /// The numbers as rows are stored: themselves, or a rounded copy.
    fn rounded(&mut self, x: View) -> View {
        if x.dtype == self.options.dtype {
            return x;
        }
        let copy = self.a.rounded.part(0, x.len);
        self.backend.copy(copy, x);
        copy
    }

    fn cross_entropy(&self) -> CrossEntropy {
        CrossEntropy { vocab: self.config.n_outputs(), z_loss: self.options.z_loss, ..CrossEntropy::default() }
    }
}

/// The sizes of rows that pass a linear layer.
fn forward(x: View, l: Linear) -> Gemm {
    Gemm { m: x.len / l.n_in, n: l.n_out, k: l.n_in, transpose_a: false, transpose_b: true, accumulate: false }
}

impl Loss {
    fn of(losses: &[f32], targets: &[i32]) -> Self {
        Self { sum: losses.iter().map(|l| f64::from(*l)).sum(), count: targets.iter().filter(|t| **t >= 0).count() as u64 }
    }
}

impl Network<Cpu> {
    /// All parameters, in place. In bf16, call [`Network::set_params`] instead: rows meet a rounded copy.
    pub fn params_mut(&mut self) -> &mut [f32] {
        self.backend.slice_mut(self.params)
    }

    /// All parameters.
    pub fn params(&self) -> &[f32] {
        self.backend.slice(self.params)
    }

    /// All gradients.
    pub fn grads(&self) -> &[f32] {
        self.backend.slice(self.grads_view())
    }
}

#[cfg(test)]
mod tests;
