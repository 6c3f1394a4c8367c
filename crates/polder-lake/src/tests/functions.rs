//! Table functions: what they answer, of which version, and how a call that cannot be honoured is refused.

use std::sync::Arc;

use datafusion::arrow::array::{RecordBatch, StringArray};
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::scalar::ScalarValue;
use polder_base::Timestamp;

use super::{lake, name, number, refused, told};
use crate::Lake;

/// Appends documents of (doc_id, text).
async fn documents(lake: &Lake, table: &str, rows: &[(&str, &str)]) {
    let column = |of: fn(&(&str, &str)) -> String| Arc::new(StringArray::from_iter_values(rows.iter().map(of))) as _;
    let batch =
        RecordBatch::try_from_iter([("doc_id", column(|r| r.0.to_owned())), ("text", column(|r| r.1.to_owned()))]).expect("a batch");
    lake.append_rows(&name(table), batch, None).await.expect("appended");
}

/// The rows of a statement, cells joined by `|`.
async fn rows(lake: &Lake, sql: &str) -> Vec<String> {
    let frame = lake.sql(sql).await.unwrap_or_else(|e| panic!("{sql}: {}", told(&e)));
    let batches = frame.collect().await.unwrap_or_else(|e| panic!("{sql}: {e}"));
    let text = pretty_format_batches(&batches).expect("text").to_string();
    let lines = text.lines().filter(|line| line.starts_with('|')).skip(1);
    lines.map(|line| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>().join("|")).collect()
}

const BODY: &str = "The dike was raised after the flood of that winter, and the polder behind it has stayed dry";

async fn three(lake: &Lake) {
    documents(lake, "raw.docs", &[("c", &format!("{BODY} ever since.")), ("b", "Something else that nobody wrote before.")]).await;
    documents(lake, "raw.docs", &[("a", &format!("{BODY} since then."))]).await;
}

#[tokio::test]
async fn near_duplicates_names_keeper_cluster_and_similarity() {
    let (_dir, lake) = lake().await;
    three(&lake).await;
    let jaccard = 14.0 / 18.0;
    let sql = "SELECT * FROM near_duplicates('raw.docs')";
    assert_eq!(rows(&lake, sql).await, [format!("c|a|a|{jaccard}|a|{jaccard}")]);
    let sql =
        "SELECT n.dup_of FROM raw.docs d JOIN near_duplicates(documents => 'raw.docs', KEEP => 'longest', jaccard => 0.7) n USING (doc_id)";
    assert_eq!(rows(&lake, sql).await, ["a"]);
    let sql = "SELECT doc_id, dup_of, cluster_id FROM Near_Duplicates('raw.docs', 'doc_id', 'text', 0.7, bands => 30, rows => 4, keep => 'text') AS n";
    assert_eq!(rows(&lake, sql).await, ["a|c|a"]);
    assert_eq!(number(&lake, "SELECT count(*) FROM near_duplicates('raw.docs', jaccard => 1)").await, 0);
    assert!(!rows(&lake, "EXPLAIN SELECT * FROM near_duplicates('raw.docs')").await.is_empty());
    let params = [("least", ScalarValue::from(0.9)), ("table", ScalarValue::from("raw.docs"))];
    let frame = lake.sql_with("SELECT * FROM near_duplicates($table, jaccard => $least)", &params).await.expect("planned");
    assert_eq!(frame.count().await.expect("counted"), 0);
}

#[tokio::test]
async fn a_table_function_reads_the_version_it_names_and_the_snapshot_it_was_planned_at() {
    let (_dir, lake) = lake().await;
    three(&lake).await;
    lake.tag(&name("raw.docs"), "v1", Some(0), "", "me", Timestamp(0)).await.expect("tag");
    for (table, n) in [("raw.docs", 1), ("raw.docs@0", 0), ("raw.docs@v1", 0), ("raw.docs@1", 1)] {
        assert_eq!(number(&lake, &format!("SELECT count(*) FROM near_duplicates('{table}')")).await, n, "{table}");
    }
    let planned = lake.sql("SELECT * FROM near_duplicates('raw.docs')").await.expect("planned");
    documents(&lake, "raw.docs", &[("d", BODY)]).await;
    assert_eq!(planned.count().await.expect("counted"), 1);
    assert_eq!(number(&lake, "SELECT count(*) FROM near_duplicates('raw.docs')").await, 2);
}

