//! Stored views.

use super::{append, grown, lake, lines, number, run, run_refused, told};
use crate::LakeError;

#[tokio::test]
async fn a_view_is_a_query_under_a_name_and_sees_what_its_statement_sees() {
    let (dir, lake) = lake().await;
    grown(&lake, "clean.docs").await;
    run(&lake, "CREATE VIEW clean.large AS SELECT id, text FROM clean.docs WHERE id > 2;").await;
    run(&lake, "CREATE VIEW clean.first AS SELECT * FROM clean.docs VERSION AS OF 0").await;
    run(&lake, "CREATE VIEW eval.both AS SELECT l.id FROM clean.large l JOIN clean.docs d ON l.id = d.id").await;
    assert_eq!(lines(&lake, "SELECT id FROM clean.large").await, ["3", "4", "5"]);
    append(&lake, "clean.docs", &[6]).await;
    assert_eq!(number(&lake, "SELECT count(*) FROM eval.both").await, 4);
    assert_eq!(number(&lake, "SELECT count(*) FROM clean.first, clean.large").await, 8);
    assert_eq!(
        number(&lake, "WITH l AS (SELECT * FROM clean.large) SELECT count(*) FROM l WHERE id IN (SELECT id FROM eval.both)").await,
        4
    );
    run(&lake, "CREATE TABLE clean.kept AS SELECT * FROM clean.large").await;
    run(&lake, "CREATE OR REPLACE VIEW clean.large AS SELECT 7 AS id").await;
    assert_eq!(number(&lake, "SELECT sum(id) FROM clean.large").await, 7);
    assert_eq!(std::fs::read_to_string(dir.path().join("lake/views/clean/large.sql")).expect("kept"), "SELECT 7 AS id");
    assert!(lines(&lake, "SHOW TABLES").await.iter().any(|l| l.contains("large") && l.contains("VIEW")));
    run(&lake, "DROP VIEW clean.large").await;
    assert!(matches!(run_refused(&lake, "SELECT * FROM eval.both").await, LakeError::NoTable { .. }));
    run(&lake, "DROP VIEW IF EXISTS clean.large").await;
}

#[tokio::test]
async fn what_cannot_be_a_view_is_refused() {
    let (_dir, lake) = lake().await;
    grown(&lake, "clean.docs").await;
    run(&lake, "CREATE VIEW clean.v AS SELECT * FROM clean.docs").await;
    run(&lake, "CREATE VIEW clean.w AS SELECT * FROM clean.v").await;
    for sql in [
        "CREATE VIEW clean.v AS SELECT 1",
        "CREATE VIEW clean.docs AS SELECT 1",
        "CREATE VIEW clean.bad AS SELECT * FROM clean.absent",
        "CREATE VIEW clean.bad AS SELECT * FROM clean.docs VERSION AS OF 9",
        "CREATE OR REPLACE VIEW clean.v AS SELECT * FROM clean.w",
        "CREATE TABLE clean.v (x INT)",
        "SELECT * FROM clean.v VERSION AS OF 0",
        "INSERT INTO clean.v VALUES (1, 'x')",
        "DROP VIEW clean.docs",
        "DROP TABLE clean.v",
        "CREATE VIEW bad AS SELECT 1",
        "CREATE MATERIALIZED VIEW clean.bad AS SELECT 1",
    ] {
        let error = run_refused(&lake, sql).await;
        assert!(!told(&error).is_empty(), "{sql}");
    }
    assert_eq!(number(&lake, "SELECT count(*) FROM clean.w").await, 5);
}
