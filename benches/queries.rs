//! The queries of a first look at documents: how many and how long by source, an expression found, quantiles, exact duplicates.
//!
//! `POLDER_BENCH_CORPUS=corpus.parquet cargo bench --profile release --workspace --bench queries` writes a Parquet file of (id, source,
//! text) into a table and asks it: the least of seven runs, by the clock and by processor time. `-- NAME` takes one query, for a profile.
#![allow(clippy::print_stdout, clippy::expect_used, clippy::unwrap_used, missing_docs)]

use std::fs;
use std::time::Instant;

use arrow::util::pretty::pretty_format_batches;
use datafusion::prelude::ParquetReadOptions;
use polder_lake::{Lake, WriteOptions};

const RUNS: usize = 7;

const QUERIES: [(&str, &str); 7] = [
    ("count_avg", "SELECT source, count(*) AS n, avg(character_length(text)) AS mean FROM raw.docs GROUP BY source ORDER BY source"),
    ("regex", r"SELECT count(*) FROM raw.docs WHERE regexp_like(text, '[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}')"),
    (
        "quantiles",
        "SELECT percentile_cont(n, 0.1) AS p10, percentile_cont(n, 0.5) AS p50, percentile_cont(n, 0.9) AS p90, \
         percentile_cont(n, 0.99) AS p99 FROM (SELECT character_length(text) AS n FROM raw.docs)",
    ),
    ("exact_text", "SELECT count(*), max(i) FROM (SELECT text, min(id) AS i FROM raw.docs GROUP BY text)"),
    ("exact_hash", "SELECT count(*), max(i) FROM (SELECT min(id) AS i FROM raw.docs GROUP BY xxhash64(text))"),
    ("exact_digest", "SELECT count(*), max(i) FROM (SELECT min(id) AS i FROM raw.docs GROUP BY digest(text, 'blake3'))"),
    ("exact_sha256", "SELECT count(*), max(i) FROM (SELECT min(id) AS i FROM raw.docs GROUP BY sha256(text))"),
];

#[tokio::main]
async fn main() {
    let Some(corpus) = std::env::var_os("POLDER_BENCH_CORPUS") else {
        println!("queries: POLDER_BENCH_CORPUS names no Parquet file of documents");
        return;
    };
    let only = std::env::args().skip(1).find(|a| QUERIES.iter().any(|(name, _)| name == a));
    let folder = tempfile::tempdir().expect("a folder");
    let lake = Lake::init(&folder.path().join("lake")).await.expect("a lake");
    let rows = lake.session().read_parquet(corpus.to_str().expect("a path"), ParquetReadOptions::default()).await.expect("read");
    let written = lake.write(&"raw.docs".parse().expect("a name"), rows, &WriteOptions::default()).await.expect("written");
    println!("queries: {} documents", written.n_rows);
    for (name, sql) in QUERIES.into_iter().filter(|(name, _)| only.as_ref().is_none_or(|only| only == name)) {
        let (mut wall, mut processor, mut answer) = (f64::MAX, f64::MAX, Vec::new());
        for _ in 0..RUNS {
            let (start, used) = (Instant::now(), processor_seconds());
            answer = lake.sql(sql).await.expect("planned").collect().await.expect("read");
            wall = wall.min(start.elapsed().as_secs_f64());
            processor = processor.min(processor_seconds() - used);
        }
        println!("queries: {name}: {wall:.3} s, of processor time {processor:.3}");
        if name != "count_avg" {
            println!("{}", pretty_format_batches(&answer).expect("shown"));
        }
    }
}

/// Processor time of all threads that live.
fn processor_seconds() -> f64 {
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let times = threads.filter_map(|t| fs::read_to_string(t.path().join("schedstat")).ok()?.split(' ').next()?.parse::<f64>().ok());
    times.sum::<f64>() / 1e9
}
