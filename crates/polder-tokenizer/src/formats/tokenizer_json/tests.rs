//! What is read, what comes back, and what is refused by its path.

use serde_json::{Value, json};

use crate::{Digits, Merging, Splitter, Tokenizer, TokenizerError, TrainOptions, WordCounts, train};

fn file() -> Value {
    let mut counts = WordCounts::new();
    counts.add(include_str!("../tokenizer_json.rs"));
    let options = TrainOptions { vocab_size: 340, special_tokens: vec!["<|endoftext|>".into()], ..TrainOptions::default() };
    serde_json::from_str(&train(&counts, &options, &mut |_, _| {}).expect("train").to_json()).expect("json")
}

fn with(changes: &[(&str, Value)]) -> Result<Tokenizer, TokenizerError> {
    let mut file = file();
    for (pointer, value) in changes {
        *file.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer}")) = value.clone();
    }
    Tokenizer::from_json(&file.to_string())
}

fn comes_back(t: &Tokenizer) {
    let again = Tokenizer::from_json(&t.to_json()).expect("what was written");
    assert_eq!(&again, t);
    assert_eq!(again.digest(), t.digest());
}

fn byte_level(use_regex: bool, add_prefix_space: bool) -> Value {
    json!({"type": "ByteLevel", "add_prefix_space": add_prefix_space, "trim_offsets": true, "use_regex": use_regex})
}

fn split(expression: &str) -> Value {
    json!({"type": "Split", "pattern": {"Regex": expression}, "behavior": "Isolated", "invert": false})
}

const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

#[test]
fn splittings_are_recognised_and_come_back() {
    let steps = |steps: Vec<Value>| json!({"type": "Sequence", "pretokenizers": steps});
    let cases = [
        (byte_level(true, false), Splitter::Gpt2),
        (byte_level(false, false), Splitter::Sequence(vec![])),
        (steps(vec![split(LLAMA3), byte_level(false, false)]), Splitter::Llama3(Digits::UpToThree)),
        (steps(vec![split(&LLAMA3.replace("{1,3}", "")), byte_level(false, false)]), Splitter::QWEN2),
        (
            steps(vec![json!({"type": "Digits", "individual_digits": true}), byte_level(true, false)]),
            Splitter::Sequence(vec![Splitter::Digits { individual: true }, Splitter::Gpt2]),
        ),
    ];
    for (step, splitter) in cases {
        let t = with(&[("/pre_tokenizer", step)]).expect("read");
        assert_eq!(t.definition().splitter, splitter);
        comes_back(&t);
    }
    let any =
        steps(vec![split("[aeiou]+"), json!({"type": "Punctuation", "behavior": "Contiguous"}), byte_level(true, false), split("[0-9]")]);
    let t = with(&[("/pre_tokenizer", any)]).expect("read");
    assert_eq!(t.decode(&t.encode("a text, of 12 words!!")), "a text, of 12 words!!");
    comes_back(&t);
}

