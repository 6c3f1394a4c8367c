//! Why a run cannot start, go on or end.

use std::io;
use std::path::{Path, PathBuf};

use polder_base::{Advice, ClearanceError, ExitKind, ManifestError, WholeError, units};
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
    /// The model learns from hidden tokens, which runs do not make.
    #[error("a {family} model cannot learn from next tokens")]
    Family {
        /// What kind of model it is.
        family: &'static str,
    },
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
    #[error("the loss of step {step} is {loss}: training has diverged")]
    Diverged {
        /// The step.
        step: u64,
        /// Its loss.
        loss: f64,
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
            Self::Family { .. } => Some("Train a Llama or GPT-2 model, for example of the size `tiny` or `gpt2-tiny`.".into()),
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
            Self::Option { .. } | Self::File { .. } | Self::Parse { .. } | Self::Position { .. } => None,
        }
    }

    fn exit(&self) -> ExitKind {
        match self {
            Self::Clearance(e) => e.exit(),
            Self::Tokens { source, .. } => source.exit(),
            Self::Model(e) => e.exit(),
            Self::Loader(e) => e.exit(),
            Self::Position { .. } => ExitKind::Bug,
            Self::Memory { .. } => ExitKind::Refused,
            Self::OtherVocabulary { .. } | Self::OtherTokens { .. } | Self::Family { .. } => ExitKind::Usage,
            Self::Option { .. } | Self::TooFewTokens { .. } | Self::Vocabulary { .. } | Self::OtherRun { .. } => ExitKind::Usage,
            _ => ExitKind::Failed,
        }
    }
}
