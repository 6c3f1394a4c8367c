//! A run: starts or goes on, step by step, and gives the same bits however often it was stopped.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use polder_base::{Clearance, Digest, Input, Manifest, digest_json, write_whole};
use polder_compute::{Alone, Backend, Collective, Cpu, LocalRank, local_ranks};
use polder_model::{Head, Loss, ModelConfig, Network, Weights};
use polder_shard::{Batch, BatchPlan, Batches, Loader, TokenSet, TokenSetDetails};
use polder_tokenizer::Tokenizer;
use serde::{Deserialize, Serialize};

use crate::checkpoint::{self, Checkpoint, Keep, Progress, Writer};
use crate::metrics::{Metric, Metrics};
use crate::tokens::{MixedTokens, SeenDocument, TokenFolders, one_or_many, open_sets, seen_documents, train_loader, validation_loader};
use crate::{Spike, SpikeAction, TrainConfig, TrainError};

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
    /// The model that these weights are of, where its folder says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_model: Option<Input>,
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

/// Scores the weights of a step on tasks, by name: what the leaf that knows how to evaluate brings in.
pub type Tasks<'a> = dyn FnMut(Weights) -> Result<BTreeMap<String, f64>, Box<dyn std::error::Error + Send + Sync>> + 'a;

fn no_tasks(_: Weights) -> Result<BTreeMap<String, f64>, Box<dyn std::error::Error + Send + Sync>> {
    Ok(BTreeMap::new())
}

/// A line of a run's `spikes.jsonl`: a step that stood out, and the documents it saw.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SpikeReport {
    /// The step.
    pub step: u64,
    /// Its loss; `None` where it is no number.
    pub loss: Option<f64>,
    /// The norm of its gradients; `None` where it is no number.
    pub grad_norm: Option<f64>,
    /// How far it stands out.
    pub spike: Spike,
    /// What was done.
    pub action: SpikeAction,
    /// What it saw.
    pub documents: Vec<SeenDocument>,
}

/// The file of [`SpikeReport`]s in a run's folder.
pub const SPIKES_FILE: &str = "spikes.jsonl";

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
    progress: Progress,
    ranks: Box<dyn Collective<B>>,
    writer: Writer,
    train: Arc<Loader>,
    validation: Option<Loader>,
    folders: TokenFolders,
    init: Init,
}

/// What a step came to.
enum Made {
    Step(Metric),
    /// It was asked to stop before the step was whole; nothing has changed.
    Nothing,
    /// The step stands out, and the run has to go back.
    Back(Metric),
}

impl TrainRun<Cpu> {
    /// Starts a run in a folder, or goes on with the one that is there, on the CPU. Tokens come from one set's folder, or from several by
    /// weights. Of a run of several ranks this is the first; the others are threads that work while it runs.
    ///
    /// # Errors
    /// Tokens that are missing, not cleared, too few, or of different tokenizers; settings that cannot be; another run in that folder.
    pub fn start_or_resume(run_dir: &Path, tokens: impl Into<TokenFolders>, config: &TrainConfig, init: &Init) -> Result<Self, TrainError> {
        Self::start_or_resume_on(Cpu::new(), run_dir, tokens, config, init)
    }

    /// Makes the steps that are left. When `stop` becomes true, the step under way is given up and a checkpoint written.
    ///
    /// # Errors
    /// Tokens that cannot be read, files that cannot be written, or a loss that is no number.
    pub fn run(&mut self, stop: &AtomicBool, on_step: &mut dyn FnMut(&StepReport)) -> Result<Outcome, TrainError> {
        self.run_with(stop, &mut no_tasks, on_step)
    }