#[test]
fn flags_templates_and_added_tokens_come_back() {
    let mut changed = file();
    changed["normalizer"] = json!({"type": "Sequence", "normalizers": [{"type": "NFC"}]});
    changed["pre_tokenizer"] = byte_level(true, true);
    changed["model"]["ignore_merges"] = true.into();
    let flags =
        json!({"id": 340, "content": "<x>", "single_word": true, "lstrip": true, "rstrip": true, "normalized": true, "special": false});
    changed["added_tokens"].as_array_mut().expect("list").push(flags);
    let special = json!({"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}});
    changed["post_processor"] = json!({
        "type": "Sequence",
        "processors": [byte_level(true, true), {
            "type": "TemplateProcessing",
            "single": [special, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [],
            "special_tokens": {"<|endoftext|>": {"id": "<|endoftext|>", "ids": [339], "tokens": ["<|endoftext|>"]}},
        }],
    });
    let t = Tokenizer::from_json(&changed.to_string()).expect("read");
    assert_eq!(t.definition().around.before, [339]);
    assert!(t.definition().whole_words_first && t.definition().add_prefix_space);
    assert_eq!(t.encode("a <x> b").iter().filter(|id| **id == 340).count(), 1);
    comes_back(&t);
}

#[test]
fn merges_may_be_pairs_and_ids_may_have_holes() {
    let mut changed = file();
    for merge in changed["model"]["merges"].as_array_mut().expect("merges") {
        let (left, right) = merge.as_str().expect("text").split_once(' ').expect("pair");
        *merge = json!([left, right]);
    }
    changed["model"]["vocab"]["<|endoftext|>"] = 400.into();
    changed["added_tokens"][0]["id"] = 400.into();
    let t = Tokenizer::from_json(&changed.to_string()).expect("read");
    assert_eq!((t.vocab_size(), t.special_id("<|endoftext|>"), t.token_bytes(399)), (401, Some(400), Some(&b""[..])));
    assert_eq!(t.decode(&[399, 97]), t.decode(&[97]));
    comes_back(&t);
}

#[test]
fn what_changes_ids_and_is_not_understood_is_refused_by_its_path() {
    let steps = |step: Value| json!({"type": "Sequence", "pretokenizers": [byte_level(false, false), step]});
    let cases = [
        ("/normalizer", json!({"type": "Lowercase"}), "normalizer"),
        ("/normalizer", json!({"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "NFKC"}]}), "normalizer.normalizers[1]"),
        ("/pre_tokenizer", steps(json!({"type": "Metaspace"})), "pre_tokenizer.pretokenizers[1]"),
        ("/pre_tokenizer", steps(byte_level(false, true)), "pre_tokenizer.pretokenizers[1].add_prefix_space"),
        ("/pre_tokenizer", steps(json!({"type": "Split", "pattern": {}})), "pre_tokenizer.pretokenizers[1].pattern"),
        ("/pre_tokenizer", steps(json!({"type": "Punctuation", "behavior": "Odd"})), "pre_tokenizer.pretokenizers[1].behavior"),
        ("/model/dropout", 0.1.into(), "model.dropout"),
        ("/model/end_of_word_suffix", "</w>".into(), "model.end_of_word_suffix"),
        ("/model/type", "WordLevel".into(), "model.type"),
        ("/decoder", json!({"type": "CTC"}), "decoder"),
        ("/post_processor", json!({"type": "Odd"}), "post_processor"),
        ("/post_processor", json!({"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "x"}}]}), "post_processor.single[0]"),
        ("/post_processor", json!({"type": "BertProcessing", "cls": ["x", 9999], "sep": ["x", 1]}), "post_processor.cls"),
    ];
    for (pointer, value, path) in cases {
        let error = with(&[(pointer, value)]).expect_err(path);
        assert!(matches!(&error, TokenizerError::Unsupported { key, .. } if key == path), "{path}: {error:?}");
    }
    assert!(matches!(with(&[("/pre_tokenizer", steps(split("(")))]), Err(TokenizerError::Expression { .. })));
}

#[test]
fn added_tokens_that_contradict_the_vocabulary_are_refused() {
    for (pointer, value, said) in [
        ("/added_tokens/0/id", json!(12), "added_tokens[0]"),
        ("/added_tokens/0/content", json!("<other>"), "added_tokens[0]"),
        ("/added_tokens/0/content", json!(""), "added_tokens[0]"),
        ("/model/vocab/he", json!(70), "two tokens"),
        ("/model/vocab/he", json!(4_000_000_000u32), "do not fill"),
        ("/model/merges/0", json!("a"), "no space"),
        ("/model/merges/0", json!("zz q"), "model.merges[0]"),
    ] {
        let mut file = file();
        if pointer.ends_with("/he") {
            file["model"]["vocab"]["he"] = Value::Null;
        }
        *file.pointer_mut(pointer).expect("key") = value;
        let error = Tokenizer::from_json(&file.to_string()).expect_err(said).to_string();
        assert!(error.contains(said), "{pointer}: {error}");
    }
    let deep = format!("{{\"pre_tokenizer\": {}", "{\"type\": \"Sequence\", \"pretokenizers\": [".repeat(10_000));
    assert!(matches!(Tokenizer::from_json(&deep), Err(TokenizerError::Parse { .. })));
}

#[test]
fn ranks_that_contradict_the_merges_are_refused() {
    let mut file = file();
    file["decoder"]["polder_ranks"] = true.into();
    assert!(matches!(Tokenizer::from_json(&file.to_string()), Err(TokenizerError::Unsupported { .. })));
    let merging = with(&[]).expect("read").definition().merging.clone();
    assert!(matches!(merging, Merging::Pairs(_)));
}
