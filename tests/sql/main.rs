//! Every SQL file that makes a table, run on a few rows whose result can be worked out by hand.
//!
//! `tests/sql/x.slt` belongs to `sql/NN_stage/x.sql`. Besides queries, three statements are understood:
//! `FILL table AS query` writes a table, `APPLY table` runs its SQL file, `REMOVED table` lists what it left out.
//!
//! `tests/sql/statements/` holds what users write themselves, one file a family of statements; one that writes answers with the row
//! that says what was done.
#![allow(missing_docs, clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::Path;

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use async_trait::async_trait;
use datafusion::common::ScalarValue;
use polder_base::{TableName, Timestamp};
use polder_lake::{Answer, Lake, Statements, WriteMode, WriteOptions};
use polder_pipeline::{ApplyContext, FILES, Pipeline, QUERIES};
use sqllogictest::{AsyncDB, DBOutput, DefaultColumnType, Runner};

struct Database {
    lake: Lake,
    _folder: std::sync::Arc<tempfile::TempDir>,
}

#[derive(Debug)]
struct Failure(String);

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

/// The whole chain of an error, since the last cause says which column is wrong.
fn failure(error: impl std::error::Error) -> Failure {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    Failure(text)
}

/// Rows as the files write them.
fn cells(batches: &[RecordBatch]) -> Vec<Vec<String>> {
    let options = FormatOptions::default().with_null("NULL");
    let mut rows = Vec::new();
    for batch in batches {
        let columns: Vec<_> = batch.columns().iter().map(|c| ArrayFormatter::try_new(c.as_ref(), &options).unwrap()).collect();
        for row in 0..batch.num_rows() {
            let cell = |c: &ArrayFormatter| match c.value(row).to_string() {
                empty if empty.is_empty() => "(empty)".to_owned(),
                text => text.replace('\n', "⏎"),
            };
            rows.push(columns.iter().map(cell).collect());
        }
    }
    rows
}

impl Database {
    async fn rows(&self, sql: &str) -> Result<Vec<Vec<String>>, Failure> {
        self.rows_with(sql, &[]).await
    }

    async fn rows_with(&self, sql: &str, parameters: &[(&str, ScalarValue)]) -> Result<Vec<Vec<String>>, Failure> {
        let batches = self.lake.sql_with(sql, parameters).await.map_err(failure)?.collect().await.map_err(failure)?;
        Ok(cells(&batches))
    }

    async fn apply(&self, table: &str) -> Result<(), Failure> {
        let mut pipeline = Pipeline::open(None).map_err(failure)?;
        pipeline.files.retain(|f| f.table.to_string() == table);
        assert_eq!(pipeline.files.len(), 1, "no SQL file makes {table}");
        self.apply_all(pipeline).await
    }

    async fn apply_all(&self, pipeline: Pipeline) -> Result<(), Failure> {
        let context = ApplyContext { actor: "tester@here".into(), run_id: "test".into() };
        polder_pipeline::apply(&self.lake, &pipeline, &context, &mut |_| {}).await.map_err(failure)?;
        Ok(())
    }
}

#[async_trait]
impl AsyncDB for Database {
    type Error = Failure;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, Failure> {
        if let Some(rest) = sql.strip_prefix("FILL ") {
            let (table, query) = rest.split_once(" AS ").expect("FILL table AS query");
            let frame = self.lake.sql(query).await.map_err(failure)?;
            let options = WriteOptions { mode: WriteMode::Overwrite, ..WriteOptions::default() };
            let table: TableName = table.trim().parse().map_err(failure)?;
            self.lake.write(&table, frame, &options).await.map_err(failure)?;
            return Ok(DBOutput::StatementComplete(0));
        }
        if let Some(table) = sql.strip_prefix("APPLY ") {
            self.apply(table.trim()).await?;
            return Ok(DBOutput::StatementComplete(0));
        }
        let removed = sql
            .strip_prefix("REMOVED ")
            .map(|table| format!("SELECT doc_id, reason, detail FROM ops.removed WHERE step = '{}' ORDER BY doc_id", table.trim()));
        let rows = self.rows(removed.as_deref().unwrap_or(sql)).await?;
        Ok(DBOutput::Rows { types: vec![DefaultColumnType::Any; rows.first().map_or(1, Vec::len)], rows })
    }

    async fn shutdown(&mut self) {}
}

/// A user's statements, one after another.
struct User {
    statements: Statements,
    _folder: std::sync::Arc<tempfile::TempDir>,
}

#[async_trait]
impl AsyncDB for User {
    type Error = Failure;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, Failure> {
        let rows = match self.statements.run(sql, Timestamp(0)).await.map_err(failure)? {
            None => return Ok(DBOutput::StatementComplete(0)),
            Some(Answer::Done(done)) => cells(&[done.batch().map_err(failure)?]),
            Some(Answer::Rows(frame)) => cells(&frame.collect().await.map_err(failure)?),
        };
        Ok(DBOutput::Rows { types: vec![DefaultColumnType::Any; rows.first().map_or(1, Vec::len)], rows })
    }