    /// The same, with tasks that are scored whenever the validation samples are.
    ///
    /// # Errors
    /// Those of [`TrainRun::run`]; tasks that cannot be scored.
    pub fn run_with(
        &mut self,
        stop: &AtomicBool,
        tasks: &mut Tasks<'_>,
        on_step: &mut dyn FnMut(&StepReport),
    ) -> Result<Outcome, TrainError> {
        let n_ranks = self.config.train.ranks;
        if n_ranks == self.ranks.n_ranks() {
            return self.run_rank(stop, tasks, on_step);
        }
        let (run_dir, folders, config, init) = (self.run_dir.clone(), self.folders.clone(), self.config.train.clone(), self.init.clone());
        let follow = |rank: LocalRank| {
            let mut run = Self::open(Cpu::new(), Box::new(rank), &run_dir, &folders, &config, &init)?;
            run.run_rank(&AtomicBool::new(false), &mut no_tasks, &mut |_| {})
        };
        std::thread::scope(|scope| {
            let mut ranks = local_ranks(n_ranks).into_iter();
            self.ranks = ranks.next().map_or_else(|| Box::new(Alone) as Box<dyn Collective<Cpu>>, |rank| Box::new(rank));
            let others: Vec<_> = ranks.map(|rank| scope.spawn(|| follow(rank))).collect();
            let outcome = self.run_rank(stop, tasks, on_step);
            // Whoever still waits for this rank learns that it has left.
            self.ranks = Box::new(Alone);
            let results = others.into_iter().enumerate().map(|(i, thread)| (i + 1, thread.join()));
            let failed: Vec<(usize, TrainError)> = results.filter_map(|(rank, result)| Some((rank, result.ok()?.err()?))).collect();
            match outcome {
                // What ended another rank is the reason why this one waited in vain.
                Err(TrainError::Collective(_)) => {
                    let cause = failed.into_iter().find(|(_, e)| !matches!(e, TrainError::Collective(_)));
                    outcome.map_err(|e| cause.map_or(e, |(rank, source)| TrainError::Rank { rank, source: Box::new(source) }))
                }
                outcome => outcome,
            }
        })
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
        Self::open(backend, Box::new(Alone), run_dir, &tokens.into(), config, init)
    }

    /// The same as one rank of several that have met, each in its process with its backend. All of them open the same run with the same settings,
    /// and call [`TrainRun::run_rank`]. Only the first one writes; the others read the run's folder, which with several hosts lies on a file
    /// system that all of them see.
    ///
    /// # Errors
    /// Those of [`TrainRun::start_or_resume`]; settings for another number of ranks; another rank has left.
    pub fn start_or_resume_rank(
        backend: B,
        mut ranks: Box<dyn Collective<B>>,
        run_dir: &Path,
        tokens: impl Into<TokenFolders>,
        config: &TrainConfig,
        init: &Init,
    ) -> Result<Self, TrainError> {
        if config.ranks != ranks.n_ranks() {
            return Err(TrainError::Option { option: "ranks", value: format!("{} where there are {}", config.ranks, ranks.n_ranks()) });
        }
        // The others read the folder once the first one has claimed it and tidied it up.
        let leads = ranks.rank() == 0;
        if !leads {
            ranks.sum(&mut [0.0])?;
        }
        let mut run = Self::open(backend, ranks, run_dir, &tokens.into(), config, init)?;
        if leads {
            run.ranks.sum(&mut [0.0])?;
        }
        Ok(run)
    }

    /// Makes the steps that are left as one rank of the collective it was opened with. When `stop` becomes true on any rank, all give the step
    /// under way up and the first one writes a checkpoint. Tasks are scored on the first rank.
    ///
    /// # Errors
    /// Those of [`TrainRun::run_with`]; ranks that have not opened the same run; another rank has left.
    pub fn run_rank(
        &mut self,
        stop: &AtomicBool,
        tasks: &mut Tasks<'_>,
        on_step: &mut dyn FnMut(&StepReport),
    ) -> Result<Outcome, TrainError> {
        self.compare()?;
        self.steps(stop, tasks, on_step)
    }

