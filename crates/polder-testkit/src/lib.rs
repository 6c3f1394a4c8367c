//! Fixtures that several crates' tests need: a small tokenizer, a cleared token set. Development only.
//!
//! Nothing here is data of others; every text is made here. A fixture that cannot be made is a broken test, so these
//! functions panic instead of returning errors.
#![allow(clippy::expect_used)]

use std::fs;
use std::path::{Path, PathBuf};

use polder_base::{Clearance, Manifest, Reference, Timestamp, Verdict, digest_bytes};
use polder_shard::{Document, Offer, SetOptions, ShardOptions, TokenSetWriter};
use polder_tokenizer::{END_OF_TEXT, Tokenizer, TrainOptions, WordCounts, train};

/// The text that the fixtures repeat.
pub const TEXT: &str = "the polder lies below the lake, and the lake lies below the sky; fn main() { println!(\"hello\"); } ";

/// Trains a tokenizer of 300 tokens.
///
/// # Panics
/// When it cannot be trained.
pub fn tokenizer() -> Tokenizer {
    let mut counts = WordCounts::default();
    counts.add(TEXT);
    let options = TrainOptions { vocab_size: 300, special_tokens: vec![END_OF_TEXT.into()], min_count: 1, ..TrainOptions::default() };
    train(&counts, &options, &mut |_, _| {}).expect("tokenizer")
}

/// Writes `tokenizer.json` and the token set `tokens` of 40 documents below a folder, with a clearance or without; returns the set's folder.
///
/// # Panics
/// When a file cannot be written.
pub fn token_set(dir: &Path, cleared: bool) -> PathBuf {
    let tokenizer = tokenizer();
    fs::write(dir.join("tokenizer.json"), tokenizer.to_json()).expect("tokenizer");
    let target = dir.join("tokens");
    let options = SetOptions {
        splits: vec!["train".into(), "validation".into()],
        shards: ShardOptions {
            vocab_size: tokenizer.vocab_size(),
            bos_id: None,
            eos_id: Some(tokenizer.special_id(END_OF_TEXT).expect("special")),
            tokens_per_shard_max: 1000,
        },
        tokenizer_digest: tokenizer.digest(),
    };
    let config_digest = digest_bytes(b"settings");
    let mut writer = TokenSetWriter::begin(&target, options, config_digest, None).expect("begin");
    for i in 0..40 {
        let text = format!("{i} {}", TEXT.repeat(1 + i % 3));
        let split = if i % 8 == 7 { "validation" } else { "train" };
        let (doc_id, text_digest) = (format!("{i:032x}"), digest_bytes(text.as_bytes()));
        assert_eq!(writer.offer(split, &doc_id, &text_digest).expect("offer"), Offer::Wanted);
        let document = Document { doc_id: &doc_id, text_digest, text_bytes: text.len() as u64 };
        writer.push(split, &document, &tokenizer.encode(&text)).expect("push");
    }
    let reference = Reference::artefact("tokens", "test");
    let judged = Manifest::new(reference.clone(), Timestamp(0), Vec::new(), config_digest, serde_json::Value::Null).inputs_digest();
    let clearance = Clearance {
        verdict: Verdict::Cleared,
        policy_digest: digest_bytes(b"[]"),
        input_digest: judged,
        reasons: Vec::new(),
        at: Timestamp(0),
    };
    writer.finish(reference, Timestamp(0), Vec::new(), config_digest, cleared.then_some(clearance)).expect("finish");
    target
}
