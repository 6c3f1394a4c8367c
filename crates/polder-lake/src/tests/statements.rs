//! Statements that write: what they do, and that the table's rules hold on every path.

use datafusion::scalar::ScalarValue;
use polder_base::{At, Reference, Timestamp};

use super::{grown, lake, lake_in_folder, lines, me, name, number, run, run_refused, told};
use crate::{Answer, Lake, LakeError, Statements};

/// A table with every kind of rule, and two rows.
async fn ruled(lake: &Lake) {
    run(
        lake,
        "CREATE TABLE clean.kept (id BIGINT NOT NULL, text VARCHAR, n INT CHECK (n > 0), \
         doubled BIGINT GENERATED ALWAYS AS (id * 2), CONSTRAINT short CHECK (length(text) < 10)) COMMENT 'kept'",
    )
    .await;
    run(lake, "INSERT INTO clean.kept (id, text, n) VALUES (1, 'one', 10), (2, 'two', 20)").await;
}

#[tokio::test]
async fn rows_are_inserted_updated_deleted_and_truncated() {
    let (_dir, lake) = lake().await;
    grown(&lake, "clean.docs").await;
    let done = run(&lake, "INSERT INTO clean.docs (text, id) SELECT upper(text), id + 100 FROM clean.docs VERSION AS OF 0").await;
    assert_eq!((done.statement, done.version, done.counts.clone()), ("INSERT", Some(3), vec![("n_rows_inserted", 2)]));
    assert_eq!(lines(&lake, "SELECT id, text FROM clean.docs WHERE id > 100").await, ["101|ROW 1", "102|ROW 2"]);
    run(&lake, "INSERT INTO clean.docs (id) VALUES (7)").await;
    assert_eq!(lines(&lake, "SELECT id, text FROM clean.docs WHERE text IS NULL").await, ["7|NULL"]);
    let done = run(&lake, "UPDATE clean.docs d SET text = concat(d.text, '!'), id = id + 1000 WHERE d.id > 100 AND length(text) > 1").await;
    assert_eq!(done.counts, [("n_rows_updated", 2)]);
    assert_eq!(lines(&lake, "SELECT id, text FROM clean.docs WHERE id > 100").await, ["1101|ROW 1!", "1102|ROW 2!"]);
    let done = run(&lake, "DELETE FROM clean.docs WHERE id > 1000 OR text IS NULL").await;
    assert_eq!(done.counts, [("n_rows_deleted", 3)]);
    assert_eq!(number(&lake, "SELECT count(*) FROM clean.docs").await, 5);
    let done = run(&lake, "DELETE FROM clean.docs WHERE id = 77").await;
    assert_eq!((done.version, done.counts), (Some(6), vec![("n_rows_deleted", 0)]), "nothing to do is no version");
    let done = run(&lake, "INSERT OVERWRITE clean.docs SELECT id, text FROM clean.docs WHERE id < 3").await;
    assert_eq!(done.counts, [("n_rows_inserted", 2)]);
    run(&lake, "TRUNCATE TABLE clean.docs").await;
    assert_eq!(number(&lake, "SELECT count(*) FROM clean.docs").await, 0);
    assert_eq!(number(&lake, "SELECT count(*) FROM clean.docs VERSION AS OF 2").await, 5);
    let commit = &lake.history(&name("clean.docs"), Some(1)).await.expect("history")[0];
    let said = |key: &str| commit.metadata.get(key).and_then(|v| v.as_str()).unwrap_or_default().to_owned();
    assert_eq!((said("userName"), said("polder.statement")), ("me@here".into(), "TRUNCATE TABLE clean.docs".into()));
}

