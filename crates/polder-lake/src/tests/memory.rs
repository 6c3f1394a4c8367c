//! Queries larger than the memory they may hold: what spills, what joins another way, and what is refused.

use std::fs;

use polder_base::{Advice as _, ExitKind};

use super::{lake, number, run};
use crate::{Lake, LakeError};

const ROWS: i64 = 1_000_000;

/// A million rows of a key and 64 characters of chance: 80 MB, half of that in the file.
async fn large(lake: &Lake) {
    let text = "concat(md5(CAST(value AS VARCHAR)), md5(CAST(-value AS VARCHAR)))";
    run(lake, &format!("CREATE TABLE raw.docs AS SELECT value AS id, {text} AS text FROM generate_series(1, {ROWS})")).await;
}

async fn plan(lake: &Lake, sql: &str) -> String {
    let frame = lake.sql(sql).await.expect("planned");
    let plan = frame.create_physical_plan().await.expect("planned");
    datafusion::physical_plan::displayable(plan.as_ref()).indent(false).to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_that_are_larger_than_the_limit_spill_and_leave_no_file() {
    let (dir, lake) = lake().await;
    large(&lake).await;
    let small = lake.clone().with_memory_max(24_000_000).expect("a limit");
    let names = || {
        let mut names: Vec<_> = fs::read_dir(dir.path().join("lake")).expect("list").map(|e| e.expect("entry").file_name()).collect();
        names.sort();
        names
    };
    let before = names();
    assert_eq!(number(&small, "SELECT count(*) FROM (SELECT text, min(id) AS id FROM raw.docs GROUP BY text)").await, ROWS);
    assert_eq!(names(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_join_whose_sides_are_both_large_is_planned_by_sorting_and_a_small_one_stays_a_hash_join() {
    let (_dir, lake) = lake().await;
    large(&lake).await;
    let small = lake.clone().with_memory_max(48_000_000).expect("a limit");
    let sql = "SELECT count(*) FROM raw.docs a JOIN raw.docs VERSION AS OF 0 AS b ON a.text = b.text";
    assert!(plan(&lake, sql).await.contains("HashJoinExec"));
    let planned = plan(&small, sql).await;
    assert!(planned.contains("SortMergeJoin") && !planned.contains("HashJoinExec"), "{planned}");
    // One task deals the rows out: several that spill could wait for each other.
    let lines: Vec<&str> = planned.lines().map(str::trim).collect();
    let dealt: Vec<&[&str]> = lines.windows(2).filter(|pair| pair[0].starts_with("RepartitionExec")).collect();
    assert!(
        dealt.len() == 2 && dealt.iter().all(|pair| pair[0].contains("input_partitions=1") && pair[1] == "CoalescePartitionsExec"),
        "{planned}"
    );
    let explained = small.sql(&format!("EXPLAIN {sql}")).await.expect("planned").to_string().await.expect("run");
    assert!(explained.contains("SortMergeJoin") && !explained.contains("HashJoinExec"), "{explained}");
    let few = "SELECT count(*) FROM raw.docs a JOIN (VALUES (1), (2)) AS few(id) ON a.id = few.id";
    assert!(plan(&small, few).await.contains("HashJoinExec"));
    assert_eq!(number(&small, few).await, 2);
    // Of lists that become rows nobody can tell how many there are: the first side is the one that a hash join holds.
    let unknown = |column: &str, value: &str| {
        format!(
            "SELECT count(*) FROM (SELECT {column}, unnest(range(0, 2)) AS n FROM raw.docs) AS a
             JOIN (VALUES (1), (2)) AS few(id) ON a.{column} = {value}"
        )
    };
    let by_text = unknown("text", "concat(md5(CAST(few.id AS VARCHAR)), md5(CAST(-few.id AS VARCHAR)))");
    assert!(plan(&small, &by_text).await.contains("SortMergeJoin"));
    assert_eq!(number(&small, &by_text).await, 4);
    // What counts is the columns that are read, not the whole table.
    let by_id = unknown("id", "few.id");
    let larger = lake.clone().with_memory_max(64_000_000).expect("a limit");
    assert!(plan(&larger, &by_text).await.contains("SortMergeJoin"));
    assert!(plan(&larger, &by_id).await.contains("HashJoinExec"));
    assert_eq!(number(&larger, &by_id).await, 4);
    let inside = "SELECT count(*) FROM raw.docs WHERE text IN (SELECT text FROM raw.docs VERSION AS OF 0)";
    assert!(plan(&small, inside).await.contains("SortMergeJoin"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sorts_windows_and_joins_that_are_larger_than_the_limit_spill_and_are_right() {
    let (_dir, lake) = lake().await;
    large(&lake).await;
    // Documents of 32 KB, and one of 1 MB among them.
    let sql = "CREATE TABLE raw.long AS SELECT id, string_agg(part, '') AS text FROM (
        SELECT CASE WHEN value <= 32000 THEN 0 ELSE value % 3000 END AS id, md5(CAST(value AS VARCHAR)) AS part FROM generate_series(1, 3000000))
        GROUP BY id";
    run(&lake, sql).await;
    for (limit, table, rows) in [(24_000_000, "raw.docs", ROWS), (64_000_000, "raw.long", 3000)] {
        let small = lake.clone().with_memory_max(limit).expect("a limit");
        let placed = format!("SELECT id, text, row_number() OVER (ORDER BY text) AS place FROM {table}");
        let unsorted = format!(
            "SELECT count(*) FROM (SELECT text < lag(text) OVER (ORDER BY place) AS is_less, place FROM ({placed}) AS p) AS l
             WHERE is_less OR place > {rows}"
        );
        assert_eq!(number(&small, &unsorted).await, 0, "{table}");
        assert_eq!(number(&small, &format!("SELECT count(DISTINCT id) FROM ({placed}) AS p")).await, rows, "{table}");
        let joined = format!(
            "SELECT count(*) FROM (SELECT a.id, a.text, b.text AS other FROM {table} a JOIN {table} VERSION AS OF 0 AS b ON a.text = b.text)
             AS j WHERE text = other"
        );
        assert!(plan(&small, &joined).await.contains("SortMergeJoin"), "{table}");
        assert_eq!(number(&small, &joined).await, rows, "{table}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_watches_sees_the_rows_that_a_statement_reads_and_what_it_spills() {
    let (_dir, lake) = lake().await;
    large(&lake).await;
    let small = lake.clone().with_memory_max(24_000_000).expect("a limit");
    let sql = "SELECT count(*) FROM (SELECT text, min(id) AS id FROM raw.docs GROUP BY text)";
    let watch = small.watch();
    assert_eq!(watch.reading(), crate::Reading::default());
    assert_eq!(number(&small, sql).await, ROWS);
    let read = watch.reading();
    let rows = u64::try_from(ROWS).expect("positive");
    assert_eq!((read.rows_read, read.rows), (rows, rows));
    assert!(read.spilled_bytes > 1_000_000, "{read:?}");
    drop(watch);
    assert_eq!(number(&small, sql).await, ROWS);
    assert_eq!(small.watch().reading(), crate::Reading::default(), "nobody looked");
}

#[tokio::test]
async fn what_cannot_spill_is_refused_with_one_message_and_a_hint() {
    let (_dir, lake) = lake().await;
    large(&lake).await;
    let small = lake.clone().with_memory_max(2_000_000).expect("a limit");
    // A list of all texts is one value, which is held whole.
    let frame = small.sql("SELECT array_length(array_agg(text ORDER BY text)) FROM raw.docs").await.expect("planned");
    let error = LakeError::reading(frame.collect().await.expect_err("too large"));
    assert!(matches!(error, LakeError::Memory { .. }), "{error:?}");
    assert!(error.to_string().starts_with("the statement needs more memory than queries may hold together: "), "{error}");
    assert!(error.hint().expect("a hint").contains("--memory"));
    assert_eq!(error.exit(), ExitKind::Failed);
    assert!(std::error::Error::source(&error).is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_join_of_text_that_is_small_in_its_files_is_planned_by_what_it_is_in_memory() {
    let (_dir, lake) = lake().await;
    for table in ["raw.a", "raw.b"] {
        let text = "concat(repeat('lorem ipsum dolor ', 30), CAST(value AS VARCHAR))";
        run(&lake, &format!("CREATE TABLE {table} AS SELECT value AS id, {text} AS text FROM generate_series(1, 60000)")).await;
    }
    let small = lake.clone().with_memory_max(48_000_000).expect("a limit");
    let sql = "SELECT max(a.text), max(b.text) FROM raw.a a JOIN raw.b b ON a.id = b.id";
    assert!(plan(&small, sql).await.contains("SortMergeJoin"));
    let ids = "SELECT max(a.id), max(b.text) FROM raw.a a JOIN raw.b b ON a.id = b.id";
    assert!(plan(&lake, ids).await.contains("HashJoinExec"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_window_over_all_of_its_group_ends_with_the_memory_error_before_the_machine_does() {
    let (_dir, lake) = lake().await;
    large(&lake).await;
    let small = lake.clone().with_memory_max(100_000_000).expect("a limit");
    let frame = small.sql("SELECT max(n) FROM (SELECT min(id) OVER (PARTITION BY text) AS n FROM raw.docs)").await.expect("planned");
    let error = LakeError::reading(frame.collect().await.expect_err("too large"));
    assert!(matches!(&error, LakeError::Memory { operator } if operator == "WindowAggExec"), "{error:?}");
    // In order, the same needs no more than a row.
    let sql = "SELECT max(n) FROM (SELECT first_value(id) OVER (PARTITION BY text ORDER BY id) AS n FROM raw.docs)";
    assert_eq!(number(&small, sql).await, ROWS);
    let few = "SELECT max(n) FROM (SELECT count(*) OVER (PARTITION BY id % 10) AS n FROM raw.docs)";
    assert_eq!(number(&small, few).await, ROWS / 10);
}
