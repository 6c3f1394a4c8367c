//! BPE that begins with characters: SentencePiece's, as Llama 2 has it. Pieces may be whole documents, so merging is by a heap.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::Parts;
use super::lookup::Lookup;
use crate::error::TokenizerError;
use crate::fast_hash::{FastMap, pair_key};

const NONE: u32 = u32::MAX;

#[derive(Clone, Debug)]
pub(super) struct CharMerges {
    lookup: Lookup,
    /// Pair of ids → (rank, id of the result).
    by_pair: FastMap<u64, (u32, u32)>,
    prefix: String,
    suffix: String,
    fuse_unk: bool,
    whole_first: bool,
}

/// A token of the piece and its neighbours.
#[derive(Clone, Copy)]
struct Symbol {
    id: u32,
    before: u32,
    after: u32,
}

impl CharMerges {
    pub(super) fn try_new(parts: &Parts, tokens: &[Box<[u8]>], lookup: Lookup) -> Result<Self, TokenizerError> {
        let prefix = parts.continuing_subword_prefix.clone().unwrap_or_default();
        let mut by_pair = FastMap::default();
        for (rank, (left, right)) in parts.merges.iter().enumerate() {
            let text = |id: u32| tokens.get(id as usize).map(|t| &**t).unwrap_or_default();
            let right_text = text(*right);
            let joined = [text(*left), right_text.strip_prefix(prefix.as_bytes()).unwrap_or(right_text)].concat();
            let id = lookup.id(&joined);
            let id = id.ok_or_else(|| TokenizerError::broken(format!("model.merges[{rank}] makes a token that is not there")))?;
            by_pair.insert(pair_key(*left, *right), (rank as u32, id));
        }
        let suffix = parts.end_of_word_suffix.clone().unwrap_or_default();
        Ok(Self { lookup, by_pair, prefix, suffix, fuse_unk: parts.fuse_unk, whole_first: parts.ignore_merges })
    }

    pub(super) fn encode(&self, piece: &str, out: &mut Vec<u32>) {
        if self.whole_first
            && let Some(id) = self.lookup.id(piece.as_bytes())
        {
            out.push(id);
            return;
        }
        let mut ids = Vec::with_capacity(piece.len());
        self.characters(piece, &mut ids);
        self.merge(&ids, out);
    }

    fn characters(&self, piece: &str, ids: &mut Vec<u32>) {
        let mut unk = false;
        let mut buffer = Vec::new();
        for (at, c) in piece.char_indices() {
            let mut text = &piece.as_bytes()[at..at + c.len_utf8()];
            let last = at + c.len_utf8() == piece.len();
            if (at > 0 && !self.prefix.is_empty()) || (last && !self.suffix.is_empty()) {
                buffer.clear();
                buffer.extend_from_slice(if at > 0 { self.prefix.as_bytes() } else { b"" });
                buffer.extend_from_slice(text);
                buffer.extend_from_slice(if last { self.suffix.as_bytes() } else { b"" });
                text = &buffer;
            }
            if let Some(id) = self.lookup.id(text) {
                ids.extend(self.lookup.unk.filter(|_| unk));
                unk = false;
                ids.push(id);
            } else if let Some(bytes) = &self.lookup.bytes {
                ids.extend(text.iter().map(|b| bytes[usize::from(*b)]));
            } else {
                ids.extend(self.lookup.unk.filter(|_| unk && !self.fuse_unk));
                unk = true;
            }
        }
        ids.extend(self.lookup.unk.filter(|_| unk));
    }

    fn merge(&self, ids: &[u32], out: &mut Vec<u32>) {
        let n = ids.len() as u32;
        let mut symbols: Vec<Symbol> = (0..n)
            .zip(ids)
            .map(|(i, id)| Symbol { id: *id, before: i.wrapping_sub(1), after: if i + 1 < n { i + 1 } else { NONE } })
            .collect();
        let found = |left: u32, right: u32| self.by_pair.get(&pair_key(left, right)).copied();
        let mut heap: BinaryHeap<Reverse<(u32, u32, u32)>> = BinaryHeap::new();
        for (at, pair) in (0u32..).zip(ids.windows(2)) {
            heap.extend(found(pair[0], pair[1]).map(|(rank, id)| Reverse((rank, at, id))));
        }
        while let Some(Reverse((_, at, id))) = heap.pop() {
            let left = symbols[at as usize];
            if left.id == NONE || left.after == NONE {
                continue;
            }
            let right = symbols[left.after as usize];
            // What stands there may have been merged in the meantime.
            if found(left.id, right.id).is_none_or(|(_, joined)| joined != id) {
                continue;
            }
            symbols[left.after as usize].id = NONE;
            symbols[at as usize] = Symbol { id, before: left.before, after: right.after };
            if right.after != NONE {
                symbols[right.after as usize].before = at;
                heap.extend(found(id, symbols[right.after as usize].id).map(|(rank, new)| Reverse((rank, at, new))));
            }
            if left.before != NONE {
                heap.extend(found(symbols[left.before as usize].id, id).map(|(rank, new)| Reverse((rank, left.before, new))));
            }
        }
        out.extend(symbols.iter().filter(|s| s.id != NONE).map(|s| s.id));
    }
}