    fn open(
        backend: B,
        ranks: Box<dyn Collective<B>>,
        run_dir: &Path,
        folders: &TokenFolders,
        settings: &TrainConfig,
        init: &Init,
    ) -> Result<Self, TrainError> {
        settings.check()?;
        let (tokens, mixed) = open_sets(folders)?;
        for manifest in tokens.iter().map(TokenSet::manifest) {
            Clearance::require(manifest.clearance.as_ref(), &manifest.reference.to_string(), &manifest.inputs_digest())?;
        }
        let masking = folders.masking(&tokens, settings)?;
        let train = Arc::new(train_loader(&tokens, &mixed, settings, masking.clone())?);
        let validation = validation_loader(&tokens, &mixed, settings, masking)?;

        let Beginning { weights, digest, model } = initial(init, settings.seed, tokens[0].details())?;
        check_head(&weights.config, settings)?;
        let train_config = settings.clone();
        let config = RunConfig {
            format: 1,
            train: train_config,
            model: weights.config.clone(),
            initial_weights: digest,
            initial_model: model,
            tokens: mixed,
        };
        let leads = ranks.rank() == 0;
        if leads {
            claim(run_dir, &config)?;
            checkpoint::clean(run_dir)?;
        }
        let mut network = Network::with_options(backend, &weights, settings.network_options())?;
        network.join(weights.table.shares(settings.ranks), ranks.rank());
        let every = settings.spikes.as_ref().filter(|s| s.action == SpikeAction::Rewind).map(|_| settings.checkpoint_every);
        let keep = Keep { last: settings.keep_last, best: settings.keep_best, every };
        let mut run = Self {
            run_dir: run_dir.to_owned(),
            config,
            tokens,
            network,
            metrics: Metrics::read(run_dir, 0)?,
            step: 0,
            saved: 0,
            progress: Progress::default(),
            ranks,
            writer: Writer::new(run_dir, keep),
            train,
            validation,
            folders: folders.clone(),
            init: init.clone(),
        };
        if let Some(found) = checkpoint::read_newest(run_dir, weights.data.len())? {
            run.take_up(found)?;
        }
        run.metrics = if leads { Metrics::open(run_dir, run.step)? } else { Metrics::read(run_dir, run.step)? };
        Ok(run)
    }

