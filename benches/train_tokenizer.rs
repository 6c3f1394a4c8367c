//! Training a vocabulary of 32,768: counting words, then merging, over `POLDER_BENCH_CORPUS` (JSON lines with `text`),
//! else over sources that the machine has. `POLDER_BENCH_OUT` names a file that gets the tokenizer.

use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use polder_tokenizer::{TrainOptions, WordCounts, train};

const TEXT_BYTES_MAX: usize = 64 << 20;
const VOCAB_SIZE: usize = 32_768;

fn main() -> Result<(), Box<dyn Error>> {
    let texts = match std::env::var_os("POLDER_BENCH_CORPUS") {
        Some(path) => lines(Path::new(&path))?,
        None => sources(),
    };
    let bytes: usize = texts.iter().map(String::len).sum();
    let before = status_mb("VmRSS:");
    let started = Instant::now();
    let mut counts = WordCounts::new();
    counts.add_all(&texts);
    let counted_s = started.elapsed().as_secs_f64();
    let n_words: u64 = counts.iter().map(|(_, count)| count).sum();
    // No special tokens: the peers' trainer is asked for none either.
    let options = TrainOptions { vocab_size: VOCAB_SIZE, special_tokens: Vec::new(), ..TrainOptions::default() };
    let tokenizer = train(&counts, &options, &mut |_, _| {})?;
    let all_s = started.elapsed().as_secs_f64();
    // Every 77th text or so, as the peers' script does.
    let step = (texts.len() / 500).max(1);
    let sample: Vec<&String> = texts.iter().step_by(step).collect();
    let n_tokens: usize = sample.iter().map(|text| tokenizer.encode(text).len()).sum();
    writeln!(
        std::io::stdout(),
        "train_tokenizer: {:.1} MB to {} tokens in {all_s:.2} s on {} threads: {:.1} M words/s counted in {counted_s:.2} s, {} different merged in {:.2} s; \
         peak {:.0} MB, {before:.0} MB of it before; {:.4} bytes a token",
        bytes as f64 / 1e6,
        tokenizer.vocab_size(),
        rayon::current_num_threads(),
        n_words as f64 / 1e6 / counted_s,
        counts.len(),
        all_s - counted_s,
        status_mb("VmHWM:"),
        sample.iter().map(|text| text.len()).sum::<usize>() as f64 / n_tokens.max(1) as f64,
    )?;
    if let Some(path) = std::env::var_os("POLDER_BENCH_OUT") {
        fs::write(path, tokenizer.to_json())?;
    }
    Ok(())
}

/// A line of `/proc/self/status` in MB; 0 where there is none.
fn status_mb(key: &str) -> f64 {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = text.lines().find_map(|l| l.strip_prefix(key)?.trim().strip_suffix("kB")?.trim().parse::<f64>().ok());
    kib.unwrap_or(0.0) * 1024.0 / 1e6
}

fn lines(path: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let mut texts = Vec::new();
    for line in BufReader::new(fs::File::open(path)?).lines() {
        let row: serde_json::Value = serde_json::from_str(&line?)?;
        texts.extend(row["text"].as_str().map(str::to_owned));
    }
    Ok(texts)
}

/// The registry's sources, else this repository's.
fn sources() -> Vec<String> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| std::env::var_os("HOME").map(|h| Path::new(&h).join(".cargo")));
    let registry = home.map(|h| h.join("registry/src")).filter(|p| p.is_dir());
    let (mut texts, mut total) = (Vec::new(), 0);
    collect(&registry.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("..")), &mut texts, &mut total);
    texts
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
