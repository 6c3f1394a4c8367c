//! Pieces through the tables against the merges by bytes, over vocabularies that no trainer makes.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::definition::{Around, Definition, Merging, Normalizer};
use proptest::prelude::*;

/// The merges over the whole piece, one at a time, by ids and bytes with no table.
fn slow(definition: &Definition, piece: &[u8]) -> Vec<u32> {
    let ids: BTreeMap<&[u8], u32> = definition.tokens.iter().zip(0..).map(|(t, id)| (&**t, id)).collect();
    if let Some(id) = ids.get(piece).filter(|_| definition.whole_words_first) {
        return vec![*id];
    }
    let joined = |l: u32, r: u32| ids.get(&*[&*definition.tokens[l as usize], &*definition.tokens[r as usize]].concat()).copied();
    let rank = |l: u32, r: u32| match &definition.merging {
        Merging::Pairs(pairs) => pairs.iter().position(|p| *p == (l, r)).map(|rank| rank as u32),
        Merging::Ranks => joined(l, r),
        Merging::Characters(_) => None,
    };
    let mut symbols: Vec<u32> = piece.iter().map(|b| ids[&[*b][..]]).collect();
    while let Some((_, i)) = symbols.windows(2).enumerate().filter_map(|(i, w)| rank(w[0], w[1]).map(|r| (r, i))).min() {
        symbols[i] = joined(symbols[i], symbols[i + 1]).expect("a token");
        symbols.remove(i + 1);
    }
    symbols
}

/// Vocabularies over few letters with tokens that no merge makes, merges of parts that never arise, and merges in any order.
fn definitions() -> impl Strategy<Value = Definition> {
    let tokens = proptest::collection::vec("[a-c]{2,7}", 1..40);
    (tokens, any::<bool>(), any::<bool>(), any::<proptest::sample::Index>(), proptest::collection::vec(any::<u32>(), 400)).prop_map(
        |(words, ranks, whole_words_first, turn, order)| {
            let mut tokens: Vec<Box<[u8]>> = (0..=255u8).map(|b| Box::from([b])).collect();
            let distinct: BTreeSet<String> = words.into_iter().collect();
            let mut distinct: Vec<_> = distinct.into_iter().map(|w| Box::from(w.as_bytes())).collect();
            let n = distinct.len();
            distinct.rotate_left(turn.index(n));
            tokens.extend(distinct);
            let mut pairs = Vec::new();
            for (l, left) in tokens.iter().enumerate().filter(|(_, t)| t[0].is_ascii_lowercase()) {
                for (r, right) in tokens.iter().enumerate() {
                    if tokens.contains(&[&**left, &**right].concat().into()) {
                        pairs.push((l as u32, r as u32));
                    }
                }
            }
            // Some pairs only, in any order.
            let mut keyed: Vec<_> = pairs.iter().zip(order.iter().cycle()).filter(|(_, key)| *key % 4 != 0).collect();
            keyed.sort_by_key(|(pair, key)| (**key, **pair));
            let merging = if ranks { Merging::Ranks } else { Merging::Pairs(keyed.into_iter().map(|(p, _)| *p).collect()) };
            Definition {
                tokens,
                merging,
                added: Vec::new(),
                splitter: Splitter::Gpt2,
                normalizer: Normalizer::None,
                add_prefix_space: false,
                whole_words_first,
                around: Around::default(),
            }
        },
    )
}

fn encode(bpe: &Bpe, scratch: &mut Scratch, text: &str) -> Vec<u32> {
    let mut out = Vec::new();
    bpe.encode_text(&Splitter::ByteLevel { use_regex: false }, text, scratch, &mut out);
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn any_vocabulary_encodes_as_its_merges_say(
        definition in definitions(),
        pieces in proptest::collection::vec("[a-c]{1,14}|[a-d]{1,70}|(ab|bc|ca){30,60}", 1..12),
    ) {
        let bpe = Bpe::try_new(&definition).expect("tables");
        let mut scratch = Scratch::default();
        // Twice, so that the cache answers too.
        for piece in pieces.iter().chain(&pieces) {
            prop_assert_eq!(encode(&bpe, &mut scratch, piece), slow(&definition, piece.as_bytes()), "{}", piece);
        }
    }

    #[test]
    fn short_and_long_merging_agree(definition in definitions(), piece in "[a-c]{1,64}") {
        let bpe = Bpe::try_new(&definition).expect("tables");
        let (mut merger, mut short, mut long) = (Merger::default(), Vec::new(), Vec::new());
        merger.merge_short(&bpe.pairs, piece.as_bytes(), &mut short);
        merger.merge_long(&bpe.pairs, piece.as_bytes(), &mut long);
        prop_assert_eq!(short, long);
    }
}

#[test]
fn the_work_for_a_long_piece_grows_with_its_length() {
    let mut tokens: Vec<Box<[u8]>> = (0..=255u8).map(|b| Box::from([b])).collect();
    tokens.extend((1..12).map(|k| Box::from("a".repeat(1 << k).as_bytes())));
    tokens.extend(["ab", "ba", "abab", "xy"].map(|t| Box::from(t.as_bytes())));
    let definition = Definition {
        tokens,
        merging: Merging::Ranks,
        added: Vec::new(),
        splitter: Splitter::Gpt2,
        normalizer: Normalizer::None,
        add_prefix_space: false,
        whole_words_first: false,
        around: Around::default(),
    };
    let bpe = Bpe::try_new(&definition).expect("tables");
    for unit in ["a", "ab", "aab", "xyxa", "^"] {
        let (mut merger, mut out) = (Merger::default(), Vec::new());
        let piece = unit.repeat(1_000_000 / unit.len());
        merger.merge_long(&bpe.pairs, piece.as_bytes(), &mut out);
        // A place is looked at once at first, and twice for each merge, of which there is less than one a byte.
        assert!(merger.n_pushed() <= 3 * piece.len(), "{unit}: {} entries", merger.n_pushed());
        assert_eq!(out.iter().map(|s| definition.tokens[bpe.ids[*s as usize] as usize].len()).sum::<usize>(), piece.len());
    }
}
