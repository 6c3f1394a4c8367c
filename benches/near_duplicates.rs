//! Near duplicates from a table through SQL: time, and the most memory that the process held.
//!
//! `cargo bench --profile release --workspace --bench near_duplicates -- [documents]` makes a million documents of about 1 KB, or as many
//! as are asked for, of which every eighth repeats an earlier one with some words changed. POLDER_SCORE_CORPUS names a folder with
//! `corpus.jsonl` (`id`, `text`) to be taken in its place. The table is written by one process and searched by another.
#![allow(clippy::print_stdout, clippy::expect_used, clippy::unwrap_used, missing_docs)]

use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{Float64Array, RecordBatch, StringArray};
use polder_lake::Lake;

/// Documents in a commit.
const COMMIT_DOCUMENTS: usize = 50_000;
const SEED: u64 = 20_261_127;

#[tokio::main]
async fn main() {
    if let Some(folder) = std::env::var_os("POLDER_BENCH_LAKE") {
        return search(Path::new(&folder)).await;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let lake = Lake::init(&folder.path().join("lake")).await.expect("a lake");
    let corpus = std::env::var_os("POLDER_SCORE_CORPUS").map(PathBuf::from);
    let asked = std::env::args().skip(1).find_map(|a| a.parse().ok());
    let start = Instant::now();
    let (n, bytes) = match corpus {
        Some(corpus) => {
            let file = std::fs::File::open(corpus.join("corpus.jsonl")).expect("a corpus");
            let lines = std::io::BufReader::new(file).lines().map(|line| serde_json::from_str(&line.expect("a line")).expect("JSON"));
            write(&lake, lines.map(|row: serde_json::Value| (own(&row["id"]), own(&row["text"])))).await
        }
        None => write(&lake, (0..asked.unwrap_or(1_000_000)).map(|i| (format!("doc-{:08}", shuffled(i)), generated(i)))).await,
    };
    println!("near_duplicates: wrote {n} documents, {:.0} MB, in {:.1} s", bytes as f64 / 1e6, start.elapsed().as_secs_f64());
    let program = std::env::current_exe().expect("this program");
    let status = Command::new(program).env("POLDER_BENCH_LAKE", folder.path().join("lake")).status().expect("a process");
    assert!(status.success());
}

fn own(value: &serde_json::Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

async fn write(lake: &Lake, rows: impl Iterator<Item = (String, String)>) -> (usize, usize) {
    let table = "raw.docs".parse().expect("a name");
    let (mut n, mut bytes) = (0, 0);
    let mut rows = rows.peekable();
    while rows.peek().is_some() {
        let (ids, texts): (Vec<_>, Vec<_>) = rows.by_ref().take(COMMIT_DOCUMENTS).unzip();
        n += ids.len();
        bytes += texts.iter().map(String::len).sum::<usize>();
        let (ids, texts) = (StringArray::from(ids), StringArray::from(texts));
        let batch = RecordBatch::try_from_iter([("doc_id", Arc::new(ids) as _), ("text", Arc::new(texts) as _)]).expect("a batch");
        lake.append_rows(&table, batch, None).await.expect("written");
    }
    (n, bytes)
}

async fn search(folder: &Path) {
    let lake = Lake::open(folder).await.expect("a lake");
    let start = Instant::now();
    let rows =
        lake.sql("SELECT * FROM near_duplicates('raw.docs', jaccard => 0.7)").await.expect("planned").collect().await.expect("found");
    let seconds = start.elapsed().as_secs_f64();
    let n: usize = rows.iter().map(RecordBatch::num_rows).sum();
    let jaccards = rows.iter().flat_map(|b| b.column(3).as_any().downcast_ref::<Float64Array>().unwrap().values().to_vec());
    let n_near = jaccards.filter(|j| *j >= 0.7).count();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find(|l| l.starts_with("VmHWM")).unwrap_or_default().split_whitespace().nth(1).unwrap_or("0");
    let peak_mb = peak.parse::<f64>().unwrap_or_default() * 1024.0 / 1e6;
    println!(
        "near_duplicates: {n} duplicates, {n_near} of them at Jaccard 0.7 or more to their keeper, in {seconds:.2} s; at most {peak_mb:.0} MB"
    );
}

fn draw(a: u64, b: u64) -> u64 {
    let mut x = SEED.wrapping_add(a.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_add(b.wrapping_mul(0xd1b5_4a32_d192_ed03));
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Ids in no order of the documents.
fn shuffled(i: u64) -> u64 {
    i.wrapping_mul(7_654_321) % 100_000_007
}

/// Words as in a language: few of them make up half of a text.
fn word(random: u64) -> u64 {
    let u = (random >> 11) as f64 / (1u64 << 53) as f64;
    (50_000f64.powf(u)) as u64
}

fn generated(i: u64) -> String {
    let original = if i % 8 == 7 { draw(i, 1) % i } else { i };
    let changed_percent = if original == i { 0 } else { draw(i, 2) % 5 };
    let mut text = String::new();
    for k in 0..100 + draw(original, 3) % 120 {
        let of = if draw(i, 1000 + k) % 100 < changed_percent { i } else { original };
        let spelt = draw(word(draw(of, 10_000 + k)), 0);
        let n_letters = 2 + spelt % 8;
        text.extend((0..n_letters).map(|l| char::from(b'a' + (draw(spelt, l) % 26) as u8)));
        text.push(if k % 12 == 11 { '\n' } else { ' ' });
    }
    text
}
