//! Tokens beside the merges: which of them a text may give, and where they stand in it.
//!
//! A special token is a control sign. A text that spells one is only text, unless a policy says otherwise; what a policy does not allow
//! is not looked for. Other added tokens are words of the vocabulary, and are always found. Overlaps go to the one that begins
//! first, then to the longest.
//!
//! # Source
//! White space and word borders as in Hugging Face's `added_vocabulary.rs` (0.23); tests hold values from there and from tiktoken.

use std::collections::BTreeSet;

use crate::char_model::is_word;
use crate::definition::{AddedToken, Definition};
use crate::error::TokenizerError;
use crate::fast_hash::FastMap;

/// What becomes of text that spells a special token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SpecialPolicy {
    /// It stays text.
    #[default]
    StaysText,
    /// Those named become tokens, others stay text.
    Allow(BTreeSet<String>),
    /// All become tokens.
    AllowAll,
    /// Those named become tokens, the first other one is an error: for text that must not hold any.
    Refuse {
        /// What is allowed all the same.
        except: BTreeSet<String>,
    },
}

impl SpecialPolicy {
    /// Refuses every special token.
    pub fn refuse() -> Self {
        Self::Refuse { except: BTreeSet::new() }
    }

    /// Allows the tokens that are named.
    pub fn allow<T: Into<String>>(tokens: impl IntoIterator<Item = T>) -> Self {
        Self::Allow(tokens.into_iter().map(Into::into).collect())
    }

    fn named(&self) -> Option<&BTreeSet<String>> {
        match self {
            Self::Allow(names) | Self::Refuse { except: names } => Some(names),
            Self::StaysText | Self::AllowAll => None,
        }
    }

    fn allows(&self, token: &AddedToken) -> bool {
        !token.special || *self == Self::AllowAll || self.named().is_some_and(|names| names.contains(&token.content))
    }
}

/// A stretch of a text, or a token that stands in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stretch<'a> {
    Text(&'a str),
    Token(u32),
}

/// The added tokens of a tokenizer, ready to be looked for.
#[derive(Debug, Default)]
pub(crate) struct AddedTokens {
    /// Looked for in the text as it came.
    raw: Finder,
    /// Looked for in normalised text.
    normalized: Finder,
    has_ordinary: bool,
}

impl AddedTokens {
    /// `normalize` is what is done to text before it is cut; tokens that are looked for in normalised text are normalised themselves.
    pub(crate) fn new(definition: &Definition, normalize: &dyn Fn(&str) -> String) -> Self {
        let (mut raw, mut normalized) = (Finder::default(), Finder::default());
        for token in definition.added.iter().filter(|t| !t.content.is_empty()) {
            if token.normalized {
                normalized.add(&normalize(&token.content), token);
            } else {
                raw.add(&token.content, token);
            }
        }
        Self { raw, normalized, has_ordinary: definition.added.iter().any(|t| !t.special) }
    }

    /// Whether a text under this policy gives no added token, so that nothing needs to be looked for.
    #[inline]
    pub(crate) fn never(&self, policy: &SpecialPolicy) -> bool {
        !self.has_ordinary && matches!(policy, SpecialPolicy::StaysText)
    }

    /// Says whether the policy names only tokens that are there, and whether the text holds one that it refuses.
    pub(crate) fn check(&self, text: &str, policy: &SpecialPolicy) -> Result<(), TokenizerError> {
        let all = || self.raw.tokens.iter().chain(&self.normalized.tokens);
        for name in policy.named().into_iter().flatten() {
            if !all().any(|t| t.special && t.content == *name) {
                return Err(TokenizerError::NoSpecialToken { token: name.clone() });
            }
        }
        if !matches!(policy, SpecialPolicy::Refuse { .. }) {
            return Ok(());
        }
        let refused = |token: &AddedToken| !policy.allows(token);
        // What is allowed may hold the text of what isn't: only what is left over is judged.
        let found = [&self.raw, &self.normalized].into_iter().filter_map(|f| f.first(text, &|_| true, &refused)).min_by_key(|(at, _)| *at);
        match found {
            Some((at, token)) => Err(TokenizerError::SpecialInText { token: token.content.clone(), at }),
            None => Ok(()),
        }
    }

