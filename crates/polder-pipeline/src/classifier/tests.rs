//! Training over a lake: the same classifier in any order of rows, judged on rows it has not seen; what is refused.

use polder_base::Advice;
use polder_lake::{WriteMode, WriteOptions};

use super::*;

const ROWS: &str = "SELECT text, label FROM raw.messages";

/// A lake with `raw.messages`: 1,200 texts of two kinds.
async fn lake(folder: &std::path::Path) -> Lake {
    let lake = Lake::init(folder).await.expect("lake");
    let made = "
        SELECT
          CASE WHEN d % 3 = 0 THEN concat('please send the invoice number ', CAST(d AS VARCHAR), ' to the office before friday')
               ELSE concat('the garden at number ', CAST(d AS VARCHAR), ' has roses and an old apple tree') END AS text,
          CASE WHEN d % 3 = 0 THEN 'office' ELSE 'garden' END AS label
        FROM (SELECT unnest(range(0, 1200)) AS d)";
    let frame = lake.session().sql(made).await.expect("made");
    let options = WriteOptions { mode: WriteMode::Overwrite, ..WriteOptions::default() };
    lake.write(&"raw.messages".parse().expect("name"), frame, &options).await.expect("written");
    lake
}

fn request(query: &str) -> TrainClassifier {
    TrainClassifier { name: "kind".into(), query: query.into(), options: Options::posts(), bytes_max: 1_000_000_000 }
}

async fn train(lake: &Lake, query: &str, version: &str) -> Result<Manifest, PipelineError> {
    let reference = format!("classifiers/kind@{version}").parse().expect("reference");
    request(query).plan(lake).await?.run(lake, &reference, Timestamp(0), &mut |_, _, _| {}).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_classifier_is_learnt_from_a_query_judged_on_held_out_rows_and_opens_again() {
    let folder = tempfile::tempdir().expect("folder");
    let lake = lake(folder.path()).await;
    let manifest = train(&lake, ROWS, "1").await.expect("trained");
    let details: ClassifierDetails = serde_json::from_value(manifest.details.clone()).expect("details");
    assert_eq!(details.labels, ["garden", "office"]);
    assert_eq!(details.n_rows + details.held_out.n_rows, 1200);
    assert!((150..350).contains(&details.held_out.n_rows), "{}", details.held_out.n_rows);
    assert!(details.held_out.accuracy > 0.99 && details.held_out.macro_f1 > 0.99, "{:?}", details.held_out);
    assert_eq!(manifest.inputs[0].reference.to_string(), "raw.messages@0");
    let at = lake.layout().artefact(&manifest.reference).expect("folder");
    let opened = open_classifier(&at).expect("opens");
    assert_eq!(opened.classify("an apple tree in the garden").0, "garden");
    let scores = evaluate_classifier(&lake, &opened, "SELECT text, 'office' AS label FROM raw.messages WHERE label = 'office'", 1 << 30);
    assert_eq!(scores.await.expect("judged").n_rows, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_order_of_rows_makes_no_difference_to_a_byte() {
    let folder = tempfile::tempdir().expect("folder");
    let lake = lake(folder.path()).await;
    let first = train(&lake, ROWS, "1").await.expect("trained");
    let second = train(&lake, &format!("{ROWS} ORDER BY reverse(text)"), "2").await.expect("trained");
    assert_eq!(first.files[0].digest, second.files[0].digest);
    assert_ne!(first.inputs_digest(), second.inputs_digest());
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_beyond_the_limit_are_drawn_by_their_text() {
    let folder = tempfile::tempdir().expect("folder");
    let lake = lake(folder.path()).await;
    let read = async |query: &str| {
        let frame = lake.sql(query).await.expect("query");
        LabelledRows::read(frame, 20_000, &mut |_| {}).await.expect("rows")
    };
    let (a, b) = (read(ROWS).await, read(&format!("{ROWS} ORDER BY reverse(text)")).await);
    let bytes: usize = a.pairs().iter().map(|(t, _)| t.len()).sum();
    assert!((5_000..=20_000).contains(&bytes), "{bytes}");
    assert_eq!(a.pairs(), b.pairs());
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_teach_nothing_are_refused_with_a_hint() {
    let folder = tempfile::tempdir().expect("folder");
    let lake = lake(folder.path()).await;
    for (query, says) in [
        ("SELECT text FROM raw.messages", "column `label`"),
        ("SELECT label FROM raw.messages", "column `text`"),
        ("SELECT text, 1.5 AS label FROM raw.messages", "column `label`"),
        ("SELECT text, 'one' AS label FROM raw.messages", "cannot train the classifier"),
        ("SELECT text, label FROM raw.messages WHERE text = 'none'", "cannot train the classifier"),
        ("SELECT CAST(NULL AS VARCHAR) AS text, 1 AS label", "cannot train the classifier"),
    ] {
        let error = train(&lake, query, "1").await.expect_err(query);
        assert!(error.to_string().contains(says) && error.hint().is_some(), "{query}: {error}");
    }
    assert!(!folder.path().join("classifiers").join("kind").exists());
}
