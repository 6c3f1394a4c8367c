//! The steps of a run: batches in, updates out, checkpoints between, and what is done about a step that stands out.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use std::{fs, io};

use polder_base::{digest_json, write_whole};
use polder_compute::Backend;
use polder_model::{Head, Loss, StepPart};
use polder_shard::{Batch, BatchPlan, Batches};

use super::{Outcome, SPIKES_FILE, SpikeReport, StepReport, Tasks, TrainRun};
use crate::checkpoint::{self, Checkpoint, Progress};
use crate::metrics::Metric;
use crate::tokens::seen_documents;
use crate::{Spike, SpikeAction, TrainError};

/// What a step came to.
enum Made {
    Step(Metric),
    /// It was asked to stop before the step was whole; nothing has changed.
    Nothing,
    /// The step stands out, and the run has to go back.
    Back(Metric),
}

impl<B: Backend> TrainRun<B> {
    /// Place in the order of all samples behind a step.
    pub(super) fn position(&self, step: u64, passed_over: u64) -> u64 {
        self.config.train.samples_of(step, passed_over).end
    }

    fn batches(&self) -> Result<Batches, TrainError> {
        let c = &self.config.train;
        let end = Some(self.position(c.steps, self.progress.passed_over));
        let plan = BatchPlan { end, rank: self.ranks.rank(), world: self.ranks.n_ranks(), ..BatchPlan::of_batch(c.batch_size) };
        Ok(self.train.batches(self.position(self.step, self.progress.passed_over), plan)?)
    }

    pub(super) fn steps(
        &mut self,
        stop: &AtomicBool,
        mut tasks: Option<&mut Tasks<'_>>,
        on_step: &mut dyn FnMut(&StepReport),
    ) -> Result<Outcome, TrainError> {
        let c = self.config.train.clone();
        let due = |every: u64, step: u64| step == c.steps || (every > 0 && step.is_multiple_of(every));
        let rewinds = c.spikes.as_ref().is_some_and(|s| s.action == SpikeAction::Rewind);
        if rewinds && self.step == 0 {
            self.save(true)?;
        }
        let mut batches = self.batches()?;
        let mut batch = Batch::default();
        let mut saved_at = Instant::now();
        while self.step < c.steps {
            let late = c.checkpoint_minutes > 0.0 && saved_at.elapsed().as_secs_f64() >= 60.0 * c.checkpoint_minutes;
            if self.agree(late)? {
                self.save(false)?;
                saved_at = Instant::now();
            }
            let mut metric = match self.make_step(self.step + 1, &mut batches, &mut batch, stop)? {
                Made::Step(metric) => metric,
                Made::Nothing => {
                    self.save(false)?;
                    self.end()?;
                    return Ok(Outcome::Interrupted { step: self.step });
                }
                Made::Back(metric) => {
                    self.go_back(metric.step)?;
                    on_step(&self.report(metric, false));
                    batches = self.batches()?;
                    continue;
                }
            };
            self.step += 1;
            self.progress.validation_loss = None;
            let is_best = if due(c.eval_every, self.step) { self.evaluate(&mut metric, &mut tasks, stop)? } else { false };
            self.metrics.push(metric.clone())?;
            let checkpointed = due(c.checkpoint_every, self.step) || (c.keep_best && is_best);
            if checkpointed {
                self.save(false)?;
                saved_at = Instant::now();
            }
            on_step(&self.report(metric, checkpointed));
        }
        self.end()?;
        Ok(Outcome::Finished)
    }

    /// Waits until what is being written stands, and until all ranks have come so far: none leaves while another needs it.
    fn end(&mut self) -> Result<(), TrainError> {
        self.writer.finish()?;
        self.agree(false).map(|_| ())
    }

    fn report(&self, metric: Metric, checkpointed: bool) -> StepReport {
        let c = &self.config.train;
        StepReport { metric, steps: c.steps, tokens: self.step * c.tokens_per_step(), checkpointed }
    }

    /// Whether any rank says yes, the same on all.
    fn agree(&mut self, yes: bool) -> Result<bool, TrainError> {
        let mut votes = [f64::from(u8::from(yes))];
        self.ranks.sum(&mut votes)?;
        Ok(votes[0] > 0.0)
    }

    /// Makes sure that all ranks have the same settings and stand at the same step.
    pub(super) fn compare(&mut self) -> Result<(), TrainError> {
        let digest = digest_json(&self.config);
        let own: Vec<f64> = std::iter::once(self.step as f64).chain(digest.bytes().iter().copied().map(f64::from)).collect();
        let mut sums = own.clone();
        self.ranks.sum(&mut sums)?;
        let n_ranks = self.ranks.n_ranks() as f64;
        let differ = |places: Range<usize>| own[places.clone()].iter().zip(&sums[places]).any(|(own, sum)| own * n_ranks != *sum);
        // Where two ranks differ, a third may stand between them; what anyone sees, all are told.
        let (settings, step) = (differ(1..own.len()), differ(0..1));
        for (differ, what) in [(settings, "settings, tokens and beginning"), (step, "checkpoint")] {
            if self.agree(differ)? {
                return Err(TrainError::RanksDiffer { what });
            }
        }
        Ok(())
    }

