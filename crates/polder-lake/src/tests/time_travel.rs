//! Every way to say which state of a table is meant, wherever a table may stand.

use datafusion::scalar::ScalarValue;
use polder_base::Timestamp;

use super::{grown, lake, lake_in_folder, name, number, refused, told};
use crate::LakeError;

#[tokio::test]
async fn a_version_is_honoured_by_number_tag_time_and_name() {
    let (_dir, lake) = lake().await;
    grown(&lake, "pile.base").await;
    lake.tag(&name("pile.base"), "v1", Some(1), "", "me", Timestamp(0)).await.expect("tag");
    for (at, n) in [
        ("", 5),
        ("VERSION AS OF 0", 2),
        ("VERSION AS OF 1 b", 3),
        ("version as of 'v1' AS b", 3),
        ("VERSION /* why */ AS OF '2'", 5),
        ("FOR SYSTEM_TIME AS OF '9999-01-01'", -1),
    ] {
        let sql = format!("SELECT count(*) FROM pile.base {at}");
        if n < 0 {
            assert!(matches!(refused(&lake, &sql).await, LakeError::NoTime { .. }));
        } else {
            assert_eq!(number(&lake, &sql).await, n, "{sql}");
        }
    }
    assert_eq!(number(&lake, "SELECT count(*) FROM pile.base@v1").await, 3);
    assert_eq!(number(&lake, "SELECT count(*) FROM pile.\"base@0\"").await, 2);
    assert_eq!(lake.table("pile.base@v1").await.expect("tag").count().await.expect("count"), 3);
    assert_eq!(lake.table("pile.base@0").await.expect("version").count().await.expect("count"), 2);
}

#[tokio::test]
async fn versions_are_honoured_in_joins_subqueries_and_ctes() {
    let (_dir, lake) = lake().await;
    grown(&lake, "pile.base").await;
    lake.tag(&name("pile.base"), "v0", Some(0), "", "me", Timestamp(0)).await.expect("tag");
    for (sql, n) in [
        ("SELECT count(*) FROM pile.base b JOIN pile.base VERSION AS OF 0 old ON b.id = old.id", 2),
        ("SELECT count(*) FROM pile.base VERSION AS OF 1 JOIN pile.base VERSION AS OF 'v0' old USING (id)", 2),
        ("SELECT count(*) FROM pile.base WHERE id NOT IN (SELECT id FROM pile.base VERSION AS OF 1)", 2),
        ("SELECT (SELECT count(*) FROM pile.base VERSION AS OF 'v0')", 2),
        ("WITH old AS (SELECT * FROM pile.base VERSION AS OF 0) SELECT count(*) FROM old, pile.base VERSION AS OF 1", 6),
        ("SELECT count(*) FROM (SELECT id FROM pile.base VERSION AS OF 0 UNION ALL SELECT id FROM pile.base VERSION AS OF 1) u", 5),
        ("SELECT count(*) FROM pile.base VERSION AS OF 1 WHERE EXISTS (SELECT 1 FROM pile.base@v0 o WHERE o.id = base.id)", 2),
    ] {
        assert_eq!(number(&lake, sql).await, n, "{sql}");
    }
}

