//! Why a model cannot be opened or asked.

use std::path::PathBuf;

use polder_base::{Advice, ExitKind};
use polder_compute::cuda::CudaError;
use polder_model::ModelError;
use polder_tokenizer::TokenizerError;
use thiserror::Error;

/// Why a model cannot be opened or asked.
#[derive(Debug, Error)]
pub enum InferError {
    /// The model's folder is not one.
    #[error("cannot open the model at `{path}`")]
    Model {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: ModelError,
    },
    /// The adapter's folder is not one, or belongs to another model.
    #[error("cannot add the adapter at `{path}`")]
    Adapter {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: ModelError,
    },
    /// The tokenizer beside the model cannot be used.
    #[error("cannot open the tokenizer of the model at `{path}`")]
    Tokenizer {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: TokenizerError,
    },
    /// The model reads whole texts and gives no next token.
    #[error("a {family} model does not continue text")]
    NotADecoder {
        /// What kind of model it is.
        family: &'static str,
    },
    /// The tokenizer makes tokens that the model does not know.
    #[error("the tokenizer has {tokenizer} tokens and the model {model}")]
    Vocabulary {
        /// Tokens of the tokenizer.
        tokenizer: usize,
        /// Tokens of the model.
        model: usize,
    },
    /// The text leaves no room for an answer.
    #[error("the prompt has {n_tokens} tokens; the model's context holds {context}")]
    PromptTooLong {
        /// Tokens of the prompt.
        n_tokens: usize,
        /// Tokens of the context.
        context: usize,
    },
    /// There is nothing to continue.
    #[error("the prompt is empty, and the model has no token that begins a text")]
    EmptyPrompt,
    /// A token that the model does not know.
    #[error("token {token} is outside the vocabulary of {vocab_size}")]
    Token {
        /// The token.
        token: u32,
        /// Tokens of the model.
        vocab_size: usize,
    },
    /// The model cannot be put on a backend, or asked there.
    #[error("the model cannot be asked")]
    Network {
        /// Why.
        #[source]
        source: ModelError,
    },
    /// The machine that was chosen cannot be had.
    #[error("cannot put the model on the machine")]
    Machine {
        /// Why.
        #[source]
        source: CudaError,
    },
    /// The backend has failed under way.
    #[error("the machine that the model runs on has failed")]
    Backend,
    /// An option has a value that means nothing.
    #[error("{option} cannot be {value}")]
    Option {
        /// Its name.
        option: &'static str,
        /// Its value.
        value: f32,
    },
}

impl Advice for InferError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Model { source, .. } | Self::Adapter { source, .. } | Self::Network { source } => source.hint(),
            Self::Tokenizer { source, .. } => source.hint(),
            Self::NotADecoder { .. } => Some("Choose a Llama, Qwen or GPT-2 model.".into()),
            Self::Vocabulary { .. } => Some("Put the tokenizer.json that the model was trained with into its folder.".into()),
            Self::PromptTooLong { .. } => Some("Shorten the prompt, or choose a model with a longer context.".into()),
            Self::EmptyPrompt => Some("Give at least one character to continue.".into()),
            Self::Token { .. } => Some("Encode the text with the tokenizer of this model.".into()),
            Self::Machine { source: CudaError::Memory { .. } } => Some(
                "Fewer texts at once take less, and so do numbers in bf16, where the command offers that; --device cpu takes none of it."
                    .into(),
            ),
            Self::Machine { source } => source.hint(),
            Self::Backend => Some(
                "`polder-gpu kernels check` runs every kernel against the processor's results; --device cpu works without a GPU.".into(),
            ),
            Self::Option { .. } => Some("Use a temperature of 0 or more, and a top-p above 0 and at most 1.".into()),
        }
    }

    fn exit(&self) -> ExitKind {
        match self {
            Self::Model { source, .. } | Self::Adapter { source, .. } | Self::Network { source } => source.exit(),
            Self::Tokenizer { source, .. } => source.exit(),
            Self::Machine { source: CudaError::Memory { .. } } => ExitKind::Refused,
            Self::Machine { source } => source.exit(),
            Self::Vocabulary { .. } | Self::Backend => ExitKind::Failed,
            Self::NotADecoder { .. } | Self::PromptTooLong { .. } | Self::EmptyPrompt | Self::Token { .. } | Self::Option { .. } => {
                ExitKind::Usage
            }
        }
    }
}
