//! A definition worked into tables, with nothing taken on trust: each token is made by the merges to see whether they make it.

use super::cuts::Cuts;
use super::merge::Links;
use super::pairs::Pairs;
use super::{Bpe, NONE};
use crate::definition::{self, Definition, Merging, VOCAB_SIZE_MAX};
use crate::error::TokenizerError;
use crate::fast_hash::{FastMap, pair_key};

type Ids<'a> = FastMap<&'a [u8], u32>;

impl Bpe {
    pub(crate) fn try_new(definition: &Definition) -> Result<Self, TokenizerError> {
        let tokens = &definition.tokens;
        let (ids, byte_ids) = ids(definition)?;
        let mut makers = makers(definition, &ids, &byte_ids)?;
        // The symbols: bytes, then what is made, by rank. A left or right part is made itself, at a lower place or not.
        makers.sort_unstable_by_key(|maker| maker.rank);
        if makers.len() + 256 >= VOCAB_SIZE_MAX {
            return Err(broken(format!("{} merges are more than {VOCAB_SIZE_MAX} symbols", makers.len())));
        }
        let mut symbol_of: FastMap<u32, u32> = (0..).zip(&byte_ids).filter(|(_, id)| **id != NONE).map(|(b, id)| (*id, b)).collect();
        symbol_of.extend((256..).zip(&makers).map(|(symbol, maker)| (maker.id, symbol)));
        let symbol = |id: u32| symbol_of.get(&id).copied();
        let pairs: Option<Vec<(u32, u32)>> = makers.iter().map(|m| Some((symbol(m.left)?, symbol(m.right)?))).collect();
        let pairs = pairs.ok_or_else(|| broken("a merge's parts are made by no merge".into()))?;
        let made = makers.iter().map(|m| m.id);
        let whole_tokens = ids.iter().filter(|_| definition.whole_words_first);
        let whole: FastMap<Box<[u8]>, u32> = whole_tokens.map(|(bytes, id)| (Box::from(*bytes), *id)).collect();
        Ok(Self {
            pairs: Pairs::new(&pairs),
            ids: byte_ids.iter().copied().chain(made.clone()).collect(),
            longest_whole: whole.keys().map(|k| k.len()).max().unwrap_or(0),
            whole,
            whole_words_first: definition.whole_words_first,
            cuts: Cuts::new(made.map(|id| &*tokens[id as usize])),
        })
    }
}

fn broken(reason: String) -> TokenizerError {
    TokenizerError::Vocabulary { reason }
}

/// The ids of ordinary tokens by their bytes, and of the single bytes.
fn ids(definition: &Definition) -> Result<(Ids<'_>, [u32; 256]), TokenizerError> {
    let (mut ids, mut byte_ids) = (Ids::default(), [NONE; 256]);
    for (id, bytes) in (0..).zip(&definition.tokens) {
        if bytes.is_empty() || definition.added.binary_search_by_key(&id, |a| a.id).is_ok() {
            continue;
        }
        if let [byte] = **bytes {
            byte_ids[usize::from(byte)] = id;
        }
        ids.insert(bytes, id);
    }
    match (0u8..=255).find(|byte| definition::must_have(*byte) && byte_ids[usize::from(*byte)] == NONE) {
        Some(byte) => Err(broken(format!("byte {byte} has no token"))),
        None => Ok((ids, byte_ids)),
    }
}

/// The one merge that makes a token of its own bytes.
struct Maker {
    rank: u32,
    id: u32,
    left: u32,
    right: u32,
}

/// The makers of all tokens that merges make of their own bytes.
fn makers(definition: &Definition, ids: &Ids<'_>, byte_ids: &[u32; 256]) -> Result<Vec<Maker>, TokenizerError> {
    let mut links = Links::default();
    let mut makers = Vec::new();
    let by_pair = match &definition.merging {
        Merging::Pairs(pairs) => Some(pairs_of(pairs, &definition.tokens, ids)?),
        Merging::Ranks => None,
        Merging::Characters(_) => return Err(broken("a model over characters has no merges of bytes".into())),
    };
    let is_made = |bytes: &[u8]| bytes.len() > 1 && bytes.iter().all(|b| byte_ids[usize::from(*b)] != NONE);
    for (bytes, id) in ids.iter().filter(|(bytes, _)| is_made(bytes)) {
        links.start(bytes.iter().map(|b| byte_ids[usize::from(*b)]));
        let last = match &by_pair {
            Some(by_pair) => links.merge(&mut |links, l, r| by_pair.get(&pair_key(links.symbols[l], links.symbols[r])).copied()),
            None => links.merge(&mut |links, l, r| ids.get(&bytes[l..links.after(r)]).map(|id| (*id, *id))),
        };
        let Some((left, right)) = last.filter(|_| links.symbols[0] == *id && links.after(0) == bytes.len()) else { continue };
        let rank = match &by_pair {
            Some(by_pair) => by_pair.get(&pair_key(left, right)).map_or(NONE, |(rank, _)| *rank),
            None => *id,
        };
        makers.push(Maker { rank, id: *id, left, right });
    }
    Ok(makers)
}

/// Rank and result of each pair that is merged.
fn pairs_of(pairs: &[(u32, u32)], tokens: &[Box<[u8]>], ids: &Ids<'_>) -> Result<FastMap<u64, (u32, u32)>, TokenizerError> {
    let mut out = FastMap::with_capacity_and_hasher(pairs.len(), Default::default());
    let mut joined = Vec::new();
    for (rank, (left, right)) in (0..).zip(pairs) {
        let (Some(l), Some(r)) = (tokens.get(*left as usize), tokens.get(*right as usize)) else {
            return Err(broken(format!("merge {rank} names an id that is not there")));
        };
        joined.clear();
        joined.extend_from_slice(l);
        joined.extend_from_slice(r);
        let id = *ids.get(&*joined).ok_or_else(|| broken(format!("merge {rank} makes a token that is not there")))?;
        if out.insert(pair_key(*left, *right), (rank, id)).is_some() {
            return Err(broken(format!("merge {rank} repeats an earlier one")));
        }
    }
    Ok(out)
}
