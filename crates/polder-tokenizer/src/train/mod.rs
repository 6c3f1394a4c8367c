//! Learning merges: the most frequent pair first, ties to the pair whose bytes come later.
//!
//! Every adjacent pair of every word counts as often as its word. All words lie in one array of symbols with links;
//! each pair has a list of the places where it was seen, checked when it is merged, so a merge costs its occurrences
//! and not its words' lengths. The naive trainer in the tests gives the same merges.

mod word_counts;

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::rc::Rc;

use crate::definition::{AddedToken, Definition, Merging, Normalizer, VOCAB_SIZE_MAX};
use crate::error::TokenizerError;
use crate::fast_hash::{FastMap, pair_key};
use crate::split::Splitter;
use crate::tokenizer::Tokenizer;

pub use word_counts::WordCounts;

/// What to learn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrainOptions {
    /// Number of ids wished, special tokens included; fewer come out when the words hold no more pairs.
    pub vocab_size: usize,
    /// Tokens that text never encodes to; they get the last ids.
    pub special_tokens: Vec<String>,
    /// Pairs seen less often are not merged.
    pub min_count: u64,
}

const NONE: u32 = u32::MAX;

/// Learns a tokenizer. The result depends on the counts and options only.
///
/// `on_progress` gets the number of merges done and wished.
///
/// # Errors
/// No words, an impossible vocabulary size, or a special token that could be an ordinary one.
pub fn train(counts: &WordCounts, options: &TrainOptions, on_progress: &mut dyn FnMut(usize, usize)) -> Result<Tokenizer, TokenizerError> {
    check(options)?;
    if counts.is_empty() {
        return Err(TokenizerError::NoWords);
    }
    let n_target = options.vocab_size - options.special_tokens.len();
    let mut state = State::new(counts);
    let n_merges_wished = n_target - state.tokens.len();
    let mut merges: Vec<(u32, u32)> = Vec::new();
    while state.tokens.len() < n_target {
        let Some((left, right)) = state.most_frequent(options.min_count.max(1)) else { break };
        let joined: Rc<[u8]> = [&*state.tokens[left as usize], &*state.tokens[right as usize]].concat().into();
        if options.special_tokens.iter().any(|s| s.as_bytes() == &*joined) {
            state.counts.remove(&pair_key(left, right));
            continue;
        }
        // A pair that is merged once may arise anew, when another merge gives one of its sides again.
        if state.merged.insert(pair_key(left, right), ()).is_none() {
            merges.push((left, right));
        }
        state.merge(left, right, joined);
        if merges.len().is_multiple_of(64) {
            on_progress(state.tokens.len() - 256, n_merges_wished);
        }
    }
    on_progress(state.tokens.len() - 256, n_merges_wished);
    let mut tokens: Vec<Box<[u8]>> = state.tokens.iter().map(|t| (&**t).into()).collect();
    let added = (tokens.len() as u32..).zip(&options.special_tokens).map(|(id, s)| AddedToken::special(id, s)).collect();
    tokens.extend(options.special_tokens.iter().map(|s| s.as_bytes().into()));
    Tokenizer::try_new(Definition {
        tokens,
        merging: Merging::Pairs(merges),
        added,
        splitter: Splitter::Gpt2,
        normalizer: Normalizer::None,
        add_prefix_space: false,
        whole_words_first: false,
    })
}

fn check(options: &TrainOptions) -> Result<(), TokenizerError> {
    let least = 256 + options.special_tokens.len();
    if options.vocab_size < least || options.vocab_size > VOCAB_SIZE_MAX {
        return Err(TokenizerError::VocabSize { vocab_size: options.vocab_size, least, most: VOCAB_SIZE_MAX });
    }
    for (i, token) in options.special_tokens.iter().enumerate() {
        let refuse = |reason| Err(TokenizerError::SpecialToken { token: token.clone(), reason });
        if token.chars().count() < 2 {
            return refuse("it is shorter than two characters");
        }
        if options.special_tokens[..i].contains(token) {
            return refuse("it is given twice");
        }
    }
    Ok(())
}

/// A pair with the count it had when it was put on the heap.
struct Candidate {
    count: u64,
    left: Rc<[u8]>,
    right: Rc<[u8]>,
    pair: (u32, u32),
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        self.count.cmp(&other.count).then_with(|| self.left.cmp(&other.left)).then_with(|| self.right.cmp(&other.right))
    }
}
impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Candidate {}

struct State {
    /// Bytes of every token by id.
    tokens: Vec<Rc<[u8]>>,
    ids: FastMap<Rc<[u8]>, u32>,
    /// All words' symbols; `NONE` where a symbol was merged into the one before it.
    symbols: Vec<u32>,
    next: Vec<u32>,
    previous: Vec<u32>,
    word_of: Vec<u32>,
    word_counts: Vec<u64>,
    counts: FastMap<u64, u64>,
    /// Where a pair was seen; some places may hold it no more.
    places: FastMap<u64, Vec<u32>>,
    heap: BinaryHeap<Candidate>,
    merged: FastMap<u64, ()>,
}

