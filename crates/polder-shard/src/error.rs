//! Why shards cannot be written or read.

use std::io;
use std::path::{Path, PathBuf};

use polder_base::{Advice, ExitKind, ManifestError, WholeError};
use thiserror::Error;

/// Why shards cannot be written or read.
#[derive(Debug, Error)]
pub enum ShardError {
    /// A file cannot be read.
    #[error("cannot read `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot {step} `{path}`")]
    Write {
        /// What was tried.
        step: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file is not what its name says.
    #[error("`{path}` is broken: {reason}")]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A document does not fit the format.
    #[error("document `{doc_id}` cannot be written: {reason}")]
    Document {
        /// The document.
        doc_id: String,
        /// Why.
        reason: String,
    },
    /// Documents must come in order of doc_id, each once.
    #[error("document `{doc_id}` {reason}")]
    Order {
        /// The document.
        doc_id: String,
        /// What is wrong with its place.
        reason: String,
    },
    /// A set cannot be written like that.
    #[error("cannot write `{path}`: {reason}")]
    Options {
        /// The set's folder.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A set does not fit a foreign format.
    #[error("cannot export `{path}`: {reason}")]
    Export {
        /// The set's folder.
        path: PathBuf,
        /// Why.
        reason: String,
        /// What to do instead.
        hint: String,
    },
    /// No such part of the set.
    #[error("there is no split `{split}`; there are {}", known.join(", "))]
    Split {
        /// What was asked for.
        split: String,
        /// What there is.
        known: Vec<String>,
    },
    /// A sample beyond the end.
    #[error("sample {idx} was asked for, and there are {n_samples}")]
    Sample {
        /// What was asked for.
        idx: u64,
        /// What there is.
        n_samples: u64,
    },
    /// The manifest or a file it describes.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The finished folder could not be put in place.
    #[error(transparent)]
    Whole(#[from] WholeError),
}

impl Advice for ShardError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Broken { .. } => Some("Build the set again with `polder tokens build`.".into()),
            Self::Write { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                Some("The disk is full. Free some space and run `polder tokens build` again.".into())
            }
            Self::Document { .. } => Some("Leave that document out of the query that `polder tokens build` reads.".into()),
            Self::Order { .. } => Some("Each doc_id may stand once in a pile; look for it with `polder sql`, then build again.".into()),
            Self::Export { hint, .. } => Some(hint.clone()),
            Self::Split { .. } => Some("Look what a set holds with `polder tokens show`.".into()),
            Self::Manifest(e) => e.hint(),
            Self::Whole(e) => e.hint(),
            Self::Read { .. } | Self::Write { .. } | Self::Options { .. } | Self::Sample { .. } => None,
        }
    }
    fn exit(&self) -> ExitKind {
        match self {
            Self::Split { .. } | Self::Options { .. } | Self::Export { .. } => ExitKind::Usage,
            Self::Sample { .. } => ExitKind::Bug,
            Self::Manifest(e) => e.exit(),
            _ => ExitKind::Failed,
        }
    }
}

/// Attaches the path and the step to a failure of writing.
pub(crate) fn wrong<'a>(step: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> ShardError + 'a {
    move |source| ShardError::Write { step, path: path.to_owned(), source }
}
