//! Tokenizer files of every format.
//!
//! What is read in spite of the change must work: encode without ids beyond the vocabulary, decode, and come back as it was written.

use std::path::Path;

use polder_tokenizer::{GgufRoles, GgufValue, RankOptions, SpecialPolicy, Splitter, Tokenizer, write_gguf_metadata};
use serde_json::json;

use crate::mutate::{fuzz, memory_peak};

const TEXTS: [&str; 3] =
    ["the polder lies below the lake <|endoftext|>", "fn main() { 12345\r\n\t\u{3000}né ²中文 🚀\u{0} }", "ab ab  abab"];

fn must_work(tokenizer: &Tokenizer) {
    let vocab_size = tokenizer.vocab_size() as u32;
    for text in TEXTS {
        let mut ids = tokenizer.encode(text);
        // A hostile vocabulary may refuse nothing and hold no special token; with all allowed it must work as well.
        tokenizer.encode_with(text, &SpecialPolicy::AllowAll, &mut ids).expect("all are allowed");
        assert!(ids.iter().all(|id| *id < vocab_size), "{ids:?}");
        tokenizer.decode(&ids);
    }
    let again = Tokenizer::from_json(&tokenizer.to_json()).expect("what was written");
    assert!(again == *tokenizer && again.digest() == tokenizer.digest(), "{:?}\n{:?}", tokenizer.definition(), again.definition());
}

fn opened(name: &str, samples: &[Vec<u8>]) {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join(name);
    let ranks = RankOptions { splitter: Some(Splitter::Gpt2), ..RankOptions::default() };
    for (i, sample) in samples.iter().enumerate() {
        std::fs::write(&path, sample).expect("write");
        Tokenizer::open_with(&path, &ranks).expect("a sound file");
        fuzz(&format!("{name}, sample {i}"), sample, &mut |bytes| {
            std::fs::write(&path, bytes).expect("write");
            match Tokenizer::open_with(&path, &ranks) {
                Ok(tokenizer) => must_work(&tokenizer),
                Err(e) => assert!(e.to_string().contains(name), "{e}"),
            }
        });
    }
    if let Some(bytes) = memory_peak() {
        assert!(bytes < MEMORY_BYTES_MAX, "{name}: {bytes} bytes of memory");
    }
}

/// Memory that the whole test program may take at most; the files are far smaller.
const MEMORY_BYTES_MAX: u64 = 1 << 30;

fn unigram() -> String {
    // A compiled map of one unit a byte, and a text.
    let map = "BAAAAAAAAABhAA==";
    json!({
        "added_tokens": [{"id": 0, "content": "<unk>", "special": true}, {"id": 6, "content": "<x>", "single_word": true, "normalized": true}],
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "Precompiled", "precompiled_charsmap": map}, {"type": "NFKC"},
            {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}]},
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": true},
        "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": true},
        "post_processor": {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "<unk>", "type_id": 0}}],
            "pair": [], "special_tokens": {"<unk>": {"id": "<unk>", "ids": [0], "tokens": ["<unk>"]}}},
        "model": {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], ["▁", -2.0], ["a", -3.0], ["b", -3.5], ["ab", -3.5], ["▁the", -4.0]]},
    })
    .to_string()
}

fn word_piece() -> String {
    json!({
        "added_tokens": [{"id": 0, "content": "[UNK]", "special": true}],
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
            "vocab": {"[UNK]": 0, "the": 1, "lake": 2, "##s": 3, "ab": 4, "##ab": 5, "中": 6}},
    })
    .to_string()
}

fn merges_over_characters() -> String {
    json!({
        "added_tokens": [],
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
        "pre_tokenizer": null,
        "decoder": {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {"type": "BPE", "unk_token": "<unk>", "fuse_unk": true, "vocab": {"<unk>": 0, "▁": 1, "a": 2, "b": 3, "ab": 4, "▁ab": 5},
            "merges": [["a", "b"], ["▁", "ab"]]},
    })
    .to_string()
}

#[test]
fn a_mutated_tokenizer_json_is_an_error_or_works() {
    let trained = polder_testkit::tokenizer();
    let mut other = trained.definition().clone();
    other.splitter = Splitter::Sequence(vec![Splitter::Digits { individual: true }, Splitter::Gpt2]);
    other.around.before = vec![299];
    let other = Tokenizer::try_new(other).expect("tokenizer");
    let samples = [trained.to_json(), other.to_json(), unigram(), word_piece(), merges_over_characters()];
    opened("tokenizer.json", &samples.map(String::into_bytes));
}

#[test]
fn a_mutated_rank_file_is_an_error_or_works() {
    opened("x.tiktoken", &[polder_testkit::tokenizer().to_ranks().expect("ranks").into_bytes()]);
}

#[test]
fn a_mutated_gguf_file_is_an_error_or_works() {
    let trained = polder_testkit::tokenizer();
    let keys = trained.gguf_vocabulary(&GgufRoles { bos: trained.end_id(), ..GgufRoles::default() }).expect("keys");
    let texts = |all: &[&str]| GgufValue::Texts(all.iter().map(|t| (*t).to_owned()).collect());
    let bert = [
        ("model", GgufValue::Text("bert".into())),
        ("tokens", texts(&["[PAD]", "[UNK]", "▁the", "s", "▁ab", "ab"])),
        ("token_type", GgufValue::Integers(vec![3, 1, 1, 1, 1, 1])),
        ("unknown_token_id", GgufValue::Uint32(1)),
    ];
    let bert: Vec<(String, GgufValue)> = bert.into_iter().map(|(k, v)| (format!("tokenizer.ggml.{k}"), v)).collect();
    opened("x.gguf", &[write_gguf_metadata(&keys), write_gguf_metadata(&bert)]);
}

#[test]
fn mutated_merges_and_vocabularies_are_errors_or_work() {
    let (vocabulary, merges) = polder_testkit::tokenizer().to_vocab_bpe().expect("files");
    let folder = tempfile::tempdir().expect("folder");
    let check = |folder: &Path| match Tokenizer::open(folder) {
        Ok(tokenizer) => must_work(&tokenizer),
        Err(e) => assert!(e.to_string().contains(&folder.display().to_string()), "{e}"),
    };
    for (changed, sample, kept, other) in
        [("vocab.bpe", &merges, "encoder.json", &vocabulary), ("encoder.json", &vocabulary, "vocab.bpe", &merges)]
    {
        std::fs::write(folder.path().join(kept), other).expect("write");
        fuzz(changed, sample.as_bytes(), &mut |bytes| {
            std::fs::write(folder.path().join(changed), bytes).expect("write");
            check(folder.path());
        });
    }
}
