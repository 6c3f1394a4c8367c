//! The lake as its users meet it, each test in a folder of its own.

mod contamination;
mod functions;
mod ingest;
mod known;
mod meaning;
mod memory;
mod merge;
mod open;
mod retention;
mod sql;
mod statements;
mod stores;
mod tags;
mod time_travel;
mod views;
mod write;

use std::sync::Arc;

use datafusion::arrow::array::{Int64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::cast::as_int64_array;
use polder_base::{TableName, Timestamp};
use tempfile::TempDir;

use crate::{Answer, Author, Done, Lake, LakeError, WriteMode, WriteOptions};

/// Where the tables of [`lake`] stand: `s3` for a store that [`stores`] starts, or nothing for the lake's folder.
const TABLES: &str = "POLDER_TEST_TABLES";

/// A new lake and the folder that holds it.
async fn lake() -> (TempDir, Lake) {
    match std::env::var(TABLES).as_deref() {
        Ok("s3") => stores::lake_on_s3(stores::shared(), &stores::new_prefix()).await,
        _ => lake_in_folder().await,
    }
}

/// One whose tables are files, for tests that look at them.
async fn lake_in_folder() -> (TempDir, Lake) {
    let dir = tempfile::tempdir().expect("temporary folder");
    let lake = Lake::init(&dir.path().join("lake")).await.expect("a lake");
    (dir, lake)
}

fn name(text: &str) -> TableName {
    text.parse().expect("a table's name")
}

/// Rows of (id, text).
fn batch(ids: &[i64]) -> RecordBatch {
    let schema = Schema::new(vec![Field::new("id", DataType::Int64, true), Field::new("text", DataType::Utf8, true)]);
    let texts = StringArray::from_iter_values(ids.iter().map(|i| format!("row {i}")));
    RecordBatch::try_new(Arc::new(schema), vec![Arc::new(Int64Array::from(ids.to_vec())), Arc::new(texts)]).expect("a batch")
}

async fn append(lake: &Lake, table: &str, ids: &[i64]) {
    lake.append_rows(&name(table), batch(ids), None).await.expect("appended");
}

async fn append_one(lake: &Lake, table: &str, id: i64) {
    append(lake, table, &[id]).await;
}

/// A table whose versions 0, 1 and 2 have 2, 3 and 5 rows.
async fn grown(lake: &Lake, table: &str) {
    append(lake, table, &[1, 2]).await;
    append(lake, table, &[3]).await;
    append(lake, table, &[4, 5]).await;
}

/// The single number that a statement gives.
async fn number(lake: &Lake, sql: &str) -> i64 {
    let frame = lake.sql(sql).await.unwrap_or_else(|e| panic!("{sql}: {}", told(&e)));
    let batches = frame.collect().await.unwrap_or_else(|e| panic!("{sql}: {e}"));
    as_int64_array(batches.iter().find(|b| b.num_rows() == 1).expect("one row").column(0)).expect("a number").value(0)
}

fn me() -> Author {
    Author { actor: "me@here".into(), at: Timestamp(1000) }
}

/// Runs a statement that writes.
async fn run(lake: &Lake, sql: &str) -> Done {
    match lake.execute(sql, &[], &me()).await.unwrap_or_else(|e| panic!("{sql}: {}", told(&e))) {
        Answer::Done(done) => done,
        Answer::Rows(_) => panic!("{sql} gives rows"),
    }
}

async fn run_refused(lake: &Lake, sql: &str) -> LakeError {
    match lake.execute(sql, &[], &me()).await {
        Ok(answer) => panic!("{sql} was run: {answer:?}"),
        Err(e) => e,
    }
}

/// The rows that a query gives, a line each, sorted.
async fn lines(lake: &Lake, sql: &str) -> Vec<String> {
    let frame = lake.sql(sql).await.unwrap_or_else(|e| panic!("{sql}: {}", told(&e)));
    let mut lines = Vec::new();
    for batch in frame.collect().await.unwrap_or_else(|e| panic!("{sql}: {e}")) {
        let options = FormatOptions::default().with_null("NULL");
        let cells: Vec<_> = batch.columns().iter().map(|c| ArrayFormatter::try_new(c.as_ref(), &options).expect("shown")).collect();
        lines.extend((0..batch.num_rows()).map(|i| cells.iter().map(|c| c.value(i).to_string()).collect::<Vec<_>>().join("|")));
    }
    lines.sort();
    lines
}

async fn refused(lake: &Lake, sql: &str) -> LakeError {
    match lake.sql(sql).await {
        Ok(_) => panic!("{sql} was planned"),
        Err(e) => e,
    }
}

/// An error with its causes.
fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(&format!(": {inner}"));
        cause = inner.source();
    }
    text
}

fn overwrite() -> WriteOptions {
    WriteOptions { mode: WriteMode::Overwrite, ..WriteOptions::default() }
}
