//! Writes happen once, or not at all.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;

use super::{append, batch, grown, lake, name, number, overwrite, told};
use crate::{Lake, LakeError, WriteOptions, Written, ops};

#[tokio::test]
async fn a_transaction_is_written_once() {
    let (_dir, lake) = lake().await;
    let table = name("clean.docs");
    let one = |n: i64| WriteOptions { transaction: Some(("pipeline/docs".into(), n)), ..WriteOptions::default() };
    let rows = |ids: &[i64]| lake.session().read_batch(batch(ids)).expect("rows");
    let first = lake.write(&table, rows(&[1, 2]), &one(1)).await.expect("first");
    assert_eq!(first, Written { version: 0, n_rows: 2, skipped: false });
    for n in [1, 0] {
        let again = lake.write(&table, rows(&[1, 2]), &one(n)).await.expect("again");
        assert_eq!(again, Written { version: 0, n_rows: 0, skipped: true });
    }
    let next = lake.write(&table, rows(&[3]), &one(2)).await.expect("next");
    assert_eq!(next, Written { version: 1, n_rows: 1, skipped: false });
    assert_eq!(number(&lake, "SELECT count(*) FROM clean.docs").await, 3);
    let commit = lake.transaction(&table, &("pipeline/docs".into(), 2)).await.expect("looked").expect("there");
    assert_eq!(commit.version, 1);
}

#[tokio::test]
async fn the_same_transaction_from_two_writers_lands_once() {
    let (_dir, lake) = lake().await;
    let table = name("clean.docs");
    append(&lake, "clean.docs", &[0]).await;
    let writes = (0..4).map(|_| lake.append_rows(&table, batch(&[1, 2]), Some(("app".into(), 1))));
    let done: Vec<Written> = futures::future::join_all(writes).await.into_iter().map(|w| w.expect("written")).collect();
    assert_eq!(done.iter().filter(|w| !w.skipped).count(), 1);
    assert_eq!(number(&lake, "SELECT count(*) FROM clean.docs").await, 3);
}

#[tokio::test]
async fn an_overwrite_replaces_rows_and_columns_and_the_old_version_stays() {
    let (_dir, lake) = lake().await;
    grown(&lake, "clean.docs").await;
    let rows = lake.sql("SELECT id, upper(text) AS loud, CAST(id AS DOUBLE) AS x FROM clean.docs WHERE id < 3").await.expect("plan");
    let options = WriteOptions { metadata: [("polder.sql".to_owned(), "abc".to_owned())].into(), ..overwrite() };
    let written = lake.write(&name("clean.docs"), rows, &options).await.expect("written");
    assert_eq!(written, Written { version: 3, n_rows: 2, skipped: false });
    assert_eq!(number(&lake, "SELECT count(loud) FROM clean.docs").await, 2);
    assert_eq!(number(&lake, "SELECT count(text) FROM clean.docs VERSION AS OF 2").await, 5);
    let commit = &lake.history(&name("clean.docs"), Some(1)).await.expect("history")[0];
    assert_eq!(commit.metadata.get("polder.sql").and_then(|v| v.as_str()), Some("abc"));
}

#[tokio::test]
async fn nothing_left_over_is_written_when_the_rows_fail() {
    let (_dir, lake) = lake().await;
    grown(&lake, "clean.docs").await;
    let rows = lake.sql("SELECT CAST(text AS BIGINT) AS id, text FROM clean.docs").await.expect("plan");
    let error = lake.write(&name("clean.docs"), rows, &WriteOptions::default()).await.expect_err("no number");
    assert!(told(&error).contains("Cannot cast string"), "{}", told(&error));
    assert_eq!(lake.snapshot_opt(&name("clean.docs")).await.expect("looked").expect("there").version, 2);
    let rows = lake.session().read_batch(batch(&[1])).expect("rows");
    assert!(matches!(lake.write(&name("other.docs"), rows, &overwrite()).await, Err(LakeError::NoSchema { .. })));
}

#[test]
fn an_error_is_small_enough_to_be_returned_everywhere() {
    assert!(size_of::<LakeError>() < 128, "{}", size_of::<LakeError>());
}

/// Appends to the target while the write's own rows are being made.
struct Meddler {
    lake: Lake,
    rows: RecordBatch,
    schema: SchemaRef,
}

impl fmt::Debug for Meddler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Meddler")
    }
}

impl PartitionStream for Meddler {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }
    fn execute(&self, _ctx: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (lake, rows) = (self.lake.clone(), self.rows.clone());
        let stream = futures::stream::once(async move {
            append(&lake, "clean.docs", &[99]).await;
            Ok(rows)
        });
        Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), stream))
    }
}

#[tokio::test]
async fn a_stale_overwrite_fails_and_a_stale_append_does_not() {
    let (_dir, lake) = lake().await;
    grown(&lake, "clean.docs").await;
    let rows = batch(&[7, 8]);
    let meddler = Arc::new(Meddler { lake: lake.clone(), schema: rows.schema(), rows });
    let frame = || {
        let table = StreamingTable::try_new(meddler.schema.clone(), vec![meddler.clone()]).expect("table");
        lake.session().read_table(Arc::new(table)).expect("frame")
    };
    let error = lake.write(&name("clean.docs"), frame(), &overwrite()).await.expect_err("stale");
    assert!(matches!(error, LakeError::Conflict { .. }), "{}", told(&error));
    assert_eq!(number(&lake, "SELECT count(*) FROM clean.docs").await, 6);
    lake.write(&name("clean.docs"), frame(), &WriteOptions::default()).await.expect("appended");
    assert_eq!(number(&lake, "SELECT count(*) FROM clean.docs").await, 9);
}

#[tokio::test]
async fn the_books_are_append_only_and_take_only_their_columns() {
    let (_dir, lake) = lake().await;
    let facts = ops::table("facts");
    let rows = lake.sql("SELECT 'f1' AS fact_id, TIMESTAMP '2026-01-01T00:00:00Z' AS at, 'ingest' AS verb").await.expect("plan");
    let rows = rows.collect().await.expect("rows").remove(0);
    let written = lake.append_rows(&facts, rows, Some(("facts".into(), 1))).await.expect("appended");
    assert_eq!(written.n_rows, 1);
    assert_eq!(number(&lake, "SELECT count(*) FROM ops.facts WHERE policy_digest IS NULL AND at > '2025-12-31'").await, 1);
    assert!(matches!(lake.append_rows(&facts, batch(&[1]), None).await, Err(LakeError::Columns { .. })));
    assert!(matches!(lake.append_rows(&ops::table("diary"), batch(&[1]), None).await, Err(LakeError::Columns { .. })));
    let removed = lake.sql("SELECT 'why' AS reason, 'd1' AS doc_id").await.expect("plan");
    lake.write(&ops::table("removed"), removed, &WriteOptions::default()).await.expect("written");
    assert_eq!(number(&lake, "SELECT count(*) FROM ops.removed WHERE doc_id = 'd1' AND step IS NULL").await, 1);
    let other = lake.sql("SELECT 1 AS stranger").await.expect("plan");
    let error = lake.write(&ops::table("removed"), other, &WriteOptions::default()).await.expect_err("stranger");
    assert!(error.to_string().contains("stranger"), "{error}");
    let all = lake.table("ops.facts").await.expect("table");
    assert!(lake.write(&facts, all, &overwrite()).await.is_err());
    assert_eq!(number(&lake, "SELECT count(*) FROM ops.facts").await, 1);
}