#[tokio::test]
async fn repeated_lines_and_paragraphs_say_where_they_stood_first() {
    let (_dir, lake) = lake().await;
    let line = "This line of the page is long enough.";
    documents(&lake, "raw.docs", &[("b", &format!("Größe\n{line}\n\n{line}\nand more")), ("a", &format!("{line}\n\nEnd"))]).await;
    let sql = "SELECT * FROM duplicate_lines('raw.docs')";
    assert_eq!(rows(&lake, sql).await, ["b|1|6|43|a|0", "b|3|45|82|a|0"]);
    assert_eq!(number(&lake, "SELECT count(*) FROM duplicate_paragraphs('raw.docs')").await, 0);
    documents(&lake, "raw.docs", &[("c", &format!("x\n\n{line}"))]).await;
    assert_eq!(rows(&lake, "SELECT * FROM duplicate_paragraphs('raw.docs')").await, ["c|1|3|40|a|0"]);
}

#[tokio::test]
async fn repeated_runs_of_words_say_where_they_stood_earlier() {
    let (_dir, lake) = lake().await;
    documents(&lake, "raw.docs", &[("b", &format!("Größe: {BODY}!")), ("a", &format!("{BODY} now"))]).await;
    let sql = "SELECT * FROM duplicate_substrings('raw.docs', words => 10)";
    assert_eq!(rows(&lake, sql).await, ["b|7|99|18|a|0|92"]);
    assert_eq!(number(&lake, "SELECT count(*) FROM duplicate_substrings('raw.docs')").await, 0);
}

#[tokio::test]
async fn calls_that_cannot_be_honoured_are_refused_with_the_way_to_write_them() {
    let (_dir, lake) = lake().await;
    three(&lake).await;
    for (sql, reason) in [
        ("near_duplicates()", "needs the argument `documents`"),
        ("near_duplicates('raw.dcos')", "did you mean `raw.docs`?"),
        ("near_duplicates('raw.docs@9')", "has no version 9"),
        ("near_duplicates('raw.docs', jacard => 0.8)", "has no argument `jacard`; did you mean `jaccard`?"),
        ("near_duplicates('raw.docs', jaccard => '0.8')", "must be a number"),
        ("near_duplicates('raw.docs', jaccard => 1.5)", "above 0 and at most 1"),
        ("near_duplicates('raw.docs', jaccard => 0.8, jaccard => 0.9)", "given twice"),
        ("near_duplicates('raw.docs', bands => -1)", "1 to 4096"),
        ("near_duplicates('raw.docs', text => 'txt')", "has no column `txt`; did you mean `text`?"),
        ("near_duplicates('raw.docs', keep => 'oldest')", "has no column `oldest`"),
        ("near_duplicates(raw.docs)", "a table in single quotes"),
        ("near_duplicates('raw.docs', 'doc_id', 'text', 0.7, 22, 5, 5, 'least', 1)", "has 8 arguments at most"),
        ("near_matches('raw.docs', 'raw.docs')", "has no column `signature`"),
    ] {
        let error = told(&refused(&lake, &format!("SELECT * FROM {sql}")).await);
        assert!(error.contains(reason), "{sql}: {error}");
    }
    documents(&lake, "raw.docs", &[("a", "another of that name")]).await;
    let planned = lake.sql("SELECT * FROM near_duplicates('raw.docs')").await.expect("planned");
    assert!(planned.collect().await.expect_err("twice").to_string().contains("the id `a` stands twice"));
}

