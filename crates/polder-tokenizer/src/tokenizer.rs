//! A tokenizer: text to ids and back.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use polder_base::{Digest, digest_bytes};

use crate::bpe::{Bpe, Scratch};
use crate::definition::Definition;
use crate::encoder::Encoder;
use crate::error::TokenizerError;
use crate::formats::tokenizer_json;

/// A byte-level BPE; cloning shares it.
///
/// Encoding never gives the id of a special token: text that looks like one stays text.
#[derive(Clone)]
pub struct Tokenizer(Arc<Inner>);

struct Inner {
    definition: Definition,
    bpe: Bpe,
    /// What encoders that are done have left for those to come.
    idle: Mutex<Vec<Scratch>>,
    digest: Digest,
}

impl Tokenizer {
    /// Opens a `tokenizer.json`.
    ///
    /// # Errors
    /// The file cannot be read, is no tokenizer, or asks for what is not understood here.
    pub fn open(path: &Path) -> Result<Self, TokenizerError> {
        let text = std::fs::read_to_string(path).map_err(|source| TokenizerError::Read { path: path.to_owned(), source })?;
        Self::from_json(&text).map_err(|source| TokenizerError::File { path: path.to_owned(), source: Box::new(source) })
    }

    /// Reads the text of a `tokenizer.json`.
    ///
    /// # Errors
    /// It is no tokenizer, or asks for what is not understood here.
    pub fn from_json(text: &str) -> Result<Self, TokenizerError> {
        Self::try_new(tokenizer_json::read(text)?)
    }

    /// Writes the text of a `tokenizer.json` that Hugging Face's `tokenizers` loads; equal tokenizers give equal text.
    pub fn to_json(&self) -> String {
        tokenizer_json::write(&self.0.definition)
    }

    /// Makes a tokenizer of its parts.
    ///
    /// # Errors
    /// They contradict each other.
    pub fn try_new(definition: Definition) -> Result<Self, TokenizerError> {
        let bpe = Bpe::try_new(&definition)?;
        let digest = digest_bytes(tokenizer_json::write(&definition).as_bytes());
        Ok(Self(Arc::new(Inner { definition, bpe, idle: Mutex::default(), digest })))
    }

    /// What it is made of.
    pub fn definition(&self) -> &Definition {
        &self.0.definition
    }

    /// Number of ids, special tokens included.
    pub fn vocab_size(&self) -> usize {
        self.0.definition.tokens.len()
    }

    /// Encodes a text.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let mut out = Vec::with_capacity(text.len() / 3 + 1);
        self.encode_into(text, &mut out);
        out
    }

    /// Encodes a text and appends its ids to `out`. For many texts in a row take an [`Encoder`].
    pub fn encode_into(&self, text: &str, out: &mut Vec<u32>) {
        self.encoder().encode_into(text, out);
    }

    /// Returns an encoder for this thread.
    pub fn encoder(&self) -> Encoder {
        let idle = self.0.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Encoder::new(self.clone(), idle.unwrap_or_default())
    }

    pub(crate) fn take_back(&self, scratch: Scratch) {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner).push(scratch);
    }

    pub(crate) fn bpe(&self) -> &Bpe {
        &self.0.bpe
    }

    /// Decodes ids to the bytes they stand for; special tokens give their text, unknown ids nothing.
    pub fn decode_bytes(&self, ids: &[u32]) -> Vec<u8> {
        ids.iter().filter_map(|id| self.token_bytes(*id)).flatten().copied().collect()
    }

    /// Decodes ids to text; bytes that are no UTF-8 become U+FFFD.
    pub fn decode(&self, ids: &[u32]) -> String {
        match String::from_utf8(self.decode_bytes(ids)) {
            Ok(text) => text,
            Err(e) => String::from_utf8_lossy(e.as_bytes()).into_owned(),
        }
    }

    /// The bytes of one token.
    pub fn token_bytes(&self, id: u32) -> Option<&[u8]> {
        self.0.definition.tokens.get(id as usize).map(|t| &**t)
    }

    /// The id of a special token.
    pub fn special_id(&self, token: &str) -> Option<u32> {
        self.0.definition.added.iter().find(|a| a.special && a.content == token).map(|a| a.id)
    }

    /// Says whether an id is a special token's.
    pub fn is_special(&self, id: u32) -> bool {
        let added = &self.0.definition.added;
        added.binary_search_by_key(&id, |a| a.id).is_ok_and(|i| added[i].special)
    }

    /// Digest of [`Tokenizer::to_json`].
    pub fn digest(&self) -> Digest {
        self.0.digest
    }
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokenizer").field("vocab_size", &self.vocab_size()).field("digest", &self.0.digest).finish()
    }
}

impl PartialEq for Tokenizer {
    fn eq(&self, other: &Self) -> bool {
        self.0.definition == other.0.definition
    }
}

#[cfg(test)]
mod tests;
