//! GPT-2's own files read, written and broken.

use super::*;
use crate::Tokenizer;

const MERGES: &str = "#version: 0.2\nh e\nl l\nhe ll\nĠ hell\n";

fn vocabulary() -> String {
    let bytes = (0..=255u8).map(|b| crate::formats::byte_to_char(b).to_string());
    let texts = bytes.chain(["he", "ll", "hell", "Ġhell", "<|endoftext|>"].map(str::to_owned));
    let map: serde_json::Map<_, _> = texts.enumerate().map(|(id, text)| (text, id.into())).collect();
    serde_json::Value::Object(map).to_string()
}

fn open(vocabulary: &str, merges: &str) -> Result<Tokenizer, String> {
    let definition = read(vocabulary, merges).map_err(|e| e.map_or_else(|v| format!("vocabulary: {v}"), |m| format!("merges: {m}")))?;
    Tokenizer::try_new(definition).map_err(|e| e.to_string())
}

#[test]
fn both_files_come_back_as_they_were() {
    let t = open(&vocabulary(), MERGES).expect("tokenizer");
    assert_eq!(t.encode("hell hell"), [258, 259]);
    assert_eq!(t.special_id("<|endoftext|>"), Some(260));
    let (texts, merges) = t.to_vocab_bpe().expect("files");
    assert_eq!(merges, MERGES);
    assert_eq!(open(&texts, &merges).expect("again"), t);
    let mut other = t.definition().clone();
    other.splitter = Splitter::QWEN2;
    assert!(Tokenizer::try_new(other).expect("tokenizer").to_vocab_bpe().is_err());
}

#[test]
fn a_broken_file_is_named_with_the_line() {
    for (merges, said) in [
        ("h e\nl\n", "merges: at line 2"),
        ("h e\nl l l\n", "merges: at line 2"),
        ("#version: 0.2\nh e\nzz q\n", "merges: at line 3"),
        ("h e\n\n l\n", "merges: at line 3"),
    ] {
        let error = open(&vocabulary(), merges).expect_err(merges);
        assert!(error.contains(said), "{merges:?}: {error}");
    }
    assert!(open("{\"a\": 0", MERGES).expect_err("cut short").starts_with("vocabulary: "));
    assert!(open(&vocabulary().replace("\"ll\":257", "\"ll\":256"), MERGES).is_err());
    assert!(open(&vocabulary().replace("\"ll\":257", "\"ll\":70000000"), MERGES).is_err());
}
