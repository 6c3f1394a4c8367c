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
    /// The weights' file is not whole, or no safetensors file.
    #[error("`{path}` is not a whole safetensors file: {reason}")]
    TensorFile {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The weights are there only as a pickle, a program that opening would run.
    #[error("`{path}` is a pickle, which runs whatever is in it when it is opened; weights are read from safetensors files")]
    Pickle {
        /// The file.
        path: PathBuf,
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
    /// A file of weights could not be written.
    #[error("cannot write `{path}`")]
    WriteTensors {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It could not be written.
    #[error(transparent)]
    Write(#[from] WholeError),
}

impl Advice for ModelError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Some("A model's folder holds config.json with model.safetensors, or with several such files and their index.".into())
            }
            Self::Read { .. } => Some("Look at the models that are there with `polder model list`.".into()),
            Self::Parse { .. } | Self::Safetensors { .. } | Self::TensorFile { .. } | Self::Tensors { .. } => {
                Some("Remove the model's folder and run the step that made it again, or copy it in whole.".into())
            }
            Self::Unsupported { .. } | Self::Config { .. } => Some(
                "Choose one of the sizes that `polder model sizes` prints, or a Llama, Qwen 2, Qwen 3, GPT-2, BERT or ModernBERT model."
                    .into(),
            ),
            Self::WriteTensors { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                Some("The disk is full. Free some space and run the same command again; nothing was lost.".into())
            }
            Self::WriteTensors { .. } => Some("Check who owns that folder and whether it can be written.".into()),
            Self::Pickle { .. } => Some(
                "Where you trust it, write it anew with transformers: AutoModel.from_pretrained(DIR).save_pretrained(NEW), then give NEW."
                    .into(),
            ),
            Self::Input { .. } => None,
            Self::Write(e) => e.hint(),
        }
    }

    fn exit(&self) -> ExitKind {
        match self {
            Self::Unsupported { .. } | Self::Config { .. } | Self::Pickle { .. } | Self::Input { .. } => ExitKind::Usage,
            _ => ExitKind::Failed,
        }
    }
}
