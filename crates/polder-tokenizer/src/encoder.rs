//! The hot path: texts to ids, many in a row on one thread.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;

use crate::bpe::Scratch;
use crate::definition::{Definition, Normalizer};
use crate::tokenizer::Tokenizer;

/// Encodes texts one after the other and keeps what it learned about words between them: one a thread.
///
/// A tokenizer lends what an encoder needs and takes it back, so that making one for every batch costs nothing. No text needs
/// memory of its own: ids are appended to what the caller holds.
pub struct Encoder {
    tokenizer: Tokenizer,
    scratch: Scratch,
}

impl Encoder {
    pub(crate) fn new(tokenizer: Tokenizer, scratch: Scratch) -> Self {
        Self { tokenizer, scratch }
    }

    /// Encodes a text and appends its ids to `out`; text that looks like a special token stays text.
    #[inline]
    pub fn encode_into(&mut self, text: &str, out: &mut Vec<u32>) {
        let definition = self.tokenizer.definition();
        let text = prepared(definition, text);
        self.tokenizer.bpe().encode_text(&definition.splitter, &text, &mut self.scratch, out);
    }

    /// The tokenizer that it encodes with.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        self.tokenizer.take_back(std::mem::take(&mut self.scratch));
    }
}

/// What is cut: the text as the normaliser and the prefix make it.
fn prepared<'t>(definition: &Definition, text: &'t str) -> Cow<'t, str> {
    let mut text = match definition.normalizer {
        Normalizer::Nfc if !text.is_ascii() => Cow::Owned(text.nfc().collect()),
        Normalizer::Nfc | Normalizer::None => Cow::Borrowed(text),
    };
    if definition.add_prefix_space && !text.is_empty() && !text.starts_with(' ') {
        text.to_mut().insert(0, ' ');
    }
    text
}
