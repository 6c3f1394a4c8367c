//! MERGE INTO.

use super::{grown, lake, lines, number, run, run_refused, told};
use crate::{Lake, LakeError};

/// A target of five rows and a source that changes one, removes one and brings two.
async fn sides(lake: &Lake) {
    grown(lake, "clean.docs").await;
    run(lake, "CREATE TABLE raw.news AS SELECT * FROM (VALUES (1, 'changed'), (2, NULL), (8, 'eight'), (9, 'nine')) AS v(id, text)").await;
}

#[tokio::test]
async fn rows_are_changed_removed_and_brought_in_by_clauses_in_their_order() {
    let (_dir, lake) = lake().await;
    sides(&lake).await;
    let done = run(
        &lake,
        "MERGE INTO clean.docs AS t USING (SELECT * FROM raw.news WHERE id <> 9) AS s ON t.id = s.id \
         WHEN MATCHED AND s.text IS NULL THEN DELETE WHEN MATCHED THEN UPDATE SET text = concat(t.text, ' ', s.text) \
         WHEN NOT MATCHED THEN INSERT (id, text) VALUES (s.id, s.text) \
         WHEN NOT MATCHED BY SOURCE AND t.id = 5 THEN UPDATE SET text = 'alone' WHEN NOT MATCHED BY SOURCE AND t.id = 4 THEN DELETE",
    )
    .await;
    assert_eq!(done.counts, [("n_rows_inserted", 1), ("n_rows_updated", 2), ("n_rows_deleted", 2)]);
    assert_eq!(lines(&lake, "SELECT id, text FROM clean.docs").await, ["1|row 1 changed", "3|row 3", "5|alone", "8|eight"]);
    assert_eq!(number(&lake, "SELECT count(*) FROM clean.docs VERSION AS OF 2").await, 5);
}

#[tokio::test]
async fn stars_mean_all_columns_and_a_source_may_be_a_version() {
    let (_dir, lake) = lake().await;
    sides(&lake).await;
    let merge = "MERGE INTO clean.docs USING raw.news AS n ON docs.id = n.id WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *";
    run(&lake, merge).await;
    assert_eq!(
        lines(&lake, "SELECT id, text FROM clean.docs").await,
        ["1|changed", "2|NULL", "3|row 3", "4|row 4", "5|row 5", "8|eight", "9|nine"]
    );
    run(&lake, "MERGE INTO clean.docs t USING clean.docs VERSION AS OF 2 AS s ON t.id = s.id WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED BY SOURCE THEN DELETE").await;
    assert_eq!(lines(&lake, "SELECT id, text FROM clean.docs").await, lines(&lake, "SELECT id, text FROM clean.docs@2").await);
}

#[tokio::test]
async fn keys_that_are_null_match_and_are_not_brought_in_again() {
    let (_dir, lake) = lake().await;
    run(&lake, "CREATE TABLE clean.keyed AS SELECT * FROM (VALUES (1, 'a'), (NULL, 'b')) AS v(key, text)").await;
    run(&lake, "CREATE TABLE raw.keyed AS SELECT * FROM (VALUES (1, 'a2'), (NULL, 'b2'), (3, 'c2')) AS v(key, text)").await;
    let merge = "MERGE INTO clean.keyed t USING raw.keyed s ON t.key = s.key WHEN MATCHED AND t.text <> s.text THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *";
    let done = run(&lake, merge).await;
    assert_eq!(done.counts, [("n_rows_inserted", 1), ("n_rows_updated", 2), ("n_rows_deleted", 0)]);
    let again = run(&lake, merge).await;
    assert_eq!(again.counts, [("n_rows_inserted", 0), ("n_rows_updated", 0), ("n_rows_deleted", 0)]);
    assert_eq!(lines(&lake, "SELECT key, text FROM clean.keyed").await, ["1|a2", "3|c2", "NULL|b2"]);
}

#[tokio::test]
async fn what_cannot_be_merged_is_said_and_nothing_is_written() {
    let (_dir, lake) = lake().await;
    sides(&lake).await;
    run(&lake, "INSERT INTO raw.news VALUES (1, 'twice')").await;
    for sql in [
        "MERGE INTO clean.docs t USING raw.news s ON t.id = s.id WHEN MATCHED THEN UPDATE SET text = s.text",
        "MERGE INTO clean.docs t USING raw.news s ON t.id = s.id WHEN MATCHED THEN UPDATE SET txet = s.text",
        "MERGE INTO clean.docs t USING raw.absent s ON t.id = s.id WHEN MATCHED THEN DELETE",
        "MERGE INTO clean.absent t USING raw.news s ON t.id = s.id WHEN MATCHED THEN DELETE",
        "MERGE INTO clean.docs t USING raw.news s ON t.id IN (SELECT id FROM raw.news) WHEN MATCHED THEN DELETE",
        "MERGE INTO clean.docs t USING raw.news VERSION AS OF 7 s ON t.id = s.id WHEN MATCHED THEN DELETE",
    ] {
        let error = run_refused(&lake, sql).await;
        assert!(!told(&error).is_empty(), "{sql}");
        assert!(!matches!(error, LakeError::Unsupported { .. }), "{sql}: {}", told(&error));
    }
    assert_eq!(lake.snapshot(&"clean.docs".parse().expect("reference")).await.expect("snapshot").version, 2);
}
