//! Why a model cannot be tuned.

use std::io;
use std::path::PathBuf;

use polder_base::{Advice, ExitKind, ManifestError, WholeError, units};
use polder_compute::cuda::CudaError;
use polder_model::ModelError;
use thiserror::Error;

/// Why a model cannot be tuned.
#[derive(Debug, Error)]
pub enum TuneError {
    /// The examples cannot be read.
    #[error("cannot read `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A line is no example.
    #[error("line {line} of `{path}` is not an example")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// An example that teaches nothing.
    #[error("example `{id}` cannot be used: {reason}")]
    Example {
        /// The example.
        id: String,
        /// Why.
        reason: &'static str,
    },
    /// No example is left.
    #[error("there are no {which} examples that fit the model's context of {context} tokens")]
    NoExamples {
        /// `training` or `held-out`.
        which: &'static str,
        /// The model's context.
        context: usize,
    },
    /// A wish that cannot be.
    #[error("`{option}` cannot be {value}")]
    Option {
        /// The option.
        option: &'static str,
        /// What was asked for.
        value: String,
    },
    /// The model has none of the matrices that get an adapter.
    #[error("a {family} model has none of the matrices that were asked for")]
    NoTargets {
        /// What kind of model it is.
        family: &'static str,
    },
    /// The tokenizer does not belong to the model.
    #[error("the tokenizer has no end-of-text token, or more tokens than the model")]
    Tokenizer,
    /// The memory does not suffice.
    #[error("tuning takes {} of memory, and {} are free", units::bytes(*needed_bytes), units::bytes(*free_bytes))]
    Memory {
        /// What it takes.
        needed_bytes: u64,
        /// What there is.
        free_bytes: u64,
        /// What would fit, each with what it takes.
        fits: Vec<String>,
    },
    /// The machine cannot be opened.
    #[error(transparent)]
    Machine(#[from] CudaError),
    /// The loss is no number any more.
    #[error("the loss became {loss} at step {step}")]
    Diverged {
        /// The step, counted from 1.
        step: u64,
        /// The loss.
        loss: f64,
    },
    /// The user stopped it.
    #[error("tuning was stopped at step {step}")]
    Stopped {
        /// Steps done.
        step: u64,
    },
    /// The model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The adapter's tensors cannot be written.
    #[error("cannot write the adapter's tensors")]
    Tensors {
        /// Why.
        #[source]
        source: safetensors::SafeTensorError,
    },
    /// A file cannot be written.
    #[error(transparent)]
    Write(#[from] WholeError),
    /// The manifest cannot be written.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

impl Advice for TuneError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Read { .. } | Self::NoExamples { .. } => {
                Some("Look at the tuning data: lines with id, prompt and completion in train.jsonl and heldout.jsonl.".into())
            }
            Self::Parse { .. } | Self::Example { .. } => Some("Mend the query that makes the examples, and make them again.".into()),
            Self::Option { .. } => Some("The command's --help says what is possible.".into()),
            Self::NoTargets { .. } => Some("Tune a Llama or Qwen model; their matrices are q, k, v, o, gate, up and down.".into()),
            Self::Tokenizer => Some("Tune with the model's own tokenizer.".into()),
            Self::Memory { fits, .. } if fits.is_empty() => {
                Some("Tune a smaller model, leave long examples out, or use a machine with more memory.".into())
            }
            Self::Memory { fits, .. } => Some(format!("It fits with {}.", fits.join(", with "))),
            Self::Machine(e) => e.hint(),
            Self::Diverged { .. } => Some("Use a smaller learning rate.".into()),
            Self::Stopped { .. } => Some("Run the same command again; it starts over and gives the same adapter.".into()),
            Self::Model(e) => e.hint(),
            Self::Write(e) => e.hint(),
            Self::Manifest(e) => e.hint(),
            Self::Tensors { .. } => None,
        }
    }
    fn exit(&self) -> ExitKind {
        match self {
            Self::Stopped { .. } => ExitKind::Interrupted,
            Self::Read { .. } | Self::Option { .. } | Self::NoTargets { .. } => ExitKind::Usage,
            Self::Memory { .. } => ExitKind::Refused,
            Self::Machine(e) => e.exit(),
            Self::Model(e) => e.exit(),
            Self::Manifest(e) => e.exit(),
            _ => ExitKind::Failed,
        }
    }
}
