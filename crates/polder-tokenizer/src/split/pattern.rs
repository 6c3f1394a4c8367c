//! Any expression as a splitter, by a regular-expression engine with look-ahead and possessive quantifiers.

use std::fmt;
use std::sync::Arc;

use fancy_regex::Regex;
use serde::{Deserialize, Serialize};

use crate::error::TokenizerError;

/// What becomes of the text that an expression finds, by the names of `tokenizer.json`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Behavior {
    /// It is left out.
    Removed,
    /// It is a piece.
    #[default]
    Isolated,
    /// It ends the piece before it.
    MergedWithPrevious,
    /// It begins the piece behind it.
    MergedWithNext,
    /// It is a piece together with what is found right behind it.
    Contiguous,
}

/// An expression, and what becomes of what it finds.
#[derive(Clone)]
pub struct Pattern {
    expression: Box<str>,
    behavior: Behavior,
    invert: bool,
    regex: Arc<Regex>,
}

/// A run that makes the engine give up is looked at in windows of this many bytes.
const WINDOW_BYTES: usize = 64 << 10;

impl Pattern {
    /// Compiles an expression. `invert` swaps what is found and what lies between.
    ///
    /// The syntax is that of the `regex` crate with look-around, back references, atomic groups and possessive quantifiers; `$` is
    /// the end of the text.
    ///
    /// # Errors
    /// The expression isn't one.
    pub fn try_new(expression: &str, behavior: Behavior, invert: bool) -> Result<Self, TokenizerError> {
        let regex = Regex::new(expression)
            .map_err(|source| TokenizerError::Expression { expression: expression.to_owned(), source: Box::new(source) })?;
        Ok(Self { expression: expression.into(), behavior, invert, regex: Arc::new(regex) })
    }

    /// The expression.
    pub fn expression(&self) -> &str {
        &self.expression
    }

    /// What becomes of what it finds.
    pub fn behavior(&self) -> Behavior {
        self.behavior
    }

    /// Whether what it finds and what lies between are swapped.
    pub fn invert(&self) -> bool {
        self.invert
    }

    /// The pieces of a text as (from, to) in bytes; none is empty.
    pub(crate) fn boundaries(&self, text: &str) -> Vec<(usize, usize)> {
        let mut found = self.matches(text);
        if self.invert {
            found.iter_mut().for_each(|(_, is_match)| *is_match = !*is_match);
        }
        let mut pieces = apply(self.behavior, &found);
        pieces.retain(|(from, to)| from < to);
        pieces
    }

    /// The whole text as stretches that the expression finds, and those between.
    fn matches(&self, text: &str) -> Vec<((usize, usize), bool)> {
        let mut out = Vec::new();
        let mut done = 0;
        let mut add = |from: usize, to: usize| {
            if done < from {
                out.push(((done, from), false));
            }
            if from < to {
                out.push(((from, to), true));
            }
            done = to.max(done);
        };
        let (mut start, mut window) = (0, text.len());
        while start < text.len() {
            let mut at = start;
            let mut gave_up = false;
            for found in self.regex.find_iter(&text[start..window]) {
                match found {
                    Ok(m) => {
                        add(start + m.start(), start + m.end());
                        at = start + m.end();
                    }
                    Err(_) => {
                        gave_up = true;
                        break;
                    }
                }
            }
            // The engine's stack has an end: a run beyond it is cut in windows, the rest of the text goes on whole.
            (start, window) = match gave_up {
                true if window - at > WINDOW_BYTES => (at, text.floor_char_boundary(at + WINDOW_BYTES)),
                true => (at + text[at..].chars().next().map_or(1, char::len_utf8), text.len()),
                false => (window, text.len()),
            };
        }
        if done < text.len() {
            out.push(((done, text.len()), false));
        }
        out
    }
}

type Stretch = (usize, usize);

fn apply(behavior: Behavior, found: &[(Stretch, bool)]) -> Vec<Stretch> {
    let mut out: Vec<Stretch> = Vec::with_capacity(found.len());
    match behavior {
        Behavior::Isolated => out.extend(found.iter().map(|(stretch, _)| *stretch)),
        Behavior::Removed => out.extend(found.iter().filter(|(_, is_match)| !is_match).map(|(stretch, _)| *stretch)),
        Behavior::Contiguous => {
            for group in found.chunk_by(|a, b| a.1 == b.1) {
                out.push((group[0].0.0, group[group.len() - 1].0.1));
            }
        }
        Behavior::MergedWithPrevious => {
            let mut after_match = false;
            for (stretch, is_match) in found {
                match out.last_mut().filter(|_| *is_match && !after_match) {
                    Some(last) => last.1 = stretch.1,
                    None => out.push(*stretch),
                }
                after_match = *is_match;
            }
        }
        Behavior::MergedWithNext => {
            let mut before_match = false;
            for (stretch, is_match) in found.iter().rev() {
                match out.last_mut().filter(|_| *is_match && !before_match) {
                    Some(last) => last.0 = stretch.0,
                    None => out.push(*stretch),
                }
                before_match = *is_match;
            }
            out.reverse();
        }
    }
    out
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pattern")
            .field("expression", &self.expression)
            .field("behavior", &self.behavior)
            .field("invert", &self.invert)
            .finish_non_exhaustive()
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        (&self.expression, self.behavior, self.invert) == (&other.expression, other.behavior, other.invert)
    }
}

impl Eq for Pattern {}