#[tokio::test]
async fn conditions_may_ask_other_tables_by_subqueries_that_are_answered_first() {
    let (_dir, lake) = lake().await;
    grown(&lake, "clean.docs").await;
    run(&lake, "CREATE TABLE clean.gone AS SELECT id FROM clean.docs WHERE id IN (2, 4)").await;
    run(&lake, "DELETE FROM clean.docs WHERE id IN (SELECT id FROM clean.gone) AND EXISTS (SELECT 1 FROM clean.gone)").await;
    assert_eq!(lines(&lake, "SELECT id FROM clean.docs").await, ["1", "3", "5"]);
    run(&lake, "UPDATE clean.docs SET text = (SELECT max(text) FROM clean.docs@0), id = (SELECT sum(id) FROM clean.gone) WHERE id NOT IN (SELECT id FROM clean.docs VERSION AS OF 0)").await;
    assert_eq!(lines(&lake, "SELECT id, text FROM clean.docs").await, ["1|row 1", "6|row 2", "6|row 2"]);
    for sql in [
        "DELETE FROM clean.docs d WHERE EXISTS (SELECT 1 FROM clean.gone g WHERE g.id = d.id)",
        "UPDATE clean.docs SET id = (SELECT id FROM clean.gone)",
        "UPDATE clean.docs SET text = 'x' FROM clean.gone g WHERE g.id = docs.id",
    ] {
        let error = run_refused(&lake, sql).await;
        assert!(matches!(error, LakeError::Statement { .. }), "{sql}: {}", told(&error));
    }
    assert_eq!(number(&lake, "SELECT count(*) FROM clean.docs").await, 3);
}

#[tokio::test]
async fn constraints_not_null_and_generated_columns_hold_on_every_path() {
    let (_dir, lake) = lake().await;
    ruled(&lake).await;
    run(&lake, "CREATE TABLE clean.more AS SELECT CAST(3 AS BIGINT) AS id, 'three' AS text, 30 AS n").await;
    assert_eq!(lines(&lake, "SELECT id, doubled FROM clean.kept").await, ["1|2", "2|4"]);
    run(&lake, "UPDATE clean.kept SET id = 5 WHERE id = 2").await;
    assert_eq!(lines(&lake, "SELECT id, doubled FROM clean.kept").await, ["1|2", "5|10"]);
    let before = lake.snapshot(&"clean.kept".parse().expect("reference")).await.expect("snapshot");
    for sql in [
        "INSERT INTO clean.kept (id, text, n) VALUES (NULL, 'x', 1)",
        "INSERT INTO clean.kept (id, text, n) VALUES (3, 'x', 0)",
        "INSERT INTO clean.kept (id, text, n) SELECT id, 'much too long', n FROM clean.more",
        "INSERT INTO clean.kept (id, text, n, doubled) VALUES (3, 'x', 1, 7)",
        "INSERT OVERWRITE clean.kept (id, text, n) VALUES (3, 'x', -1)",
        "UPDATE clean.kept SET n = -n",
        "UPDATE clean.kept SET id = NULL WHERE id = 1",
        "UPDATE clean.kept SET doubled = 3",
        "MERGE INTO clean.kept k USING clean.more m ON k.id = m.id WHEN NOT MATCHED THEN INSERT (id, text, n) VALUES (m.id, m.text, -1)",
        "MERGE INTO clean.kept k USING clean.more m ON k.id + 2 = m.id WHEN MATCHED THEN UPDATE SET n = 0",
    ] {
        let error = run_refused(&lake, sql).await;
        assert!(matches!(error, LakeError::Rule { .. }), "{sql}: {error:?}");
        let after = lake.snapshot(&"clean.kept".parse().expect("reference")).await.expect("snapshot");
        assert_eq!(after, before, "{sql}");
    }
    let rows = lake.sql("SELECT CAST(9 AS BIGINT) AS id, 'nine' AS text, CAST(0 AS INT) AS n").await.expect("plan");
    let error = lake.write(&name("clean.kept"), rows, &crate::WriteOptions::default()).await.expect_err("a rule");
    assert!(matches!(error, LakeError::Rule { .. }), "{error:?}");
    run(&lake, "INSERT OVERWRITE clean.kept (id, text, n) VALUES (3, 'x', 1)").await;
    assert_eq!(lines(&lake, "SELECT id, doubled FROM clean.kept").await, ["3|6"]);
    let error = run_refused(&lake, "INSERT INTO clean.kept (id) VALUES (NULL)").await;
    assert!(matches!(error, LakeError::Rule { .. }), "an overwrite keeps the rules: {error:?}");
}

