//! Why batches cannot be made.

use polder_base::{Advice, ExitKind};
use thiserror::Error;

use crate::error::ShardError;

/// Why batches cannot be made.
#[derive(Debug, Error)]
pub enum LoaderError {
    /// A setting that cannot be.
    #[error("`{option}` cannot be {value}")]
    Option {
        /// Its name.
        option: &'static str,
        /// Its value.
        value: String,
    },
    /// A weight that cannot be.
    #[error("`{text}` is not a weight")]
    Weight {
        /// What was given.
        text: String,
    },
    /// Weights that repeat too late to be kept exactly.
    #[error("these weights repeat only after {samples} samples, and at most {max} are kept")]
    Weights {
        /// Samples after which the mixture repeats.
        samples: u64,
        /// The most that is kept.
        max: u64,
    },
    /// A set without one sample.
    #[error("`{name}` has {n_tokens} tokens, and one sample needs {needed}")]
    TooFewTokens {
        /// The set.
        name: String,
        /// What it has.
        n_tokens: u64,
        /// What is needed.
        needed: u64,
    },
    /// The state belongs to other data or settings.
    #[error("the state to go on from was made with another {what}: {found}, and it is {expected} here")]
    OtherState {
        /// What differs.
        what: &'static str,
        /// What the state says.
        found: String,
        /// What is here.
        expected: String,
    },
    /// A thread that reads ahead ended without saying why.
    #[error("a reader stopped without an error")]
    ReaderStopped,
    /// A thread could not be started.
    #[error("cannot start a reader")]
    Reader {
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The shards.
    #[error(transparent)]
    Shard(#[from] ShardError),
}

impl Advice for LoaderError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Weight { .. } => Some("Weights are numbers above 0 with at most six places behind the point, such as 0.7 or 3.".into()),
            Self::Weights { .. } => Some("Round the weights, to two places for instance.".into()),
            Self::TooFewTokens { .. } => Some("Build a larger token set with `polder tokens build`, or choose a shorter context.".into()),
            Self::OtherState { .. } => Some("Go on with the same data and settings, or start anew.".into()),
            Self::Shard(e) => e.hint(),
            Self::Option { .. } | Self::ReaderStopped | Self::Reader { .. } => None,
        }
    }
    fn exit(&self) -> ExitKind {
        match self {
            Self::Shard(e) => e.exit(),
            Self::ReaderStopped => ExitKind::Bug,
            Self::Reader { .. } => ExitKind::Failed,
            _ => ExitKind::Usage,
        }
    }
}
