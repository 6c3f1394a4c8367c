//! A tokenizer: text to ids and back.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use polder_base::{Digest, digest_bytes};
use unicode_normalization::UnicodeNormalization;

use crate::bpe::{Bpe, Scratch};
use crate::char_model::CharModel;
use crate::definition::{Definition, Merging, Normalizer};
use crate::encoder::Encoder;
use crate::error::TokenizerError;
use crate::formats::{self, RankOptions, tokenizer_json};
use crate::special::{AddedTokens, SpecialPolicy};

/// A byte-level BPE, or a model over characters; cloning shares it.
///
/// Encoding never gives the id of a special token: text that looks like one stays text.
#[derive(Clone)]
pub struct Tokenizer(Arc<Inner>);

struct Inner {
    definition: Definition,
    engine: Engine,
    added: AddedTokens,
    lacks_bytes: bool,
    /// What encoders that are done have left for those to come.
    idle: Mutex<Vec<Scratch>>,
    digest: Digest,
}

/// What makes ids of text.
pub(crate) enum Engine {
    /// Merges over bytes.
    Bytes(Box<Bpe>),
    /// A model over the characters of normalised text.
    Characters(Box<CharModel>),
}

impl Tokenizer {
    /// Opens a tokenizer of any format: a `tokenizer.json`, a folder with one, a folder with `vocab.bpe` and `encoder.json` or
    /// `merges.txt` and `vocab.json`, a rank file of tiktoken whose digest is known, or a GGUF file.
    ///
    /// # Errors
    /// The file cannot be read, is no tokenizer, or asks for what is not understood here.
    pub fn open(path: &Path) -> Result<Self, TokenizerError> {
        Self::open_with(path, &RankOptions::default())
    }

    /// Opens a tokenizer, and takes from `ranks` what a rank file does not say.
    ///
    /// # Errors
    /// Those of [`Tokenizer::open`].
    pub fn open_with(path: &Path, ranks: &RankOptions) -> Result<Self, TokenizerError> {
        let definition = formats::open(path, ranks)?;
        Self::try_new(definition).map_err(|source| TokenizerError::File { path: path.to_owned(), source: Box::new(source) })
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

    /// Writes a rank file as tiktoken reads it: bytes in base64 and rank, special tokens left out.
    ///
    /// # Errors
    /// Its merges are not in the order of the ids, or it is no byte-level BPE.
    pub fn to_ranks(&self) -> Result<String, TokenizerError> {
        formats::write_ranks(&self.0.definition)
    }

    /// Writes GPT-2's two files: `encoder.json` and `vocab.bpe`.
    ///
    /// # Errors
    /// It is no byte-level BPE with GPT-2's splitting.
    pub fn to_vocab_bpe(&self) -> Result<(String, String), TokenizerError> {
        formats::write_vocab_bpe(&self.0.definition)
    }

    /// Makes a tokenizer of its parts.
    ///
    /// # Errors
    /// They contradict each other.
    pub fn try_new(definition: Definition) -> Result<Self, TokenizerError> {
        let engine = match &definition.merging {
            Merging::Characters(model) => Engine::Characters(model.clone()),
            Merging::Pairs(_) | Merging::Ranks => Engine::Bytes(Box::new(Bpe::try_new(&definition)?)),
        };
        let added = AddedTokens::new(&definition, &|text| normalize(&definition, text).0.into_owned());
        let digest = digest_bytes(tokenizer_json::write(&definition).as_bytes());
        Ok(Self(Arc::new(Inner { lacks_bytes: definition.lacks_bytes(), definition, engine, added, idle: Mutex::default(), digest })))
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

    pub(crate) fn engine(&self) -> &Engine {
        &self.0.engine
    }

    pub(crate) fn added(&self) -> &AddedTokens {
        &self.0.added
    }

    /// Whether encoding gives `u32::MAX` for bytes without a token.
    pub(crate) fn lacks_bytes(&self) -> bool {
        self.0.lacks_bytes
    }

    /// What is done to text before it is cut, and whether the result begins with what the text began with.
    pub(crate) fn normalize<'t>(&self, text: &'t str) -> (Cow<'t, str>, bool) {
        normalize(&self.0.definition, text)
    }

    /// Encodes a text under a policy about special tokens and appends its ids to `out`.
    ///
    /// # Errors
    /// The policy refuses a token that the text holds, or names one that is not there; `out` is as it was.
    pub fn encode_with(&self, text: &str, policy: &SpecialPolicy, out: &mut Vec<u32>) -> Result<(), TokenizerError> {
        self.encoder().encode_with(text, policy, out)
    }

    /// Decodes ids to the bytes they stand for; special tokens give their text, unknown ids nothing.
    pub fn decode_bytes(&self, ids: &[u32]) -> Vec<u8> {
        if let Engine::Characters(model) = self.engine() {
            let text = |id: &u32| self.token_bytes(*id).filter(|t| !t.is_empty()).map(|t| String::from_utf8_lossy(t).into_owned());
            return model.decode(ids.iter().filter_map(text).collect()).into_bytes();
        }
        ids.iter().filter_map(|id| self.token_bytes(*id)).flatten().copied().collect()
    }

    /// Decodes ids to text; bytes that are no UTF-8 become U+FFFD.
    pub fn decode(&self, ids: &[u32]) -> String {
        match String::from_utf8(self.decode_bytes(ids)) {
            Ok(text) => text,
            Err(e) => String::from_utf8_lossy(e.as_bytes()).into_owned(),
        }
    }

    /// The bytes of one token; for a model over characters the text that its file gives it.
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

    /// The token that ends a text: [`END_OF_TEXT`](crate::END_OF_TEXT), or what others call it.
    pub fn end_id(&self) -> Option<u32> {
        const NAMES: [&str; 10] = [
            crate::END_OF_TEXT,
            "<|end_of_text|>",
            "</s>",
            "<eos>",
            "<|eos|>",
            "<EOS>",
            "[EOS]",
            "<｜end▁of▁sentence｜>",
            "<|im_end|>",
            "[SEP]",
        ];
        NAMES.iter().find_map(|name| self.special_id(name))
    }

    /// Digest of [`Tokenizer::to_json`].
    pub fn digest(&self) -> Digest {
        self.0.digest
    }
}

fn normalize<'t>(definition: &Definition, text: &'t str) -> (Cow<'t, str>, bool) {
    match (&definition.merging, definition.normalizer) {
        (Merging::Characters(model), _) => {
            let (text, front) = model.normalize(text);
            (Cow::Owned(text), front)
        }
        (_, Normalizer::Nfc) if !text.is_ascii() => (Cow::Owned(text.nfc().collect()), true),
        (_, Normalizer::Nfc | Normalizer::None) => (Cow::Borrowed(text), true),
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
