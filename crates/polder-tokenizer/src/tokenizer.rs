//! A tokenizer: text to ids and back.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use polder_base::{Digest, digest_bytes};

use crate::error::TokenizerError;
use crate::fast_hash::FastMap;
use crate::json;
use crate::merge::Merges;
use crate::split::pieces;

/// A byte-level BPE; cloning shares it.
///
/// Encoding never gives the id of a special token: text that looks like one stays text.
#[derive(Clone)]
pub struct Tokenizer(Arc<Inner>);

struct Inner {
    parts: Parts,
    merges: Merges,
    byte_ids: [u32; 256],
    /// Words that the merges turn into one token, so that they need no merging.
    whole: FastMap<Box<[u8]>, u32>,
    longest_whole: usize,
    digest: Digest,
}

/// What a tokenizer is made of, and all that is written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parts {
    /// The bytes of every token by id; those of a special token are its text.
    pub(crate) tokens: Vec<Box<[u8]>>,
    /// Pairs of ids, in order of rank.
    pub(crate) merges: Vec<(u32, u32)>,
    /// The ids of special tokens, ascending.
    pub(crate) specials: Vec<u32>,
}

/// The most ids that a vocabulary may have.
pub(crate) const VOCAB_SIZE_MAX: usize = 1 << 24;

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
        Self::from_parts(json::read(text)?)
    }

    /// Writes the text of a `tokenizer.json` that Hugging Face's `tokenizers` loads; equal tokenizers give equal text.
    pub fn to_json(&self) -> String {
        json::write(&self.0.parts)
    }

    pub(crate) fn from_parts(parts: Parts) -> Result<Self, TokenizerError> {
        let broken = |reason: String| TokenizerError::Vocabulary { reason };
        let mut ids: FastMap<&[u8], u32> = FastMap::default();
        let mut byte_ids = [u32::MAX; 256];
        for (id, bytes) in parts.tokens.iter().enumerate() {
            if parts.specials.binary_search(&(id as u32)).is_ok() {
                continue;
            }
            if let [byte] = **bytes {
                byte_ids[usize::from(byte)] = id as u32;
            }
            ids.insert(bytes, id as u32);
        }
        if let Some(byte) = byte_ids.iter().position(|id| *id == u32::MAX) {
            return Err(broken(format!("byte {byte} has no token")));
        }
        let mut merges = Merges::with_capacity(parts.merges.len());
        for (rank, (left, right)) in parts.merges.iter().enumerate() {
            let (l, r) = match (parts.tokens.get(*left as usize), parts.tokens.get(*right as usize)) {
                (Some(l), Some(r)) => (l, r),
                _ => return Err(broken(format!("merge {rank} names an id that is not there"))),
            };
            let joined = [&**l, &**r].concat();
            let id = *ids.get(&*joined).ok_or_else(|| broken(format!("merge {rank} makes a token that is not there")))?;
            if !merges.insert(*left, *right, rank as u32, id) {
                return Err(broken(format!("merge {rank} repeats an earlier one")));
            }
        }
        let digest = digest_bytes(json::write(&parts).as_bytes());
        let mut inner = Inner { parts, merges, byte_ids, whole: FastMap::default(), longest_whole: 0, digest };
        inner.find_whole_words();
        Ok(Self(Arc::new(inner)))
    }

    /// Number of ids, special tokens included.
    pub fn vocab_size(&self) -> usize {
        self.0.parts.tokens.len()
    }

    /// Encodes a text.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let mut out = Vec::with_capacity(text.len() / 3 + 1);
        self.encode_into(text, &mut out);
        out
    }

    /// Encodes a text and appends its ids to `out`.
    pub fn encode_into(&self, text: &str, out: &mut Vec<u32>) {
        let (mut symbols, mut ranks) = (Vec::new(), Vec::new());
        for piece in pieces(text) {
            self.0.encode_piece(piece.as_bytes(), &mut symbols, &mut ranks, out);
        }
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
        self.0.parts.tokens.get(id as usize).map(|t| &**t)
    }

    /// The id of a special token.
    pub fn special_id(&self, token: &str) -> Option<u32> {
        let parts = &self.0.parts;
        parts.specials.iter().copied().find(|id| &*parts.tokens[*id as usize] == token.as_bytes())
    }

    /// Says whether an id is a special token's.
    pub fn is_special(&self, id: u32) -> bool {
        self.0.parts.specials.binary_search(&id).is_ok()
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
        self.0.parts == other.0.parts
    }
}

impl Inner {
    fn encode_piece(&self, piece: &[u8], symbols: &mut Vec<u32>, ranks: &mut Vec<(u32, u32)>, out: &mut Vec<u32>) {
        if piece.len() <= self.longest_whole
            && let Some(id) = self.whole.get(piece)
        {
            out.push(*id);
            return;
        }
        symbols.clear();
        symbols.extend(piece.iter().map(|b| self.byte_ids[usize::from(*b)]));
        self.merges.apply(symbols, ranks, out);
    }

    /// Not every token is what the merges make of its bytes, so each is tried.
    fn find_whole_words(&mut self) {
        let (mut symbols, mut ranks, mut out) = (Vec::new(), Vec::new(), Vec::new());
        let mut whole = FastMap::default();
        for (id, bytes) in self.parts.tokens.iter().enumerate() {
            out.clear();
            self.encode_piece(bytes, &mut symbols, &mut ranks, &mut out);
            if out == [id as u32] {
                whole.insert(bytes.clone(), id as u32);
            }
        }
        self.longest_whole = whole.keys().map(|k| k.len()).max().unwrap_or(0);
        self.whole = whole;
    }
}

#[cfg(test)]
mod tests;
