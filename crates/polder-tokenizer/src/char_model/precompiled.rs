//! SentencePiece's compiled replacements: a double-array trie over bytes, and the texts its leaves point to.
//!
//! Nothing in the bytes is trusted: a place beyond the array is no entry.

use unicode_segmentation::UnicodeSegmentation;

use crate::error::TokenizerError;
use crate::formats::base64;

#[derive(Clone, Debug)]
pub(super) struct Precompiled {
    trie: Vec<u32>,
    /// Texts that end with a zero byte.
    texts: String,
}

impl Precompiled {
    pub(super) fn read(text: &str, path: &str) -> Result<Self, TokenizerError> {
        let wrong = |found: &str| TokenizerError::unsupported(format!("{path}.precompiled_charsmap"), found, "a compiled map in base64");
        let bytes = base64::decode(text).ok_or_else(|| wrong("no base64"))?;
        let (head, rest) = bytes.split_first_chunk::<4>().ok_or_else(|| wrong("too short"))?;
        let n = u32::from_le_bytes(*head) as usize / 4 * 4;
        let (trie, texts) = rest.split_at_checked(n).ok_or_else(|| wrong("shorter than it says"))?;
        Ok(Self {
            trie: trie.as_chunks::<4>().0.iter().map(|unit| u32::from_le_bytes(*unit)).collect(),
            texts: String::from_utf8(texts.to_vec()).map_err(|_| wrong("no UTF-8"))?,
        })
    }

    /// The replacement of the shortest entry that `text` begins with, as the reference takes it.
    fn find(&self, text: &str) -> Option<&str> {
        let offset = |unit: u32| ((unit >> 10) << ((unit & (1 << 9)) >> 6)) as usize;
        let mut node = offset(*self.trie.first()?);
        for byte in text.bytes().take_while(|b| *b != 0) {
            node ^= usize::from(byte);
            let unit = *self.trie.get(node)?;
            if unit & (1 << 31 | 0xff) != u32::from(byte) {
                return None;
            }
            node ^= offset(unit);
            if unit >> 8 & 1 == 1 {
                let from = (self.trie.get(node)? & !(1 << 31)) as usize;
                let rest = self.texts.get(from..)?;
                return rest.split('\0').next();
            }
        }
        None
    }

    pub(super) fn apply(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        for grapheme in text.graphemes(true) {
            if grapheme.len() < 6
                && let Some(replacement) = self.find(grapheme)
            {
                out.push_str(replacement);
                continue;
            }
            for (at, c) in grapheme.char_indices() {
                let part = &grapheme[at..at + c.len_utf8()];
                out.push_str(self.find(part).unwrap_or(part));
            }
        }
        out
    }
}
