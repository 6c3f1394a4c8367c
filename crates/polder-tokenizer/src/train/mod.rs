//! Learning merges: the most frequent pair first, ties to the pair whose bytes come later.
//!
//! Every adjacent pair of every word counts as often as its word. The words lie in one row of cells (`cells`), each pair
//! has a list of the places where it was seen (`pairs`), checked when it is merged, so a merge costs its occurrences and
//! not its words' lengths; a heap of the frequent pairs says which is next (`candidates`), and `merger` does it. The
//! naive trainer in the tests gives the same merges.
//!
//! All 256 bytes are tokens, those that were never seen too: any text can be encoded, there is no unknown token, and so
//! no fallback from characters to bytes to decide about.

mod candidates;
mod cells;
mod merger;
mod pairs;
mod word_counts;
mod word_table;

use std::collections::HashSet;

use rayon::slice::ParallelSliceMut;

use crate::definition::{AddedToken, Around, Definition, Merging, Normalizer, VOCAB_SIZE_MAX};
use crate::error::TokenizerError;
use crate::fast_hash::FastMap;
use crate::split::Splitter;
use crate::tokenizer::Tokenizer;
use cells::Cells;
use merger::Merger;

pub use word_counts::WordCounts;

/// Number of bytes, each of them a token.
const N_BYTES: usize = 256;

/// What to learn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrainOptions {
    /// Number of ids wished, special tokens included; fewer come out when the words hold no more pairs.
    pub vocab_size: usize,
    /// Tokens that text never encodes to; they get the last ids.
    pub special_tokens: Vec<String>,
    /// How the words were cut, and how the tokenizer will cut text.
    pub splitter: Splitter,
    /// Pairs seen less often are not merged.
    pub min_count: u64,
    /// Words seen less often are not looked at.
    pub min_word_count: u64,
    /// Longer tokens are not made.
    pub token_bytes_max: usize,
}

impl Default for TrainOptions {
    fn default() -> Self {
        Self {
            vocab_size: 32_768,
            special_tokens: vec![crate::END_OF_TEXT.to_owned()],
            splitter: Splitter::default(),
            min_count: 2,
            min_word_count: 1,
            token_bytes_max: usize::MAX,
        }
    }
}

impl TrainOptions {
    /// Says whether they can be met by any text.
    ///
    /// # Errors
    /// An impossible vocabulary size, or a special token that could be an ordinary one.
    pub fn check(&self) -> Result<(), TokenizerError> {
        let least = N_BYTES + self.special_tokens.len();
        if self.vocab_size < least || self.vocab_size > VOCAB_SIZE_MAX {
            return Err(TokenizerError::VocabSize { vocab_size: self.vocab_size, least, most: VOCAB_SIZE_MAX });
        }
        for (i, token) in self.special_tokens.iter().enumerate() {
            let refuse = |reason| Err(TokenizerError::SpecialToken { token: token.clone(), reason });
            if token.chars().count() < 2 {
                return refuse("it is shorter than two characters");
            }
            if self.special_tokens[..i].contains(token) {
                return refuse("it is given twice");
            }
        }
        Ok(())
    }
}

