//! GGUF vocabularies written, read and broken.

use super::write::write_gguf_metadata;
use super::*;
use crate::{Tokenizer, TrainOptions, WordCounts, train};

fn bytes_of(values: &[(String, GgufValue)]) -> Vec<u8> {
    write_gguf_metadata(values)
}

fn open(bytes: &[u8]) -> Result<Tokenizer, String> {
    let mut rest = &bytes[4.min(bytes.len())..];
    let definition = read(&mut rest, bytes.len() as u64).map_err(|e| e.into_error(Path::new("x.gguf")));
    let cause = |e: TokenizerError| match e {
        TokenizerError::File { source, .. } => source.to_string(),
        other => other.to_string(),
    };
    definition.map_err(cause).and_then(|d| Tokenizer::try_new(d).map_err(|e| e.to_string()))
}

fn trained() -> Tokenizer {
    let mut counts = WordCounts::new();
    counts.add(include_str!("../gguf.rs"));
    let options = TrainOptions { vocab_size: 400, special_tokens: vec!["<|endoftext|>".into()], ..TrainOptions::default() };
    train(&counts, &options, &mut |_, _| {}).expect("train")
}

fn texts(all: &[&str]) -> GgufValue {
    GgufValue::Texts(all.iter().map(|t| (*t).to_owned()).collect())
}

fn keys(all: &[(&str, GgufValue)]) -> Vec<(String, GgufValue)> {
    all.iter().map(|(key, value)| (format!("tokenizer.ggml.{key}"), value.clone())).collect()
}

#[test]
fn a_vocabulary_comes_back_as_it_was_written() {
    let end = trained().end_id();
    for (splitter, whole, around) in [
        (Splitter::Gpt2, false, Around::default()),
        (Splitter::QWEN2, false, Around { before: end.into_iter().collect(), after: vec![] }),
        (Splitter::Llama3(crate::Digits::UpToThree), true, Around { before: vec![], after: end.into_iter().collect() }),
        (Splitter::Sequence(vec![Splitter::Digits { individual: true }, Splitter::Gpt2]), false, Around::default()),
    ] {
        let mut definition = trained().definition().clone();
        definition.splitter = splitter;
        definition.whole_words_first = whole;
        definition.around = around;
        definition.tokens.push(b"<user>".as_slice().into());
        definition.added.push(AddedToken { special: false, ..AddedToken::special(400, "<user>") });
        let t = Tokenizer::try_new(definition).expect("tokenizer");
        let roles = GgufRoles { bos: t.end_id(), eos: t.end_id(), padding: None };
        let mut values = vec![("general.architecture".to_owned(), GgufValue::Text("llama".into()))];
        values.extend(t.gguf_vocabulary(&roles).expect("keys"));
        assert_eq!(open(&bytes_of(&values)).expect("read"), t);
    }
}

#[test]
fn what_llama_cpp_has_no_name_for_is_not_written() {
    let with = |change: &dyn Fn(&mut Definition)| {
        let mut definition = trained().definition().clone();
        change(&mut definition);
        Tokenizer::try_new(definition).expect("tokenizer").gguf_vocabulary(&GgufRoles::default())
    };
    assert!(with(&|_| {}).is_ok());
    assert!(with(&|d| d.splitter = Splitter::Cl100k(crate::Digits::UpToTwo)).is_err());
    assert!(with(&|d| d.normalizer = Normalizer::Nfc).is_err());
    assert!(with(&|d| d.add_prefix_space = true).is_err());
    assert!(with(&|d| d.around.before = vec![399]).is_err(), "no token begins texts");
}

#[test]
fn every_cut_of_a_file_is_an_error_with_its_place() {
    let bytes = bytes_of(&trained().gguf_vocabulary(&GgufRoles::default()).expect("keys"));
    assert!(open(&bytes).is_ok());
    for n in (0..bytes.len()).step_by(7) {
        let error = open(&bytes[..n]).expect_err("cut short");
        assert!(error.starts_with("at byte ") || error.contains("version"), "{n}: {error}");
    }
}

