//! WordPiece: the longest token that a word begins with, then the longest that goes on; a word that cannot be cut so is unknown.

use super::Parts;
use super::lookup::Lookup;
use crate::error::TokenizerError;

#[derive(Clone, Debug)]
pub(super) struct WordPiece {
    lookup: Lookup,
    unk: u32,
    prefix: String,
    chars_max: usize,
    /// Bytes of the longest token: no longer stretch is looked up.
    longest: usize,
}

impl WordPiece {
    pub(super) fn try_new(parts: &Parts, lookup: Lookup) -> Result<Self, TokenizerError> {
        let unk = lookup.unk.ok_or_else(|| TokenizerError::unsupported("model.unk_token", "absent", "a token of the vocabulary"))?;
        let longest = lookup.iter().map(|(text, _)| text.len()).max().unwrap_or(0);
        Ok(Self {
            lookup,
            unk,
            prefix: parts.continuing_subword_prefix.clone().unwrap_or_else(|| "##".into()),
            chars_max: parts.max_input_chars_per_word.unwrap_or(100),
            longest,
        })
    }

    pub(super) fn encode(&self, word: &str, out: &mut Vec<u32>) {
        if word.chars().count() > self.chars_max {
            out.push(self.unk);
            return;
        }
        let before = out.len();
        let mut key = Vec::with_capacity(self.prefix.len() + word.len());
        let mut start = 0;
        while start < word.len() {
            key.clear();
            key.extend_from_slice(if start > 0 { self.prefix.as_bytes() } else { b"" });
            let n_prefix = key.len();
            let room = self.longest.saturating_sub(n_prefix).min(word.len() - start);
            key.extend_from_slice(&word.as_bytes()[start..start + room]);
            let found = (1..=room)
                .rev()
                .filter(|n| word.is_char_boundary(start + n))
                .find_map(|n| Some((n, self.lookup.id(&key[..n_prefix + n])?)));
            let Some((n, id)) = found else {
                out.truncate(before);
                out.push(self.unk);
                return;
            };
            out.push(id);
            start += n;
        }
    }
}