#[tokio::test]
async fn memory_and_partitions_make_no_difference_to_near_duplicates() {
    let (_dir, lake) = lake().await;
    for part in 0..4 {
        let texts: Vec<(String, String)> = (0..50)
            .map(|i| (format!("{i:02}-{part}"), (0..60).map(|k| format!("w{} ", if k == part * 9 { 0 } else { i * 100 + k })).collect()))
            .collect();
        documents(&lake, "raw.docs", &texts.iter().map(|(id, text)| (id.as_str(), text.as_str())).collect::<Vec<_>>()).await;
    }
    let sql = "SELECT * FROM near_duplicates('raw.docs', jaccard => 0.6)";
    let expected = rows(&lake, sql).await;
    assert!(expected.len() > 100);
    let small = lake.clone().with_memory_max(1 << 20).expect("a pool");
    assert_eq!(rows(&small, sql).await, expected);
}

#[tokio::test]
async fn a_statement_sees_one_snapshot_of_a_table_however_often_it_is_opened() {
    let (_dir, lake) = lake().await;
    three(&lake).await;
    let (statement, session) = (lake.statement_session(&crate::catalog::Opened::default()), lake.session());
    for (added, seen, newest) in [("d", 3, 3), ("e", 3, 4)] {
        assert_eq!(statement.table("raw.docs").await.expect("a table").count().await.expect("counted"), seen);
        assert_eq!(session.table("raw.docs").await.expect("a table").count().await.expect("counted"), newest);
        documents(&lake, "raw.docs", &[(added, "more")]).await;
    }
}

#[tokio::test]
async fn show_functions_names_them_too() {
    let (_dir, lake) = lake().await;
    let mut names = 0;
    for batch in lake.sql("SHOW FUNCTIONS LIKE 'near_%'").await.expect("planned").collect().await.expect("rows") {
        names += batch.num_rows();
    }
    assert_eq!(names, 2);
}

#[tokio::test]
async fn the_example_of_every_function_can_be_planned() {
    let (_dir, lake) = lake().await;
    let words = ["doc_id", "source", "uri", "host", "package", "path", "text"].map(|name| format!("'x' AS {name}")).join(", ");
    for table in [
        format!("raw.docs AS SELECT {words}, 1 AS bytes"),
        "raw.pages AS SELECT 'x' AS doc_id, 'x' AS html".to_owned(),
        "raw.robots AS SELECT 'x' AS host, 'x' AS robots".to_owned(),
        format!("clean.docs AS SELECT {words}"),
        "clean.docs_stage AS SELECT 'MIT' AS license".to_owned(),
        "clean.signatures AS SELECT 'x' AS doc_id, minhash('a b c d e f') AS signature".to_owned(),
        format!("pile.base AS SELECT {words}"),
    ] {
        super::run(&lake, &format!("CREATE TABLE {table}")).await;
    }
    let session = lake.session();
    let state = session.state();
    let documented = state.scalar_functions().values().filter_map(|f| Some((f.name().to_owned(), f.documentation()?.sql_example.clone()?)));
    let mut n = 0;
    for (name, example) in documented.filter(|(_, example)| example.starts_with("SELECT")) {
        // What stands in the lake's other books is made by other crates.
        if !example.contains("ops.") {
            lake.sql(&example).await.unwrap_or_else(|e| panic!("{name}: {example}: {}", told(&e)));
            n += 1;
        }
    }
    assert!(n > 40, "{n}");
}

#[tokio::test]
async fn near_duplicates_finds_the_pairs_of_a_low_similarity_too() {
    let (_dir, lake) = lake().await;
    let words = |pair: usize, from: usize| (from..from + 60).map(|i| format!("w{pair}x{i}")).collect::<Vec<_>>().join(" ");
    let pairs: Vec<(String, String)> =
        (0..60).flat_map(|p| [(format!("a{p:02}"), words(p, 0)), (format!("b{p:02}"), words(p, 19))]).collect();
    let rows: Vec<(&str, &str)> = pairs.iter().map(|(id, text)| (id.as_str(), text.as_str())).collect();
    documents(&lake, "raw.docs", &rows).await;
    // Of 56 shingles each, 37 are shared: a similarity of 0.49.
    let found = number(&lake, "SELECT count(*) FROM near_duplicates('raw.docs', jaccard => 0.45)").await;
    assert!(found >= 55, "{found}");
    assert_eq!(number(&lake, "SELECT count(*) FROM near_duplicates('raw.docs')").await, 0);
}
