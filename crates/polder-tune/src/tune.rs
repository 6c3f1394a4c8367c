//! Learns an adapter and judges it before and after.

use std::sync::atomic::{AtomicBool, Ordering};

use polder_base::{Random, units};
use polder_compute::cuda::{Chosen, CudaError, SCRATCH_BYTES};
use polder_compute::{AdamW, Backend, LogitsRoom};
use polder_eval::{Estimate, ratio};
use polder_model::{Batch, NetworkOptions, StepPart, Weights};
use polder_tokenizer::Tokenizer;
use polder_train::Precision;
use serde::{Deserialize, Serialize};

use crate::adapted::{Adapted, adapted_bytes};
use crate::adapter::Adapter;
use crate::data::{Encoded, EncodedSet, TuningData, batch, encode};
use crate::error::TuneError;
use crate::held_out::{HeldOut, Judged, N_RESAMPLES, judge, summarise};
use crate::options::TuneOptions;

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TuneProgress {
    /// Held-out examples are judged, before tuning or after.
    Judging {
        /// After tuning.
        after: bool,
        /// Examples judged.
        done: usize,
        /// Examples there are.
        total: usize,
    },
    /// A step was done.
    Step {
        /// Counted from 1.
        step: u64,
        /// Steps there will be.
        n_steps: u64,
        /// Mean loss of the step's completions, in nats a token.
        loss: f64,
        /// Tokens run through the model so far.
        n_tokens: u64,
    },
}

/// What tuning came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TuneReport {
    /// Examples learned from.
    pub n_train: u64,
    /// Examples judged by.
    pub n_held_out: u64,
    /// Prompts that lost their beginning, since they did not fit.
    pub n_cut: u64,
    /// Examples left out, since their completions do not fit.
    pub n_dropped: u64,
    /// Steps done.
    pub n_steps: u64,
    /// Parameters of the adapter.
    pub n_params: u64,
    /// Held-out figures of the base.
    pub before: HeldOut,
    /// Held-out figures with the adapter.
    pub after: HeldOut,
    /// After less before in nats a token, example by example: below 0 is better.
    pub change_nats_per_token: Estimate,
    /// Loss of every step, in nats a token.
    pub losses: Vec<f64>,
}

/// An adapter and how good it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Tuned {
    /// The adapter.
    pub adapter: Adapter,
    /// How it was made and what it changed.
    pub report: TuneReport,
}

/// Tuning that is about to begin: what is asked for has been checked, and examples are encoded.
pub struct Tuning<'a> {
    base: &'a Weights,
    options: &'a TuneOptions,
    adapter: Adapter,
    train: EncodedSet,
    held_out: EncodedSet,
    /// T: tokens of the longest example.
    time: usize,
}

impl<'a> Tuning<'a> {
    /// Prepares to tune a model.
    ///
    /// # Errors
    /// Data or options that cannot be used.
    pub fn try_new(base: &'a Weights, tokenizer: &Tokenizer, data: &TuningData, options: &'a TuneOptions) -> Result<Self, TuneError> {
        options.check()?;
        if tokenizer.vocab_size() > base.config.vocab_size {
            return Err(TuneError::Tokenizer);
        }
        let adapter = Adapter::init(base, options);
        if adapter.n_params() == 0 {
            return Err(TuneError::NoTargets { family: base.config.family.name() });
        }
        let context = base.config.max_position_embeddings;
        let (train, held_out) = (encode(&data.train, tokenizer, context)?, encode(&data.held_out, tokenizer, context)?);
        for (which, set) in [("training", &train), ("held-out", &held_out)] {
            if set.examples.is_empty() {
                return Err(TuneError::NoExamples { which, context });
            }
        }
        let time = train.examples.iter().chain(&held_out.examples).map(|e| e.tokens.len() - 1).max().unwrap_or(1);
        Ok(Self { base, options, adapter, train, held_out, time })
    }

