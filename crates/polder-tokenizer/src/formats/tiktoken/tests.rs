//! Rank files read, written and broken.

use super::*;
use crate::{Tokenizer, TokenizerError};

/// All bytes, then `he`, `ll`, `hell`, `hello`; a token too many ways to cut is there on purpose.
fn file() -> String {
    let tokens = (0..=255u8).map(|b| vec![b]).chain([b"he".to_vec(), b"ll".to_vec(), b"hell".to_vec(), b"hello".to_vec()]);
    tokens.enumerate().map(|(rank, token)| format!("{} {rank}\n", base64::encode(&token))).collect()
}

fn options(specials: &[&str]) -> RankOptions {
    RankOptions { splitter: Some(Splitter::Gpt2), specials: specials.iter().map(|s| s.parse().expect("infallible")).collect() }
}

fn open(text: &str, options: &RankOptions) -> Result<Tokenizer, TokenizerError> {
    Tokenizer::try_new(read(text.as_bytes(), options)?)
}

#[test]
fn a_rank_file_comes_back_as_it_was() {
    let t = open(&file(), &options(&["<|end|>", "<|fill|>=300"])).expect("tokenizer");
    assert_eq!(t.encode("hello hell"), [259, 32, 258]);
    assert_eq!((t.special_id("<|end|>"), t.special_id("<|fill|>"), t.vocab_size()), (Some(260), Some(300), 301));
    assert_eq!(t.to_ranks().expect("ranks"), file());
    let again = Tokenizer::from_json(&t.to_json()).expect("tokenizer.json");
    assert_eq!(again, t, "ranks stay ranks in a tokenizer.json");
    assert_eq!(again.digest(), t.digest());
}

#[test]
fn merges_in_order_of_id_are_ranks_and_others_are_not() {
    let t = open(&file(), &options(&[])).expect("tokenizer");
    let mut definition = t.definition().clone();
    definition.merging = Merging::Pairs(vec![(104, 101), (108, 108), (256, 257), (258, 111)]);
    let by_pairs = Tokenizer::try_new(definition.clone()).expect("tokenizer");
    assert_eq!(by_pairs.to_ranks().expect("ranks"), file());
    definition.merging = Merging::Pairs(vec![(108, 108), (104, 101), (256, 257), (258, 111)]);
    let refused = Tokenizer::try_new(definition).expect("tokenizer").to_ranks().expect_err("order");
    assert!(refused.to_string().contains("merge 0"), "{refused}");
}

#[test]
fn a_broken_line_is_named() {
    for (from, to, place) in [
        ("aGU= 256", "aGU 256", "line 257"),
        ("aGU= 256", "aGU=", "line 257"),
        ("aGU= 256", "aGU= -1", "line 257"),
        ("aGU= 256", "aGU= 99999999999", "line 257"),
        ("aGU= 256", "aGVsbG8= 256", "line 260"),
        ("aGU= 256", " 256", "line 257"),
        ("aGU= 256", "aGU= 4000000000", "do not fill"),
        ("aGU= 256", "aGU= 255", "id 255 has two tokens"),
        ("AA== 0\n", "", "byte 0 has no token"),
    ] {
        let error = open(&file().replace(from, to), &options(&[])).expect_err(to);
        assert!(error.to_string().contains(place), "{to}: {error}");
    }
    assert!(open(&file().replace('\n', "\r\n"), &options(&[])).is_ok());
    assert!(read(b"\xff\xfe 1\n", &options(&[])).expect_err("bytes").to_string().starts_with("at line 1"));
}

#[test]
fn what_the_file_does_not_say_must_be_said() {
    let error = read(file().as_bytes(), &RankOptions::default()).expect_err("no splitter");
    assert!(matches!(error, TokenizerError::Unsaid { .. }));
    assert!(open(&file(), &options(&["<a>", "<a>"])).is_err());
    assert!(open(&file(), &options(&["<a>=12"])).is_err(), "the id of a byte");
    assert!(open(&file(), &options(&["hello"])).is_err(), "written like an ordinary token");
    assert_eq!("a=b".parse::<SpecialName>().expect("name"), SpecialName { content: "a=b".into(), id: None });
    assert_eq!("<=>=7".parse::<SpecialName>().expect("name"), SpecialName { content: "<=>".into(), id: Some(7) });
}