    /// Cuts a text at the tokens that stand in it as it came.
    pub(crate) fn cut_raw<'a>(&self, text: &'a str, policy: &SpecialPolicy, each: &mut dyn FnMut(Stretch<'a>)) {
        self.raw.cut(text, &|t| policy.allows(t), each);
    }

    /// Cuts normalised text at the tokens that stand in it.
    pub(crate) fn cut_normalized<'a>(&self, text: &'a str, policy: &SpecialPolicy, each: &mut dyn FnMut(Stretch<'a>)) {
        self.normalized.cut(text, &|t| policy.allows(t), each);
    }
}

/// Finds the longest of many texts at each place: by first byte, then by length.
#[derive(Debug, Default)]
struct Finder {
    tokens: Vec<AddedToken>,
    by_text: FastMap<Box<[u8]>, Vec<usize>>,
    /// For each first byte the lengths that occur, the longest first.
    lengths: FastMap<u8, Vec<usize>>,
}

impl Finder {
    fn add(&mut self, text: &str, token: &AddedToken) {
        let Some(first) = text.as_bytes().first() else { return };
        self.by_text.entry(text.as_bytes().into()).or_default().push(self.tokens.len());
        let lengths = self.lengths.entry(*first).or_default();
        if let Err(at) = lengths.binary_search_by(|n| text.len().cmp(n)) {
            lengths.insert(at, text.len());
        }
        self.tokens.push(token.clone());
    }

    /// The longest token that begins at `at`.
    #[inline]
    fn at(&self, text: &[u8], at: usize, wanted: &dyn Fn(&AddedToken) -> bool) -> Option<(usize, &AddedToken)> {
        let lengths = self.lengths.get(text.get(at)?)?;
        lengths.iter().find_map(|n| {
            let found = self.by_text.get(text.get(at..at + n)?)?;
            // Of two tokens that are the same once normalised, the reference finds the one that it knew last.
            found.iter().rev().map(|i| &self.tokens[*i]).find(|t| wanted(t)).map(|t| (*n, t))
        })
    }

    fn first(
        &self,
        text: &str,
        wanted: &dyn Fn(&AddedToken) -> bool,
        chosen: &dyn Fn(&AddedToken) -> bool,
    ) -> Option<(usize, &AddedToken)> {
        let mut at = 0;
        while at < text.len() {
            match self.at(text.as_bytes(), at, wanted) {
                Some((_, token)) if chosen(token) => return Some((at, token)),
                Some((n, _)) => at += n,
                None => at += 1,
            }
        }
        None
    }

    fn cut<'a>(&self, text: &'a str, wanted: &dyn Fn(&AddedToken) -> bool, each: &mut dyn FnMut(Stretch<'a>)) {
        let bytes = text.as_bytes();
        // `done` is where the next stretch of text begins, `at` where the next token may.
        let (mut done, mut at) = (0, 0);
        if self.tokens.iter().any(wanted) {
            while at < bytes.len() {
                let Some((n, token)) = self.at(bytes, at, wanted) else {
                    at += 1;
                    continue;
                };
                let (from, to) = (at, at + n);
                at = to;
                if token.single_word && (text[..from].ends_with(is_word) || text[to..].starts_with(is_word)) {
                    continue;
                }
                let from = if token.lstrip { text[..from].trim_end().len().max(done) } else { from };
                let to = if token.rstrip { text.len() - text[to..].trim_start().len() } else { to };
                if done < from {
                    each(Stretch::Text(&text[done..from]));
                }
                each(Stretch::Token(token.id));
                // White space that a token took may be a token of its own behind it: the reference gives both.
                done = to;
            }
        }
        if done < bytes.len() {
            each(Stretch::Text(&text[done..]));
        }
    }
}

#[cfg(test)]
mod tests;
