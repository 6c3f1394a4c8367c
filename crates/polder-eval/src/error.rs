//! Why an evaluation cannot be done.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use polder_base::{Advice, ExitKind, WholeError};
use thiserror::Error as ThisError;

/// Why an evaluation cannot be done.
#[derive(Debug, ThisError)]
pub enum EvalError {
    /// The requests cannot be read.
    #[error("cannot read `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A line is no request.
    #[error("line {line} of `{path}` is not a request")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A request asks for nothing that can be scored.
    #[error("request `{id}` cannot be scored: {reason}")]
    Request {
        /// The request.
        id: String,
        /// Why.
        reason: String,
    },
    /// There is nothing to do.
    #[error("there are no requests")]
    NoRequests,
    /// The model failed.
    #[error("the model cannot score request `{id}`")]
    Model {
        /// The request.
        id: String,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The user stopped it.
    #[error("the evaluation was stopped after {done} of {total} requests")]
    Stopped {
        /// Requests scored.
        done: usize,
        /// Requests asked for.
        total: usize,
    },
    /// The scores cannot be written.
    #[error(transparent)]
    Write(#[from] WholeError),
}

impl Advice for EvalError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Read { .. } | Self::NoRequests => Some("Make the requests with `polder pipeline apply`, then run it again.".into()),
            Self::Parse { .. } | Self::Request { .. } => Some("Mend the query that renders the requests, and render them again.".into()),
            Self::Stopped { .. } => Some("Run the same command again to score from the start.".into()),
            Self::Write(e) => e.hint(),
            Self::Model { .. } => None,
        }
    }
    fn exit(&self) -> ExitKind {
        match self {
            Self::Stopped { .. } => ExitKind::Interrupted,
            Self::Read { .. } => ExitKind::Usage,
            _ => ExitKind::Failed,
        }
    }
}