    /// Goes on from a checkpoint.
    fn take_up(&mut self, found: Checkpoint) -> Result<(), TrainError> {
        // The state says more than the step: which data it counted.
        if let Some(state) = &found.loader {
            let (position, expected) = (self.train.resume(state)?, self.position(found.step, found.progress.passed_over));
            if position != expected {
                return Err(TrainError::Position { path: self.run_dir.clone(), position, expected });
            }
        }
        let [params, m, v] = &found.numbers;
        self.network.restore(params, m, v);
        (self.step, self.saved, self.progress) = (found.step, found.step, found.progress);
        Ok(())
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

    /// Place in the order of all samples behind a step.
    fn position(&self, step: u64, passed_over: u64) -> u64 {
        self.config.train.samples_of(step, passed_over).end
    }

    fn batches(&self) -> Result<Batches, TrainError> {
        let c = &self.config.train;
        let end = Some(self.position(c.steps, self.progress.passed_over));
        let plan = BatchPlan { end, rank: self.ranks.rank(), world: self.ranks.n_ranks(), ..BatchPlan::of_batch(c.batch_size) };
        Ok(self.train.batches(self.position(self.step, self.progress.passed_over), plan)?)
    }

    fn steps(&mut self, stop: &AtomicBool, tasks: &mut Tasks<'_>, on_step: &mut dyn FnMut(&StepReport)) -> Result<Outcome, TrainError> {
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
                    self.writer.finish()?;
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
            let is_best = if due(c.eval_every, self.step) { self.evaluate(&mut metric, tasks)? } else { false };
            self.metrics.push(metric.clone())?;
            let checkpointed = due(c.checkpoint_every, self.step) || (c.keep_best && is_best);
            if checkpointed {
                self.save(false)?;
                saved_at = Instant::now();
            }
            on_step(&self.report(metric, checkpointed));
        }
        self.writer.finish()?;
        Ok(Outcome::Finished)
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
    fn compare(&mut self) -> Result<(), TrainError> {
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
            let numbers = self.network.snapshot(&mut *self.ranks)?;
            if self.ranks.rank() == 0 {
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
        let mut loss = Loss::default();
        self.network.zero_grads();
        for first in (0..own).step_by(c.micro_batch_size) {
            // Gradients of half a step are worth nothing, and the step before it is whole.
            if self.agree(stop.load(Ordering::Relaxed))? {
                return Ok(Made::Nothing);
            }
            let range = first..own.min(first + c.micro_batch_size);
            loss += self.network.loss_and_grads(&micro_batch(batch, range, &mut Vec::new()), scale)?;
        }
        let mut sums = [loss.sum, loss.count as f64];
        self.ranks.sum(&mut sums)?;
        let loss = if sums[1] > 0.0 { sums[0] / sums[1] } else { 0.0 };
        let grad_norm = self.network.sum_grads(&mut *self.ranks)?;
        let spike = c.spikes.as_ref().and_then(|policy| policy.judge(&self.metrics.lines, loss, grad_norm));
        let metric =
            Metric { step, loss, lr: c.lr_at(step), grad_norm, spike, passed_over: self.progress.passed_over, ..Metric::default() };
        match (&c.spikes, spike) {
            (Some(policy), Some(spike)) => {
                self.give_up_at(step, policy.spikes_max, policy.action, loss, grad_norm)?;
                self.note_spike(&metric, spike, policy.action, samples)?;
                if policy.action == SpikeAction::Rewind {
                    return Ok(Made::Back(metric));
                }
            }
            _ if !loss.is_finite() || !grad_norm.is_finite() => return Err(TrainError::Diverged { step, loss, grad_norm }),
            _ => {
                let (adamw, muon) = c.update_at(step);
                self.network.update_together(&mut *self.ranks, adamw, muon)?;
            }
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
        let mut text = fs::read(&path).unwrap_or_default();
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
    fn evaluate(&mut self, metric: &mut Metric, tasks: &mut Tasks<'_>) -> Result<bool, TrainError> {
        let leads = self.ranks.rank() == 0;
        if leads {
            metric.validation_loss = self.validation_loss()?;
            metric.validation_bits_per_byte = metric.validation_loss.and_then(|loss| self.bits_per_byte(loss));
            let step = metric.step;
            metric.tasks = tasks(self.network.weights()).map_err(|source| TrainError::Tasks { step, source })?;
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

    /// Nats a token as bits a byte of the validation splits' text; `None` for what is no language model.
    fn bits_per_byte(&self, nats_per_token: f64) -> Option<f64> {
        if self.config.model.head != Head::LanguageModel {
            return None;
        }
        let of = |counts: &BTreeMap<String, u64>| counts.get("validation").copied().unwrap_or(0);
        let details = self.tokens.iter().map(TokenSet::details);
        let (tokens, bytes) = details.fold((0, 0), |(t, b), d| (t + of(&d.n_tokens), b + of(&d.bytes)));
        (bytes > 0).then(|| nats_per_token / std::f64::consts::LN_2 * tokens as f64 / bytes as f64)
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

/// Checks that a model's head is asked what it answers.
fn check_head(model: &ModelConfig, config: &TrainConfig) -> Result<(), TrainError> {
    let wrong = |from: &'static str| Err(TrainError::Family { family: model.family.name(), from });
    match (&model.head, &config.masking) {
        (Head::LanguageModel, None) | (Head::MaskedLm, Some(_)) => Ok(()),
        (Head::LanguageModel, Some(_)) => wrong("next tokens"),
        (Head::MaskedLm, None) => wrong("hidden tokens"),
        (Head::Classifier { .. }, _) => wrong("labelled texts, which runs do not read"),
        (Head::Embedding, _) => wrong("nothing: it has no loss"),
    }
}

/// The weights that a run begins with, and where they are from.
struct Beginning {
    weights: Weights,
    digest: Option<Digest>,
    model: Option<Input>,
}

fn initial(init: &Init, seed: u64, tokens: &TokenSetDetails) -> Result<Beginning, TrainError> {
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
            Ok(Beginning { weights: Weights::init(&model, seed)?, digest: None, model: None })
        }
        Init::Weights(dir) => {
            let weights = Weights::load(dir)?;
            fits(&weights.config)?;
            let digest = polder_base::digest_bytes(bytemuck::cast_slice(&weights.data));
            // Folders of others say neither what they are nor which tokenizer is theirs.
            let model = if dir.join(Manifest::FILE).exists() { Some(model_of(dir)?) } else { None };
            let tokenizer = dir.join("tokenizer.json");
            if tokenizer.exists() {
                let opened = Tokenizer::open(&tokenizer).map_err(|source| TrainError::Tokenizer { source })?;
                if opened.digest() != tokens.tokenizer_digest {
                    return Err(TrainError::OtherTokenizer { path: tokenizer });
                }
            }
            Ok(Beginning { weights, digest: Some(digest), model })
        }
    }
}

/// What a model's folder says it is; it must be cleared to be built upon.
fn model_of(dir: &Path) -> Result<Input, TrainError> {
    let manifest = Manifest::read(dir)?;
    Clearance::require(manifest.clearance.as_ref(), &manifest.reference.to_string(), &manifest.inputs_digest())?;
    Ok(Input { reference: manifest.reference.clone(), digest: manifest.content_digest() })
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
        ((found.initial_weights, &found.initial_model) != (config.initial_weights, &config.initial_model), "beginning"),
        (digest_json(&found) != digest_json(config), "configuration"),
    ];
    match differences.iter().find(|(differs, _)| *differs) {
        Some((_, what)) => Err(TrainError::OtherRun { path: run_dir.to_owned(), what }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
