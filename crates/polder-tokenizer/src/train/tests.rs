//! The trainer against a naive one, and its answers to bad wishes.

use super::*;
use proptest::prelude::*;

fn options(vocab_size: usize) -> TrainOptions {
    TrainOptions { vocab_size, min_count: 1, ..TrainOptions::default() }
}

fn counts_of(words: &[(&[u8], u64)]) -> WordCounts {
    let mut counts = WordCounts::new();
    words.iter().for_each(|(w, c)| counts.add_word(w, *c));
    counts
}

fn learn(counts: &WordCounts, options: &TrainOptions) -> Tokenizer {
    train(counts, options, &mut |_, _| {}).expect("train")
}

/// Counts all pairs anew after every merge.
fn naive(counts: &WordCounts, n_tokens: usize) -> (Vec<Vec<u8>>, Vec<(u32, u32)>) {
    let mut tokens: Vec<Vec<u8>> = (0..=255u8).map(|b| vec![b]).collect();
    let mut merges = Vec::new();
    let mut words: Vec<(Vec<u32>, u64)> = counts.sorted().iter().map(|(w, c)| (w.iter().map(|b| u32::from(*b)).collect(), *c)).collect();
    while tokens.len() < n_tokens {
        let mut pairs: std::collections::BTreeMap<(u32, u32), u64> = Default::default();
        for (word, count) in &words {
            for w in word.windows(2) {
                *pairs.entry((w[0], w[1])).or_default() += count;
            }
        }
        let best = pairs.into_iter().max_by_key(|((a, b), c)| (*c, tokens[*a as usize].clone(), tokens[*b as usize].clone()));
        let Some(((a, b), _)) = best else { break };
        let joined = [&*tokens[a as usize], &*tokens[b as usize]].concat();
        let id = tokens.iter().position(|t| *t == joined).unwrap_or_else(|| {
            tokens.push(joined);
            tokens.len() - 1
        }) as u32;
        if !merges.contains(&(a, b)) {
            merges.push((a, b));
        }
        for (word, _) in &mut words {
            let mut out = Vec::new();
            let mut i = 0;
            while i < word.len() {
                if i + 1 < word.len() && (word[i], word[i + 1]) == (a, b) {
                    out.push(id);
                    i += 2;
                } else {
                    out.push(word[i]);
                    i += 1;
                }
            }
            *word = out;
        }
    }
    (tokens, merges)
}

proptest! {
    #[test]
    fn the_trainer_agrees_with_the_naive_one(
        words in proptest::collection::vec((proptest::collection::vec(97u8..101, 1..14), 1u64..6), 1..30),
        n in 257usize..300,
    ) {
        let pairs: Vec<(&[u8], u64)> = words.iter().map(|(w, c)| (w.as_slice(), *c)).collect();
        let counts = counts_of(&pairs);
        let (tokens, merges) = naive(&counts, n);
        let learned = learn(&counts, &options(n + 1));
        let parts = learned.definition();
        prop_assert_eq!(&parts.merging, &crate::Merging::Pairs(merges.clone()));
        prop_assert_eq!(parts.tokens.len(), tokens.len() + 1);
        prop_assert!(tokens.iter().zip(&parts.tokens).all(|(a, b)| a[..] == b[..]));
    }
}

#[test]
fn counts_beyond_32_bits_are_not_lost() {
    let counts = counts_of(&[(b"  ", 3_000_000_000), (b" a", 2_000_000_000), (b"xy", 2_500_000_000)]);
    let learned = learn(&counts, &options(260));
    assert_eq!(learned.token_bytes(256), Some(&b"  "[..]));
    assert_eq!(learned.token_bytes(257), Some(&b"xy"[..]));
}

#[test]
fn ties_go_to_the_pair_whose_bytes_come_later() {
    let learned = learn(&counts_of(&[(b"ab", 5), (b"cd", 5), (b"ca", 5)]), &options(259));
    assert_eq!([256, 257].map(|id| learned.token_bytes(id)), [Some(&b"cd"[..]), Some(&b"ca"[..])]);
}

#[test]
fn rare_pairs_are_left_alone_and_the_vocabulary_ends_early() {
    let wish = TrainOptions { min_count: 3, ..options(1000) };
    let learned = learn(&counts_of(&[(b"abab", 2), (b"cd", 2)]), &wish);
    assert_eq!(learned.vocab_size(), 258, "one pair occurs more than twice");
}

#[test]
fn a_merge_never_makes_a_special_token() {
    let wish = TrainOptions { special_tokens: vec!["ab".into()], ..options(300) };
    let learned = learn(&counts_of(&[(b"ab", 9), (b"abc", 9)]), &wish);
    let id = learned.special_id("ab").expect("special");
    assert!(!learned.encode("ab abc").contains(&id));
    assert_eq!(learned.decode(&learned.encode("ab abc")), "ab abc");
}

#[test]
fn impossible_wishes_are_refused_with_a_hint() {
    use polder_base::Advice;
    let counts = counts_of(&[(b"ab", 1)]);
    let refused = |options: TrainOptions| train(&counts, &options, &mut |_, _| {}).expect_err("refused");
    let error = refused(options(100));
    assert!(matches!(error, TokenizerError::VocabSize { least: 257, .. }) && error.hint().is_some());
    assert!(matches!(refused(TrainOptions { special_tokens: vec!["".into()], ..options(300) }), TokenizerError::SpecialToken { .. }));
    assert!(matches!(
        refused(TrainOptions { special_tokens: vec!["<a>".into(), "<a>".into()], ..options(300) }),
        TokenizerError::SpecialToken { .. }
    ));
    assert!(matches!(train(&WordCounts::new(), &options(300), &mut |_, _| {}), Err(TokenizerError::NoWords)));
}

#[test]
fn progress_ends_with_what_was_done() {
    let mut last = (0, 0);
    let counts = counts_of(&[(b"abcdefgh", 2)]);
    train(&counts, &options(260), &mut |done, wished| last = (done, wished)).expect("train");
    assert_eq!(last, (3, 3));
}