    /// Writes a checkpoint of this step, unless there is one. One before the first step is written on demand only.
    fn save(&mut self, first: bool) -> Result<(), TrainError> {
        if self.saved < self.step || first {
            self.metrics.sync()?;
            // One copy of the numbers at a time.
            self.writer.finish()?;
            if let Some(numbers) = self.network.snapshot(&mut *self.ranks)? {
                let loader = Some(self.train.state(self.position(self.step, self.progress.passed_over)));
                self.writer.write(Checkpoint { step: self.step, loader, progress: self.progress.clone(), numbers })?;
            }
            self.saved = self.step;
        }
        Ok(())
    }

    fn make_step(&mut self, step: u64, batches: &mut Batches, batch: &mut Batch, stop: &AtomicBool) -> Result<Made, TrainError> {
        let started = Instant::now();
        let c = self.config.train.clone();
        let samples = c.samples_of(step, self.progress.passed_over);
        let own = c.batch_size / self.ranks.n_ranks();
        let first = samples.start + (self.ranks.rank() * own) as u64;
        if !batches.next(batch)? || batch.first != first {
            return Err(TrainError::Position { path: self.run_dir.clone(), position: batch.first, expected: first });
        }
        let mut n_targets = [batch.targets.iter().filter(|t| **t >= 0).count() as f64];
        self.ranks.sum(&mut n_targets)?;
        let scale = 1.0 / n_targets[0].max(1.0) as f32;
        let (adamw, muon) = c.update_at(step);
        let (mut loss, mut norm) = (Loss::default(), None);
        let parts: Vec<Range<usize>> =
            (0..own).step_by(c.micro_batch_size).map(|first| first..own.min(first + c.micro_batch_size)).collect();
        let at_once = self.network.batches_at_once();
        for (i, ranges) in parts.chunks(at_once).enumerate() {
            // Gradients of half a step are worth nothing, and the step before it is whole.
            if self.agree(stop.load(Ordering::Relaxed))? {
                return Ok(Made::Nothing);
            }
            let mut starts = vec![Vec::new(); ranges.len()];
            let micro: Vec<_> = ranges.iter().zip(&mut starts).map(|(range, starts)| micro_batch(batch, range.clone(), starts)).collect();
            // Alone, the norm is known with the last loss; of several ranks, once their gradients are summed.
            let measures = (i + 1) * at_once >= parts.len() && self.ranks.n_ranks() == 1;
            let part = StepPart { scale, is_first: i == 0, measures, update: Some((adamw, muon)) };
            let made = self.network.step_grads(&micro, part)?;
            loss += made.loss;
            norm = made.norm;
        }
        let mut sums = [loss.sum, loss.count as f64];
        self.ranks.sum(&mut sums)?;
        let loss = if sums[1] > 0.0 { sums[0] / sums[1] } else { 0.0 };
        let grad_norm = match norm {
            Some(norm) => norm,
            None => self.network.sum_grads(&mut *self.ranks)?,
        };
        let spike = c.spikes.as_ref().and_then(|policy| policy.judge(&self.metrics.lines, loss, grad_norm));
        let metric =
            Metric { step, loss, lr: c.lr_at(step), grad_norm, spike, passed_over: self.progress.passed_over, ..Metric::default() };
        match (&c.spikes, spike) {
            (Some(policy), Some(spike)) => {
                self.note_spike(&metric, spike, policy.action, samples)?;
                self.give_up_at(step, policy.spikes_max, policy.action, loss, grad_norm)?;
                if policy.action == SpikeAction::Rewind {
                    return Ok(Made::Back(metric));
                }
            }
            _ if !loss.is_finite() || !grad_norm.is_finite() => return Err(TrainError::Diverged { step, loss, grad_norm }),
            _ => self.network.update_together(&mut *self.ranks, adamw, muon)?,
        }
        let tokens_per_second = c.tokens_per_step() as f64 / started.elapsed().as_secs_f64().max(1e-9);
        let at_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64);
        Ok(Made::Step(Metric { tokens_per_second, at_ms, ..metric }))
    }

    /// An error once too many steps stand out.
    fn give_up_at(&self, step: u64, spikes_max: usize, action: SpikeAction, loss: f64, grad_norm: f64) -> Result<(), TrainError> {
        let n_spikes = match action {
            SpikeAction::Skip => self.metrics.lines.iter().rev().take_while(|m| m.spike.is_some()).count(),
            SpikeAction::Rewind => self.progress.n_rewinds,
        };
        if n_spikes >= spikes_max { Err(TrainError::Spikes { step, n_spikes, loss, grad_norm }) } else { Ok(()) }
    }

    /// Writes down what a step that stands out has seen.
    fn note_spike(&self, metric: &Metric, spike: Spike, action: SpikeAction, samples: Range<u64>) -> Result<(), TrainError> {
        if self.ranks.rank() > 0 {
            return Ok(());
        }
        let path = self.run_dir.join(SPIKES_FILE);
        let finite = |x: f64| x.is_finite().then_some(x);
        let documents = seen_documents(&self.train, &self.tokens, samples)?;
        let report =
            SpikeReport { step: metric.step, loss: finite(metric.loss), grad_norm: finite(metric.grad_norm), spike, action, documents };
        let mut text = match fs::read(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(source) => return Err(TrainError::file("read", &path)(source)),
        };
        let mut line = serde_json::to_vec(&report).map_err(|source| TrainError::Parse { path: path.clone(), source })?;
        line.push(b'\n');
        // A run that was killed finds the same spike again.
        if !text.split_inclusive(|b| *b == b'\n').any(|known| known == line) {
            text.extend(line);
            write_whole(&path, &text)?;
        }
        Ok(())
    }

    /// Goes back to the checkpoint before a step, to go on with what comes behind the step's batch.
    fn go_back(&mut self, step: u64) -> Result<(), TrainError> {
        let every = self.config.train.checkpoint_every.max(1);
        let target = (step - 1) / every * every;
        self.writer.finish()?;
        // It is written before any rank reads it, and read by all before what comes after is removed.
        self.agree(false)?;
        let n_params = self.network.table().len();
        let found = checkpoint::read_step(&self.run_dir, target, n_params)?;
        let found = found.ok_or_else(|| TrainError::NoCheckpoint { step: target, path: self.run_dir.clone() })?;
        let progress = Progress {
            // The batches from there to the one that stands out.
            passed_over: self.progress.passed_over + step - target,
            n_rewinds: self.progress.n_rewinds + 1,
            validation_loss: None,
        };
        self.take_up(found)?;
        self.progress = progress;
        self.agree(false)?;
        if self.ranks.rank() == 0 {
            checkpoint::remove_after(&self.run_dir, target)?;
        }
        self.metrics.cut(&self.run_dir, target)
    }

    /// Judges this step's weights; returns whether none before were better.
    fn evaluate(&mut self, metric: &mut Metric, tasks: &mut Option<&mut Tasks<'_>>, stop: &AtomicBool) -> Result<bool, TrainError> {
        let leads = self.ranks.rank() == 0;
        if leads {
            metric.validation_loss = self.validation_loss()?;
            metric.validation_bits_per_byte = metric.validation_loss.and_then(|loss| self.bits_per_byte(loss));
            if let Some(tasks) = tasks {
                let step = metric.step;
                metric.tasks = match tasks(self.network.weights()) {
                    Ok(scores) => scores,
                    // Who was asked to stop may have left them half done; the step counts without.
                    Err(_) if stop.load(Ordering::Relaxed) => BTreeMap::new(),
                    Err(source) => return Err(TrainError::Tasks { step, source }),
                };
                // A model that has diverged has no scores.
                metric.tasks.retain(|_, score| score.is_finite());
            }
        }
        let best = self.metrics.lines.iter().filter_map(|m| m.validation_loss).fold(f64::INFINITY, f64::min);
        self.progress.validation_loss = metric.validation_loss;
        self.agree(leads && metric.validation_loss.is_some_and(|loss| loss < best))
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
            loss += self.network.loss(&micro_batch(&batch, 0..n, &mut Vec::new()))?;
        }
        Ok((loss.count > 0).then(|| loss.mean()))
    }

    /// Nats a token as bits a byte of the validation split's text; `None` for what is no language model, and for a mixture,
    /// whose sets have tokens of different lengths.
    fn bits_per_byte(&self, nats_per_token: f64) -> Option<f64> {
        let [set] = &self.tokens[..] else { return None };
        let of = |counts: &BTreeMap<String, u64>| counts.get("validation").copied().unwrap_or(0);
        let (tokens, bytes) = (of(&set.details().n_tokens), of(&set.details().bytes));
        (bytes > 0 && self.config.model.head == Head::LanguageModel)
            .then(|| nats_per_token / std::f64::consts::LN_2 * tokens as f64 / bytes as f64)
    }
}

/// Some samples of a batch as a network takes them. Without documents, each sample is one.
fn micro_batch<'a>(batch: &'a Batch, range: Range<usize>, starts: &'a mut Vec<i32>) -> polder_model::Batch<'a> {
    let (tokens, targets) = batch.samples(range.clone());
    let (first, end) = ((range.start * batch.context) as i32, (range.end * batch.context) as i32);
    let below = |bound: i32| batch.cu_seqlens.partition_point(|start| *start < bound);
    starts.extend(batch.cu_seqlens[below(first)..below(end)].iter().map(|start| start - first));
    starts.push(end - first);
    polder_model::Batch { cu_seqlens: Some(starts), ..polder_model::Batch::new(tokens, targets) }
}
