//! Texts to ids, without control tokens.

use super::Parts;
use crate::definition::AddedToken;
use crate::error::TokenizerError;
use crate::fast_hash::FastMap;

/// The vocabulary that a model matches with.
#[derive(Clone, Debug)]
pub(super) struct Lookup {
    ids: FastMap<Box<[u8]>, u32>,
    pub unk: Option<u32>,
    /// The tokens `<0x00>` to `<0xFF>`, if bytes stand in for unknown characters and all are there.
    pub bytes: Option<Box<[u32; 256]>>,
}

impl Lookup {
    pub(super) fn new(parts: &Parts, tokens: &[Box<[u8]>], added: &[AddedToken]) -> Result<Self, TokenizerError> {
        let n_model = if parts.kind == "Unigram" { parts.scores.len() } else { tokens.len() };
        let mut all: FastMap<Box<[u8]>, u32> = FastMap::default();
        for (id, text) in (0u32..).zip(&tokens[..n_model.min(tokens.len())]).filter(|(_, text)| !text.is_empty()) {
            // Of two equal texts the reference keeps the last.
            all.insert(text.clone(), id);
        }
        let unk = match (&parts.unk_token, parts.unk_id) {
            (_, Some(id)) if (id as usize) < n_model => Some(id),
            (_, Some(id)) => return Err(TokenizerError::unsupported("model.unk_id", id.to_string(), "the id of a token")),
            (Some(text), None) => match all.get(text.as_bytes()) {
                Some(id) => Some(*id),
                None => return Err(TokenizerError::unsupported("model.unk_token", format!("`{text}`"), "a token of the vocabulary")),
            },
            (None, None) => None,
        };
        let bytes = parts.byte_fallback.then(|| {
            let ids: Option<Vec<u32>> = (0..=255u8).map(|b| all.get(format!("<0x{b:02X}>").as_bytes()).copied()).collect();
            ids.and_then(|ids| ids.into_boxed_slice().try_into().ok())
        });
        let bytes = bytes.flatten();
        if parts.byte_fallback && bytes.is_none() {
            return Err(TokenizerError::unsupported("model.byte_fallback", "true without all 256 byte tokens", "all of them"));
        }
        let control = |id: &u32| added.binary_search_by_key(id, |t| t.id).is_ok_and(|i| added[i].special);
        all.retain(|_, id| !control(id));
        Ok(Self { ids: all, unk, bytes })
    }

    #[inline]
    pub(super) fn id(&self, text: &[u8]) -> Option<u32> {
        self.ids.get(text).copied()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], u32)> {
        self.ids.iter().map(|(text, id)| (&**text, *id))
    }
}
