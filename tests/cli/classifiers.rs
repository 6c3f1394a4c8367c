//! Classifiers of text are trained on what a query gives, judged, and asked in SQL.

use crate::finished::folder;
use crate::packages::write;
use crate::program::{line, polder, sql};

const ROWS: &str = "SELECT text, programming_language(path, text) AS label FROM raw.docs WHERE length(text) > 20";

#[test]
fn a_classifier_is_trained_carded_versioned_and_asked_in_sql() {
    let lake = folder("classifier").join("lake");
    let source = folder("classifier_source");
    write(&source);
    line(&lake, "init").well();
    polder(&lake, &["ingest", &source.display().to_string(), "--into", "raw.docs"]).well();
    let train = ["classifier", "train", "kind", "--kind", "code", "--query", ROWS];
    let said = polder(&lake, &train).well();
    assert!(said.out.contains("macro F1") && said.err.contains("classifiers/kind@1 knows"), "{}{}", said.out, said.err);
    let card = std::fs::read_to_string(lake.join("classifiers/kind/1/README.md")).expect("card");
    assert!(card.contains("raw.docs@") && card.contains("## Limits"), "{card}");
    // The same again is the same version; other settings make the next.
    assert!(polder(&lake, &train).well().err.contains("classifiers/kind@1"));
    let again = polder(&lake, &[&train[..], &["--epochs", "3"]].concat()).well();
    assert!(again.err.contains("classifiers/kind@2"), "{}", again.err);
    let facts = polder(&lake, &["--json", "facts", "list", "--verb", "train classifier"]).well().objects();
    assert_eq!(facts.len(), 2, "{facts:?}");
    let rows = sql(
        &lake,
        "SELECT classify('kind@1', text)['label'] = programming_language(path, text) AS same, count(*) AS n FROM raw.docs GROUP BY 1",
    );
    assert!(rows.iter().any(|r| r["same"] == true), "{rows:?}");
    let listed = line(&lake, "--json classifier show").well().objects();
    assert_eq!(listed.len(), 2, "{listed:?}");
    let judged = polder(&lake, &["--json", "classifier", "eval", "kind", "--query", ROWS]).well().objects();
    assert_eq!(judged.last().and_then(|o| o["schema"].as_str()), Some("polder.classifier_scores"));
}

#[test]
fn what_teaches_nothing_and_what_is_not_there_is_refused() {
    let lake = folder("classifier_refused").join("lake");
    line(&lake, "init").well();
    polder(&lake, &["classifier", "train", "x", "--query", "SELECT 'a' AS text"]).fails(2, "column `label`");
    polder(&lake, &["classifier", "train", "x", "--query", "SELECT 'a' AS text, 'b' AS label"]).fails(2, "cannot train the classifier");
    polder(&lake, &["classifier", "train", "x@2", "--query", "SELECT 'a' AS text, 'b' AS label"]).fails(2, "names a version");
    polder(&lake, &["classifier", "train", "../x", "--query", "SELECT 1"]).fails(2, "");
    polder(&lake, &["classifier", "show", "x"]).fails(2, "there is no artefact classifiers/x");
    let asked = polder(&lake, &["sql", "SELECT classify('x', 'text')"]);
    assert!(
        asked.code == Some(1) && asked.err.contains("there is no classifiers/x") && asked.err.contains("polder classifier show"),
        "{}",
        asked.err
    );
    assert!(!lake.join("classifiers").join("x").exists());
}