#[tokio::test]
async fn tables_are_made_from_columns_and_from_queries() {
    let (_dir, lake) = lake().await;
    grown(&lake, "raw.docs").await;
    run(&lake, "CREATE TABLE clean.parts (lang VARCHAR, at TIMESTAMP, xs BIGINT[], ok BOOLEAN) PARTITIONED BY (lang)").await;
    run(&lake, "INSERT INTO clean.parts VALUES ('en', TIMESTAMP '2026-01-01T00:00:00', [1, 2], true), ('de', NULL, NULL, false)").await;
    assert_eq!(lines(&lake, "SELECT lang, ok, array_length(xs) FROM clean.parts").await, ["de|false|NULL", "en|true|2"]);
    let detail = lines(&lake, "DESCRIBE DETAIL clean.parts").await;
    assert!(detail[0].contains("|lang|") && detail[0].contains("enableExpiredLogCleanup"), "{detail:?}");
    run(&lake, "CREATE TABLE IF NOT EXISTS clean.parts (x INT)").await;
    assert!(matches!(run_refused(&lake, "CREATE TABLE clean.parts (x INT)").await, LakeError::NameTaken { .. }));
    let done = run(&lake, "CREATE TABLE clean.old AS SELECT * FROM raw.docs VERSION AS OF 1 WHERE id < 3").await;
    assert_eq!((done.version, done.counts), (Some(0), vec![("n_rows_inserted", 2)]));
    let done = run(&lake, "CREATE OR REPLACE TABLE clean.old AS SELECT id AS key FROM raw.docs").await;
    assert_eq!(done.version, Some(1));
    assert_eq!(number(&lake, "SELECT sum(key) FROM clean.old").await, 15);
    run(&lake, "CREATE OR REPLACE TABLE clean.old (word VARCHAR)").await;
    assert_eq!(number(&lake, "SELECT count(word) FROM clean.old").await, 0);
    for sql in [
        "CREATE TABLE clean.bad (x INT PRIMARY KEY)",
        "CREATE TABLE clean.bad (x INT DEFAULT 3)",
        "CREATE TABLE clean.bad (x INT CHECK (y > 0))",
        "CREATE TABLE clean.bad (x INT CHECK (x + 1))",
        "CREATE TABLE clean.bad (x INT) PARTITIONED BY (y)",
        "CREATE TABLE clean.bad (x INT) TBLPROPERTIES ('delta.columnMapping.mode' = 'name')",
        "CREATE TABLE clean.bad (x INT) TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')",
        "CREATE TEMPORARY TABLE clean.bad (x INT)",
        "CREATE TABLE clean.bad AS SELECT * FROM raw.docs VERSION AS OF 9",
        "CREATE TABLE bad (x INT)",
        "CREATE TABLE elsewhere.bad (x INT)",
        "CREATE TABLE clean.\"../bad\" (x INT)",
        "CREATE TABLE clean.\"old@3\" (x INT)",
    ] {
        let error = run_refused(&lake, sql).await;
        let there = lake.snapshot_opt(&name("clean.bad")).await.expect("looked").is_some();
        assert!(!told(&error).is_empty() && !there, "{sql}: {}", told(&error));
    }
}

#[tokio::test]
async fn two_writers_that_make_the_same_table_do_not_both_make_it() {
    let (_dir, lake) = lake().await;
    let made = (0..4).map(|i| {
        let lake = lake.clone();
        async move { lake.execute(&format!("CREATE TABLE clean.one AS SELECT {i} AS x"), &[], &me()).await }
    });
    let made = futures::future::join_all(made).await;
    assert_eq!(made.iter().filter(|m| m.is_ok()).count(), 1);
    assert_eq!(number(&lake, "SELECT count(*) FROM clean.one").await, 1);
    let appended = (0..4).map(|i| super::append_one(&lake, "clean.many", i));
    futures::future::join_all(appended).await;
    assert_eq!(number(&lake, "SELECT count(*) FROM clean.many").await, 4, "appends to a table that is not there are all kept");
}

