//! How fast rows of databases become records: a file of JSON lines as it is, and its documents in SQLite, PostgreSQL and MariaDB, where the
//! machine has those; wall clock and processor time of the reader, without the server's.
//!
//! `cargo bench --profile release -p polder-ingest --bench databases [-- FILE.jsonl]`: the `text` of that file, else of 20,000 made lines;
//! three rounds, of which the best counts.

#![allow(clippy::print_stdout, clippy::expect_used, clippy::unwrap_used, missing_docs)]

use std::fmt::Write as _;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use polder_ingest::{Fault, Flow, Item, Member, Outside, Reading, Request, Sink, StoredObject};
use polder_testkit::databases::{self, DatabaseServer};
use rusqlite::Connection;
use tokio::runtime::Runtime;
use url::Url;

const ROUNDS: usize = 3;
const DATABASE: &str = "bench";

struct Nowhere;

impl Outside for Nowhere {
    fn read_table(&self, _: &Path, member: Member, sink: &mut Sink<'_>) -> Flow {
        sink.bad(member, Fault::new("table", "none here"))
    }
    fn list(&self, _: &Url) -> Result<Vec<StoredObject>, String> {
        Err("none here".into())
    }
    fn open(&self, _: &Url) -> Result<Box<dyn Read>, String> {
        Err("none here".into())
    }
}

fn main() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = std::env::args().skip(1).find(|a| !a.starts_with('-')).unwrap_or_else(|| made(dir.path()));
    let lines = fs::read_to_string(&path).expect("the file");
    let texts: Vec<String> = lines
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON")["text"].as_str().unwrap_or_default().replace('\0', ""))
        .collect();
    drop(lines);
    let file = dir.path().join("docs.db");
    sqlite(&file, &texts);
    let (postgres, mysql) = (databases::postgres(), databases::mysql());
    let mut sources = vec![("JSON lines".to_owned(), path), ("SQLite".to_owned(), format!("sqlite:{}?table=docs", file.display()))];
    if let Some(server) = &postgres {
        load_postgres(server, &texts);
        for mode in ["disable", "require"] {
            sources.push((format!("PostgreSQL, sslmode={mode}"), format!("{}?table=docs&sslmode={mode}", server.address(DATABASE))));
        }
    }
    if let Some(server) = &mysql {
        load_mysql(server, &texts);
        for mode in ["disable", "require"] {
            sources.push((format!("MariaDB, sslmode={mode}"), format!("{}?table=docs&sslmode={mode}", server.address(DATABASE))));
        }
    }
    let runtime = Runtime::new().expect("runtime");
    println!("{:<32} {:>9} {:>9} {:>7} {:>7} {:>11}", "source", "documents", "MB text", "s", "MB/s", "processor, s");
    for (name, source) in sources {
        let rounds = (0..ROUNDS).map(|_| one(&runtime, &source));
        let Some((seconds, processor, n, bytes)) = rounds.min_by(|a, b| a.0.total_cmp(&b.0)) else { continue };
        let mb = bytes as f64 / 1e6;
        println!("{name:<32} {n:>9} {mb:>9.1} {seconds:>7.2} {:>7.0} {processor:>11.2}", mb / seconds);
    }
}

fn made(dir: &Path) -> String {
    let line = |i: usize| format!("{{\"text\": \"{}\"}}\n", format!("line {i} of a made text, ").repeat(i % 300 + 1));
    let path = dir.join("made.jsonl");
    fs::write(&path, (0..20_000).map(line).collect::<String>()).expect("a file");
    path.to_string_lossy().into_owned()
}

/// Seconds, seconds of processor time, records, bytes of text.
fn one(runtime: &Runtime, source: &str) -> (f64, f64, usize, usize) {
    let request = Request::new(vec![source.to_owned()]);
    let (begun, processor) = (Instant::now(), processor_seconds());
    let mut reading = Reading::start(&request, Arc::new(Nowhere), runtime.handle().clone()).expect("a source");
    let (mut n, mut bytes) = (0, 0);
    while let Some(batch) = reading.next_batch() {
        for item in &batch.items {
            if let Item::Record(record) = item {
                n += 1;
                bytes += record.text.len();
            }
        }
    }
    (begun.elapsed().as_secs_f64(), processor_seconds() - processor, n, bytes)
}

fn processor_seconds() -> f64 {
    const TICKS: f64 = 100.0;
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = |i: usize| fields.get(i).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / TICKS
}

fn sqlite(path: &Path, texts: &[String]) {
    let connection = Connection::open(path).expect("a file");
    connection.execute_batch("CREATE TABLE docs (id INTEGER PRIMARY KEY, text TEXT); BEGIN").expect("a table");
    let mut insert = connection.prepare("INSERT INTO docs VALUES (?, ?)").expect("a statement");
    for (i, text) in texts.iter().enumerate() {
        insert.execute((i as i64, text)).expect("a row");
    }
    connection.execute_batch("COMMIT").expect("a commit");
}

fn load_postgres(server: &DatabaseServer, texts: &[String]) {
    server.create(DATABASE);
    let mut statements = String::from("CREATE TABLE docs (id INT PRIMARY KEY, text TEXT);\nCOPY docs FROM STDIN;\n");
    for (i, text) in texts.iter().enumerate() {
        let text = text.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n").replace('\r', "\\r");
        let _ = writeln!(statements, "{i}\t{text}");
    }
    statements.push_str("\\.\nVACUUM ANALYZE docs;\n");
    server.run(DATABASE, &statements);
}

fn load_mysql(server: &DatabaseServer, texts: &[String]) {
    server.create(DATABASE);
    server.run(
        DATABASE,
        "CREATE TABLE docs (id INT PRIMARY KEY, text LONGTEXT CHARACTER SET utf8mb4); SET GLOBAL max_allowed_packet = 1000000000;",
    );
    for (n, part) in texts.chunks(500).enumerate() {
        let rows =
            part.iter().enumerate().map(|(i, text)| format!("({}, '{}')", n * 500 + i, text.replace('\\', "\\\\").replace('\'', "''")));
        server.run(
            DATABASE,
            &format!("SET SESSION net_read_timeout = 600; INSERT INTO docs VALUES {};", rows.collect::<Vec<_>>().join(", ")),
        );
    }
}
