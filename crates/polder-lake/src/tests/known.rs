//! Tables that were opened before, while others write them.

use std::fs;

use super::{append, grown, lake, name, number, run};
use crate::Lake;

const COUNT: &str = "SELECT count(*) FROM raw.docs";

#[tokio::test]
async fn a_statement_sees_what_another_process_has_committed_since_the_last_one() {
    let (dir, lake) = lake().await;
    grown(&lake, "raw.docs").await;
    assert_eq!(number(&lake, COUNT).await, 5);
    let other = Lake::open(&dir.path().join("lake")).await.expect("open");
    for ids in [&[6][..], &[7, 8]] {
        append(&other, "raw.docs", ids).await;
    }
    assert_eq!(number(&lake, COUNT).await, 8);
    run(&other, "DELETE FROM raw.docs WHERE id > 6").await;
    assert_eq!(run(&lake, "INSERT INTO raw.docs VALUES (9, 'nine')").await.version, Some(6));
    assert_eq!((number(&lake, COUNT).await, number(&other, COUNT).await), (7, 7));
}

#[tokio::test]
async fn a_table_that_another_process_made_anew_is_not_taken_for_the_old_one() {
    let (dir, lake) = lake().await;
    grown(&lake, "raw.docs").await;
    assert_eq!(number(&lake, COUNT).await, 5);
    let other = Lake::open(&dir.path().join("lake")).await.expect("open");
    // As many versions as before, then more, then fewer.
    for versions in [3, 5, 1] {
        run(&other, "DROP TABLE raw.docs").await;
        for id in 0..versions {
            append(&other, "raw.docs", &[id]).await;
        }
        assert_eq!(number(&lake, COUNT).await, versions);
        assert_eq!(lake.history(&name("raw.docs"), None).await.expect("history").len() as i64, versions);
    }
    run(&other, "DROP TABLE raw.docs").await;
    assert!(lake.snapshot_opt(&name("raw.docs")).await.expect("looked").is_none());
}

#[tokio::test]
async fn a_log_with_checkpoints_whose_oldest_entries_are_gone_is_read_on() {
    let (dir, lake) = lake().await;
    for id in 0..30 {
        append(&lake, "raw.docs", &[id]).await;
    }
    let log = dir.path().join("lake/tables/raw/docs/_delta_log");
    assert!(log.join(format!("{:020}.checkpoint.parquet", 24)).exists(), "a checkpoint every 25 commits");
    for version in 0..24 {
        fs::remove_file(log.join(format!("{version:020}.json"))).expect("removed");
    }
    append(&lake, "raw.docs", &[30]).await;
    let other = Lake::open(&dir.path().join("lake")).await.expect("open");
    assert_eq!((number(&lake, COUNT).await, number(&other, COUNT).await), (31, 31));
    assert_eq!(lake.history(&name("raw.docs"), None).await.expect("history").len(), 7);
}

#[tokio::test]
async fn a_statement_writes_from_the_snapshot_that_it_read() {
    let (dir, lake) = lake().await;
    grown(&lake, "raw.docs").await;
    let opened = crate::catalog::Opened::default();
    let first = opened.table(&lake.known, &name("raw.docs")).await.expect("open");
    append(&Lake::open(&dir.path().join("lake")).await.expect("open"), "raw.docs", &[6]).await;
    let again = opened.table(&lake.known, &name("raw.docs")).await.expect("open");
    let session = lake.statement_session(&opened);
    assert_eq!((first.version(), again.version()), (Some(2), Some(2)));
    assert_eq!(session.table("raw.docs").await.expect("a table").count().await.expect("counted"), 5);
    assert_eq!(number(&lake, COUNT).await, 6);
}