#[tokio::test]
async fn tables_are_altered_one_commit_each() {
    let (_dir, lake) = lake().await;
    grown(&lake, "clean.docs").await;
    assert_eq!(run(&lake, "ALTER TABLE clean.docs ADD COLUMN score DOUBLE").await.version, Some(3));
    assert_eq!(number(&lake, "SELECT count(*) FROM clean.docs WHERE score IS NULL").await, 5);
    run(&lake, "UPDATE clean.docs SET score = id / 10.0").await;
    run(&lake, "ALTER TABLE clean.docs ADD CONSTRAINT low CHECK (score < 1)").await;
    let error = run_refused(&lake, "ALTER TABLE clean.docs ADD CONSTRAINT lower CHECK (score < 0.3)").await;
    assert!(matches!(error, LakeError::Rule { .. }), "rows that are there count, too: {error:?}");
    let error = run_refused(&lake, "UPDATE clean.docs SET score = 2").await;
    assert!(matches!(error, LakeError::Rule { .. }), "{error:?}");
    run(&lake, "ALTER TABLE clean.docs DROP CONSTRAINT low").await;
    run(&lake, "UPDATE clean.docs SET score = 2").await;
    run(&lake, "ALTER TABLE clean.docs SET TBLPROPERTIES ('owner' = 'ada', 'delta.checkpointInterval' = '10')").await;
    assert!(lines(&lake, "DESCRIBE DETAIL clean.docs").await[0].contains("\"owner\":\"ada\""));
    for sql in [
        "ALTER TABLE clean.docs ADD COLUMN score INT",
        "ALTER TABLE clean.docs ADD COLUMN needed INT NOT NULL",
        "ALTER TABLE clean.docs DROP CONSTRAINT absent",
        "ALTER TABLE clean.docs DROP COLUMN score",
        "ALTER TABLE clean.docs ADD CONSTRAINT CHECK (id > 0)",
        "ALTER TABLE clean.docs SET TBLPROPERTIES ('delta.enableExpiredLogCleanup' = 'true')",
        "ALTER TABLE clean.absent ADD COLUMN x INT",
    ] {
        run_refused(&lake, sql).await;
    }
    run(&lake, "ALTER TABLE clean.docs ADD COLUMN IF NOT EXISTS score INT").await;
}

#[tokio::test]
async fn versions_that_are_there_are_never_written() {
    let (_dir, lake) = lake().await;
    grown(&lake, "clean.docs").await;
    lake.tag(&name("clean.docs"), "v1", None, "", "me", Timestamp(0)).await.expect("tag");
    for sql in [
        "INSERT INTO clean.docs@v1 VALUES (9, 'x')",
        "INSERT INTO clean.\"docs@0\" VALUES (9, 'x')",
        "UPDATE clean.docs VERSION AS OF 1 SET id = 1",
        "DELETE FROM clean.docs VERSION AS OF 'v1'",
        "MERGE INTO clean.docs@1 t USING clean.docs s ON t.id = s.id WHEN MATCHED THEN DELETE",
        "TRUNCATE TABLE clean.docs@v1",
        "DROP TABLE clean.docs@v1",
    ] {
        run_refused(&lake, sql).await;
    }
    assert_eq!(lake.snapshot(&"clean.docs".parse().expect("reference")).await.expect("snapshot").version, 2);
}

#[tokio::test]
async fn a_table_goes_back_to_a_version_and_forward_again() {
    let (_dir, lake) = lake().await;
    grown(&lake, "clean.docs").await;
    lake.tag(&name("clean.docs"), "small", Some(0), "", "me", Timestamp(0)).await.expect("tag");
    assert_eq!(run(&lake, "RESTORE TABLE clean.docs TO VERSION AS OF 'small'").await.version, Some(3));
    assert_eq!(number(&lake, "SELECT count(*) FROM clean.docs").await, 2);
    run(&lake, "RESTORE clean.docs TO VERSION AS OF 2").await;
    assert_eq!(number(&lake, "SELECT count(*) FROM clean.docs").await, 5);
    assert!(matches!(run_refused(&lake, "RESTORE clean.docs TO VERSION AS OF 9").await, LakeError::NoVersion { .. }));
    assert!(matches!(run_refused(&lake, "RESTORE clean.docs TO TIMESTAMP AS OF '1999-01-01'").await, LakeError::NoTime { .. }));
}

