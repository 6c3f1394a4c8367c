//! What an encoder has to guess, in a vocabulary that has a token for hidden ones.

use polder_shard::{Masking, TokenTable};
use polder_tokenizer::{Merging, Tokenizer};
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
pub fn mask_token(tokenizer: &Tokenizer) -> Option<(u32, &'static str)> {
    MASK_TOKENS.iter().find_map(|token| Some((tokenizer.special_id(token)?, *token)))
}

impl MaskedLm {
    /// Says the same in ids.
    pub(crate) fn masking(&self, tokenizer: &Tokenizer) -> Result<Masking, TrainError> {
        let (mask_id, _) = mask_token(tokenizer).ok_or(TrainError::NoMaskToken)?;
        let n = tokenizer.vocab_size();
        let special = TokenTable::new(n, |id| tokenizer.is_special(id));
        let words = Words::of(tokenizer);
        let word_starts = self.whole_words.then(|| TokenTable::new(n, |id| tokenizer.token_bytes(id).is_some_and(|t| words.begin(t))));
        Ok(Masking { word_starts, ..Masking::of_rate(self.rate, mask_id, n, special) })
    }
}

/// How tokens say where words begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Words {
    /// Bytes of text as it is, spaces included.
    Bytes,
    /// Tokens that go on begin with `##`.
    Pieces,
    /// Tokens that begin a word begin with `▁`.
    Metaspace,
}

impl Words {
    fn of(tokenizer: &Tokenizer) -> Self {
        match &tokenizer.definition().merging {
            Merging::Characters(model) if model.kind() == "WordPiece" => Self::Pieces,
            Merging::Characters(_) => Self::Metaspace,
            Merging::Pairs(_) | Merging::Ranks => Self::Bytes,
        }
    }

    /// Whether a token begins a word.
    fn begin(self, token: &[u8]) -> bool {
        match self {
            Self::Pieces => !token.starts_with(b"##"),
            Self::Metaspace => token.starts_with("▁".as_bytes()) || first_char(token).is_some_and(is_unspaced),
            // A token that begins in the middle of a letter goes on.
            Self::Bytes => first_char(token).is_some_and(|c| !c.is_alphanumeric() || is_unspaced(c)),
        }
    }
}

fn first_char(token: &[u8]) -> Option<char> {
    token.utf8_chunks().next().and_then(|chunk| chunk.valid().chars().next())
}

/// Letters of scripts that put no spaces between words: each may begin one.
fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{E00}'..='\u{EFF}' | '\u{1000}'..='\u{109F}' | '\u{1780}'..='\u{17FF}' | '\u{3040}'..='\u{30FF}' | '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{2FA1F}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_begin_where_the_kind_of_tokenizer_says_so() {
        let cases: [(Words, &[&str], &[&str]); 3] = [
            (Words::Bytes, &[" the", "(", "\n", "。", "你好", "ไทย"], &["the", "é", "7"]),
            (Words::Pieces, &["the", "(", "你"], &["##ing", "##s"]),
            (Words::Metaspace, &["▁the", "▁", "你好"], &["the", "s", ","]),
        ];
        for (words, begin, go_on) in cases {
            begin.iter().for_each(|token| assert!(words.begin(token.as_bytes()), "{words:?} {token:?}"));
            go_on.iter().for_each(|token| assert!(!words.begin(token.as_bytes()), "{words:?} {token:?}"));
        }
        assert!(!Words::Bytes.begin(&"日".as_bytes()[1..]), "the middle of a letter");
    }

    #[test]
    fn a_vocabulary_without_a_token_for_hidden_ones_is_refused() {
        let tokenizer = polder_testkit::tokenizer();
        let refused = MaskedLm::default().masking(&tokenizer).expect_err("none");
        assert!(matches!(refused, TrainError::NoMaskToken));
    }
}
