//! Writes a token set of known documents below a folder, and its exports, for `tests/golden/check_shards.py`.
//!
//!     cargo run --release -p polder-shard --example foreign_readers -- FOLDER

use std::error::Error;
use std::path::PathBuf;

use polder_base::{Input, Reference, Timestamp, digest_bytes};
use polder_shard::{Document, ExportFormat, ExportOptions, SetOptions, ShardOptions, TokenSet, TokenSetWriter, export};

/// Document i has i · 37 mod 211 tokens; token j of it is (i · 7919 + j · 104729) mod (vocabulary − 1), and the last id closes it.
fn main() -> Result<(), Box<dyn Error>> {
    let dir = PathBuf::from(std::env::args_os().nth(1).ok_or("say in which folder")?);
    for (name, vocab_size) in [("narrow", 50_257u32), ("wide", 128_256)] {
        let target = dir.join(name);
        let options = SetOptions {
            splits: vec!["train".into(), "validation".into()],
            shards: ShardOptions {
                vocab_size: vocab_size as usize,
                bos_id: None,
                eos_id: Some(vocab_size - 1),
                tokens_per_shard_max: 10_000,
            },
            tokenizer_digest: digest_bytes(b"tokenizer"),
        };
        let mut writer = TokenSetWriter::begin(&target, options, digest_bytes(b"inputs"), None)?;
        for i in 0..500u32 {
            let split = if i % 10 == 9 { "validation" } else { "train" };
            let tokens: Vec<u32> = (0..i * 37 % 211).map(|j| (i * 7919 + j * 104_729) % (vocab_size - 1)).collect();
            let (doc_id, text_digest) = (format!("{i:05}"), digest_bytes(&i.to_le_bytes()));
            writer.offer(split, &doc_id, &text_digest)?;
            writer.push(split, &Document { doc_id: &doc_id, text_digest, text_bytes: 1 }, &tokens)?;
        }
        let reference = Reference::artefact("tokens", name);
        writer.finish(reference.clone(), Timestamp(0), Vec::new(), digest_bytes(b"settings"), None)?;
        let set = TokenSet::open(&target)?;
        let input = Input { reference: reference.clone(), digest: set.fingerprint() };
        for format in ExportFormat::ALL {
            if vocab_size > 1 << 16 && matches!(format, ExportFormat::LlmC | ExportFormat::NanoGpt) {
                continue;
            }
            let folder = dir.join(format!("{name}-{format}"));
            let (reference, input) = (reference.clone(), input.clone());
            export(&set, &folder, &ExportOptions { format, tokens_per_file_max: 20_000, reference, input, at: Timestamp(0) }, &mut |_| {})?;
        }
    }
    Ok(())
}