#[tokio::test]
async fn values_come_in_by_name_and_prepared_statements_by_place() {
    let (_dir, lake) = lake().await;
    grown(&lake, "clean.docs").await;
    let params = [("low", ScalarValue::from(3i64)), ("text", ScalarValue::from("it's \"new\""))];
    lake.execute("UPDATE clean.docs SET text = $text WHERE id > $low", &params, &me()).await.expect("updated");
    assert_eq!(number(&lake, "SELECT count(*) FROM clean.docs WHERE text = 'it''s \"new\"'").await, 2);
    let mut statements = Statements::new(lake.clone(), "me@here");
    let at = Timestamp(2000);
    assert!(statements.run("PREPARE add AS INSERT INTO clean.docs VALUES ($1, $2)", at).await.expect("prepared").is_none());
    statements.run("PREPARE above (BIGINT) AS SELECT count(*) FROM clean.docs VERSION AS OF 2 WHERE id > $1", at).await.expect("prepared");
    for id in [50, 51] {
        let done = statements.run(&format!("EXECUTE add({id}, 'new')"), at).await.expect("run");
        assert!(matches!(done, Some(Answer::Done(done)) if done.counts == [("n_rows_inserted", 1)]));
    }
    let Some(Answer::Rows(rows)) = statements.run("EXECUTE above(3)", at).await.expect("run") else { panic!("rows") };
    assert_eq!(rows.count().await.expect("count"), 1);
    assert_eq!(number(&lake, "SELECT count(*) FROM clean.docs WHERE text = 'new'").await, 2);
    for sql in ["EXECUTE add(1)", "EXECUTE ad(1, 'x')", "EXECUTE add(1 + 1, 'x')", "DEALLOCATE other"] {
        assert!(statements.run(sql, at).await.is_err(), "{sql}");
    }
    statements.run("DEALLOCATE add", at).await.expect("forgotten");
    assert!(statements.run("EXECUTE add(1, 'x')", at).await.is_err());
}

#[tokio::test]
async fn a_table_is_dropped_whole_unless_a_tag_names_it() {
    let (dir, lake) = lake_in_folder().await;
    grown(&lake, "clean.docs").await;
    lake.tag(&name("clean.docs"), "v1", Some(1), "", "me", Timestamp(0)).await.expect("tag");
    assert!(matches!(run_refused(&lake, "DROP TABLE clean.docs").await, LakeError::Tagged { .. }));
    run(&lake, "ALTER TABLE clean.docs DROP TAG v1 REASON 'was wrong'").await;
    run(&lake, "DROP TABLE clean.docs").await;
    assert!(matches!(run_refused(&lake, "DROP TABLE clean.docs").await, LakeError::NoTable { .. }));
    run(&lake, "DROP TABLE IF EXISTS clean.docs").await;
    assert_eq!(std::fs::read_dir(dir.path().join("lake/tables/clean")).expect("list").count(), 0);
    let state = Reference::Table(name("clean.docs"), At::Latest);
    assert!(lake.snapshot(&state).await.is_err());
}

#[tokio::test]
async fn explain_shows_plans_and_analyze_runs_them() {
    let (_dir, lake) = lake().await;
    grown(&lake, "clean.docs").await;
    let plan = lines(&lake, "EXPLAIN SELECT count(*) FROM clean.docs VERSION AS OF 1").await.join(" ");
    assert!(plan.contains("logical_plan"), "{plan}");
    let plan = lines(&lake, "EXPLAIN ANALYZE SELECT id FROM clean.docs WHERE id > 2").await.join(" ");
    assert!(plan.contains("output_rows=3"), "{plan}");
    assert!(matches!(run_refused(&lake, "EXPLAIN ANALYZE DELETE FROM clean.docs").await, LakeError::Writes { .. }));
    let schemas = lines(&lake, "SHOW SCHEMAS").await;
    assert!(schemas.contains(&"clean|1|0".to_owned()), "{schemas:?}");
}

