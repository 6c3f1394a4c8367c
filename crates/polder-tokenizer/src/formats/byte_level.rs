//! From texts in GPT-2's alphabet to a definition: what `tokenizer.json`, `vocab.bpe` and GGUF files have in common.

use std::collections::HashMap;

use super::alphabet::{FromText, to_text};
use crate::definition::{AddedToken, Definition, Merging, VOCAB_SIZE_MAX};
use crate::error::TokenizerError;
use crate::fast_hash::FastMap;

/// Ids that may stand empty beyond as many as there are tokens: a hostile id must not ask for more memory than its file had bytes.
const HOLES_MAX: usize = 1024;

/// Places bytes by id; refuses ids that two tokens claim, and far more holes than tokens.
pub(super) fn place(tokens: impl IntoIterator<Item = (u32, Box<[u8]>)>) -> Result<Vec<Box<[u8]>>, TokenizerError> {
    let tokens: Vec<(u32, Box<[u8]>)> = tokens.into_iter().collect();
    let n = tokens.iter().map(|(id, _)| *id as usize + 1).max().unwrap_or(0);
    if n > VOCAB_SIZE_MAX || n > 2 * tokens.len() + HOLES_MAX {
        return Err(TokenizerError::broken(format!("{} tokens do not fill {n} ids", tokens.len())));
    }
    let mut placed: Vec<Box<[u8]>> = vec![Box::default(); n];
    for (id, bytes) in tokens {
        if bytes.is_empty() {
            return Err(TokenizerError::broken(format!("the token of id {id} is empty")));
        }
        let slot = &mut placed[id as usize];
        if !slot.is_empty() {
            return Err(TokenizerError::broken(format!("id {id} has two tokens")));
        }
        *slot = bytes;
    }
    Ok(placed)
}

/// A vocabulary whose texts are in GPT-2's alphabet, but for those of added tokens.
pub(super) struct Vocabulary {
    pub tokens: Vec<Box<[u8]>>,
    pub added: Vec<AddedToken>,
    ids: HashMap<String, u32>,
}

impl Vocabulary {
    /// Reads the bytes of each token. Added tokens may stand in `texts` or beside it.
    pub(super) fn read(texts: HashMap<String, u32>, mut added: Vec<AddedToken>) -> Result<Self, TokenizerError> {
        let broken = TokenizerError::broken;
        let mut of_added: FastMap<u32, &str> = FastMap::default();
        let mut contents: HashMap<&str, u32> = HashMap::new();
        for token in &added {
            if of_added.insert(token.id, &token.content).is_some() {
                return Err(broken(format!("id {} has two added tokens", token.id)));
            }
            if contents.insert(&token.content, token.id).is_some() {
                return Err(broken(format!("the added token `{}` stands there twice", token.content)));
            }
        }
        let from_text = FromText::new();
        let mut bytes: Vec<(u32, Box<[u8]>)> = Vec::with_capacity(texts.len() + added.len());
        for (text, id) in &texts {
            match of_added.get(id) {
                Some(content) if content == text => continue,
                Some(content) => return Err(broken(format!("id {id} is `{text}` and the added token `{content}`"))),
                None => {}
            }
            if let Some(other) = contents.get(text.as_str()) {
                return Err(broken(format!("`{text}` is id {id} of the vocabulary and added token {other}")));
            }
            let read = from_text.read(text).ok_or_else(|| broken(format!("token `{text}` (id {id}) is not byte-level text")))?;
            bytes.push((*id, read.into()));
        }
        bytes.extend(added.iter().map(|t| (t.id, t.content.as_bytes().into())));
        let tokens = place(bytes)?;
        added.sort_by_key(|t| t.id);
        Ok(Self { tokens, added, ids: texts })
    }

    /// The ids of the two sides of a merge; `None` where one is no token.
    pub(super) fn pair(&self, left: &str, right: &str) -> Option<(u32, u32)> {
        let id = |text: &str| self.ids.get(text).copied().filter(|id| self.added.binary_search_by_key(id, |t| t.id).is_err());
        Some((id(left)?, id(right)?))
    }

    /// Reads merges; `place` says where in the file a merge stands.
    pub(super) fn merges<'m>(
        &self,
        merges: impl IntoIterator<Item = (&'m str, &'m str)>,
        wrong: impl Fn(usize, String) -> TokenizerError,
    ) -> Result<Merging, TokenizerError> {
        let read = |(i, (left, right)): (usize, (&str, &str))| {
            self.pair(left, right).ok_or_else(|| wrong(i, format!("the merge `{left} {right}` names a token that is not there")))
        };
        Ok(Merging::Pairs(merges.into_iter().enumerate().map(read).collect::<Result<_, _>>()?))
    }
}

impl Definition {
    /// Whether an id is that of an added token.
    pub(crate) fn is_added(&self, id: u32) -> bool {
        self.added.binary_search_by_key(&id, |a| a.id).is_ok()
    }

    /// A token as byte-level files write it: in GPT-2's alphabet, or as it is if it was added; `None` for ids that stand empty.
    pub(crate) fn byte_level_text(&self, id: u32) -> Option<String> {
        let bytes = self.tokens.get(id as usize).filter(|bytes| !bytes.is_empty())?;
        Some(if self.is_added(id) { String::from_utf8_lossy(bytes).into_owned() } else { to_text(bytes) })
    }

    /// Refuses vocabularies in which an added token reads like another one, as byte-level files write them.
    pub(crate) fn check_texts(&self) -> Result<(), TokenizerError> {
        let from_text = FromText::new();
        let ordinary: FastMap<&[u8], u32> =
            (0u32..).zip(&self.tokens).filter(|(id, bytes)| !bytes.is_empty() && !self.is_added(*id)).map(|(id, b)| (&**b, id)).collect();
        for token in &self.added {
            if let Some(id) = from_text.read(&token.content).and_then(|bytes| ordinary.get(&*bytes).copied()) {
                return Err(TokenizerError::broken(format!("the added token `{}` is written like token {id}", token.content)));
            }
        }
        Ok(())
    }

    /// The merges as pairs of ids, the first before all others.
    ///
    /// For ranks these are all ways to cut each token in two tokens, in order of the token's id, as `transformers` derives them.
    pub(crate) fn merge_pairs(&self) -> Vec<(u32, u32)> {
        match &self.merging {
            Merging::Pairs(pairs) => return pairs.clone(),
            Merging::Characters(_) => return Vec::new(),
            Merging::Ranks => {}
        }
        let ordinary = || (0u32..).zip(&self.tokens).filter(|(id, bytes)| !bytes.is_empty() && !self.is_added(*id));
        let ids: FastMap<&[u8], u32> = ordinary().map(|(id, bytes)| (&**bytes, id)).collect();
        let mut pairs = Vec::with_capacity(self.tokens.len());
        for (_, bytes) in ordinary() {
            let from = pairs.len();
            for at in 1..bytes.len() {
                if let (Some(left), Some(right)) = (ids.get(&bytes[..at]), ids.get(&bytes[at..])) {
                    pairs.push((*left, *right));
                }
            }
            pairs[from..].sort_unstable();
        }
        pairs
    }
}