    /// Opens a machine with the memory that it takes; `host_bytes` are free on the host, 0 where that is not known.
    ///
    /// # Errors
    /// Too little memory, with what would fit; a GPU that does not take the kernels.
    pub fn open(&self, machine: &Chosen, host_bytes: u64) -> Result<Box<dyn Backend>, TuneError> {
        let (room, free_bytes) = match machine {
            Chosen::Gpu(gpu) => (LogitsRoom::GPU, gpu.memory_bytes),
            Chosen::Processor { .. } => (LogitsRoom::PROCESSOR, if host_bytes == 0 { u64::MAX } else { host_bytes }),
        };
        self.require(room, free_bytes)?;
        machine.open(self.bytes(room, self.options)).map_err(|e| match e {
            // Others use the GPU too.
            CudaError::Memory { free, .. } => self.require(room, free).err().unwrap_or(e.into()),
            e => e.into(),
        })
    }

    /// Counts the bytes that it takes on a machine that keeps logits so.
    fn bytes(&self, room: LogitsRoom, options: &TuneOptions) -> u64 {
        let network = NetworkOptions { logits: room, ..self.network_options(options) };
        let scratch = if room == LogitsRoom::GPU { SCRATCH_BYTES } else { 0 };
        adapted_bytes(&self.base.config, &network, &self.adapter) + scratch
    }

    fn network_options(&self, options: &TuneOptions) -> NetworkOptions {
        // No step has more examples than there are.
        let most = self.train.examples.len().max(self.held_out.examples.len());
        NetworkOptions { dtype: options.precision.dtype(), ..NetworkOptions::new(options.batch.min(most), self.time) }
    }

    fn require(&self, room: LogitsRoom, free_bytes: u64) -> Result<(), TuneError> {
        let needed_bytes = self.bytes(room, self.options);
        if needed_bytes <= free_bytes {
            return Ok(());
        }
        // The largest batch of each precision, halved again and again.
        let mut fits = Vec::new();
        for precision in [self.options.precision, Precision::Bf16] {
            let batches = std::iter::successors(Some(self.options.batch), |b| Some(b / 2)).take_while(|b| *b > 0);
            let bytes = |batch| self.bytes(room, &TuneOptions { precision, batch, ..self.options.clone() });
            let Some((batch, bytes)) = batches.map(|batch| (batch, bytes(batch))).find(|(_, b)| *b <= free_bytes) else { continue };
            let batch = if batch == self.options.batch { String::new() } else { format!("--batch {batch} ") };
            let precision = if precision == Precision::Bf16 { "--precision bf16 " } else { "" };
            fits.push(format!("{batch}{precision}({})", units::bytes(bytes)));
        }
        fits.dedup();
        Err(TuneError::Memory { needed_bytes, free_bytes, fits })
    }

    /// Learns the adapter and judges it before and after. `stop` ends it between steps.
    ///
    /// # Errors
    /// A loss that is no number, or a stop.
    pub fn run<B: Backend>(self, backend: B, on_progress: &mut dyn FnMut(TuneProgress), stop: &AtomicBool) -> Result<Tuned, TuneError> {
        let network = self.network_options(self.options);
        let Self { base, options, mut adapter, train, held_out, time } = self;
        let adapted = Adapted::try_new(backend, base, &adapter, network)?;
        let mut run = Run { adapted, time, options, on_progress, stop, step: 0 };
        let before = run.judge_all(&held_out.examples, false)?;
        let losses = run.learn(&train.examples)?;
        let after = run.judge_all(&held_out.examples, true)?;
        run.adapted.download(&mut adapter);
        let change: Vec<(f64, f64)> = before.iter().zip(&after).map(|(b, a)| (a.nats - b.nats, b.n_tokens as f64)).collect();
        let change = ratio(&change, N_RESAMPLES, &mut Random::new(options.seed, "change"));
        let nothing = || TuneError::NoExamples { which: "held-out", context: base.config.max_position_embeddings };
        let report = TuneReport {
            n_train: train.examples.len() as u64,
            n_held_out: held_out.examples.len() as u64,
            n_cut: train.n_cut + held_out.n_cut,
            n_dropped: train.n_dropped + held_out.n_dropped,
            n_steps: losses.len() as u64,
            n_params: adapter.n_params() as u64,
            before: summarise(&before, options.seed).ok_or_else(nothing)?,
            after: summarise(&after, options.seed).ok_or_else(nothing)?,
            change_nats_per_token: change.ok_or_else(nothing)?,
            losses,
        };
        Ok(Tuned { adapter, report })
    }
}

