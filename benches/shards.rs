//! Token shards: how fast documents become shards, and how fast a set is checked. 200 million tokens made here, in documents of
//! 900 on average; ids follow Zipf's law, as those of text do. `POLDER_BENCH_DIR` chooses the disk.

use std::error::Error;
use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::time::Instant;

use polder_base::{Random, Reference, Timestamp, digest_bytes};
use polder_shard::{Document, SetOptions, ShardOptions, TokenSetWriter, verify};

const N_TOKENS: u64 = 200_000_000;
/// Documents have all lengths below this.
const DOCUMENT_TOKENS_MAX: u64 = 1800;
/// Tokens are taken from a stretch made once, so that making them is no part of the figures.
const STRETCH: usize = 1 << 20;

fn main() -> Result<(), Box<dyn Error>> {
    let dir = std::env::var_os("POLDER_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let dir = tempfile::tempdir_in(dir)?;
    for (vocab_size, tokens_per_shard_max) in [(50_257, 100_000_000), (128_256, 100_000_000), (50_257, u64::MAX)] {
        measure(&dir.path().join("set"), vocab_size, tokens_per_shard_max)?;
    }
    Ok(())
}

fn measure(target: &Path, vocab_size: usize, tokens_per_shard_max: u64) -> Result<(), Box<dyn Error>> {
    let random = Random::new(1, "shards");
    let uniform = |i: u64| (random.at(i) >> 11) as f64 / (1u64 << 53) as f64;
    let ids = (0..STRETCH as u64).map(|i| (vocab_size as f64).powf(uniform(i)) as u32 - 1);
    let stretch: Vec<u32> = ids.collect();
    let options = SetOptions {
        splits: vec!["train".into()],
        shards: ShardOptions { vocab_size, bos_id: None, eos_id: Some(0), tokens_per_shard_max },
        tokenizer_digest: digest_bytes(b"tokenizer"),
    };
    let started = Instant::now();
    let mut writer = TokenSetWriter::begin(target, options, digest_bytes(b"inputs"), None)?;
    let text_digest = digest_bytes(b"text");
    let mut n_tokens = 0;
    for i in 0.. {
        if n_tokens >= N_TOKENS {
            break;
        }
        let length = (random.at(i) % DOCUMENT_TOKENS_MAX) as usize;
        let from = random.at(i + N_TOKENS) as usize % (STRETCH - length);
        let doc_id = format!("{i:032x}");
        writer.offer("train", &doc_id, &text_digest)?;
        writer.push("train", &Document { doc_id: &doc_id, text_digest, text_bytes: 4 }, &stretch[from..from + length])?;
        n_tokens += length as u64 + 1;
    }
    let manifest = writer.finish(Reference::artefact("tokens", "bench"), Timestamp(0), Vec::new(), digest_bytes(b""), None)?;
    let write_s = started.elapsed().as_secs_f64();
    let bytes: u64 = manifest.files.iter().map(|f| f.bytes).sum();
    let started = Instant::now();
    let verification = verify(target, &|_| {})?;
    let verify_s = started.elapsed().as_secs_f64();
    if !verification.is_sound() {
        return Err("the set is damaged".into());
    }
    let n_shards = manifest.files.len() / 4;
    writeln!(
        stdout(),
        "shards: vocabulary {vocab_size}, {n_shards} shards of {:.2} GB: written at {:.0} M tokens/s ({:.0} MB/s, synced, one thread); \
         checked at {:.2} GB/s on {} threads",
        bytes as f64 / 1e9,
        n_tokens as f64 / 1e6 / write_s,
        bytes as f64 / 1e6 / write_s,
        bytes as f64 / 1e9 / verify_s,
        std::thread::available_parallelism()?,
    )?;
    Ok(())
}
