//! A run: starts or goes on, step by step, and gives the same bits however often it was stopped.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use polder_base::{Clearance, Digest, Input, digest_json, write_whole};
use polder_compute::{AdamW, Backend, Cpu};
use polder_model::{Loss, ModelConfig, Network, Weights};
use polder_shard::{SampleOrder, ShardError, Split, TokenSet, TokenSetDetails};
use serde::{Deserialize, Serialize};

use crate::checkpoint::{self, Checkpoint};
use crate::metrics::{Metric, Metrics};
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
    /// The token set and its content.
    pub tokens: Input,
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
    pub(crate) tokens: TokenSet,
    pub(crate) network: Network<B>,
    pub(crate) metrics: Metrics,
    pub(crate) step: u64,
    /// The step of the newest checkpoint.
    saved: u64,
    train: Split,
    validation: Option<Split>,
}

impl TrainRun<Cpu> {
    /// Starts a run in a folder, or goes on with the one that is there, on the CPU.
    ///
    /// # Errors
    /// Tokens that are missing, not cleared, or too few; settings that cannot be; another run in that folder.
    pub fn start_or_resume(run_dir: &Path, token_set_dir: &Path, config: &TrainConfig, init: &Init) -> Result<Self, TrainError> {
        Self::start_or_resume_on(Cpu::new(), run_dir, token_set_dir, config, init)
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
        token_set_dir: &Path,
        config: &TrainConfig,
        init: &Init,
    ) -> Result<Self, TrainError> {
        config.check()?;
        let unreadable = |source| TrainError::Tokens { path: token_set_dir.to_owned(), source };
        let tokens = TokenSet::open(token_set_dir).map_err(unreadable)?;
        let manifest = tokens.manifest();
        Clearance::require(manifest.clearance.as_ref(), &manifest.reference.to_string(), &manifest.inputs_digest())?;
        let train = tokens.split("train").map_err(unreadable)?;
        if train.n_samples(config.context) == 0 {
            return Err(TrainError::TooFewTokens { n_tokens: train.n_tokens(), context: config.context });
        }
        let validation = tokens.details().n_tokens.contains_key("validation").then(|| tokens.split("validation"));
        let validation = validation.transpose().map_err(unreadable)?.filter(|v| v.n_samples(config.context) > 0);

        let (weights, initial_weights) = initial(init, config.seed, tokens.details())?;
        let input = Input { reference: manifest.reference.clone(), digest: tokens.fingerprint() };
        let config = RunConfig { format: 1, train: config.clone(), model: weights.config.clone(), initial_weights, tokens: input };
        claim(run_dir, &config)?;

        let mut network = Network::new(backend, &weights, config.train.micro_batch_size, config.train.context)?;
        let mut step = 0;
        if let Some(found) = checkpoint::read_newest(run_dir, weights.data.len())? {
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

    /// The token set.
    pub fn tokens(&self) -> &TokenSet {
        &self.tokens
    }

    /// Makes the steps that are left. When `stop` becomes true, the step under way is finished and a checkpoint written.
    ///
    /// # Errors
    /// Tokens that cannot be read, files that cannot be written, or a loss that is no number.
    pub fn run(&mut self, stop: &AtomicBool, on_step: &mut dyn FnMut(&StepReport)) -> Result<Outcome, TrainError> {
        let c = self.config.train.clone();
        let due = |every: u64, step: u64| step == c.steps || (every > 0 && step.is_multiple_of(every));
        while self.step < c.steps {
            if stop.load(Ordering::Relaxed) {
                self.save()?;
                return Ok(Outcome::Interrupted { step: self.step });
            }
            let mut metric = self.make_step(self.step + 1)?;
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
            checkpoint::write(&self.run_dir, &Checkpoint { step: self.step, numbers: self.network.snapshot() })?;
            self.saved = self.step;
        }
        Ok(())
    }

    fn make_step(&mut self, step: u64) -> Result<Metric, TrainError> {
        let started = Instant::now();
        let c = &self.config.train;
        let n_samples = self.train.n_samples(c.context);
        let order = SampleOrder { n_samples, seed: c.seed };
        let first = (step - 1) * c.batch_size as u64;
        let samples: Vec<u64> = (first..first + c.batch_size as u64).map(|g| order.at(g / n_samples, g % n_samples)).collect();
        let scale = 1.0 / c.tokens_per_step() as f32;
        let mut loss = Loss::default();
        self.network.zero_grads();
        for part in samples.chunks(c.micro_batch_size) {
            let (tokens, targets) = batch(&self.train, part, c.context).map_err(|e| self.unreadable(e))?;
            loss += self.network.loss_and_grads(&tokens, &targets, scale)?;
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

    /// Computes the mean loss of the first samples of the validation split; `None` without one.
    ///
    /// # Errors
    /// Tokens that cannot be read.
    pub fn validation_loss(&mut self) -> Result<Option<f64>, TrainError> {
        let c = &self.config.train;
        let Some(split) = &self.validation else { return Ok(None) };
        let samples: Vec<u64> = (0..split.n_samples(c.context).min(c.eval_samples)).collect();
        let mut loss = Loss::default();
        for part in samples.chunks(c.micro_batch_size) {
            let (tokens, targets) = batch(split, part, c.context).map_err(|e| self.unreadable(e))?;
            loss += self.network.loss(&tokens, &targets)?;
        }
        Ok((loss.count > 0).then(|| loss.mean()))
    }

    fn unreadable(&self, source: ShardError) -> TrainError {
        TrainError::Tokens { path: self.tokens.folder().to_owned(), source }
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

fn batch(split: &Split, samples: &[u64], context: usize) -> Result<(Vec<u32>, Vec<i32>), ShardError> {
    let (mut tokens, mut targets, mut sample) = (Vec::new(), Vec::new(), Vec::new());
    for idx in samples {
        split.sample(*idx, context, &mut sample)?;
        tokens.extend_from_slice(&sample[..context]);
        targets.extend(sample[1..].iter().map(|t| *t as i32));
    }
    Ok((tokens, targets))
}

#[cfg(test)]
mod tests;
