//! Encoding speed on one thread and on two, and a digest of the ids to compare with those of others.
//!
//! `POLDER_BENCH_CORPUS` names a file of JSON lines with `text`, of which the first `POLDER_BENCH_MB` (40) megabytes are taken;
//! else the text is the registry's sources, or this repository's. `POLDER_BENCH_GPT2` names a folder that holds `tokenizer.json`
//! or `gpt2_tokenizer.json`; else a vocabulary is trained on one half of the text and measured on the other.

use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use polder_base::digest_bytes;
use polder_tokenizer::{END_OF_TEXT, Tokenizer, TrainOptions, WordCounts, train};

const TEXT_BYTES_MAX: usize = 32 << 20;
const N_RUNS: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let texts = match std::env::var_os("POLDER_BENCH_CORPUS") {
        Some(path) => lines(Path::new(&path))?,
        None => sources(),
    };
    let (tokenizer, texts) = match std::env::var_os("POLDER_BENCH_GPT2") {
        Some(folder) => (open_gpt2(Path::new(&folder))?, &texts[..]),
        None => trained(&texts)?,
    };
    let bytes: usize = texts.iter().map(String::len).sum();
    // By turns, so that a minute in which the machine does something else touches both.
    let mut of_threads = [1, 2].map(|n_threads| (n_threads, Times::MAX, Times::MAX, Vec::new()));
    for _ in 0..N_RUNS {
        for (n_threads, fresh, warm, ids) in &mut of_threads {
            // Made again, so that no word is known from the run before; and once more with what the run has left.
            let again = Tokenizer::try_new(tokenizer.definition().clone())?;
            *fresh = fresh.least(run(&again, texts, *n_threads, ids)?);
            *warm = warm.least(run(&again, texts, *n_threads, ids)?);
        }
    }
    for (n_threads, fresh, warm, ids) in of_threads {
        let ids_bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
        writeln!(
            std::io::stdout(),
            "tokenize: {:.1} MB/s on {n_threads} thread(s), {:.1} by processor time; {:.1} and {:.1} with words known; {} texts of {:.1} MB, {} tokens, {:.3} bytes a token, ids_sha256 {}",
            bytes as f64 / 1e6 / fresh.wall_s,
            bytes as f64 / 1e6 / fresh.cpu_s,
            bytes as f64 / 1e6 / warm.wall_s,
            bytes as f64 / 1e6 / warm.cpu_s,
            texts.len(),
            bytes as f64 / 1e6,
            ids.len(),
            bytes as f64 / ids.len().max(1) as f64,
            digest_bytes(&ids_bytes).to_string().trim_start_matches("sha256:"),
        )?;
    }
    Ok(())
}

/// Seconds by the clock, and of a processor: the second says more where others run.
#[derive(Clone, Copy)]
struct Times {
    wall_s: f64,
    cpu_s: f64,
}

impl Times {
    const MAX: Self = Self { wall_s: f64::MAX, cpu_s: f64::MAX };

    fn least(self, other: Self) -> Self {
        Self { wall_s: self.wall_s.min(other.wall_s), cpu_s: self.cpu_s.min(other.cpu_s) }
    }
}

/// Encodes all texts.
fn run(tokenizer: &Tokenizer, texts: &[String], n_threads: usize, ids: &mut Vec<u32>) -> Result<Times, Box<dyn Error>> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build()?;
    ids.clear();
    let (cpu_before, started) = (cpu_s(), Instant::now());
    let mut batch = None;
    if n_threads == 1 {
        let mut encoder = tokenizer.encoder();
        texts.iter().for_each(|text| encoder.encode_into(text, ids));
    } else {
        batch = Some(pool.install(|| tokenizer.encode_batch(texts)));
    }
    let times = Times { wall_s: started.elapsed().as_secs_f64(), cpu_s: cpu_s() - cpu_before };
    batch.iter().flat_map(|batch| batch.iter()).for_each(|of_text| ids.extend_from_slice(of_text));
    Ok(times)
}

/// Processor time of this process, in the system's hundredths: threads that have ended, too. None where the system does not say.
fn cpu_s() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The program's name, in brackets, may hold anything.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

fn open_gpt2(folder: &Path) -> Result<Tokenizer, Box<dyn Error>> {
    let path = ["tokenizer.json", "gpt2_tokenizer.json"].map(|name| folder.join(name)).into_iter().find(|p| p.is_file());
    Ok(Tokenizer::open(&path.ok_or("POLDER_BENCH_GPT2 holds no tokenizer.json")?)?)
}

fn trained(texts: &[String]) -> Result<(Tokenizer, &[String]), Box<dyn Error>> {
    let (learn, measure) = texts.split_at(texts.len() / 2);
    let mut counts = WordCounts::new();
    counts.add_all(learn);
    let options = TrainOptions { vocab_size: 8192, special_tokens: vec![END_OF_TEXT.into()], min_count: 2, ..TrainOptions::default() };
    Ok((train(&counts, &options, &mut |_, _| {})?, measure))
}

fn lines(path: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let megabytes: f64 = std::env::var("POLDER_BENCH_MB").ok().map_or(Ok(40.0), |text| text.parse())?;
    let (mut texts, mut total) = (Vec::new(), 0);
    for line in BufReader::new(fs::File::open(path)?).lines() {
        let row: serde_json::Value = serde_json::from_str(&line?)?;
        let Some(text) = row["text"].as_str() else { continue };
        total += text.len();
        if total as f64 > megabytes * 1e6 {
            break;
        }
        texts.push(text.to_owned());
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