impl State {
    fn new(counts: &WordCounts) -> Self {
        let tokens: Vec<Rc<[u8]>> = (0..=255u8).map(|b| Rc::from([b])).collect();
        let ids = tokens.iter().enumerate().map(|(id, t)| (t.clone(), id as u32)).collect();
        let mut state = Self {
            tokens,
            ids,
            symbols: Vec::new(),
            next: Vec::new(),
            previous: Vec::new(),
            word_of: Vec::new(),
            word_counts: Vec::new(),
            counts: FastMap::default(),
            places: FastMap::default(),
            heap: BinaryHeap::new(),
            merged: FastMap::default(),
        };
        for (word, count) in counts.sorted() {
            // Links are 32 bits wide: 4 G symbols of different words, far above what one machine's memory holds here.
            if word.len() < 2 || state.symbols.len() + word.len() >= NONE as usize {
                continue;
            }
            state.add_word(word, count);
        }
        let pairs: Vec<u64> = state.counts.keys().copied().collect();
        pairs.into_iter().for_each(|key| state.push(key));
        state
    }

    fn add_word(&mut self, word: &[u8], count: u64) {
        let start = self.symbols.len() as u32;
        let word_idx = self.word_counts.len() as u32;
        self.word_counts.push(count);
        for (i, byte) in word.iter().enumerate() {
            let at = start + i as u32;
            self.symbols.push(u32::from(*byte));
            self.next.push(if i + 1 < word.len() { at + 1 } else { NONE });
            self.previous.push(if i > 0 { at - 1 } else { NONE });
            self.word_of.push(word_idx);
            if let Some(right) = word.get(i + 1) {
                self.add_pair(pair_key(u32::from(*byte), u32::from(*right)), at, count);
            }
        }
    }

    fn add_pair(&mut self, key: u64, at: u32, count: u64) {
        let n = self.counts.entry(key).or_default();
        *n = n.saturating_add(count);
        self.places.entry(key).or_default().push(at);
    }

    fn push(&mut self, key: u64) {
        let pair = ((key >> 32) as u32, key as u32);
        if let Some(count) = self.counts.get(&key) {
            let bytes = |id: u32| self.tokens[id as usize].clone();
            self.heap.push(Candidate { count: *count, left: bytes(pair.0), right: bytes(pair.1), pair });
        }
    }

    /// Takes the best pair off the heap; entries whose count has fallen go back with what they have.
    fn most_frequent(&mut self, min_count: u64) -> Option<(u32, u32)> {
        loop {
            let top = self.heap.pop()?;
            if top.count < min_count {
                return None;
            }
            let key = pair_key(top.pair.0, top.pair.1);
            match self.counts.get(&key) {
                Some(count) if *count == top.count => return Some(top.pair),
                // A higher count has its own entry already.
                Some(count) if *count < top.count => self.push(key),
                _ => {}
            }
        }
    }

    fn merge(&mut self, left: u32, right: u32, joined: Rc<[u8]>) {
        let id = *self.ids.entry(joined.clone()).or_insert_with(|| {
            self.tokens.push(joined);
            (self.tokens.len() - 1) as u32
        });
        let key = pair_key(left, right);
        let mut places = self.places.remove(&key).unwrap_or_default();
        places.sort_unstable();
        places.dedup();
        let mut grown: Vec<u64> = Vec::new();
        for at in places {
            let i = at as usize;
            let after = self.next[i];
            if self.symbols[i] != left || after == NONE || self.symbols[after as usize] != right {
                continue;
            }
            let count = self.word_counts[self.word_of[i] as usize];
            let (before, beyond) = (self.previous[i], self.next[after as usize]);
            self.take(key, count);
            if before != NONE {
                let x = self.symbols[before as usize];
                self.take(pair_key(x, left), count);
                self.add_pair(pair_key(x, id), before, count);
                grown.push(pair_key(x, id));
            }
            if beyond != NONE {
                let y = self.symbols[beyond as usize];
                self.take(pair_key(right, y), count);
                self.add_pair(pair_key(id, y), at, count);
                grown.push(pair_key(id, y));
                self.previous[beyond as usize] = at;
            }
            self.symbols[i] = id;
            self.symbols[after as usize] = NONE;
            self.next[i] = beyond;
        }
        grown.sort_unstable();
        grown.dedup();
        grown.into_iter().for_each(|key| self.push(key));
    }

    fn take(&mut self, key: u64, count: u64) {
        if let Some(n) = self.counts.get_mut(&key) {
            *n = n.saturating_sub(count);
            if *n == 0 {
                self.counts.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests;