/// Learns a tokenizer. The result depends on the counts and options only.
///
/// `on_progress` gets the number of merges done and wished.
///
/// # Errors
/// No words, more than can be counted or placed, an impossible vocabulary size, or a special token that could be an ordinary one.
pub fn train(counts: &WordCounts, options: &TrainOptions, on_progress: &mut dyn FnMut(usize, usize)) -> Result<Tokenizer, TokenizerError> {
    options.check()?;
    if counts.is_empty() {
        return Err(TokenizerError::NoWords);
    }
    let n_target = options.vocab_size - options.special_tokens.len();
    let n_wished = n_target - N_BYTES;
    let mut vocabulary = Vocabulary::new(options);
    let mut merger = Merger::new(cells(counts, options.min_word_count)?, options.min_count);
    let mut merges: Vec<(u32, u32)> = Vec::new();
    let mut merged: HashSet<(u32, u32)> = HashSet::new();
    while vocabulary.len() < n_target {
        let Some(pair) = merger.next(&vocabulary) else { break };
        let id = vocabulary.join(pair);
        // A pair that is merged once may arise anew, when another merge gives one of its sides again.
        if merged.insert(pair) {
            merges.push(pair);
        }
        merger.merge(pair, id, &vocabulary);
        if merges.len().is_multiple_of(64) {
            on_progress(vocabulary.len() - N_BYTES, n_wished);
        }
    }
    on_progress(vocabulary.len() - N_BYTES, n_wished);
    let mut tokens = vocabulary.tokens;
    let added = (tokens.len() as u32..).zip(&options.special_tokens).map(|(id, s)| AddedToken::special(id, s)).collect();
    tokens.extend(options.special_tokens.iter().map(|s| s.as_bytes().into()));
    Tokenizer::try_new(Definition {
        tokens,
        merging: Merging::Pairs(merges),
        added,
        splitter: options.splitter.clone(),
        normalizer: Normalizer::None,
        add_prefix_space: false,
        whole_words_first: false,
        around: Around::default(),
    })
}

/// The words that hold a pair, the most frequent first.
fn cells(counts: &WordCounts, min_word_count: u64) -> Result<Cells, TokenizerError> {
    let mut words: Vec<(&[u8], u64)> = counts.iter().filter(|(word, count)| word.len() > 1 && *count >= min_word_count).collect();
    let n_pairs: u128 = words.iter().map(|(word, count)| (word.len() as u128 - 1) * u128::from(*count)).sum();
    if n_pairs > u128::from(u64::MAX) {
        return Err(TokenizerError::CountOverflow);
    }
    words.par_sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
    Cells::try_new(&words)
}

/// The tokens so far, and which may follow.
struct Vocabulary {
    tokens: Vec<Box<[u8]>>,
    n_bytes: Vec<u32>,
    ids: FastMap<Box<[u8]>, u32>,
    token_bytes_max: usize,
    special_tokens: Vec<String>,
}

impl Vocabulary {
    fn new(options: &TrainOptions) -> Self {
        let tokens: Vec<Box<[u8]>> = (0..=255u8).map(|b| Box::from([b])).collect();
        Self {
            n_bytes: vec![1; tokens.len()],
            ids: tokens.iter().enumerate().map(|(id, t)| (t.clone(), id as u32)).collect(),
            tokens,
            token_bytes_max: options.token_bytes_max,
            special_tokens: options.special_tokens.clone(),
        }
    }

    fn len(&self) -> usize {
        self.tokens.len()
    }

    #[inline]
    fn bytes(&self, id: u32) -> &[u8] {
        &self.tokens[id as usize]
    }

    #[inline]
    fn n_bytes(&self, id: u32) -> u32 {
        self.n_bytes[id as usize]
    }

    /// Whether a pair's bytes may be a token: not too long, and no special token's.
    fn may_join(&self, (left, right): (u32, u32)) -> bool {
        let n = (self.n_bytes(left) + self.n_bytes(right)) as usize;
        let is_special =
            |s: &String| s.len() == n && s.as_bytes().starts_with(self.bytes(left)) && s.as_bytes().ends_with(self.bytes(right));
        n <= self.token_bytes_max && !self.special_tokens.iter().any(is_special)
    }

    /// The id of a pair's bytes, which another pair may have made before.
    fn join(&mut self, (left, right): (u32, u32)) -> u32 {
        let bytes: Box<[u8]> = [self.bytes(left), self.bytes(right)].concat().into();
        if let Some(id) = self.ids.get(&bytes) {
            return *id;
        }
        let id = self.tokens.len() as u32;
        self.n_bytes.push(bytes.len() as u32);
        self.ids.insert(bytes.clone(), id);
        self.tokens.push(bytes);
        id
    }
}

#[cfg(test)]
mod tests;
