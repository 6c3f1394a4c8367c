//! What a statement costs besides its rows: snapshot and plan on tables of many commits, tags, older versions and history.
//!
//! `cargo bench --profile release --workspace --bench statements -- [commits] [versions]` makes a table of 1,050 commits for statements
//! and one of 5,000 for time travel, or of as many as are asked for. Their commits are written as the program writes them, checkpoints
//! included, but all of them name the first one's file by other names. Times are the least and the middle of nine runs.
#![allow(clippy::print_stdout, clippy::expect_used, clippy::unwrap_used, missing_docs)]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{Int64Array, RecordBatch, StringArray};
use deltalake::{DeltaTableBuilder, checkpoints, ensure_table_uri};
use polder_base::{TableName, Timestamp};
use polder_lake::{Answer, Author, Lake};
use serde_json::{Value, json};

const RUNS: usize = 9;
/// Commits without which a table would hold nothing.
const COMMITS_MIN: usize = 10;

#[tokio::main]
async fn main() {
    let asked: Vec<usize> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    let commits = asked.first().copied().unwrap_or(1_050).max(COMMITS_MIN);
    let versions = asked.get(1).copied().unwrap_or(5_000).max(COMMITS_MIN);
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("lake");
    statements(&root, commits).await;
    time_travel(&root, versions).await;
}

async fn statements(root: &Path, n: usize) {
    let lake = Lake::init(root).await.expect("a lake");
    let table = made(&lake, root, "raw.many", n).await;
    let query = format!("SELECT count(*) FROM {table} WHERE text LIKE '%x%'");
    let what = format!("{n} commits");
    measure(&what, "SELECT planned, running session", async || plan(&lake, &query).await).await;
    measure(&what, "SELECT planned, lake opened for it", async || plan(&Lake::open(root).await.expect("a lake"), &query).await).await;
    measure(&what, "SELECT read", async || {
        lake.sql(&query).await.expect("planned").collect().await.expect("read");
    })
    .await;
    let insert = format!("INSERT INTO {table} VALUES (1, 'one')");
    measure(&what, "INSERT of a row", async || run(&lake, &insert).await).await;
    measure("1 row", "SELECT planned without a table", async || plan(&lake, "SELECT 1").await).await;
    run(&lake, "CREATE TABLE raw.few AS SELECT * FROM raw.many LIMIT 1").await;
    measure("1 commit", "INSERT of a row", async || run(&lake, "INSERT INTO raw.few VALUES (1, 'one')").await).await;
}

async fn time_travel(root: &Path, n: usize) {
    let lake = Lake::init(root).await.expect("a lake");
    let table = made(&lake, root, "raw.long", n).await;
    let name: TableName = table.parse().expect("a name");
    let what = format!("{n} versions");
    let mut tag = 0;
    measure(&what, "tag", async || {
        tag += 1;
        lake.tag(&name, &format!("v{tag}"), Some(n as u64 / 2), "", "me", Timestamp(0)).await.expect("a tag");
    })
    .await;
    let commits = lake.history(&name, None).await.expect("history");
    let middle = commits[commits.len() / 2].at;
    for at in [format!("VERSION AS OF {}", n / 2 + 3), "VERSION AS OF 'v1'".into(), format!("TIMESTAMP AS OF '{middle}'")] {
        let query = format!("SELECT count(*) FROM {table} {at}");
        measure(&what, &format!("{at}, running session"), async || plan(&lake, &query).await).await;
        measure(&what, &format!("{at}, lake opened for it"), async || plan(&Lake::open(root).await.expect("a lake"), &query).await).await;
    }
    measure(&what, "history, whole", async || assert_eq!(lake.history(&name, None).await.expect("history").len(), n)).await;
    measure(&what, "history, 20 commits", async || assert_eq!(lake.history(&name, Some(20)).await.expect("history").len(), 20)).await;
}

/// Makes a table of so many commits and returns its name.
async fn made(lake: &Lake, root: &Path, table: &str, n: usize) -> String {
    let columns: [(&str, Arc<dyn arrow::array::Array>); 2] =
        [("id", Arc::new(Int64Array::from(vec![1]))), ("text", Arc::new(StringArray::from(vec!["one"])))];
    let row = RecordBatch::try_from_iter(columns).expect("a row");
    lake.append_rows(&table.parse().expect("a name"), row, None).await.expect("written");
    let folder = root.join("tables").join(table.replace('.', "/"));
    let commit = |version: usize| folder.join(format!("_delta_log/{version:020}.json"));
    let first = fs::read_to_string(commit(0)).expect("a commit");
    let actions: Vec<Value> = first.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let part = |name: &str| actions.iter().find_map(|action| action.get(name)).expect("an action").clone();
    let (mut info, mut add) = (part("commitInfo"), part("add"));
    let interval = part("metaData")["configuration"]["delta.checkpointInterval"].as_str().and_then(|n| n.parse().ok()).unwrap_or(100);
    let file = folder.join(add["path"].as_str().expect("a path"));
    let begun = info["timestamp"].as_u64().expect("a time");
    let url = ensure_table_uri(folder.to_string_lossy()).expect("a place");
    let mut opened = DeltaTableBuilder::from_url(url).expect("a builder").build().expect("a table");
    for version in 1..n {
        let name = format!("part-{version:08}.parquet");
        fs::hard_link(&file, folder.join(&name)).expect("a file");
        add["path"] = json!(name);
        info["timestamp"] = json!(begun + version as u64);
        fs::write(commit(version), format!("{}\n{}\n", json!({ "commitInfo": info }), json!({ "add": add }))).expect("written");
        if (version + 1).is_multiple_of(interval) {
            opened.load().await.expect("loaded");
            checkpoints::create_checkpoint(&opened, None).await.expect("a checkpoint");
        }
    }
    println!("statements: {table} has {n} commits, a checkpoint every {interval}");
    table.to_owned()
}

/// Plans a query to the end, without reading a row.
async fn plan(lake: &Lake, sql: &str) {
    lake.sql(sql).await.expect("planned").create_physical_plan().await.expect("planned");
}

async fn run(lake: &Lake, sql: &str) {
    let by = Author { actor: "me@here".into(), at: Timestamp(0) };
    assert!(matches!(lake.execute(sql, &[], &by).await.expect("run"), Answer::Done(_)));
}

/// Processor time of all threads that live, in milliseconds.
fn processor_ms() -> f64 {
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let times = threads.filter_map(|t| fs::read_to_string(t.path().join("schedstat")).ok()?.split(' ').next()?.parse::<f64>().ok());
    times.sum::<f64>() / 1e6
}

async fn measure(what: &str, name: &str, mut once: impl AsyncFnMut()) {
    let (mut walls, mut processors) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let (start, used) = (Instant::now(), processor_ms());
        once().await;
        walls.push(start.elapsed().as_secs_f64() * 1e3);
        processors.push(processor_ms() - used);
    }
    walls.sort_by(f64::total_cmp);
    processors.sort_by(f64::total_cmp);
    println!(
        "statements: {what}: {name}: {:.1} ms ({:.1} in the middle), of processor time {:.1} ({:.1})",
        walls[0],
        walls[RUNS / 2],
        processors[0],
        processors[RUNS / 2]
    );
}
