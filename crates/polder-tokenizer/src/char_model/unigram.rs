//! Unigram: of all ways to cut a piece in tokens, the one whose scores sum highest.

use super::Parts;
use super::lookup::Lookup;
use crate::error::TokenizerError;
use crate::fast_hash::FastMap;

/// How much worse an unknown character is than the worst token.
const UNK_PENALTY: f64 = 10.0;
const NONE: u32 = u32::MAX;

#[derive(Clone, Debug)]
pub(super) struct Unigram {
    lookup: Lookup,
    scores: Vec<f64>,
    unk_score: f64,
    /// (node, byte) → node; the root is 0.
    edges: FastMap<u64, u32>,
    /// By node the token that ends there.
    ends: Vec<u32>,
}

/// The best way to some place of the piece.
#[derive(Clone, Copy)]
struct Best {
    score: f64,
    from: usize,
    id: u32,
}

impl Unigram {
    pub(super) fn try_new(parts: &Parts, tokens: &[Box<[u8]>], lookup: Lookup) -> Result<Self, TokenizerError> {
        if lookup.unk.is_none() {
            return Err(TokenizerError::unsupported("model.unk_id", "null", "the id of a token"));
        }
        if parts.scores.len() > tokens.len() || parts.scores.iter().any(|s| !s.is_finite()) {
            return Err(TokenizerError::unsupported("model.vocab", "a score that is no number", "numbers"));
        }
        let mut edges: FastMap<u64, u32> = FastMap::default();
        let mut ends = vec![NONE];
        for (text, id) in lookup.iter() {
            let mut node = 0;
            for byte in text {
                node = *edges.entry(edge(node, *byte)).or_insert_with(|| {
                    ends.push(NONE);
                    (ends.len() - 1) as u32
                });
            }
            ends[node as usize] = id;
        }
        let unk_score = parts.scores.iter().copied().fold(f64::INFINITY, f64::min) - UNK_PENALTY;
        Ok(Self { lookup, scores: parts.scores.clone(), unk_score, edges, ends })
    }

    pub(super) fn encode(&self, piece: &str, out: &mut Vec<u32>) {
        let bytes = piece.as_bytes();
        let unk = self.lookup.unk.unwrap_or(NONE);
        let mut best = vec![Best { score: 0.0, from: usize::MAX, id: NONE }; bytes.len() + 1];
        for (from, c) in piece.char_indices() {
            let so_far = best[from].score;
            let mut whole_char = false;
            let mut node = 0;
            for (to, byte) in (from + 1..).zip(&bytes[from..]) {
                match self.edges.get(&edge(node, *byte)) {
                    Some(next) => node = *next,
                    None => break,
                }
                let id = self.ends[node as usize];
                if id != NONE {
                    improve(&mut best[to], so_far + self.scores[id as usize], from, id);
                    whole_char |= to - from == c.len_utf8();
                }
            }
            if !whole_char {
                improve(&mut best[from + c.len_utf8()], so_far + self.unk_score, from, unk);
            }
        }
        let mut path = Vec::new();
        let mut to = bytes.len();
        while to > 0 {
            let Best { from, id, .. } = best[to];
            // Unknown characters in a row are one.
            match path.last_mut() {
                Some((before, _, last)) if *last == unk && id == unk => *before = from,
                _ => path.push((from, to, id)),
            }
            to = from;
        }
        for (from, to, id) in path.into_iter().rev() {
            self.push(&bytes[from..to], id, unk, out);
        }
    }

    fn push(&self, text: &[u8], id: u32, unk: u32, out: &mut Vec<u32>) {
        if id != unk {
            out.push(id);
        } else if let Some(id) = self.lookup.id(text) {
            out.push(id);
        } else if let Some(ids) = &self.lookup.bytes {
            out.extend(text.iter().map(|b| ids[usize::from(*b)]));
        } else {
            out.push(unk);
        }
    }
}

fn improve(best: &mut Best, score: f64, from: usize, id: u32) {
    if best.from == usize::MAX || score > best.score {
        *best = Best { score, from, id };
    }
}

fn edge(node: u32, byte: u8) -> u64 {
    u64::from(node) << 8 | u64::from(byte)
}
