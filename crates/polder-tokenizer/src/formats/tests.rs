//! Which format a path holds.

use std::fs;

use super::*;
use crate::{GgufRoles, Splitter, Tokenizer, TrainOptions, WordCounts, train, write_gguf_metadata};

fn trained() -> Tokenizer {
    let mut counts = WordCounts::new();
    counts.add(include_str!("mod.rs"));
    let options = TrainOptions { vocab_size: 320, special_tokens: vec!["<|endoftext|>".into()], ..TrainOptions::default() };
    train(&counts, &options, &mut |_, _| {}).expect("train")
}

#[test]
fn every_format_is_told_by_what_it_holds() {
    let t = trained();
    let folder = tempfile::tempdir().expect("folder");
    let at = |name: &str| folder.path().join(name);
    let ids = t.encode("fn open(path: &Path)");
    fs::create_dir(at("one")).expect("folder");
    fs::write(at("one/tokenizer.json"), t.to_json()).expect("write");
    fs::write(at("another.name"), t.to_json()).expect("write");
    for (i, (vocabulary, merges)) in PAIRS.iter().enumerate() {
        let (texts, lines) = t.to_vocab_bpe().expect("files");
        fs::create_dir(at(&format!("pair{i}"))).expect("folder");
        fs::write(at(&format!("pair{i}")).join(vocabulary), texts).expect("write");
        fs::write(at(&format!("pair{i}")).join(merges), lines).expect("write");
    }
    fs::write(at("model.bin"), write_gguf_metadata(&t.gguf_vocabulary(&GgufRoles::default()).expect("keys"))).expect("write");
    for name in ["one", "one/tokenizer.json", "another.name", "pair0", "pair1", "pair2", "pair0/vocab.bpe", "pair1/vocab.json", "model.bin"]
    {
        let found = Tokenizer::open(&at(name)).unwrap_or_else(|e| panic!("{name}: {e:?}"));
        assert_eq!(found.encode("fn open(path: &Path)"), ids, "{name}");
        assert_eq!(found.end_id(), t.end_id(), "{name}");
    }
    fs::write(at("tokenizer.model"), t.to_ranks().expect("ranks")).expect("write");
    let ranks = RankOptions { splitter: Some(Splitter::Gpt2), ..RankOptions::default() };
    assert_eq!(Tokenizer::open_with(&at("tokenizer.model"), &ranks).expect("ranks").encode("fn open(path: &Path)"), ids);
    assert!(Tokenizer::open(&at("tokenizer.model")).is_err(), "nothing says how it cuts text");
}

#[test]
fn errors_name_the_file_and_the_place() {
    let folder = tempfile::tempdir().expect("folder");
    let at = |name: &str| folder.path().join(name);
    let said = |name: &str, bytes: &[u8]| {
        fs::write(at(name), bytes).expect("write");
        let error = Tokenizer::open(&at(name)).expect_err("broken");
        let source = std::error::Error::source(&error).map(|s| s.to_string()).unwrap_or_default();
        (error.to_string(), source)
    };
    let (error, source) = said("x.tiktoken", b"AA== 0\nno\n");
    assert!(error.contains("x.tiktoken") && source.starts_with("at line 2"), "{error}: {source}");
    let (error, source) = said("tokenizer.json", b"{\"model\": \xff}");
    assert!(error.contains("tokenizer.json") && source.starts_with("at byte 10"), "{error}: {source}");
    let (_, source) = said("x.gguf", b"GGUF\x03\0\0\0\x01");
    assert!(source.starts_with("at byte 8"), "{source}");
    assert!(said("x.json", b"[1, 2]").1.contains("tokenizer.json"));
    for nothing in [&b""[..], b"words of a text", b"\0\0\0\0"] {
        assert_eq!(said("x.bin", nothing).1, "its format is not known");
    }
    fs::create_dir(at("empty")).expect("folder");
    assert!(matches!(Tokenizer::open(&at("empty")), Err(TokenizerError::File { .. })));
    assert!(matches!(Tokenizer::open(&at("absent")), Err(TokenizerError::Read { .. })));
}
