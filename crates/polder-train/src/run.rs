//! A run: starts or goes on, step by step, and gives the same bits however often it was stopped.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use polder_base::{Clearance, Digest, digest_json, write_whole};
use polder_compute::{AdamW, Backend, Cpu};
use polder_model::{Loss, ModelConfig, Network, Weights};
use polder_shard::{Batch, BatchPlan, Batches, Loader, TokenSet, TokenSetDetails};
use serde::{Deserialize, Serialize};

use crate::checkpoint::{self, Checkpoint};
use crate::metrics::{Metric, Metrics};
use crate::tokens::{MixedTokens, TokenFolders, one_or_many, open_sets, train_loader, validation_loader};
use crate::{TrainConfig, TrainError};

/// Where a run's weights begin.
#[derive(Clone, Debug, PartialEq)]
pub enum Init {
    /// Drawn from the run's seed.
    Fresh(ModelConfig),
    /// Read from a model's folder.
    Weights(PathBuf),
}

/// What a run is: its settings and what it reads. Written to its `config.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// Format version of this file.
    pub format: u32,
    /// The settings.
    pub train: TrainConfig,
    /// The model's shape.
    pub model: ModelConfig,
    /// Digest of the weights it began with, unless they were drawn.
    pub initial_weights: Option<Digest>,
    /// The token sets, their content, and what part of the samples comes from each.
    #[serde(deserialize_with = "one_or_many")]
    pub tokens: Vec<MixedTokens>,
}

/// What a step has to say.
#[derive(Clone, Debug, PartialEq)]
pub struct StepReport {
    /// What it measured.
    pub metric: Metric,
    /// Steps of the whole run.
    pub steps: u64,
    /// Tokens of the whole run so far.
    pub tokens: u64,
    /// A checkpoint was written after it.
    pub checkpointed: bool,
}

/// How a run came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All steps are made.
    Finished,
    /// It was asked to stop, and can go on after this step.
    Interrupted {
        /// Steps made.
        step: u64,
    },
}

/// A run that is open.
pub struct TrainRun<B: Backend = Cpu> {
    pub(crate) run_dir: PathBuf,
    pub(crate) config: RunConfig,
    pub(crate) tokens: Vec<TokenSet>,
    pub(crate) network: Network<B>,
    pub(crate) metrics: Metrics,
    pub(crate) step: u64,
    /// The step of the newest checkpoint.
    saved: u64,
    train: Arc<Loader>,
    validation: Option<Loader>,
}

impl TrainRun<Cpu> {
    /// Starts a run in a folder, or goes on with the one that is there, on the CPU. Tokens come from one set's folder, or from several by
    /// weights.
    ///
    /// # Errors
    /// Tokens that are missing, not cleared, too few, or of different tokenizers; settings that cannot be; another run in that folder.
    pub fn start_or_resume(run_dir: &Path, tokens: impl Into<TokenFolders>, config: &TrainConfig, init: &Init) -> Result<Self, TrainError> {
        Self::start_or_resume_on(Cpu::new(), run_dir, tokens, config, init)
    }
}

impl<B: Backend> TrainRun<B> {
    /// The same on a given backend.
    ///
    /// # Errors
    /// Those of [`TrainRun::start_or_resume`].
    pub fn start_or_resume_on(
        backend: B,
        run_dir: &Path,
        tokens: impl Into<TokenFolders>,
        config: &TrainConfig,
        init: &Init,
    ) -> Result<Self, TrainError> {
        Self::open(backend, run_dir, &tokens.into(), config, init)
    }

