//! Learns an adapter and judges it before and after.

use std::sync::atomic::{AtomicBool, Ordering};

use polder_base::Random;
use polder_compute::{AdamW, Cpu, cpu};
use polder_eval::{Estimate, ratio};
use polder_model::{Batch, Network, Weights};
use polder_tokenizer::Tokenizer;
use serde::{Deserialize, Serialize};

use crate::adapter::Adapter;
use crate::data::{Encoded, TuningData, batch, encode};
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

/// Tunes a model. `stop` ends it between steps.
///
/// # Errors
/// Data or options that cannot be used, a loss that is no number, or a stop.
pub fn tune(
    base: &Weights,
    tokenizer: &Tokenizer,
    data: &TuningData,
    options: &TuneOptions,
    on_progress: &mut dyn FnMut(TuneProgress),
    stop: &AtomicBool,
) -> Result<Tuned, TuneError> {
    options.check()?;
    if tokenizer.vocab_size() > base.config.vocab_size {
        return Err(TuneError::Tokenizer);
    }
    let mut adapter = Adapter::init(base, options);
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
    let longest = train.examples.iter().chain(&held_out.examples).map(|e| e.tokens.len() - 1).max().unwrap_or(1);
    let mut run =
        Run { network: Network::new(Cpu::new(), base, options.batch, longest)?, time: longest, base, options, on_progress, stop, step: 0 };
    let before = run.judge_all(&held_out.examples, false)?;
    let losses = run.learn(&mut adapter, &train.examples)?;
    let after = run.judge_all(&held_out.examples, true)?;
    let change: Vec<(f64, f64)> = before.iter().zip(&after).map(|(b, a)| (a.nats - b.nats, b.n_tokens as f64)).collect();
    let change = ratio(&change, N_RESAMPLES, &mut Random::new(options.seed, "change"));
    let nothing = || TuneError::NoExamples { which: "held-out", context };
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

struct Run<'a> {
    network: Network<Cpu>,
    time: usize,
    base: &'a Weights,
    options: &'a TuneOptions,
    on_progress: &'a mut dyn FnMut(TuneProgress),
    stop: &'a AtomicBool,
    step: u64,
}

impl Run<'_> {
    fn check_stop(&self) -> Result<(), TuneError> {
        if self.stop.load(Ordering::Relaxed) { Err(TuneError::Stopped { step: self.step }) } else { Ok(()) }
    }

    fn judge_all(&mut self, examples: &[Encoded], after: bool) -> Result<Vec<Judged>, TuneError> {
        let mut judged = Vec::with_capacity(examples.len());
        for some in examples.chunks(self.options.batch) {
            self.check_stop()?;
            judged.extend(judge(&mut self.network, &some.iter().collect::<Vec<_>>(), self.time)?);
            (self.on_progress)(TuneProgress::Judging { after, done: judged.len(), total: examples.len() });
        }
        Ok(judged)
    }

    /// Runs all steps; the network ends with the tuned parameters.
    fn learn(&mut self, adapter: &mut Adapter, examples: &[Encoded]) -> Result<Vec<f64>, TuneError> {
        let n_steps = self.options.n_steps(examples.len());
        let steps_an_epoch = examples.len().div_ceil(self.options.batch) as u64;
        let n = adapter.n_params();
        let (mut m, mut v, mut grads) = (vec![0f32; n], vec![0f32; n], vec![0f32; n]);
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
            self.network.zero_grads();
            let loss = self.network.loss_and_grads(&Batch::new(&tokens, &targets), 1.0 / n_targets as f32)?.mean();
            self.step += 1;
            if !loss.is_finite() {
                return Err(TuneError::Diverged { step: self.step, loss });
            }
            adapter.project(self.network.grads(), &mut grads);
            let update = AdamW {
                lr: self.options.lr_at(self.step, n_steps) as f32,
                beta1: 0.9,
                beta2: 0.99,
                eps: 1e-8,
                weight_decay: self.options.weight_decay as f32,
                step: self.step,
                clip: self.options.clip as f32,
            };
            let scale = cpu::clip_scale(cpu::sum_squares(&grads), update.clip);
            cpu::adamw::<f32>(&mut adapter.data, None, &mut m, &mut v, &grads, scale, update.scalars());
            adapter.apply(&self.base.data, self.network.params_mut());
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
