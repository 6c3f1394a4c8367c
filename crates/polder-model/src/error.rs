//! What can be wrong with a model's folder or with what it is asked to compute.

use std::io;
use std::path::PathBuf;

use polder_base::{Advice, ExitKind, WholeError};
use thiserror::Error;

/// Why a model cannot be read, written or run.
#[derive(Debug, Error)]
pub enum ModelError {
    /// A file could not be read.
    #[error("cannot read `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The configuration is not JSON.
    #[error("`{path}` is not a model configuration")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The configuration asks for something that would silently compute something else.
    #[error("the configuration's `{key}` is {found}; this program computes only {supported}")]
    Unsupported {
        /// The key, by name.
        key: String,
        /// Its value.
        found: String,
        /// What would do.
        supported: String,
    },
    /// Two values of the configuration cannot stand together, or one is missing.
    #[error("the model configuration cannot be: {reason}")]
    Config {
        /// What is wrong.
        reason: String,
    },
    /// The weights are not a safetensors file.
    #[error("`{path}` is not a safetensors file")]
    Safetensors {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: safetensors::SafeTensorError,
    },
    /// The weights do not belong to the configuration.
    #[error("the weights do not fit the configuration: {reason}")]
    Tensors {
        /// The first tensor that does not fit, and how.
        reason: String,
    },
    /// What was passed in does not fit the network.
    #[error("the network cannot take this input: {reason}")]
    Input {
        /// What is wrong.
        reason: String,
    },
    /// It could not be written.
    #[error(transparent)]
    Write(#[from] WholeError),
}

impl Advice for ModelError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Read { .. } => Some("Look at the models that are there with `polder model list`.".into()),
            Self::Parse { .. } | Self::Safetensors { .. } | Self::Tensors { .. } => {
                Some("Remove the model's folder and run the step that made it again, or copy it in whole.".into())
            }
            Self::Unsupported { .. } | Self::Config { .. } => {
                Some("Choose one of the model types that `polder model plan` prints, or a plain Llama model.".into())
            }
            Self::Input { .. } => None,
            Self::Write(e) => e.hint(),
        }
    }

    fn exit(&self) -> ExitKind {
        match self {
            Self::Unsupported { .. } | Self::Config { .. } | Self::Input { .. } => ExitKind::Usage,
            _ => ExitKind::Failed,
        }
    }
}