    fn open(backend: B, run_dir: &Path, folders: &TokenFolders, config: &TrainConfig, init: &Init) -> Result<Self, TrainError> {
        config.check()?;
        let (tokens, mixed) = open_sets(folders)?;
        for manifest in tokens.iter().map(TokenSet::manifest) {
            Clearance::require(manifest.clearance.as_ref(), &manifest.reference.to_string(), &manifest.inputs_digest())?;
        }
        let train = Arc::new(train_loader(&tokens, &mixed, config)?);
        let validation = validation_loader(&tokens, &mixed, config)?;

        let (weights, initial_weights) = initial(init, config.seed, tokens[0].details())?;
        if !weights.config.is_decoder() {
            return Err(TrainError::Family { family: weights.config.family.name() });
        }
        let config = RunConfig { format: 1, train: config.clone(), model: weights.config.clone(), initial_weights, tokens: mixed };
        claim(run_dir, &config)?;

        let mut network = Network::new(backend, &weights, config.train.micro_batch_size, config.train.context)?;
        let mut step = 0;
        if let Some(found) = checkpoint::read_newest(run_dir, weights.data.len())? {
            // The state says more than the step: which data it counted.
            if let Some(state) = &found.loader {
                let (position, expected) = (train.resume(state)?, config.train.samples_of(found.step).end);
                if position != expected {
                    return Err(TrainError::Position { path: run_dir.to_owned(), position, expected });
                }
            }
            let [params, m, v] = &found.numbers;
            network.restore(params, m, v);
            step = found.step;
        }
        let metrics = Metrics::open(run_dir, step)?;
        Ok(Self { run_dir: run_dir.to_owned(), config, tokens, network, metrics, step, saved: step, train, validation })
    }

    /// What the run is.
    pub fn config(&self) -> &RunConfig {
        &self.config
    }

    /// Steps made so far.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// What each step measured.
    pub fn metrics(&self) -> &[Metric] {
        &self.metrics.lines
    }

    /// The token sets.
    pub fn tokens(&self) -> &[TokenSet] {
        &self.tokens
    }

    /// What it reads in which order; [`Loader::rows`] says which documents a step saw.
    pub fn loader(&self) -> &Loader {
        &self.train
    }

    /// Makes the steps that are left. When `stop` becomes true, the step under way is finished and a checkpoint written.
    ///
    /// # Errors
    /// Tokens that cannot be read, files that cannot be written, or a loss that is no number.
    pub fn run(&mut self, stop: &AtomicBool, on_step: &mut dyn FnMut(&StepReport)) -> Result<Outcome, TrainError> {
        let c = self.config.train.clone();
        let due = |every: u64, step: u64| step == c.steps || (every > 0 && step.is_multiple_of(every));
        let plan = BatchPlan { end: Some(c.samples_of(c.steps).end), ..BatchPlan::of_batch(c.batch_size) };
        let mut batches = self.train.batches(c.samples_of(self.step).end, plan)?;
        let mut batch = Batch::default();
        while self.step < c.steps {
            if stop.load(Ordering::Relaxed) {
                self.save()?;
                return Ok(Outcome::Interrupted { step: self.step });
            }
            let mut metric = self.make_step(self.step + 1, &mut batches, &mut batch)?;
            self.step += 1;
            if due(c.eval_every, self.step) {
                metric.validation_loss = self.validation_loss()?;
            }
            self.metrics.push(metric.clone())?;
            let checkpointed = due(c.checkpoint_every, self.step);
            if checkpointed {
                self.save()?;
            }
            on_step(&StepReport { metric, steps: c.steps, tokens: self.step * c.tokens_per_step(), checkpointed });
        }
        Ok(Outcome::Finished)
    }

    /// Writes a checkpoint of this step, unless there is one.
    fn save(&mut self) -> Result<(), TrainError> {
        if self.saved < self.step {
            self.metrics.sync()?;
            let loader = Some(self.train.state(self.config.train.samples_of(self.step).end));
            checkpoint::write(&self.run_dir, &Checkpoint { step: self.step, loader, numbers: self.network.snapshot() })?;
            self.saved = self.step;
        }
        Ok(())
    }

