//! Small models worked out by hand. The references' values over odd texts are compared by `tests/golden/check_tokenizer_files.py`.

use serde_json::{Value, json};

use crate::{Tokenizer, TokenizerError};

fn file(model: Value, normalizer: Value, pre_tokenizer: Value, decoder: Value) -> Value {
    json!({"added_tokens": [], "normalizer": normalizer, "pre_tokenizer": pre_tokenizer, "decoder": decoder, "model": model})
}

fn open(file: &Value) -> Tokenizer {
    let t = Tokenizer::from_json(&file.to_string()).unwrap_or_else(|e| panic!("{e:?}"));
    let again = Tokenizer::from_json(&t.to_json()).expect("what was written");
    assert!(again == t && again.digest() == t.digest());
    t
}

fn unigram() -> Value {
    let vocab = json!([["<unk>", 0.0], ["▁", -2.0], ["a", -3.0], ["b", -3.0], ["ab", -3.5], ["▁a", -4.0], ["aba", -9.0], ["é", -5.0]]);
    let metaspace = json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": true});
    file(json!({"type": "Unigram", "unk_id": 0, "vocab": vocab}), json!({"type": "NFC"}), metaspace.clone(), metaspace)
}

#[test]
fn unigram_takes_the_best_sum_and_joins_what_it_does_not_know() {
    let t = open(&unigram());
    assert_eq!(t.encode("ab"), [1, 4]);
    assert_eq!(t.encode("aba abab"), [1, 4, 2, 1, 4, 4]);
    assert_eq!(t.encode("azzb e\u{301}"), [5, 0, 3, 1, 7]);
    assert_eq!(t.decode(&t.encode("ab aba")), "ab aba");
    let long = "ab".repeat(100_000);
    assert_eq!(t.encode(&long).len(), 100_001);
}

#[test]
fn word_piece_takes_the_longest_beginning_each_time() {
    let vocab = json!({"[UNK]": 0, "un": 1, "##able": 2, "##ab": 3, "##le": 4, "a": 5, "!": 6, "中": 7, "##!": 8, "[SEP]": 9});
    let model = json!({"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 6, "vocab": vocab});
    let bert =
        json!({"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true});
    let mut file = file(model, bert, json!({"type": "BertPreTokenizer"}), json!({"type": "WordPiece", "prefix": "##", "cleanup": true}));
    file["added_tokens"] = json!([{"id": 9, "content": "[SEP]", "special": true}]);
    let t = open(&file);
    assert_eq!(t.encode("Unable! unab\u{0}le"), [1, 2, 6, 1, 2]);
    assert_eq!(t.encode("UNÀBLE a中a unables unx aaaaaaaa"), [1, 2, 5, 7, 5, 0, 0, 0]);
    assert_eq!(t.decode(&[1, 2, 6]), "unable!");
    assert_eq!(t.end_id(), Some(9));
    assert!(!t.encode("[SEP] [sep]").contains(&9));
}

#[test]
fn merges_over_characters_fall_back_to_bytes_or_unknown() {
    let vocab = json!({"<unk>": 0, "▁": 1, "a": 2, "b": 3, "ab": 4, "▁ab": 5});
    let merges = json!(["a b", "▁ ab"]);
    let normalizer = json!({"type": "Sequence", "normalizers": [
        {"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]});
    for (fuse, expected) in [(true, vec![5, 0, 2]), (false, vec![5, 0, 0, 2])] {
        let model = json!({"type": "BPE", "unk_token": "<unk>", "fuse_unk": fuse, "vocab": vocab, "merges": merges});
        let t = open(&file(model, normalizer.clone(), Value::Null, Value::Null));
        assert_eq!(t.encode("abzza"), expected);
        assert_eq!(t.decode(&[5, 2]), "▁ab a", "without a decoder tokens are set apart");
    }
    let model = json!({"type": "BPE", "unk_token": "<unk>", "byte_fallback": true, "vocab": vocab, "merges": merges});
    let refused = Tokenizer::from_json(&file(model, normalizer, Value::Null, Value::Null).to_string()).expect_err("no bytes");
    assert!(matches!(refused, TokenizerError::Unsupported { key, .. } if key == "model.byte_fallback"));
}

#[test]
fn steps_that_are_not_known_are_refused_by_their_path() {
    let cases = [
        ("/normalizer", json!({"type": "Odd"}), "normalizer"),
        ("/normalizer", json!({"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "ByteLevel"}]}), "normalizer.normalizers[1]"),
        ("/normalizer", json!({"type": "Precompiled", "precompiled_charsmap": "AAA"}), "normalizer.precompiled_charsmap"),
        ("/normalizer", json!({"type": "Precompiled", "precompiled_charsmap": "/////w=="}), "normalizer.precompiled_charsmap"),
        ("/normalizer", json!({"type": "Replace", "pattern": {"Regex": "("}, "content": ""}), "normalizer.pattern"),
        ("/normalizer", json!({"type": "Prepend"}), "normalizer.prepend"),
        ("/pre_tokenizer", json!({"type": "UnicodeScripts"}), "pre_tokenizer"),
        ("/pre_tokenizer", json!({"type": "Metaspace", "replacement": "__"}), "pre_tokenizer.replacement"),
        ("/pre_tokenizer", json!({"type": "Metaspace", "replacement": "_", "prepend_scheme": "odd"}), "pre_tokenizer.prepend_scheme"),
        ("/decoder", json!({"type": "CTC"}), "decoder"),
        ("/model/unk_id", Value::Null, "model.unk_id"),
        ("/model/unk_id", json!(99), "model.unk_id"),
    ];
    for (pointer, value, path) in cases {
        let mut file = unigram();
        *file.pointer_mut(pointer).expect("key") = value;
        let error = Tokenizer::from_json(&file.to_string()).expect_err(path);
        assert!(matches!(&error, TokenizerError::Unsupported { key, .. } if key == path), "{path}: {error:?}");
    }
}

#[test]
fn a_compiled_map_that_points_beyond_itself_changes_nothing() {
    // Units that lead out of the array for any byte, and a leaf whose text isn't there.
    for units in [vec![0u32; 3], vec![u32::MAX; 300], (0..600u32).map(|i| i << 10 | 0x100 | i & 0xff).collect()] {
        let mut bytes = (units.len() as u32 * 4).to_le_bytes().to_vec();
        bytes.extend(units.iter().flat_map(|u| u.to_le_bytes()));
        bytes.extend(b"x\0");
        let mut file = unigram();
        file["normalizer"] = json!({"type": "Precompiled", "precompiled_charsmap": crate::formats::base64::encode(&bytes)});
        let t = open(&file);
        t.encode("every letter, Ünïcödé \u{200d} and 中文");
    }
}
