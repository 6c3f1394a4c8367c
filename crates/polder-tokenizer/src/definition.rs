//! What a tokenizer is made of: all that is written down in a file of any format, and nothing that is worked out from it.

use serde::{Deserialize, Serialize};

use crate::char_model::CharModel;
use crate::split::Splitter;

/// All that a tokenizer is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// The bytes of every token by id, those of added tokens as their text; empty where no token has the id.
    pub tokens: Vec<Box<[u8]>>,
    /// Which pairs are merged, and which first.
    pub merging: Merging,
    /// Tokens beside the merges, ascending by id.
    pub added: Vec<AddedToken>,
    /// How text is cut into the pieces that merges never cross.
    pub splitter: Splitter,
    /// What is done to text before it is cut.
    pub normalizer: Normalizer,
    /// Whether a text that does not begin with a space gets one in front.
    pub add_prefix_space: bool,
    /// Whether a piece that is a token is that token, whatever the merges make of it.
    pub whole_words_first: bool,
    /// What the reference puts around a text when it is asked to add special tokens. Encoding never adds it by itself.
    pub around: Around,
}

/// Ids around a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Around {
    /// Before it.
    pub before: Vec<u32>,
    /// After it.
    pub after: Vec<u32>,
}

/// Which pairs are merged, and which first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Merging {
    /// Pairs of ids, the first before all others.
    Pairs(Vec<(u32, u32)>),
    /// Every pair whose bytes together are a token, the lowest id first: how rank files are meant.
    Ranks,
    /// No byte-level BPE, but a model over the characters of normalised text.
    Characters(Box<CharModel>),
}

/// A token beside the merges.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddedToken {
    /// Its id.
    pub id: u32,
    /// Its text.
    pub content: String,
    /// Only where it stands between what are no word characters.
    #[serde(default)]
    pub single_word: bool,
    /// Takes the white space before it.
    #[serde(default)]
    pub lstrip: bool,
    /// Takes the white space after it.
    #[serde(default)]
    pub rstrip: bool,
    /// Looked for in the normalised text, not in the text as it came.
    #[serde(default)]
    pub normalized: bool,
    /// A control token, which text never gives unless it is allowed to; others are found in every text.
    #[serde(default)]
    pub special: bool,
}

impl AddedToken {
    /// A control token.
    pub fn special(id: u32, content: &str) -> Self {
        Self { id, content: content.to_owned(), single_word: false, lstrip: false, rstrip: false, normalized: false, special: true }
    }
}

/// What is done to text before it is cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Normalizer {
    /// Nothing.
    #[default]
    None,
    /// Unicode's composed form.
    Nfc,
}

/// The most ids that a vocabulary may have.
pub(crate) const VOCAB_SIZE_MAX: usize = 1 << 24;

/// Whether a vocabulary must have a token for a byte. Those of some known ones lack bytes that no UTF-8 text holds, and the first bytes
/// of planes 4 to 11, where Unicode assigns nothing; text that holds such a character all the same loses it, as in the reference.
pub(crate) const fn must_have(byte: u8) -> bool {
    !matches!(byte, 0xc0 | 0xc1 | 0xf1 | 0xf2 | 0xf5..=0xff)
}

impl Definition {
    /// Whether some byte that text can hold has no token.
    pub(crate) fn lacks_bytes(&self) -> bool {
        let has = |byte: u8| (0u32..).zip(&self.tokens).any(|(id, bytes)| **bytes == [byte] && !self.is_added(id));
        !matches!(self.merging, Merging::Characters(_)) && (!has(0xf1) || !has(0xf2))
    }
}