    fn make_step(&mut self, step: u64, batches: &mut Batches, batch: &mut Batch) -> Result<Metric, TrainError> {
        let started = Instant::now();
        let c = &self.config.train;
        if !batches.next(batch)? || batch.first != c.samples_of(step).start {
            return Err(TrainError::Position { path: self.run_dir.clone(), position: batch.first, expected: c.samples_of(step).start });
        }
        let scale = 1.0 / c.tokens_per_step() as f32;
        let mut loss = Loss::default();
        self.network.zero_grads();
        for first in (0..c.batch_size).step_by(c.micro_batch_size) {
            let (tokens, targets) = batch.samples(first..c.batch_size.min(first + c.micro_batch_size));
            loss += self.network.loss_and_grads(&polder_model::Batch::new(tokens, targets), scale)?;
        }
        let loss = loss.mean();
        if !loss.is_finite() {
            return Err(TrainError::Diverged { step, loss });
        }
        let lr = c.lr_at(step);
        self.network.update(AdamW {
            lr: lr as f32,
            beta1: c.beta1 as f32,
            beta2: c.beta2 as f32,
            eps: c.eps as f32,
            weight_decay: c.weight_decay as f32,
            step,
            clip: c.grad_clip as f32,
        });
        let grad_norm = self.network.grad_norm();
        let tokens_per_second = c.tokens_per_step() as f64 / started.elapsed().as_secs_f64().max(1e-9);
        Ok(Metric { step, loss, lr, grad_norm, tokens_per_second, validation_loss: None })
    }

    /// Computes the mean loss of the first samples of the validation split; `None` without one. Of several sets each gives its part.
    ///
    /// # Errors
    /// Tokens that cannot be read.
    pub fn validation_loss(&mut self) -> Result<Option<f64>, TrainError> {
        let c = &self.config.train;
        let Some(validation) = &self.validation else { return Ok(None) };
        let n_samples = validation.n_samples().min(c.eval_samples);
        let mut loss = Loss::default();
        let mut batch = Batch::default();
        for first in (0..n_samples).step_by(c.micro_batch_size) {
            let n = (n_samples - first).min(c.micro_batch_size as u64) as usize;
            validation.fill(first, n, &mut batch)?;
            let (tokens, targets) = batch.samples(0..n);
            loss += self.network.loss(&polder_model::Batch::new(tokens, targets))?;
        }
        Ok((loss.count > 0).then(|| loss.mean()))
    }
}

fn initial(init: &Init, seed: u64, tokens: &TokenSetDetails) -> Result<(Weights, Option<Digest>), TrainError> {
    let fits = |model: &ModelConfig| match tokens.vocab_size <= model.vocab_size {
        true => Ok(()),
        false => Err(TrainError::Vocabulary { tokens: tokens.vocab_size, model: model.vocab_size }),
    };
    match init {
        Init::Fresh(model) => {
            fits(model)?;
            let mut model = model.clone();
            // Where no token opens texts, the next one begins after the token that closes them.
            model.bos_token_id = model.bos_token_id.or(tokens.bos_id).or(tokens.eos_id);
            model.eos_token_id = model.eos_token_id.or(tokens.eos_id);
            Ok((Weights::init(&model, seed)?, None))
        }
        Init::Weights(dir) => {
            let weights = Weights::load(dir)?;
            fits(&weights.config)?;
            let digest = polder_base::digest_bytes(bytemuck::cast_slice(&weights.data));
            Ok((weights, Some(digest)))
        }
    }
}

/// Writes the run's settings, or checks that they are the ones that are there.
fn claim(run_dir: &Path, config: &RunConfig) -> Result<(), TrainError> {
    let path = run_dir.join("config.json");
    let parse = |source| TrainError::Parse { path: path.clone(), source };
    let found = match fs::read(&path) {
        Ok(bytes) => serde_json::from_slice::<RunConfig>(&bytes).map_err(parse)?,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let mut text = serde_json::to_vec_pretty(config).map_err(parse)?;
            text.push(b'\n');
            return Ok(write_whole(&path, &text)?);
        }
        Err(source) => return Err(TrainError::file("read", &path)(source)),
    };
    let differences = [
        (found.tokens != config.tokens, "token set"),
        (found.model != config.model, "model"),
        (found.initial_weights != config.initial_weights, "beginning"),
        (digest_json(&found) != digest_json(config), "configuration"),
    ];
    match differences.iter().find(|(differs, _)| *differs) {
        Some((_, what)) => Err(TrainError::OtherRun { path: run_dir.to_owned(), what }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
