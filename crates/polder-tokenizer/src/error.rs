//! Why a tokenizer cannot be trained, read, written or used.

use std::fmt;
use std::path::PathBuf;

use polder_base::{Advice, ExitKind};
use thiserror::Error;

/// Why a tokenizer cannot be trained, read, written or used.
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
        key: String,
        /// What stands there.
        found: String,
        /// What could stand there.
        known: &'static str,
    },
    /// The bytes are not what the format says.
    #[error("at {place}: {reason}")]
    Place {
        /// A line, or an offset in bytes.
        place: Place,
        /// What is wrong.
        reason: String,
    },
    /// Nothing about the file tells its format.
    #[error("its format is not known")]
    Format,
    /// The file is right, and does not say all that is needed.
    #[error("the file does not say {what}")]
    Unsaid {
        /// What is missing.
        what: &'static str,
        /// What to do about it.
        remedy: &'static str,
    },
    /// The tokenizer cannot be written in this format.
    #[error("it cannot be written as {format}: {reason}")]
    Inexpressible {
        /// The format.
        format: &'static str,
        /// What it has no place for.
        reason: String,
    },
    /// A text holds a special token that the policy refuses.
    #[error("the text holds the special token `{token}` at byte {at}")]
    SpecialInText {
        /// The token.
        token: String,
        /// Where it begins.
        at: usize,
    },
    /// A policy names a special token that is not there.
    #[error("there is no special token `{token}`")]
    NoSpecialToken {
        /// The name.
        token: String,
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
    /// No splitter has that name.
    #[error(transparent)]
    UnknownSplitter(#[from] crate::split::UnknownSplitter),
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

/// Where in a file something is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A line, the first is 1.
    Line(usize),
    /// An offset in bytes.
    Byte(u64),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(n) => write!(f, "line {n}"),
            Self::Byte(n) => write!(f, "byte {n}"),
        }
    }
}

impl TokenizerError {
    pub(crate) fn unsupported(key: impl Into<String>, found: impl Into<String>, known: &'static str) -> Self {
        Self::Unsupported { key: key.into(), found: found.into(), known }
    }
    pub(crate) fn broken(reason: impl Into<String>) -> Self {
        Self::Vocabulary { reason: reason.into() }
    }
    pub(crate) fn line(line: usize, reason: impl Into<String>) -> Self {
        Self::Place { place: Place::Line(line), reason: reason.into() }
    }
    pub(crate) fn byte(at: usize, reason: impl Into<String>) -> Self {
        Self::Place { place: Place::Byte(at as u64), reason: reason.into() }
    }
}

impl Advice for TokenizerError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Read { .. } => Some("Train one with `polder tokenizer train NAME --query SQL --vocab N`.".into()),
            Self::File { source, .. } => source.hint(),
            Self::Parse { .. } | Self::Vocabulary { .. } => Some("Write the file again with `polder tokenizer train`.".into()),
            Self::Unsupported { .. } => Some("Use a tokenizer without it; `polder tokenizer train` makes one.".into()),
            Self::Place { .. } => Some("Fetch the file again: it is cut short or changed.".into()),
            Self::Format => Some(
                "Give a tokenizer.json, a folder with one, a folder with vocab.bpe and encoder.json or vocab.json and merges.txt, a .tiktoken or a .gguf file."
                    .into(),
            ),
            Self::Unsaid { remedy, .. } => Some((*remedy).into()),
            Self::Inexpressible { .. } => Some("Write it as tokenizer.json, which has a place for everything.".into()),
            Self::SpecialInText { .. } => Some("Allow the token by name, or let such text stay text.".into()),
            Self::NoSpecialToken { .. } => Some("See its special tokens with `polder tokenizer show NAME`.".into()),
            Self::VocabSize { least, .. } => Some(format!("Give --vocab at least {least}; 8192 is a good start for small models.")),
            Self::SpecialToken { .. } => Some("Choose a name such as `<|name|>` for --special.".into()),
            Self::TooManyWords { .. } => Some("Leave rare words out with --min-word-count 2, or read less text with --limit.".into()),
            Self::CountOverflow => Some("Look at the counts that were given: no text is that long.".into()),
            Self::Expression { .. } => {
                Some("Look-around, back references, atomic groups and possessive quantifiers are understood.".into())
            }
            Self::UnknownSplitter(_) => Some("A regular expression is understood too, for example --splitter ' ?\\p{L}+|\\s+|.'.".into()),
            Self::NoWords => Some("Look whether the query gives any text: run it with `polder sql`.".into()),
        }
    }
    fn exit(&self) -> ExitKind {
        match self {
            Self::VocabSize { .. }
            | Self::SpecialToken { .. }
            | Self::Unsupported { .. }
            | Self::Format
            | Self::Unsaid { .. }
            | Self::NoSpecialToken { .. }
            | Self::UnknownSplitter(_)
            | Self::Expression { .. } => ExitKind::Usage,
            Self::File { source, .. } => source.exit(),
            _ => ExitKind::Failed,
        }
    }
}
