//! The hot path: texts to ids, many in a row on one thread.

use std::borrow::Cow;

use crate::bpe::Scratch;
use crate::definition::Definition;
use crate::error::TokenizerError;
use crate::special::{SpecialPolicy, Stretch};
use crate::tokenizer::{Engine, Tokenizer};

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

    /// Encodes a text and appends its ids to `out`; text that looks like a special token stays text, other added tokens are found.
    #[inline]
    pub fn encode_into(&mut self, text: &str, out: &mut Vec<u32>) {
        if self.tokenizer.added().never(&SpecialPolicy::StaysText) {
            self.encode_stretch(text, out);
        } else {
            self.encode_around_added(text, &SpecialPolicy::StaysText, out);
        }
    }

    /// Encodes a text under a policy about special tokens and appends its ids to `out`.
    ///
    /// # Errors
    /// The policy refuses a token that the text holds, or names one that is not there; `out` is as it was.
    pub fn encode_with(&mut self, text: &str, policy: &SpecialPolicy, out: &mut Vec<u32>) -> Result<(), TokenizerError> {
        self.tokenizer.added().check(text, policy)?;
        self.encode_around_added(text, policy, out);
        Ok(())
    }

    fn encode_around_added(&mut self, text: &str, policy: &SpecialPolicy, out: &mut Vec<u32>) {
        let tokenizer = self.tokenizer.clone();
        tokenizer.added().cut_raw(text, policy, &mut |stretch| match stretch {
            Stretch::Token(id) => out.push(id),
            Stretch::Text(part) => {
                let (normal, front) = tokenizer.normalize(part);
                let first = front && std::ptr::eq(part.as_ptr(), text.as_ptr());
                tokenizer.added().cut_normalized(&normal, policy, &mut |stretch| match stretch {
                    Stretch::Token(id) => out.push(id),
                    Stretch::Text(part) => self.encode_normal(part, first && std::ptr::eq(part.as_ptr(), normal.as_ptr()), out),
                });
            }
        });
    }

    /// Encodes text that holds no added token.
    #[inline]
    fn encode_stretch(&mut self, text: &str, out: &mut Vec<u32>) {
        let (normal, front) = self.tokenizer.normalize(text);
        self.encode_normal(&normal, front, out);
    }

    #[inline]
    fn encode_normal(&mut self, text: &str, first: bool, out: &mut Vec<u32>) {
        match self.tokenizer.engine() {
            Engine::Bytes(bpe) => {
                let definition = self.tokenizer.definition();
                let before = out.len();
                bpe.encode_text(&definition.splitter, &prefixed(definition, text), &mut self.scratch, out);
                if self.tokenizer.lacks_bytes() {
                    drop_unknown(out, before);
                }
            }
            // A step that puts something in front must not make words of nothing.
            Engine::Characters(_) if text.is_empty() => {}
            Engine::Characters(model) => model.encode(text, first, out),
        }
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

/// What is cut: the text, with a space in front where the definition asks for one.
fn prefixed<'t>(definition: &Definition, text: &'t str) -> Cow<'t, str> {
    if definition.add_prefix_space && !text.is_empty() && !text.starts_with(' ') {
        return Cow::Owned(format!(" {text}"));
    }
    Cow::Borrowed(text)
}

/// Takes out what stands for bytes without a token.
#[cold]
fn drop_unknown(out: &mut Vec<u32>, from: usize) {
    let mut kept = from;
    for i in from..out.len() {
        out[kept] = out[i];
        kept += usize::from(out[i] != u32::MAX);
    }
    out.truncate(kept);
}
