//! Items of a benchmark are found in documents, with both places, and cut out of them.

use super::*;

const QUESTION: &str =
    "A train leaves the harbour town at nine in the morning and reaches the capital, 240 km away, at noon. How fast was it?";

async fn lake_with_texts() -> (TempDir, Lake) {
    let (dir, lake) = lake().await;
    let write = async |table: &str, sql: &str| {
        let frame = lake.session().sql(sql).await.expect("rows");
        lake.write(&name(table), frame, &WriteOptions { mode: WriteMode::Overwrite, ..WriteOptions::default() }).await.expect("written");
    };
    write("eval.items", &format!("SELECT 'q1' AS id, '{QUESTION}' AS text, 'sums' AS task UNION ALL SELECT 'q2', 'Is it?', 'sums'")).await;
    write(
        "raw.docs",
        &format!(
            "SELECT 'clean' AS doc_id, 'Trains run between the harbour and the capital.' AS text
             UNION ALL SELECT 'dirty', 'Exercises.' || chr(10) || upper('{QUESTION}') || chr(10) || 'Good luck to all of you.'
             UNION ALL SELECT 'none', CAST(NULL AS VARCHAR)"
        ),
    )
    .await;
    (dir, lake)
}

#[tokio::test]
async fn items_that_stand_in_documents_are_found_with_both_places() {
    let (_dir, lake) = lake_with_texts().await;
    let found = "FROM contamination('raw.docs', 'eval.items')";
    assert_eq!(number(&lake, &format!("SELECT count(*) {found}")).await, 1);
    let same =
        format!("SELECT count(*) {found} WHERE doc_id = 'dirty' AND item_id = 'q1' AND doc_start = 11 AND item_start = 0 AND n_words = 24");
    assert_eq!(number(&lake, &same).await, 1, "{same}");
    let rate = "SELECT CAST(100 * count(DISTINCT c.item_id) / count(DISTINCT i.id) AS BIGINT)
         FROM eval.items i LEFT JOIN contamination('raw.docs@0', 'eval.items', ngram => 10) c ON c.item_id = i.id GROUP BY i.task";
    assert_eq!(number(&lake, rate).await, 50);
}

#[tokio::test]
async fn a_policy_in_sql_trims_or_drops_what_is_contaminated() {
    let (_dir, lake) = lake_with_texts().await;
    let trimmed = "
        WITH spans AS (
          SELECT c.doc_id, array_agg(named_struct('start', c.doc_start, 'end', c.doc_end)) AS spans
          FROM contamination('raw.docs', 'eval.items') c GROUP BY c.doc_id
        )
        SELECT count(*) FROM raw.docs d LEFT JOIN spans s ON s.doc_id = d.doc_id
        WHERE without_spans(d.text, s.spans, 0, 5) = 'Exercises.' || chr(10) || '?' || chr(10) || 'Good luck to all of you.'";
    assert_eq!(number(&lake, trimmed).await, 1);
    let kept = "SELECT count(*) FROM raw.docs d LEFT ANTI JOIN contamination('raw.docs', 'eval.items') c ON c.doc_id = d.doc_id";
    assert_eq!(number(&lake, kept).await, 2);
}

#[tokio::test]
async fn calls_that_cannot_be_answered_say_why() {
    let (_dir, lake) = lake_with_texts().await;
    for (call, says) in [
        ("contamination('raw.docs')", "needs the argument `items`"),
        ("contamination('raw.docs', 'eval.items', ngram => 3)", "8 words"),
        ("contamination('raw.docs', 'eval.items', n_gram => 13)", "has no argument `n_gram`"),
        ("contamination('raw.docs', 'eval.items', item_text => 'question')", "has no column `question`"),
        ("contamination('raw.docs', 'eval.item')", "eval.items"),
    ] {
        let error = told(&refused(&lake, &format!("SELECT * FROM {call}")).await);
        assert!(error.contains(says), "{call}: {error}");
    }
}