    async fn shutdown(&mut self) {}
}

async fn user() -> Result<User, Failure> {
    let Database { lake, _folder } = database().await?;
    Ok(User { statements: Statements::new(lake, "tester@here"), _folder })
}

async fn database() -> Result<Database, Failure> {
    let folder = std::sync::Arc::new(tempfile::tempdir().expect("temporary folder"));
    let lake = Lake::init(folder.path()).await.map_err(failure)?;
    Ok(Database { lake, _folder: folder })
}

fn slt_files(folder: &str) -> BTreeMap<String, std::path::PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(folder);
    let entries = std::fs::read_dir(folder).expect("the folder").map(|e| e.expect("entry").path());
    let slt = entries.filter(|p| p.extension().is_some_and(|e| e == "slt"));
    slt.map(|p| (p.file_stem().expect("stem").to_string_lossy().into_owned(), p)).collect()
}

#[test]
fn every_sql_file_that_makes_a_table_has_a_test_of_its_name() {
    let stem = |path: &str| path.rsplit('/').next().expect("name").trim_end_matches(".sql").to_owned();
    let expected: Vec<String> = FILES.iter().map(|(path, _)| stem(path)).collect();
    let found = slt_files("tests/sql");
    for name in &expected {
        assert!(found.contains_key(name), "tests/sql/{name}.slt is missing");
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().thread_stack_size(8 << 20).build().expect("runtime")
}

#[test]
fn every_sql_file_gives_the_rows_that_its_test_says() {
    let runtime = runtime();
    let mut failures = Vec::new();
    for (name, path) in slt_files("tests/sql") {
        let result = runtime.block_on(async { Runner::new(database).run_file_async(path).await });
        if let Err(error) = result {
            failures.push(format!("{name}: {}", error.display(false)));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn every_statement_does_what_its_file_says() {
    let runtime = runtime();
    let mut failures = Vec::new();
    for (name, path) in slt_files("tests/sql/statements") {
        let result = runtime.block_on(async { Runner::new(user).run_file_async(path).await });
        if let Err(error) = result {
            failures.push(format!("{name}: {}", error.display(false)));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// Six packages of five files: functions with documentation, named after their file so that no two files resemble each other.
const SOURCES: &str = "
WITH names AS (
  SELECT concat('p', CAST(p AS VARCHAR)) AS package, concat('f', CAST(f AS VARCHAR)) AS file, CAST(n AS VARCHAR) AS n
  FROM (SELECT unnest(range(4, 10)) AS p)
  CROSS JOIN (SELECT unnest(range(0, 5)) AS f)
  CROSS JOIN (SELECT unnest(range(0, 9)) AS n)
),
functions AS (
  SELECT package, file, n, concat_ws(chr(10),
    concat('/// Returns value ', n, ' of ', package, ' ', file, '.'), concat('pub fn ', package, '_', file, '_', n, '() -> usize {'), n, '}') AS text
  FROM names
)
SELECT
  concat('doc-', package, file) AS doc_id, 'made' AS source, concat('file:///', package, '/', file) AS uri, package,
  concat(package, '/', file, '.rs') AS path, 'text/x-rust' AS media_type, 'MIT' AS license, to_timestamp_millis(0) AS fetched_at,
  CAST(1 AS BIGINT) AS bytes,
  concat('// Ask ', package, '@corp.org.', chr(10), string_agg(text, chr(10) ORDER BY n)) AS text
FROM functions
GROUP BY package, file";

#[test]
fn queries_run_on_what_the_files_make_and_a_clean_pile_passes_its_audits() {
    let result: Result<(), Failure> = runtime().block_on(async {
        let mut database = database().await?;
        database.run(&format!("FILL raw.docs AS {SOURCES}")).await?;
        database.apply_all(Pipeline::open(None).map_err(failure)?).await?;
        for (path, text) in QUERIES {
            let parameters = [("part", ScalarValue::from("train"))];
            let parameters = if text.contains("$part") { &parameters[..] } else { &[] };
            let rows = database.rows_with(text, parameters).await.map_err(|e| Failure(format!("{path}: {e}")))?;
            assert_eq!(path.starts_with("90_audit/"), rows.is_empty(), "{path}: {rows:?}");
        }
        // The same pile with one address that redaction did not see.
        database.run("FILL pile.base AS SELECT 'doc' AS doc_id, 'code' AS kind, 'a.rs' AS path, 'ask jane@corp.org' AS text").await?;
        let rows = database.rows(polder_pipeline::query("90_audit/emails_left.sql")).await?;
        assert_eq!(rows, [["doc", "a.rs"]]);
        Ok(())
    });
    result.unwrap();
}
