//! A run: starts or goes on, step by step, and gives the same bits however often it was stopped.

mod beginning;
mod steps;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use polder_base::{Clearance, Digest, Input};
use polder_compute::{Alone, Backend, Collective, Cpu, LocalRank, local_ranks};
use polder_model::{ModelConfig, Network, Weights};
use polder_shard::{Loader, TokenSet};
use serde::{Deserialize, Serialize};

use crate::checkpoint::{self, Checkpoint, Keep, Progress, Writer};
use crate::metrics::{Metric, Metrics};
use crate::tokens::{MixedTokens, SeenDocument, TokenFolders, one_or_many, open_sets, train_loader, validation_loader};
use crate::{Spike, SpikeAction, TrainConfig, TrainError};
use beginning::{Beginning, check_head, claim, initial, lock};

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

/// What the processor is called as a backend.
const CPU: &str = "cpu";

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
    /// Held by the rank that writes.
    _lock: Option<File>,
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
}

impl<B: Backend + From<Cpu>> TrainRun<B> {
    /// Makes the steps that are left. When `stop` becomes true, the step under way is given up and a checkpoint written.
    ///
    /// # Errors
    /// Tokens that cannot be read, files that cannot be written, or a loss that is no number.
    pub fn run(&mut self, stop: &AtomicBool, on_step: &mut dyn FnMut(&StepReport)) -> Result<Outcome, TrainError> {
        self.run_with(stop, None, on_step)
    }

    /// The same, with tasks that are scored whenever the validation samples are.
    ///
    /// # Errors
    /// Those of [`TrainRun::run`]; tasks that cannot be scored.
    pub fn run_with(
        &mut self,
        stop: &AtomicBool,
        tasks: Option<&mut Tasks<'_>>,
        on_step: &mut dyn FnMut(&StepReport),
    ) -> Result<Outcome, TrainError> {
        let n_ranks = self.config.train.ranks;
        if n_ranks == self.ranks.n_ranks() {
            return self.run_rank(stop, tasks, on_step);
        }
        if self.network.backend_mut().name() != CPU {
            return Err(TrainError::ThreadsOnGpu { n_ranks });
        }
        let (run_dir, folders, config, init) = (self.run_dir.clone(), self.folders.clone(), self.config.train.clone(), self.init.clone());
        let follow = |rank: LocalRank| {
            let mut run = Self::open(B::from(Cpu::new()), Box::new(rank), &run_dir, &folders, &config, &init)?;
            run.run_rank(&AtomicBool::new(false), None, &mut |_| {})
        };
        std::thread::scope(|scope| {
            let mut ranks = local_ranks(n_ranks).into_iter();
            self.ranks = ranks.next().map_or_else(|| Box::new(Alone) as Box<dyn Collective<B>>, |rank| Box::new(rank));
            let others: Vec<_> = ranks.map(|rank| scope.spawn(|| follow(rank))).collect();
            // Whoever still waits for this rank learns that it has left, even where it panics.
            let outcome = Leaving(self).0.run_rank(stop, tasks, on_step);
            let failed = others.into_iter().enumerate().filter_map(|(i, thread)| match thread.join() {
                Ok(result) => Some((i + 1, result.err()?)),
                Err(_) => Some((i + 1, TrainError::RankEnded { rank: i + 1 })),
            });
            let cause = failed.filter(|(_, e)| !matches!(e, TrainError::Collective(_))).reduce(|first, _| first);
            match (outcome, cause) {
                // What ended another rank is the reason why this one waited in vain.
                (Err(TrainError::Collective(_)), Some((rank, source))) => Err(TrainError::Rank { rank, source: Box::new(source) }),
                (outcome, _) => outcome,
            }
        })
    }
}

/// Leaves the other ranks of the process when it is dropped.
struct Leaving<'a, B: Backend>(&'a mut TrainRun<B>);

impl<B: Backend> Drop for Leaving<'_, B> {
    fn drop(&mut self) {
        self.0.ranks = Box::new(Alone);
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
        tasks: Option<&mut Tasks<'_>>,
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
        let Beginning { weights, digest, model } = initial(init, settings.seed, tokens[0].details())?;
        check_head(&weights.config, settings)?;
        let masking = folders.masking(&tokens, settings)?;
        let train = Arc::new(train_loader(&tokens, &mixed, settings, masking.clone())?);
        let validation = validation_loader(&tokens, &mixed, settings, masking)?;
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
        let held = if leads { Some(lock(run_dir)?) } else { None };
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
            _lock: held,
        };
        if let Some(found) = checkpoint::read_newest(run_dir, weights.data.len())? {
            run.take_up(found)?;
            if leads {
                // What is newer is damaged, or it would have been taken up.
                checkpoint::remove_after(run_dir, run.step)?;
            }
        }
        run.metrics = if leads { Metrics::open(run_dir, run.step)? } else { Metrics::read(run_dir, run.step)? };
        let n_steps = run.metrics.lines.len();
        if n_steps as u64 != run.step {
            return Err(TrainError::Metrics { path: run_dir.to_owned(), n_steps, step: run.step });
        }
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
}

#[cfg(test)]
mod tests;
