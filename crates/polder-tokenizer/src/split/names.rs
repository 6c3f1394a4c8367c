//! What splitters are called, and the expressions they stand for.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use super::{Behavior, Digits, Pattern, Splitter};
use crate::error::TokenizerError;

const GPT2: &str = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

/// The expressions of one family by digit rule.
macro_rules! by_digits {
    ($before:literal, $after:literal) => {
        |digits: Digits| match digits {
            Digits::One => concat!($before, r"\p{N}", $after),
            Digits::UpToTwo => concat!($before, r"\p{N}{1,2}", $after),
            Digits::UpToThree => concat!($before, r"\p{N}{1,3}", $after),
            Digits::Any => concat!($before, r"\p{N}+", $after),
        }
    };
}

const CL100K: fn(Digits) -> &'static str =
    by_digits!(r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|", r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s++\z|\s*[\r\n]|\s+(?!\S)|\s+");
const LLAMA3: fn(Digits) -> &'static str =
    by_digits!(r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|", r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+");
const O200K: fn(Digits) -> &'static str = by_digits!(
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|",
    r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);

/// Other spellings of the same expressions, as files hold them.
const SPELLINGS: &[(&str, Splitter)] = &[
    (r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+", Splitter::Gpt2),
    (r"'s|'t|'re|'ve|'m|'ll|'d| ?[\p{L}]+| ?[\p{N}]+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+", Splitter::Gpt2),
    (r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s", Splitter::Gpt2),
    (
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s",
        Splitter::Cl100k(Digits::UpToThree),
    ),
    // nanochat's, whose vocabularies are small.
    (
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,2}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+",
        Splitter::Llama3(Digits::UpToTwo),
    ),
    (
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+",
        Splitter::Llama3(Digits::UpToThree),
    ),
];

impl Splitter {
    /// Returns the splitter written by hand for an expression that is known, in any of its usual spellings, read as the engine
    /// here and tiktoken's read it. `None` for any other: [`Pattern`] takes those.
    ///
    /// Oniguruma, which Hugging Face uses, reads `$` as the end of a line and `{1,3}+` as a repetition; the spellings that hold
    /// these are tiktoken's and not found in `tokenizer.json` files.
    pub fn from_pattern(expression: &str) -> Option<Self> {
        let spelled = SPELLINGS.iter().find(|(known, _)| *known == expression).map(|(_, splitter)| splitter.clone());
        spelled.or_else(|| Self::written_by_hand().find(|s| s.pattern().as_deref() == Some(expression)))
    }

    /// A splitter by its name, or by the expression itself: what holds more than small letters, digits and `-` is one. An expression's
    /// finds and what lies between them are pieces.
    ///
    /// # Errors
    /// There is no splitter of that name, or the expression isn't one.
    pub fn named(text: &str) -> Result<Self, TokenizerError> {
        if text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
            return Ok(text.parse()?);
        }
        match Self::from_pattern(text) {
            Some(known) => Ok(known),
            None => Ok(Self::Pattern(Pattern::try_new(text, Behavior::Isolated, false)?)),
        }
    }

    /// All that are written by hand.
    pub fn written_by_hand() -> impl Iterator<Item = Self> {
        let families = [Self::Cl100k, Self::Llama3, Self::O200k];
        std::iter::once(Self::Gpt2).chain(families.into_iter().flat_map(|family| Digits::ALL.map(family)))
    }

    /// The regular expression that it stands for; `None` for sequences.
    pub fn pattern(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(match self {
            Self::Gpt2 => GPT2,
            Self::Cl100k(digits) => CL100K(*digits),
            Self::Llama3(digits) => LLAMA3(*digits),
            Self::O200k(digits) => O200K(*digits),
            Self::Pattern(pattern) => pattern.expression(),
            Self::Digits { individual: true } => r"\p{N}",
            Self::Digits { individual: false } => r"\p{N}+",
            Self::Punctuation(_) => super::sequence::PUNCTUATION,
            Self::ByteLevel { use_regex: true } => GPT2,
            Self::ByteLevel { use_regex: false } | Self::Sequence(_) => return None,
        }))
    }

    fn family(&self) -> Option<(&'static str, Option<Digits>, Digits)> {
        match self {
            Self::Gpt2 => Some(("gpt2", None, Digits::Any)),
            Self::Cl100k(digits) => Some(("cl100k", Some(*digits), Digits::UpToThree)),
            Self::Llama3(Digits::One) => Some(("qwen2", None, Digits::One)),
            Self::Llama3(digits) => Some(("llama3", Some(*digits), Digits::UpToThree)),
            Self::O200k(digits) => Some(("o200k", Some(*digits), Digits::UpToThree)),
            _ => None,
        }
    }
}

/// `gpt2`, `cl100k`, `llama3`, `qwen2` and `o200k`, with the digit rule behind it where it isn't the usual one: `cl100k-2`,
/// `llama3-any`. Others have no name: they are written as `pattern`, `digits`, `punctuation`, `byte-level` or `sequence`.
impl fmt::Display for Splitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((name, digits, usual)) = self.family() {
            return match digits.filter(|digits| *digits != usual) {
                None => f.write_str(name),
                Some(Digits::Any) => write!(f, "{name}-any"),
                Some(digits) => write!(f, "{name}-{}", digits.max()),
            };
        }
        f.write_str(match self {
            Self::Pattern(_) => "pattern",
            Self::Digits { .. } => "digits",
            Self::Punctuation(_) => "punctuation",
            Self::ByteLevel { .. } => "byte-level",
            _ => "sequence",
        })
    }
}

/// There is no splitter of that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no splitter `{0}`: it is one of {known}", known = known_names())]
pub struct UnknownSplitter(String);

fn known_names() -> String {
    Splitter::written_by_hand().map(|s| s.to_string()).collect::<Vec<_>>().join(", ")
}

impl FromStr for Splitter {
    type Err = UnknownSplitter;
    fn from_str(name: &str) -> Result<Self, UnknownSplitter> {
        Self::written_by_hand().find(|s| s.to_string() == name).ok_or_else(|| UnknownSplitter(name.to_owned()))
    }
}
