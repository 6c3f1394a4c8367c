//! Why a run cannot start, go on or end.

use std::io;
use std::path::{Path, PathBuf};

use polder_base::{Advice, ClearanceError, ExitKind, ManifestError, WholeError, units};
use polder_compute::CollectiveError;
use polder_model::ModelError;
use polder_shard::{LoaderError, ShardError};
use polder_tokenizer::TokenizerError;
use thiserror::Error;

/// Why a run cannot start, go on or end.
#[derive(Debug, Error)]
pub enum TrainError {
    /// A setting that cannot be.
    #[error("`{option}` cannot be {value}")]
    Option {
        /// Its name.
        option: &'static str,
        /// Its value.
        value: String,
    },
    /// There is no such setting.
    #[error("there is no setting `{name}`")]
    NoSetting {
        /// As it was written.
        name: String,
        /// Those there are.
        known: Vec<String>,
    },
    /// A setting cannot have this value.
    #[error("the setting `{name}` cannot be `{value}`: {reason}")]
    Setting {
        /// Its name.
        name: String,
        /// What it was given.
        value: String,
        /// What is wrong.
        reason: String,
    },
    /// What the model learns from is not what the settings make.
    #[error("a {family} model learns from {from}")]
    Family {
        /// What kind of model it is.
        family: &'static str,
        /// What it would need.
        from: &'static str,
    },
    /// The vocabulary has no token that hides others.
    #[error("the tokenizer has no token that stands for a hidden one")]
    NoMaskToken,
    /// Masks are made from a tokenizer's words and special tokens.
    #[error("training from hidden tokens needs the tokenizer that the tokens were made with")]
    TokenizerNeeded,
    /// The tokens have no verdict that lets them be used.
    #[error(transparent)]
    Clearance(#[from] ClearanceError),
    /// The tokens cannot be read.
    #[error("cannot read the tokens at `{path}`")]
    Tokens {
        /// The token set.
        path: PathBuf,
        /// Why.
        #[source]
        source: ShardError,
    },
    /// There is not one sample of this length.
    #[error("the split `train` of {tokens} has {n_tokens} tokens; one sample of {context} needs {}", context + 1)]
    TooFewTokens {
        /// The token set.
        tokens: String,
        /// What there is.
        n_tokens: u64,
        /// Tokens a sample.
        context: usize,
    },
    /// Token sets that no one model can read together.
    #[error("{first} and {other} were made with different tokenizers")]
    OtherVocabulary {
        /// The first set.
        first: String,
        /// The one that differs from it.
        other: String,
    },
    /// A token set is not the one that the run read.
    #[error("{reference} is not what the run read")]
    OtherTokens {
        /// The token set.
        reference: String,
    },
    /// Batches cannot be made.
    #[error(transparent)]
    Loader(#[from] LoaderError),
    /// The samples and the steps of a run do not agree.
    #[error("the run at `{path}` stands at sample {position}, not {expected}")]
    Position {
        /// The run's folder.
        path: PathBuf,
        /// Where the loader stands.
        position: u64,
        /// Where the steps say it stands.
        expected: u64,
    },
    /// Tokens and model do not belong together.
    #[error("the tokens need a vocabulary of {tokens}, and the model has {model}")]
    Vocabulary {
        /// Of the tokens.
        tokens: usize,
        /// Of the model.
        model: usize,
    },
    /// The model cannot be, be read or be written.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The folder holds another run.
    #[error("`{path}` holds a run with another {what}")]
    OtherRun {
        /// The run's folder.
        path: PathBuf,
        /// What differs.
        what: &'static str,
    },
    /// There is not enough memory.
    #[error(
        "training takes {} of memory, {} more than the {} that are free",
        units::bytes(*needed_bytes),
        units::bytes(needed_bytes.saturating_sub(*free_bytes)),
        units::bytes(*free_bytes)
    )]
    Memory {
        /// What it takes.
        needed_bytes: u64,
        /// What there is.
        free_bytes: u64,
        /// What would fit, each with what it takes.
        fits: Vec<String>,
    },
    /// The loss is no number any more.
    #[error("the loss of step {step} is {loss} and the norm of its gradients {grad_norm}: training has diverged")]
    Diverged {
        /// The step.
        step: u64,
        /// Its loss.
        loss: f64,
        /// The norm of its gradients.
        grad_norm: f64,
    },
    /// Another program writes to the run.
    #[error("another program is at work on the run at `{path}`")]
    Busy {
        /// The run's folder.
        path: PathBuf,
    },
    /// A checkpoint of a format that this program does not know.
    #[error("`{path}` has format {found}, and this program knows {known}")]
    Format {
        /// The checkpoint's state.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The one that is known.
        known: u32,
    },
    /// The run's metrics do not reach its checkpoint.
    #[error("the metrics of the run at `{path}` have {n_steps} steps up to its checkpoint of step {step}")]
    Metrics {
        /// The run's folder.
        path: PathBuf,
        /// Lines up to the step.
        n_steps: usize,
        /// The checkpoint's step.
        step: u64,
    },
    /// Where the model should go, something else stands.
    #[error("`{path}` is not empty, and no version of this model")]
    Occupied {
        /// The folder.
        path: PathBuf,
    },
    /// Ranks that are threads share the processor; GPUs want a process each.
    #[error("{n_ranks} ranks are threads of one process, which has one GPU")]
    ThreadsOnGpu {
        /// How many.
        n_ranks: usize,
    },
    /// The GPU fails.
    #[error(transparent)]
    Cuda(#[from] polder_compute::cuda::CudaError),
    /// Another rank ended without a word.
    #[error("rank {rank} has ended unexpectedly")]
    RankEnded {
        /// Which.
        rank: usize,
    },
    /// Steps stood out more often than the run puts up with.
    #[error("step {step} stands out as {n_spikes} before it did: loss {loss}, norm of the gradients {grad_norm}")]
    Spikes {
        /// The step.
        step: u64,
        /// How many did.
        n_spikes: usize,
        /// Its loss.
        loss: f64,
        /// The norm of its gradients.
        grad_norm: f64,
    },
    /// There is nothing to go back to.
    #[error("the checkpoint of step {step} in `{path}` is gone or damaged, and no other will do")]
    NoCheckpoint {
        /// The step.
        step: u64,
        /// The run's folder.
        path: PathBuf,
    },
    /// The ranks do not go on together.
    #[error(transparent)]
    Collective(#[from] CollectiveError),
    /// Ranks have not opened the same run.
    #[error("the ranks do not have the same {what}")]
    RanksDiffer {
        /// What differs.
        what: &'static str,
    },
    /// Another rank's work has failed.
    #[error("rank {rank} has failed")]
    Rank {
        /// Which.
        rank: usize,
        /// Why.
        #[source]
        source: Box<TrainError>,
    },
    /// A task's score could not be had.
    #[error("the tasks could not be scored after step {step}")]
    Tasks {
        /// The step.
        step: u64,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The run has steps left.
    #[error("the run has made {step} of {steps} steps")]
    Unfinished {
        /// Steps made.
        step: u64,
        /// Steps to make.
        steps: u64,
    },
    /// The tokenizer is not the one the tokens were made with.
    #[error("the tokenizer at `{path}` is not the one that made the tokens")]
    OtherTokenizer {
        /// The tokenizer.
        path: PathBuf,
    },
    /// The tokenizer cannot be read.
    #[error("cannot read the tokenizer of the run")]
    Tokenizer {
        /// Why.
        #[source]
        source: TokenizerError,
    },
    /// A file of the run could not be read, written or removed.
    #[error("cannot {step} `{path}`")]
    File {
        /// What was tried.
        step: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file of the run is not what it should be.
    #[error("`{path}` is not a file of a run")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// It could not be written whole.
    #[error(transparent)]
    Write(#[from] WholeError),
    /// The manifest could not be made.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

impl TrainError {
    pub(crate) fn file<'a>(step: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| Self::File { step, path: path.to_owned(), source }
    }
}

/// What was meant, or what there is.
fn near(name: &str, known: &[String]) -> String {
    let shared = |other: &str| name.chars().zip(other.chars()).take_while(|(a, b)| a == b).count();
    match known.iter().filter(|k| k.contains(name) || name.contains(k.as_str()) || shared(k) >= 3).max_by_key(|k| shared(k)) {
        Some(meant) => format!("Did you mean `{meant}`? There are {}.", known.join(", ")),
        None => format!("There are {}.", known.join(", ")),
    }
}

impl Advice for TrainError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Clearance(e) => e.hint(),
            Self::Tokens { source, .. } => source.hint(),
            Self::Model(e) => e.hint(),
            Self::Write(e) => e.hint(),
            Self::Manifest(e) => e.hint(),
            Self::Loader(e) => e.hint(),
            Self::Tokenizer { source } => source.hint(),
            Self::NoSetting { name, known } => Some(near(name, known)),
            Self::Setting { .. } => {
                Some("A setting is a name and a value, for example lr=1e-3, precision=bf16, spikes.action=rewind.".into())
            }
            Self::Family { from, .. } if from.contains("hidden") => {
                Some("Set how many tokens are hidden: masking=on, or masking.rate=0.3.".into())
            }
            Self::Family { .. } => {
                Some("Train a size such as `tiny`, `gpt2-tiny`, or for masked tokens `modernbert-tiny`; masking=off for decoders.".into())
            }
            Self::NoMaskToken => Some(
                "Train a tokenizer that has one, `polder tokenizer train NAME --special \"[MASK]\"`, and build the tokens with it.".into(),
            ),
            Self::TokenizerNeeded => Some("Name it: --tokenizer FILE.".into()),
            Self::Spikes { .. } => {
                Some("Look at the documents in the run's spikes.jsonl, or start a run with a smaller `lr` or a longer warm-up.".into())
            }
            Self::NoCheckpoint { path, .. } => {
                Some(format!("To start anew, remove the run's folder `{}`; what it holds is lost then.", path.display()))
            }
            Self::Busy { .. } => Some("Wait until it has ended, or end it; then run the same command again.".into()),
            Self::Format { .. } => Some("Go on with the version of the program that began the run, or start it anew.".into()),
            Self::Metrics { .. } => Some("Put its metrics.jsonl back, or start the run anew.".into()),
            Self::Occupied { .. } => {
                Some("Name a folder that is not there yet; its last two parts are the model's name and version.".into())
            }
            Self::RankEnded { .. } => None,
            Self::Cuda(e) => e.hint(),
            Self::ThreadsOnGpu { .. } => {
                Some("Start a process a GPU with `polder-gpu train --gpus N`, or work on the processor: --device cpu.".into())
            }
            Self::Rank { source, .. } => source.hint(),
            Self::Collective(e) => e.hint(),
            Self::RanksDiffer { .. } => Some(
                "Start every rank with the same settings, tokens and run folder; several hosts need a file system that all of them see."
                    .into(),
            ),
            Self::Tasks { .. } => None,
            Self::TooFewTokens { .. } => Some("Build a larger token set with `polder tokens build`, or choose a shorter context.".into()),
            Self::OtherVocabulary { .. } => Some("Build both with one tokenizer: `polder tokens build --tokenizer NAME`.".into()),
            Self::OtherTokens { .. } => Some("It was built again since; start a new run on it.".into()),
            Self::Vocabulary { .. } => Some("Plan the model for these tokens with `polder model plan`.".into()),
            Self::OtherRun { .. } => Some("Start it under another run name, or with the settings in its config.json.".into()),
            Self::Memory { fits, .. } if fits.is_empty() => {
                Some("Close other programs, then run the same command again; not even the smallest size fits.".into())
            }
            Self::Memory { fits, .. } => {
                Some(format!("It fits with {}. See what each size takes with `polder model sizes`.", fits.join(", with ")))
            }
            Self::Diverged { .. } => Some("Start a run with a smaller `lr` or a longer warm-up.".into()),
            Self::Unfinished { .. } => Some("Go on with `polder train resume`.".into()),
            Self::OtherTokenizer { .. } => Some("Build the tokens again with `polder tokens build`.".into()),
            Self::File { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                Some("The disk is full. Free some space and run the same command again; the last checkpoint is whole.".into())
            }
            Self::Option { .. } => Some("Give it another value with `--set NAME=VALUE`, or leave it out.".into()),
            Self::File { .. } | Self::Parse { .. } | Self::Position { .. } => None,
        }
    }

    fn exit(&self) -> ExitKind {
        match self {
            Self::Clearance(e) => e.exit(),
            Self::Tokens { source, .. } => source.exit(),
            Self::Model(e) => e.exit(),
            Self::Loader(e) => e.exit(),
            Self::Position { .. } => ExitKind::Bug,
            Self::Collective(e) => e.exit(),
            Self::Rank { source, .. } => source.exit(),
            Self::RankEnded { .. } => ExitKind::Bug,
            Self::Cuda(e) => e.exit(),
            Self::ThreadsOnGpu { .. } => ExitKind::Usage,
            Self::Occupied { .. } => ExitKind::Usage,
            Self::RanksDiffer { .. } | Self::NoSetting { .. } | Self::Setting { .. } | Self::NoMaskToken | Self::TokenizerNeeded => {
                ExitKind::Usage
            }
            Self::Memory { .. } => ExitKind::Refused,
            Self::OtherVocabulary { .. } | Self::OtherTokens { .. } | Self::Family { .. } => ExitKind::Usage,
            Self::Option { .. } | Self::TooFewTokens { .. } | Self::Vocabulary { .. } | Self::OtherRun { .. } => ExitKind::Usage,
            _ => ExitKind::Failed,
        }
    }
}