#[test]
fn lengths_that_the_file_has_no_room_for_ask_for_no_memory() {
    let huge = (u64::MAX / 2).to_le_bytes();
    let mut n_keys = b"GGUF\x03\0\0\0\0\0\0\0\0\0\0\0".to_vec();
    n_keys.extend(huge);
    assert!(open(&n_keys).expect_err("keys").contains("do not fit"));
    let mut key = b"GGUF\x03\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0".to_vec();
    key.extend(huge);
    key.extend([0; 32]);
    assert!(open(&key).expect_err("a key's length").contains("do not fit"));
    let mut array = b"GGUF\x03\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0k\x09\0\0\0\x08\0\0\0".to_vec();
    array.extend(huge);
    assert!(open(&array).expect_err("an array's length").starts_with("at byte 49"));
    assert!(open(b"GGUF\0\0\0\x03").expect_err("big-endian").contains("big-endian"));
    assert!(open(b"GGUF\x01\0\0\0").expect_err("version").contains("version"));
}

#[test]
fn models_that_are_not_known_are_refused_by_name() {
    let base = trained().gguf_vocabulary(&GgufRoles::default()).expect("keys");
    let with = |key: &str, value: Option<GgufValue>| {
        let key = format!("tokenizer.ggml.{key}");
        let mut values: Vec<_> = base.iter().filter(|(k, _)| *k != key).cloned().collect();
        values.extend(value.map(|value| (key, value)));
        open(&bytes_of(&values)).expect_err("refused")
    };
    assert!(with("model", Some(GgufValue::Text("t5".into()))).contains("t5"));
    assert!(with("pre", Some(GgufValue::Text("superbpe".into()))).contains("superbpe"));
    assert!(with("pre", None).contains("tokenizer.ggml.pre"));
    assert!(with("tokens", None).contains("vocabulary"));
    assert!(with("tokens", Some(GgufValue::Bool(true))).contains("tokenizer.ggml.tokens"));
    assert!(with("token_type", Some(GgufValue::Integers(vec![1, 2]))).contains("2 types"));
    assert!(with("token_type", Some(GgufValue::Integers(vec![9; 400]))).contains("token_type"));
    assert!(with("merges", Some(texts(&["a b c"]))).contains("merges[0]"));
    assert!(with("add_space_prefix", Some(GgufValue::Bool(true))).contains("add_space_prefix"));
}

#[test]
fn sentence_piece_merges_the_best_score_first_and_falls_back_to_bytes() {
    let mut tokens: Vec<String> = ["<unk>", "<s>", "</s>"].map(str::to_owned).to_vec();
    tokens.extend((0..=255u8).map(|b| format!("<0x{b:02X}>")));
    tokens.extend(["▁", "a", "b", "ab", "▁a", "▁ab"].map(str::to_owned));
    let mut kinds = vec![2, 3, 3];
    kinds.extend([6; 256]);
    kinds.extend([1; 6]);
    let scores: Vec<f32> = (0..tokens.len()).map(|i| -(i as f32)).collect();
    let values = keys(&[
        ("model", GgufValue::Text("llama".into())),
        ("tokens", GgufValue::Texts(tokens)),
        ("token_type", GgufValue::Integers(kinds)),
        ("scores", GgufValue::Floats(scores)),
        ("unknown_token_id", GgufValue::Uint32(0)),
        ("bos_token_id", GgufValue::Uint32(1)),
        ("add_bos_token", GgufValue::Bool(true)),
    ]);
    let t = open(&bytes_of(&values)).expect("read");
    assert_eq!(t.encode("ab a"), [264, 263]);
    assert_eq!(t.encode("é</s>"), [259, 198, 172, 63, 50, 118, 65], "no control token comes out of text");
    assert_eq!(t.decode(&t.encode("ab é")), "ab é");
    assert_eq!(t.definition().around.before, [1]);
    assert_eq!(Tokenizer::from_json(&t.to_json()).expect("json"), t);
}

#[test]
fn word_pieces_are_marked_as_bert_marks_them() {
    let values = keys(&[
        ("model", GgufValue::Text("bert".into())),
        ("tokens", texts(&["[PAD]", "[UNK]", "[CLS]", "[SEP]", "▁un", "able", "▁!", "▁able"])),
        ("token_type", GgufValue::Integers(vec![3, 1, 1, 1, 1, 1, 1, 1])),
        ("unknown_token_id", GgufValue::Uint32(1)),
        ("cls_token_id", GgufValue::Uint32(2)),
        ("seperator_token_id", GgufValue::Uint32(3)),
    ]);
    let t = open(&bytes_of(&values)).expect("read");
    assert_eq!(t.encode("Unable able! unx"), [4, 5, 7, 6, 1]);
    assert_eq!((t.definition().around.before.as_slice(), t.definition().around.after.as_slice()), (&[2][..], &[3][..]));
    assert!(t.is_special(3) && t.end_id() == Some(3));
    assert_eq!(t.decode(&[4, 5, 7, 6]), "unable able!");
}
