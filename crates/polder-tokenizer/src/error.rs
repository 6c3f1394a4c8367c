//! Why a tokenizer cannot be trained or read.

use std::path::PathBuf;

use polder_base::{Advice, ExitKind};
use thiserror::Error;

/// Why a tokenizer cannot be trained or read.
#[derive(Debug, Error)]
pub enum TokenizerError {
    /// The file cannot be read.
    #[error("cannot read tokenizer `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file holds no tokenizer of ours; the source says why.
    #[error("`{path}` is not a tokenizer that can be used")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<TokenizerError>,
    },
    /// The text is not JSON of the right shape.
    #[error("this is not a tokenizer.json")]
    Parse {
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A setting changes what the ids mean, and it is not one that is known here.
    #[error("`{key}` is {found}, only {known} is understood")]
    Unsupported {
        /// The key's path in the file.
        key: &'static str,
        /// What stands there.
        found: String,
        /// What could stand there.
        known: &'static str,
    },
    /// The vocabulary and the merges contradict each other.
    #[error("the vocabulary is broken: {reason}")]
    Vocabulary {
        /// What is wrong.
        reason: String,
    },
    /// An expression that cuts text is none.
    #[error("`{expression}` is not a regular expression")]
    Expression {
        /// The expression.
        expression: String,
        /// Why.
        #[source]
        source: Box<fancy_regex::Error>,
    },
    /// The wished vocabulary is too small or too large.
    #[error("a vocabulary of {vocab_size} is not possible: it must be from {least} to {most}")]
    VocabSize {
        /// What was asked for.
        vocab_size: usize,
        /// 256 bytes and the special tokens.
        least: usize,
        /// The most ids a vocabulary may have.
        most: usize,
    },
    /// A special token that could be an ordinary one.
    #[error("`{token}` cannot be a special token: {reason}")]
    SpecialToken {
        /// The token.
        token: String,
        /// Why not.
        reason: &'static str,
    },
    /// The words take more places than can be numbered.
    #[error("{n_words} different words of {bytes} bytes are too many to learn from at once")]
    TooManyWords {
        /// Different words.
        n_words: usize,
        /// Their bytes.
        bytes: u64,
    },
    /// The words' pairs together are more than 64 bits count.
    #[error("the words occur more often than 64 bits can count")]
    CountOverflow,
    /// There is nothing to learn from.
    #[error("there are no words to train a tokenizer on")]
    NoWords,
}

impl Advice for TokenizerError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Read { .. } => Some("Train one with `polder tokenizer train NAME --query SQL --vocab N`.".into()),
            Self::File { source, .. } => source.hint(),
            Self::Parse { .. } | Self::Vocabulary { .. } => Some("Write the file again with `polder tokenizer train`.".into()),
            Self::Unsupported { .. } => Some("Use a byte-level BPE with GPT-2's splitting; `polder tokenizer train` makes one.".into()),
            Self::VocabSize { least, .. } => Some(format!("Give --vocab at least {least}; 8192 is a good start for small models.")),
            Self::SpecialToken { .. } => Some("Choose a name such as `<|name|>` for --special.".into()),
            Self::TooManyWords { .. } => Some("Leave rare words out with --min-word-count 2, or read less text with --limit.".into()),
            Self::CountOverflow => Some("Look at the counts that were given: no text is that long.".into()),
            Self::Expression { .. } => {
                Some("Look-around, back references, atomic groups and possessive quantifiers are understood.".into())
            }
            Self::NoWords => Some("Look whether the query gives any text: run it with `polder sql`.".into()),
        }
    }
    fn exit(&self) -> ExitKind {
        match self {
            Self::VocabSize { .. } | Self::SpecialToken { .. } | Self::Unsupported { .. } => ExitKind::Usage,
            Self::File { source, .. } => source.exit(),
            _ => ExitKind::Failed,
        }
    }
}
