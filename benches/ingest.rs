//! How fast documents come in: from files on disk to a committed table, wall clock, with all cores.
//!
//! `cargo bench --profile release --workspace --bench ingest [-- FILE…]`: a folder of 10,000 files of 8 KB on average, and 150 MB of JSON
//! lines as they are and under zstd; with arguments, those files and folders instead. Each is taken into a lake of its own, three times;
//! the best counts, and the time to read the same bytes through once stands beside it.

#![allow(clippy::print_stdout, clippy::expect_used, clippy::unwrap_used, missing_docs)]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use polder_base::{Random, Timestamp};
use polder_lake::{IngestReport, IngestRequest, Lake};
use tokio::runtime::Runtime;

const N_FILES: u64 = 10_000;
const FILE_BYTES: u64 = 8_000;
const LINES_BYTES: u64 = 150_000_000;
const ROUNDS: usize = 3;

fn main() {
    let dir = tempfile::tempdir().expect("a folder");
    let asked: Vec<PathBuf> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).map(PathBuf::from).collect();
    let sources = if asked.is_empty() { made(dir.path()) } else { asked };
    let runtime = Runtime::new().expect("runtime");
    println!("{:<44} {:>9} {:>9} {:>8} {:>9} {:>9}", "source", "documents", "MB text", "s", "MB/s", "read, s");
    for source in sources {
        let read = time_to_read(&source);
        let best = (0..ROUNDS).map(|i| one(&runtime, &dir.path().join(format!("lake{i}")), &source)).min_by_key(|(time, _)| *time);
        let Some((time, report)) = best else { continue };
        let mb = report.bytes as f64 / 1e6;
        println!(
            "{:<44} {:>9} {mb:>9.1} {:>8.2} {:>9.0} {:>9.2}",
            source.file_name().unwrap_or_default().to_string_lossy(),
            report.added,
            time.as_secs_f64(),
            mb / time.as_secs_f64(),
            read.as_secs_f64(),
        );
    }
}

fn one(runtime: &Runtime, lake: &Path, source: &Path) -> (Duration, IngestReport) {
    if lake.exists() {
        fs::remove_dir_all(lake).expect("removed");
    }
    runtime.block_on(async {
        let lake = Lake::init(lake).await.expect("a lake");
        let request = IngestRequest::new(vec![source.display().to_string()], "raw.docs".parse().expect("a name"), Timestamp(0));
        let start = Instant::now();
        let report = lake.ingest(&request, &mut |_| {}).await.expect("ingested");
        (start.elapsed(), report)
    })
}

fn time_to_read(source: &Path) -> Duration {
    fn all(path: &Path) -> u64 {
        if path.is_dir() {
            return fs::read_dir(path).expect("listed").flatten().map(|e| all(&e.path())).sum();
        }
        fs::read(path).expect("read").len() as u64
    }
    all(source);
    let start = Instant::now();
    all(source);
    start.elapsed()
}

/// Text of words whose frequencies fall as those of a language do, so that it compresses about as text does.
fn text(random: &Random, from: u64, bytes: usize) -> String {
    const SYLLABLES: [&str; 24] = [
        "wa", "ter", "dijk", "mo", "len", "pol", "der", "zee", "land", "ge", "ring", "slo", "ten", "en", "be", "ver", "schap", "dam",
        "gra", "ven", "hei", "lo", "sin", "gel",
    ];
    let mut text = String::with_capacity(bytes + 16);
    let mut i = from;
    while text.len() < bytes {
        let draw = random.at(i);
        i += 1;
        // The square of a uniform number: a few words stand often, most of them rarely.
        let uniform = (draw % 10_000) as f64 / 10_000.0;
        let mut word = (uniform * uniform * uniform * 20_000.0) as usize;
        loop {
            text.push_str(SYLLABLES[word % SYLLABLES.len()]);
            word /= SYLLABLES.len();
            if word == 0 {
                break;
            }
        }
        text.push(if draw >> 32 & 15 == 0 { '\n' } else { ' ' });
    }
    text
}

fn made(dir: &Path) -> Vec<PathBuf> {
    let random = Random::new(1, "ingest bench");
    let folder = dir.join("10,000 files of 8 KB");
    for i in 0..N_FILES {
        let below = folder.join(format!("{:02}", i % 100));
        fs::create_dir_all(&below).expect("a folder");
        let bytes = FILE_BYTES / 2 + random.at(i) % FILE_BYTES;
        fs::write(below.join(format!("{i}.txt")), text(&random, i << 20, bytes as usize)).expect("a file");
    }
    let mut lines = Vec::new();
    let mut i = 0;
    while (lines.len() as u64) < LINES_BYTES {
        let bytes = 500 + random.at(i) % 6000;
        let text = text(&random, i << 20, bytes as usize);
        lines.extend(serde_json::json!({"id": i, "source": "bench", "text": text}).to_string().bytes());
        lines.push(b'\n');
        i += 1;
    }
    let plain = dir.join("lines.jsonl");
    fs::write(&plain, &lines).expect("a file");
    let packed = dir.join("lines.jsonl.zst");
    let mut zstd = zstd::stream::write::Encoder::new(fs::File::create(&packed).expect("a file"), 3).expect("zstd");
    zstd.write_all(&lines).and_then(|()| zstd.finish()).expect("packed");
    vec![folder, plain, packed]
}