#[tokio::test]
async fn what_changed_between_versions_is_a_table() {
    let (_dir, lake) = lake().await;
    run(&lake, "CREATE TABLE clean.fed TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true') AS SELECT 1 AS id, 'a' AS text").await;
    run(&lake, "INSERT INTO clean.fed VALUES (2, 'b'), (3, 'c')").await;
    run(&lake, "UPDATE clean.fed SET text = 'bb' WHERE id = 2").await;
    run(&lake, "DELETE FROM clean.fed WHERE id = 3").await;
    run(&lake, "OPTIMIZE clean.fed").await;
    let changes = |range: &str| format!("SELECT _commit_version, _change_type, id, text FROM table_changes('clean.fed', {range})");
    assert_eq!(lines(&lake, &changes("0, 0")).await, ["0|insert|1|a"]);
    assert_eq!(lines(&lake, &changes("1, to => 1")).await, ["1|insert|2|b", "1|insert|3|c"]);
    assert_eq!(
        lines(&lake, &changes("0")).await,
        ["0|insert|1|a", "1|insert|2|b", "1|insert|3|c", "2|update_postimage|2|bb", "2|update_preimage|2|b", "3|delete|3|c",]
    );
    for range in ["9", "3, 2", "-1", "'x'"] {
        assert!(lake.sql(&changes(range)).await.is_err(), "{range}");
    }
    let done = run(&lake, "INSERT INTO clean.fed SELECT id, text FROM table_changes('clean.fed', 1, 1)").await;
    assert_eq!(done.counts, [("n_rows_inserted", 2)]);
}

#[tokio::test]
async fn what_a_statement_read_stands_beside_what_it_wrote() {
    let (_dir, lake) = lake().await;
    grown(&lake, "raw.docs").await;
    grown(&lake, "raw.more").await;
    run(&lake, "CREATE VIEW raw.both AS SELECT id FROM raw.docs UNION ALL SELECT id FROM raw.more").await;
    let done =
        run(&lake, "CREATE TABLE clean.docs AS SELECT b.id FROM raw.both b JOIN raw.docs VERSION AS OF 1 AS old ON b.id = old.id").await;
    assert_eq!(done.inputs, [(name("raw.docs"), 1), (name("raw.docs"), 2), (name("raw.more"), 2)]);
    let done = run(&lake, "DELETE FROM clean.docs WHERE id IN (SELECT max(id) FROM raw.more)").await;
    assert_eq!(done.inputs, [(name("raw.more"), 2)]);
}

#[tokio::test]
async fn every_statement_keeps_the_case_of_names() {
    let (_dir, lake) = lake().await;
    for sql in [
        "CREATE TABLE clean.Camel AS SELECT 1 AS docId",
        "INSERT INTO clean.Camel VALUES (2)",
        "ALTER TABLE clean.Camel ADD COLUMN moreText VARCHAR",
        "UPDATE clean.Camel SET moreText = 'x' WHERE docId = 1",
        "MERGE INTO clean.Camel t USING clean.Camel VERSION AS OF 1 AS s ON t.docId = s.docId WHEN MATCHED AND t.docId = 2 THEN DELETE",
        "CREATE VIEW clean.CamelView AS SELECT docId FROM clean.Camel",
    ] {
        run(&lake, sql).await;
    }
    assert_eq!(lines(&lake, "SELECT v.docId, moreText FROM clean.CamelView v JOIN clean.Camel c ON v.docId = c.docId").await, ["1|x"]);
    run(&lake, "DROP VIEW clean.CamelView").await;
    run(&lake, "DROP TABLE clean.Camel").await;
}
