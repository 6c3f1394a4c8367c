//! Masked language modelling: which tokens an encoder has to guess.
//!
//! # Source
//! J. Devlin et al., *BERT* (2018), section 3.1: of the chosen tokens 80 % become the mask, 10 % another token, 10 % stay.

use std::sync::Arc;

use polder_base::{Digest, Hasher, Random};

use super::LoaderError;
use super::batch::IGNORED;

/// A yes or no for every token id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenTable(Arc<[u64]>);

impl TokenTable {
    /// Asks for every id of a vocabulary.
    pub fn new(vocab_size: usize, mut contains: impl FnMut(u32) -> bool) -> Self {
        let mut bits = vec![0u64; vocab_size.div_ceil(64)];
        (0..vocab_size).filter(|i| contains(*i as u32)).for_each(|i| bits[i / 64] |= 1 << (i % 64));
        Self(bits.into())
    }

    /// Whether an id is in it; ids beyond the vocabulary are not.
    #[inline]
    pub fn contains(&self, id: u32) -> bool {
        self.0.get(id as usize / 64).is_some_and(|bits| bits >> (id % 64) & 1 == 1)
    }
}

/// How tokens are masked.
#[derive(Clone, Debug, PartialEq)]
pub struct Masking {
    /// Share of tokens to guess; 0.15 in BERT, 0.3 in newer encoders.
    pub rate: f64,
    /// The token that stands for a hidden one.
    pub mask_id: u32,
    /// Share of the chosen tokens that become another token.
    pub random_share: f64,
    /// Share of the chosen tokens that stay as they are.
    pub keep_share: f64,
    /// Tokens that are never chosen and never drawn as another: the mask, separators, padding.
    pub special: TokenTable,
    /// Tokens that begin a word; with it, whole words are chosen.
    pub word_starts: Option<TokenTable>,
    /// Ids are drawn below this.
    pub vocab_size: usize,
}

/// Draws of another token before the mask takes its place: a vocabulary of special tokens alone has none.
const N_DRAWS: u64 = 16;

impl Masking {
    /// BERT's shares for a rate.
    pub fn of_rate(rate: f64, mask_id: u32, vocab_size: usize, special: TokenTable) -> Self {
        Self { rate, mask_id, random_share: 0.1, keep_share: 0.1, special, word_starts: None, vocab_size }
    }

    pub(super) fn check(&self) -> Result<(), LoaderError> {
        let wrong = |option, value: String| Err(LoaderError::Option { option, value });
        if !(self.rate > 0.0 && self.rate < 1.0) {
            return wrong("masking.rate", self.rate.to_string());
        }
        let is_share = |x: f64| (0.0..=1.0).contains(&x);
        if !is_share(self.random_share) || !is_share(self.keep_share) || self.random_share + self.keep_share > 1.0 {
            return wrong("masking.random_share and masking.keep_share", format!("{} and {}", self.random_share, self.keep_share));
        }
        if self.mask_id as usize >= self.vocab_size {
            return wrong("masking.mask_id", format!("{} in a vocabulary of {}", self.mask_id, self.vocab_size));
        }
        Ok(())
    }

    pub(super) fn digest(&self) -> Digest {
        let mut hasher = Hasher::new();
        for number in [self.rate, self.random_share, self.keep_share] {
            hasher.field(&number.to_le_bytes());
        }
        for number in [u64::from(self.mask_id), self.vocab_size as u64] {
            hasher.field(&number.to_le_bytes());
        }
        for table in std::iter::once(&self.special).chain(&self.word_starts) {
            hasher.field(bytemuck::cast_slice(&table.0));
        }
        hasher.finish()
    }

    /// Hides tokens of one piece and sets targets and loss mask. `draws` belongs to the sample, `at` is the piece's place in it: nothing
    /// else decides.
    pub(super) fn apply(&self, draws: &Random, at: usize, tokens: &mut [u32], targets: &mut [i32], loss_mask: &mut [u8]) {
        let threshold = |share: f64| (share * 4_294_967_296.0) as u64;
        let (chosen_below, random_below) = (threshold(self.rate), threshold(self.random_share));
        let keep_below = random_below + threshold(self.keep_share);
        let mut is_chosen = false;
        let mut begins = true;
        for (i, ((token, target), in_loss)) in tokens.iter_mut().zip(targets).zip(loss_mask).enumerate() {
            let id = *token;
            (*target, *in_loss) = (IGNORED, 0);
            if self.special.contains(id) {
                begins = true;
                continue;
            }
            let place = (at + i) as u64;
            let draw = draws.at(place);
            if begins || self.word_starts.as_ref().is_none_or(|starts| starts.contains(id)) {
                is_chosen = draw >> 32 < chosen_below;
                begins = false;
            }
            if !is_chosen {
                continue;
            }
            (*target, *in_loss) = (id as i32, 1);
            let action = draw & 0xffff_ffff;
            if action < random_below {
                *token = self.another(draws, place);
            } else if action >= keep_below {
                *token = self.mask_id;
            }
        }
    }

    /// Any token that is not special, each with the same chance.
    fn another(&self, draws: &Random, place: u64) -> u32 {
        // The upper half of the numbers belongs to these draws; a sample's places are in the lower.
        let draws = (0..N_DRAWS).map(|n| draws.at(1 << 63 | place << 8 | n));
        let mut ids = draws.map(|draw| ((u128::from(draw) * self.vocab_size as u128) >> 64) as u32);
        ids.find(|id| !self.special.contains(*id)).unwrap_or(self.mask_id)
    }
}