struct Run<'a, B: Backend> {
    adapted: Adapted<B>,
    time: usize,
    options: &'a TuneOptions,
    on_progress: &'a mut dyn FnMut(TuneProgress),
    stop: &'a AtomicBool,
    step: u64,
}

impl<B: Backend> Run<'_, B> {
    fn check_stop(&self) -> Result<(), TuneError> {
        if self.stop.load(Ordering::Relaxed) { Err(TuneError::Stopped { step: self.step }) } else { Ok(()) }
    }

    fn judge_all(&mut self, examples: &[Encoded], after: bool) -> Result<Vec<Judged>, TuneError> {
        let mut judged = Vec::with_capacity(examples.len());
        for some in examples.chunks(self.options.batch) {
            self.check_stop()?;
            judged.extend(judge(&mut self.adapted.network, &some.iter().collect::<Vec<_>>(), self.time)?);
            (self.on_progress)(TuneProgress::Judging { after, done: judged.len(), total: examples.len() });
        }
        Ok(judged)
    }

    /// Runs all steps; the network ends with the tuned parameters.
    fn learn(&mut self, examples: &[Encoded]) -> Result<Vec<f64>, TuneError> {
        let n_steps = self.options.n_steps(examples.len());
        let steps_an_epoch = examples.len().div_ceil(self.options.batch) as u64;
        let mut losses = Vec::new();
        let mut order = Vec::new();
        let mut n_tokens = 0;
        while self.step < n_steps {
            self.check_stop()?;
            if self.step.is_multiple_of(steps_an_epoch) {
                order = shuffled(examples.len(), self.options.seed, self.step / steps_an_epoch);
            }
            let from = (self.step % steps_an_epoch) as usize * self.options.batch;
            let chosen: Vec<&Encoded> = order[from..].iter().take(self.options.batch).map(|i| &examples[*i]).collect();
            let (tokens, targets) = batch(&chosen, self.time);
            let n_targets = targets.iter().filter(|t| **t >= 0).count();
            let part = StepPart { scale: 1.0 / n_targets as f32, is_first: true, measures: false, update: None };
            let loss = self.adapted.network.step_grads(&[Batch::new(&tokens, &targets)], part)?.loss.mean();
            self.step += 1;
            if !loss.is_finite() {
                return Err(TuneError::Diverged { step: self.step, loss });
            }
            self.adapted.update(AdamW {
                lr: self.options.lr_at(self.step, n_steps) as f32,
                beta1: 0.9,
                beta2: 0.99,
                eps: 1e-8,
                weight_decay: self.options.weight_decay as f32,
                step: self.step,
                clip: self.options.clip as f32,
            });
            losses.push(loss);
            n_tokens += tokens.len() as u64;
            (self.on_progress)(TuneProgress::Step { step: self.step, n_steps, loss, n_tokens });
        }
        Ok(losses)
    }
}

/// The order of an epoch: Fisher and Yates' shuffle.
fn shuffled(n: usize, seed: u64, epoch: u64) -> Vec<usize> {
    let mut random = Random::new(seed, &format!("order of epoch {epoch}"));
    let mut order: Vec<usize> = (0..n).collect();
    for i in (1..n).rev() {
        order.swap(i, random.below(i as u64 + 1) as usize);
    }
    order
}

#[cfg(test)]
mod tests;
