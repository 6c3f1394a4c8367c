//! Encoding speed on one thread, over text that the machine has: the registry's sources, else this repository's.

use std::error::Error;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use polder_tokenizer::{END_OF_TEXT, TrainOptions, WordCounts, train};

const TEXT_BYTES_MAX: usize = 32 << 20;

fn main() -> Result<(), Box<dyn Error>> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| std::env::var_os("HOME").map(|h| Path::new(&h).join(".cargo")));
    let registry = home.map(|h| h.join("registry/src")).filter(|p| p.is_dir());
    let mut texts = Vec::new();
    let mut total = 0;
    collect(&registry.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("..")), &mut texts, &mut total);
    // Trained on one half, measured on the other, so that not every word is known.
    let (learn, measure) = texts.split_at(texts.len() / 2);
    let mut counts = WordCounts::new();
    counts.add_all(learn);
    let started = Instant::now();
    let options = TrainOptions { vocab_size: 8192, special_tokens: vec![END_OF_TEXT.into()], min_count: 2, ..TrainOptions::default() };
    let tokenizer = train(&counts, &options, &mut |_, _| {})?;
    let train_s = started.elapsed().as_secs_f64();
    let bytes: usize = measure.iter().map(String::len).sum();
    let mut ids = Vec::new();
    let mut n_tokens = 0;
    let started = Instant::now();
    for text in measure {
        ids.clear();
        tokenizer.encode_into(text, &mut ids);
        n_tokens += ids.len();
    }
    let megabytes_per_s = bytes as f64 / 1e6 / started.elapsed().as_secs_f64();
    let bytes_per_token = bytes as f64 / n_tokens.max(1) as f64;
    writeln!(
        std::io::stdout(),
        "tokenize: {megabytes_per_s:.1} MB/s per thread over {:.1} MB, {bytes_per_token:.2} bytes a token; training {} words to {} tokens took {train_s:.1} s",
        bytes as f64 / 1e6,
        counts.len(),
        tokenizer.vocab_size(),
    )?;
    Ok(())
}

fn collect(folder: &Path, texts: &mut Vec<String>, total: &mut usize) {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()).collect();
    entries.sort();
    for path in entries {
        if *total >= TEXT_BYTES_MAX {
            return;
        }
        if path.is_dir() {
            collect(&path, texts, total);
        } else if path.extension().is_some_and(|e| ["rs", "md", "toml", "c", "h", "py"].iter().any(|x| e == *x))
            && let Ok(text) = fs::read_to_string(&path)
        {
            *total += text.len();
            texts.push(text);
        }
    }
}
