//! From a pile, a Delta table, to token shards on disk: what `polder tokens build` does, from its first read to its last sync.
//!
//! `POLDER_BENCH_CORPUS=corpus.jsonl` names other text than the machine's own sources (JSON lines with `text`),
//! `POLDER_BENCH_TOKENIZER=tokenizer.json` another tokenizer than one trained here, `POLDER_BENCH_COPIES=8` makes the table that
//! many times as long, `POLDER_BENCH_MEMORY=256` gives the sort so many MB, `POLDER_BENCH_PLACE=DIR` says on which disk.

use std::error::Error;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use polder_base::{Clearance, Input, Manifest, Reference, Timestamp, Verdict, digest_bytes};
use polder_lake::Lake;
use polder_pipeline::{Begin, BuildTokens, TokensPhase};
use polder_tokenizer::{Tokenizer, TrainOptions, WordCounts, train};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const TEXT_BYTES_MAX: usize = 128 << 20;
/// Text that the tokenizer is trained on.
const LEARN_BYTES: usize = 16 << 20;
const RUNS: usize = 5;
/// Names the lake that a child process fills.
const FILL: &str = "POLDER_BENCH_FILL";

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_stack_size(8 << 20).build()?;
    match std::env::var_os(FILL) {
        Some(folder) => runtime.block_on(async {
            let lake = Lake::init(Path::new(&folder)).await?;
            tokenizer(&lake).await?;
            Ok(writeln!(std::io::stdout(), "{}", fill(&lake).await?)?)
        }),
        None => runtime.block_on(measure()),
    }
}

async fn measure() -> Result<()> {
    let place = match std::env::var_os("POLDER_BENCH_PLACE") {
        Some(place) => tempfile::tempdir_in(place)?,
        None => tempfile::tempdir()?,
    };
    let folder = place.path().join("lake");
    // In a process of its own: what making the table takes is not the build's memory.
    let filled = Command::new(std::env::current_exe()?).env(FILL, &folder).output()?;
    let text_bytes: u64 =
        String::from_utf8(filled.stdout)?.trim().parse().map_err(|_| String::from_utf8_lossy(&filled.stderr).into_owned())?;
    let lake = Lake::open(&folder).await?;
    let memory = std::env::var("POLDER_BENCH_MEMORY").ok().and_then(|m| m.parse::<u64>().ok());
    let mut rates = Vec::new();
    let mut reading_s = Vec::new();
    let mut n_tokens = 0;
    for run in 0..RUNS {
        let mut request = BuildTokens::new("bench", "pile.base".parse()?, "bench");
        request.begin = Begin::Fresh;
        request.memory_bytes = memory.map_or(request.memory_bytes, |mb| mb << 20);
        let started = Instant::now();
        let mut read_s = 0.0;
        let plan = request.plan(&lake, Timestamp(run as i64)).await?;
        let clearance = Clearance {
            verdict: Verdict::Cleared,
            policy_digest: digest_bytes(b""),
            input_digest: plan.inputs_digest(),
            at: Timestamp(0),
            reasons: vec![],
        };
        let mut on_progress = |p: &polder_pipeline::TokensProgress| {
            if p.phase == TokensPhase::Reading {
                read_s = started.elapsed().as_secs_f64();
            }
            n_tokens = n_tokens.max(p.n_tokens);
        };
        plan.run(&lake, clearance, &mut on_progress).await?;
        rates.push(text_bytes as f64 / 1e6 / started.elapsed().as_secs_f64());
        reading_s.push(read_s);
    }
    let median = |values: &mut Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|l| l.strip_prefix("VmHWM:")?.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    writeln!(
        std::io::stdout(),
        "pile_to_shards: {:.1} MB/s from table to shards, {:.1} MB of text, {:.2} bytes a token; the first {:.2} s read and sort; \
         peak memory {:.0} MB; {} threads",
        median(&mut rates),
        text_bytes as f64 / 1e6,
        text_bytes as f64 / n_tokens.max(1) as f64,
        median(&mut reading_s),
        peak.unwrap_or_default() as f64 / 1e3,
        std::thread::available_parallelism()?,
    )?;
    Ok(())
}

/// Writes the table; ids are digests, so that they come in no order.
async fn fill(lake: &Lake) -> Result<u64> {
    let texts = texts()?;
    let copies: usize = std::env::var("POLDER_BENCH_COPIES").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    for copy in 0..copies {
        let ids = (0..texts.len()).map(|i| digest_bytes(format!("{copy}/{i}").as_bytes()).hex()[..32].to_owned());
        let columns: [(&str, ArrayRef); 2] =
            [("doc_id", Arc::new(StringArray::from_iter_values(ids))), ("text", Arc::new(StringArray::from_iter_values(&texts)))];
        lake.append_rows(&"pile.base".parse()?, RecordBatch::try_from_iter(columns)?, None).await?;
    }
    Ok((texts.iter().map(String::len).sum::<usize>() * copies) as u64)
}

/// The named corpus, else sources that the machine has: the registry's, else this repository's.
fn texts() -> Result<Vec<String>> {
    let mut texts = Vec::new();
    if let Some(path) = std::env::var_os("POLDER_BENCH_CORPUS") {
        for line in fs::read_to_string(path)?.lines() {
            let value: serde_json::Value = serde_json::from_str(line)?;
            texts.push(value["text"].as_str().ok_or("a line without `text`")?.to_owned());
        }
        return Ok(texts);
    }
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| std::env::var_os("HOME").map(|h| Path::new(&h).join(".cargo")));
    let registry = home.map(|h| h.join("registry/src")).filter(|p| p.is_dir());
    collect(&registry.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("..")), &mut texts, &mut 0);
    Ok(texts)
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

/// Puts a tokenizer into the lake: the named one, or one trained on some of the text.
async fn tokenizer(lake: &Lake) -> Result<()> {
    let tokenizer = match std::env::var_os("POLDER_BENCH_TOKENIZER") {
        Some(path) => Tokenizer::open(Path::new(&path))?,
        None => {
            let mut counts = WordCounts::default();
            let mut left = LEARN_BYTES;
            for text in texts()?.iter().step_by(7) {
                counts.add(text);
                left = left.saturating_sub(text.len());
                if left == 0 {
                    break;
                }
            }
            train(&counts, &TrainOptions::default(), &mut |_, _| {})?
        }
    };
    let reference = Reference::artefact("tokenizers", "bench");
    let folder = lake.layout().artefact(&reference).ok_or("a folder")?;
    polder_base::write_whole(&folder.join("tokenizer.json"), tokenizer.to_json().as_bytes())?;
    let inputs: Vec<Input> = Vec::new();
    let mut manifest = Manifest::new(reference, Timestamp(0), inputs, digest_bytes(b""), serde_json::Value::Null);
    manifest.describe(&folder, &["tokenizer.json"])?;
    manifest.write(&folder)?;
    Ok(())
}