#[tokio::test]
async fn a_time_is_resolved_by_the_log_and_not_by_file_times() {
    let (dir, lake) = lake_in_folder().await;
    append_at_distinct_times(&lake).await;
    let commits = lake.history(&name("raw.docs"), None).await.expect("history");
    assert_eq!(commits.iter().map(|c| c.version).collect::<Vec<_>>(), [1, 0]);
    assert_eq!(commits[0].n_rows_added, Some(1));
    let (second, first) = (commits[0].at, commits[1].at);
    // Other file times, as a copy of the lake has.
    let log = dir.path().join("lake/tables/raw/docs/_delta_log");
    for entry in std::fs::read_dir(log).expect("list") {
        let file = std::fs::File::options().write(true).open(entry.expect("entry").path());
        if let Ok(file) = file {
            let _ = file.set_modified(std::time::UNIX_EPOCH);
        }
    }
    let count = |at: Timestamp| format!("SELECT count(*) FROM raw.docs TIMESTAMP AS OF '{at}'");
    assert_eq!(number(&lake, &count(first)).await, 2);
    assert_eq!(number(&lake, &count(Timestamp(second.0 - 1))).await, 2);
    assert_eq!(number(&lake, &count(second)).await, 3);
    for outside in [Timestamp(first.0 - 1), Timestamp(second.0 + 1)] {
        assert!(matches!(refused(&lake, &count(outside)).await, LakeError::NoTime { .. }));
    }
    let params = [("at", ScalarValue::from(first.to_string()))];
    let frame = lake.sql_with("SELECT * FROM raw.docs TIMESTAMP AS OF $at", &params).await.expect("plan");
    assert_eq!(frame.count().await.expect("count"), 2);
}

async fn append_at_distinct_times(lake: &crate::Lake) {
    super::append(lake, "raw.docs", &[1, 2]).await;
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    super::append(lake, "raw.docs", &[3]).await;
}

#[tokio::test]
async fn a_clause_that_cannot_be_honoured_is_an_error_and_never_the_newest_rows() {
    let (_dir, lake) = lake().await;
    grown(&lake, "pile.base").await;
    for sql in [
        "SELECT count(*) FROM pile.base VERSION AS OF 3",
        "SELECT count(*) FROM pile.base VERSION AS OF 'nightly'",
        "SELECT count(*) FROM pile.base VERSION AS OF 1.5",
        "SELECT count(*) FROM pile.base VERSION AS OF $v",
        "SELECT count(*) FROM pile.base VERSION AS OF '../1'",
        "SELECT count(*) FROM pile.base@v9",
        "SELECT count(*) FROM pile.base TIMESTAMP AS OF 'soon'",
        "SELECT count(*) FROM pile.base TIMESTAMP AS OF now()",
        "SELECT count(*) FROM pile.base FOR SYSTEM_TIME AS OF '1999-01-01'",
        "SELECT count(*) FROM pile.base AT(VERSION => 1)",
        "SELECT count(*) FROM pile.base BEFORE(VERSION => 1)",
        "SELECT count(*) FROM pile.base CHANGES(INFORMATION => DEFAULT) AT(VERSION => 1)",
        "SELECT count(*) FROM generate_series(1, 3) VERSION AS OF 0",
        "WITH t AS (SELECT * FROM pile.base) SELECT count(*) FROM t VERSION AS OF 0",
        "SELECT count(*) FROM (SELECT * FROM pile.base) VERSION AS OF 0",
        "SELECT count(*) FROM pile.base b VERSION AS OF 0",
        "SELECT count(*) FROM pile.base@1 VERSION AS OF 0",
        "EXPLAIN SELECT count(*) FROM pile.base VERSION AS OF 7",
    ] {
        let error = refused(&lake, sql).await;
        assert!(!told(&error).is_empty(), "{sql}");
    }
    let error = refused(&lake, "SELECT * FROM pile.base VERSION AS OF 3").await;
    assert_eq!(error.to_string(), "`pile.base` has no version 3; its versions end at 2");
    let error = refused(&lake, "SELECT * FROM pile.base VERSION AS OF '../1'").await;
    assert_eq!(error.to_string(), "cannot honour the version clause `VERSION AS OF '../1'`: `../1` is neither a tag nor a version");
}

#[tokio::test]
async fn a_planned_statement_keeps_its_snapshot_and_the_next_one_sees_the_next_commit() {
    let (_dir, lake) = lake().await;
    grown(&lake, "raw.docs").await;
    let planned = lake.sql("SELECT a.id FROM raw.docs a JOIN raw.docs b USING (id)").await.expect("plan");
    super::append(&lake, "raw.docs", &[6]).await;
    assert_eq!(planned.count().await.expect("count"), 5);
    assert_eq!(number(&lake, "SELECT count(*) FROM raw.docs").await, 6);
}
