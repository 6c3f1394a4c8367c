//! Pre-tokenizers: text in the pieces that the model sees one at a time.

use serde_json::Value;

use super::chars::is_punctuation;
use super::{character, expression, for_each_step, kind};
use crate::error::TokenizerError;
use crate::split::{Behavior, Pattern};

/// A step.
#[derive(Clone, Debug)]
pub(super) enum Cut {
    Pattern(Pattern),
    /// At white space, which is left out, then around each sign of punctuation.
    Bert,
    /// Spaces as a visible character that begins a piece.
    Metaspace {
        replacement: char,
        prepend: Prepend,
        split: bool,
    },
}

/// Which pieces get the visible character in front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prepend {
    Always,
    First,
    Never,
}

/// Reads when Metaspace puts its character in front.
pub(super) fn prepend(step: &Value, path: &str) -> Result<Prepend, TokenizerError> {
    let scheme = match step["prepend_scheme"].as_str() {
        None | Some("always") => Prepend::Always,
        Some("first") => Prepend::First,
        Some("never") => Prepend::Never,
        Some(other) => return Err(TokenizerError::unsupported(format!("{path}.prepend_scheme"), other, "always, first or never")),
    };
    Ok(if step["add_prefix_space"] == Value::Bool(false) { Prepend::Never } else { scheme })
}

pub(super) fn read(step: &Value) -> Result<Vec<Cut>, TokenizerError> {
    let mut steps = Vec::new();
    for_each_step(step, "pre_tokenizer", "pretokenizers", 0, &mut |step, path| {
        steps.push(read_one(step, path)?);
        Ok(())
    })?;
    Ok(steps)
}

fn read_one(step: &Value, path: &str) -> Result<Cut, TokenizerError> {
    let pattern = |text: &str, behavior, invert| Ok(Cut::Pattern(Pattern::try_new(text, behavior, invert)?));
    let behavior = || match &step["behavior"] {
        Value::Null => Ok(Behavior::Isolated),
        other => serde_json::from_value(other.clone())
            .map_err(|_| TokenizerError::unsupported(format!("{path}.behavior"), other.to_string(), "one of the five behaviours")),
    };
    match kind(step) {
        "BertPreTokenizer" => Ok(Cut::Bert),
        "Metaspace" => Ok(Cut::Metaspace {
            replacement: character(step, "replacement", path)?,
            prepend: prepend(step, path)?,
            split: step["split"].as_bool().unwrap_or(true),
        }),
        "Whitespace" => pattern(r"\w+|[^\w\s]+", Behavior::Removed, true),
        "WhitespaceSplit" => pattern(r"\s+", Behavior::Removed, false),
        "Punctuation" => pattern(r"[!-/:-@\[-`{-~\p{P}]", behavior()?, false),
        "Digits" if step["individual_digits"] == Value::Bool(true) => pattern(r"\p{N}", Behavior::Isolated, false),
        "Digits" => pattern(r"\p{N}", Behavior::Contiguous, false),
        "Split" => pattern(&expression(step, path)?, behavior()?, step["invert"].as_bool().unwrap_or(false)),
        "CharDelimiterSplit" => {
            let delimiter = character(step, "delimiter", path)?;
            pattern(&fancy_regex::escape(&delimiter.to_string()), Behavior::Removed, false)
        }
        other => Err(TokenizerError::unsupported(path, other, "a pre-tokenizer of WordPiece, Unigram and SentencePiece files")),
    }
}

/// Cuts a text; `first` says whether it begins where the whole text does.
pub(super) fn apply(steps: &[Cut], text: &str, first: bool) -> Vec<String> {
    let mut pieces = vec![(text.to_owned(), first)];
    for step in steps {
        let mut out = Vec::with_capacity(pieces.len());
        for (piece, first) in pieces {
            step.apply(piece, first, &mut out);
        }
        pieces = out;
    }
    pieces.into_iter().map(|(piece, _)| piece).filter(|piece| !piece.is_empty()).collect()
}

impl Cut {
    fn apply(&self, text: String, first: bool, out: &mut Vec<(String, bool)>) {
        match self {
            Self::Pattern(pattern) => {
                out.extend(pattern.boundaries(&text).into_iter().map(|(from, to)| (text[from..to].to_owned(), first && from == 0)));
            }
            Self::Bert => {
                for word in text.split_whitespace() {
                    let mut rest = word;
                    while let Some(c) = rest.chars().next() {
                        let n = if is_punctuation(c) { c.len_utf8() } else { rest.find(is_punctuation).unwrap_or(rest.len()) };
                        out.push((rest[..n].to_owned(), false));
                        rest = &rest[n..];
                    }
                }
            }
            Self::Metaspace { replacement, prepend, split } => {
                let mut marked = text.replace(' ', replacement.encode_utf8(&mut [0; 4]));
                let wanted = *prepend == Prepend::Always || (*prepend == Prepend::First && first);
                if wanted && !marked.starts_with(*replacement) {
                    marked.insert(0, *replacement);
                }
                if !split {
                    out.push((marked, first));
                    return;
                }
                let mut from = 0;
                for at in marked.match_indices(*replacement).map(|(at, _)| at).filter(|at| *at > 0).chain([marked.len()]) {
                    out.push((marked[from..at].to_owned(), first && from == 0));
                    from = at;
                }
            }
        }
    }
}
