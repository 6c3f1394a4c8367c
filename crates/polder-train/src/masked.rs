//! What an encoder has to guess, in a vocabulary that has a token for hidden ones.

use polder_shard::{Masking, TokenTable};
use polder_tokenizer::Tokenizer;
use serde::{Deserialize, Serialize};

use crate::TrainError;

/// Which tokens an encoder has to guess. Of those, 80 % are hidden, 10 % become another token, 10 % stay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaskedLm {
    /// Share of tokens to guess: 0.15 in BERT, 0.3 in newer encoders.
    pub rate: f64,
    /// Whole words are chosen.
    pub whole_words: bool,
}

impl Default for MaskedLm {
    fn default() -> Self {
        Self { rate: 0.3, whole_words: false }
    }
}

/// What tokenizers call the token for hidden ones.
const MASK_TOKENS: [&str; 3] = ["[MASK]", "<mask>", "<|mask|>"];

/// The token for hidden ones, and its text.
pub(crate) fn mask_token(tokenizer: &Tokenizer) -> Option<(u32, &'static str)> {
    MASK_TOKENS.iter().find_map(|token| Some((tokenizer.special_id(token)?, *token)))
}

impl MaskedLm {
    /// Says the same in ids.
    pub(crate) fn masking(&self, tokenizer: &Tokenizer) -> Result<Masking, TrainError> {
        let (mask_id, _) = mask_token(tokenizer).ok_or(TrainError::NoMaskToken)?;
        let n = tokenizer.vocab_size();
        let special = TokenTable::new(n, |id| tokenizer.is_special(id));
        let word_starts = self.whole_words.then(|| TokenTable::new(n, |id| tokenizer.token_bytes(id).is_some_and(begins_word)));
        Ok(Masking { word_starts, ..Masking::of_rate(self.rate, mask_id, n, special) })
    }
}

/// A token begins a word unless it goes on with letters or digits; of WordPiece, those with `##` go on.
fn begins_word(token: &[u8]) -> bool {
    if token.starts_with(b"##") && token.len() > 2 {
        return false;
    }
    // A byte above ASCII may be in the middle of a letter: it goes on.
    !token.first().is_some_and(|b| b.is_ascii_alphanumeric() || *b >= 0x80)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_begin_with_a_space_or_a_sign_and_go_on_with_letters() {
        for (token, begins) in
            [(" the", true), ("the", false), ("##ing", false), ("##", true), ("(", true), ("é", false), ("\n", true), ("7", false)]
        {
            assert_eq!(begins_word(token.as_bytes()), begins, "{token:?}");
        }
    }

    #[test]
    fn a_vocabulary_without_a_token_for_hidden_ones_is_refused() {
        let tokenizer = polder_testkit::tokenizer();
        let refused = MaskedLm::default().masking(&tokenizer).expect_err("none");
        assert!(matches!(refused, TrainError::NoMaskToken));
    }
}
