//! Encoding, decoding, and files that are not tokenizers.

use super::*;
use crate::{END_OF_TEXT, Merging, TrainOptions, WordCounts, train};
use proptest::prelude::*;
use std::sync::LazyLock;

static SAMPLE: LazyLock<Tokenizer> = LazyLock::new(|| {
    let mut counts = WordCounts::new();
    counts.add(include_str!("../split/mod.rs"));
    counts.add(include_str!("../formats/tokenizer_json.rs"));
    let options = TrainOptions { vocab_size: 700, special_tokens: vec![END_OF_TEXT.into()], min_count: 2, ..TrainOptions::default() };
    train(&counts, &options, &mut |_, _| {}).expect("train")
});

/// The merges over the whole piece, one at a time, by bytes and with no table.
fn slow_encode(tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
    let parts = tokenizer.definition();
    let Merging::Pairs(merges) = &parts.merging else { panic!("ranks") };
    let mut out = Vec::new();
    for piece in parts.splitter.pieces(text) {
        let mut symbols: Vec<Vec<u8>> = piece.iter().map(|b| vec![*b]).collect();
        loop {
            let rank =
                |l: &[u8], r: &[u8]| merges.iter().position(|(a, b)| &*parts.tokens[*a as usize] == l && &*parts.tokens[*b as usize] == r);
            let best = symbols.windows(2).enumerate().filter_map(|(i, w)| rank(&w[0], &w[1]).map(|r| (r, i))).min();
            let Some((_, i)) = best else { break };
            let right = symbols.remove(i + 1);
            symbols[i].extend(right);
        }
        out.extend(symbols.iter().map(|s| parts.tokens.iter().position(|t| **t == **s).expect("token") as u32));
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn decoding_gives_back_what_was_encoded(text in any::<String>()) {
        prop_assert_eq!(SAMPLE.decode(&SAMPLE.encode(&text)), text);
    }

    #[test]
    fn encoding_agrees_with_the_slow_one(text in "[ \\na-f'_(){}.:;=<>|]{0,80}|(let|self|pub|fn|\\(|string| )*") {
        prop_assert_eq!(SAMPLE.encode(&text), slow_encode(&SAMPLE, &text));
    }
}

#[test]
fn a_tokenizer_reads_back_what_it_writes() {
    let again = Tokenizer::from_json(&SAMPLE.to_json()).expect("read");
    assert_eq!(again, *SAMPLE);
    assert_eq!(again.digest(), SAMPLE.digest());
    assert_eq!(again.vocab_size(), 700);
}

#[test]
fn text_that_looks_like_a_special_token_stays_text() {
    let end = SAMPLE.special_id(END_OF_TEXT).expect("special");
    assert_eq!(end, 699);
    let ids = SAMPLE.encode("a<|endoftext|>b");
    assert!(!ids.contains(&end) && ids.iter().all(|id| !SAMPLE.is_special(*id)));
    assert_eq!(SAMPLE.decode(&ids), "a<|endoftext|>b");
    assert_eq!(SAMPLE.decode(&[end]), END_OF_TEXT);
    assert_eq!(SAMPLE.decode_bytes(&[u32::MAX]), b"", "an unknown id gives nothing");
}

#[test]
fn a_megabyte_without_a_break_encodes_in_reasonable_time() {
    let text = "ab".repeat(500_000) + &" ".repeat(500_000) + &"^".repeat(200_000);
    assert_eq!(SAMPLE.decode(&SAMPLE.encode(&text)), text);
}

#[test]
fn broken_files_are_errors() {
    let good: serde_json::Value = serde_json::from_str(&SAMPLE.to_json()).expect("json");
    assert!(matches!(Tokenizer::from_json("{}"), Err(TokenizerError::Parse { .. })));
    assert!(Tokenizer::from_json(&SAMPLE.to_json()[..2000]).is_err());
    let mut huge = good.clone();
    huge["model"]["vocab"]["a"] = u32::MAX.into();
    assert!(matches!(Tokenizer::from_json(&huge.to_string()), Err(TokenizerError::Vocabulary { .. })));
    let mut twice = good.clone();
    twice["model"]["vocab"]["a"] = 7.into();
    assert!(Tokenizer::from_json(&twice.to_string()).is_err());
    let mut absent = good.clone();
    absent["model"]["merges"][0] = "zz qq".into();
    assert!(Tokenizer::from_json(&absent.to_string()).is_err());
    let mut repeated = good;
    repeated["model"]["merges"][1] = repeated["model"]["merges"][0].clone();
    assert!(Tokenizer::from_json(&repeated.to_string()).is_err());
    assert!(matches!(Tokenizer::open(Path::new("/no/such/file")), Err(TokenizerError::Read { .. })));
}
