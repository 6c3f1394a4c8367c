//! The card of a classifier of text: what it was made from, how well it does, and what it is not for.
//!
//! It is written from the manifest alone.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use polder_base::{ClassifierDetails, ClassifierScores, Manifest, write_whole};

use crate::GovernError;
use crate::markdown::{block, code, grouped, number, table, text};

/// Labels with fewer held-out rows have scores that mean little.
const FEW_ROWS: u64 = 30;
/// An F1 below this is named among the limits.
const WEAK_F1: f64 = 0.8;

/// Writes a classifier's card into its folder as `README.md`, and returns the file's path.
///
/// # Errors
/// A manifest that is none of a classifier's; a file that cannot be written.
pub fn write_classifier_card(folder: &Path) -> Result<PathBuf, GovernError> {
    let manifest = Manifest::read(folder)?;
    let details: ClassifierDetails = serde_json::from_value(manifest.details.clone())
        .map_err(|source| GovernError::Json { what: format!("the manifest of {}", manifest.reference), source })?;
    let path = folder.join("README.md");
    write_whole(&path, markdown(&manifest, &details).as_bytes())?;
    Ok(path)
}

fn markdown(manifest: &Manifest, details: &ClassifierDetails) -> String {
    let name = manifest.reference.to_string();
    let bytes: u64 = manifest.files.iter().map(|f| f.bytes).sum();
    let mut out = format!("# {}\n\n", text(&name));
    let _ = writeln!(
        out,
        "A linear classifier of text over hashed n-grams: {} labels, {} features, {} bytes. Made at {} by polder {}.\n",
        details.labels.len(),
        grouped(details.n_features),
        grouped(bytes),
        manifest.created_at,
        text(&manifest.code_version)
    );
    let call = name.strip_prefix("classifiers/").unwrap_or(&name);
    let _ = writeln!(out, "In SQL: {}. It gives a label and a probability.\n", code(&format!("classify('{call}', text)")));
    out.push_str("## What it learnt from\n\n");
    for input in &manifest.inputs {
        let _ = writeln!(out, "- {} ({})", text(&input.reference.to_string()), code(&input.digest.to_string()));
    }
    let _ = writeln!(
        out,
        "\n{} rows, {} bytes of text; {} rows without text or label were left out. One row in {}, drawn by its text, was held out.\n",
        grouped(details.n_rows),
        grouped(details.bytes),
        grouped(details.n_rows_left_out),
        details.held_out_one_in
    );
    out.push_str(&block("sql", &details.query));
    let _ = writeln!(out, "\nSettings: {}\n", code(&details.options));
    out.push_str("## On rows that it has not seen\n\n");
    out.push_str(&scores(&details.held_out));
    out.push_str("\n## Limits\n\n");
    limits(details).iter().for_each(|line| {
        let _ = writeln!(out, "- {line}");
    });
    out
}

fn scores(scores: &ClassifierScores) -> String {
    if scores.n_rows == 0 {
        return "No row was held out: nothing is known of how well it does.\n".into();
    }
    let mut out =
        format!("Accuracy {} and macro F1 {} on {} rows.\n\n", number(scores.accuracy), number(scores.macro_f1), grouped(scores.n_rows));
    let row = |l: &polder_base::LabelScores| vec![text(&l.label), grouped(l.n_rows), number(l.precision), number(l.recall), number(l.f1)];
    out.push_str(&table(&["label", ">rows", ">precision", ">recall", ">F1"], &scores.labels.iter().map(row).collect::<Vec<_>>()));
    if let Some(confusion) = &scores.confusion {
        let mut headers = vec!["has ↓ got →".to_owned()];
        headers.extend(scores.labels.iter().map(|l| format!(">{}", text(&l.label))));
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        let cells = |(label, row): (&polder_base::LabelScores, &Vec<u64>)| {
            std::iter::once(text(&label.label)).chain(row.iter().map(|n| grouped(*n))).collect::<Vec<_>>()
        };
        out.push('\n');
        out.push_str(&table(&headers, &scores.labels.iter().zip(confusion).map(cells).collect::<Vec<_>>()));
    }
    out
}

fn limits(details: &ClassifierDetails) -> Vec<String> {
    let held_out = &details.held_out;
    let named = |labels: Vec<&str>| labels.into_iter().map(text).collect::<Vec<_>>().join(", ");
    let mut lines = vec![
        "It gives one of its labels to every text, also to one of a kind that it has never seen; look at the probability.".to_owned(),
        "It counts words and pieces of words: it knows neither meaning nor irony, and inherits what its labels got wrong.".to_owned(),
    ];
    let few: Vec<&str> = held_out.labels.iter().filter(|l| l.n_rows < FEW_ROWS).map(|l| l.label.as_str()).collect();
    if !few.is_empty() {
        lines.push(format!("Labels with fewer than {FEW_ROWS} held-out rows, whose scores mean little: {}.", named(few)));
    }
    let weak: Vec<&str> = held_out.labels.iter().filter(|l| l.n_rows >= FEW_ROWS && l.f1 < WEAK_F1).map(|l| l.label.as_str()).collect();
    if !weak.is_empty() {
        lines.push(format!("Labels with an F1 below {WEAK_F1}: {}.", named(weak)));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use polder_base::{LabelScores, Reference, Timestamp, digest_json};

    #[test]
    fn a_card_says_what_a_classifier_was_made_from_how_it_does_and_where_it_is_weak() {
        let label = |label: &str, f1: f64, n_rows: u64| LabelScores { label: label.into(), precision: f1, recall: f1, f1, n_rows };
        let details = ClassifierDetails {
            query: "SELECT text, label FROM raw.messages".into(),
            n_rows: 4000,
            bytes: 123_456,
            labels: vec!["a|b".into(), "few".into(), "weak".into()],
            n_features: 1234,
            options: "tokens=words".into(),
            held_out_one_in: 5,
            held_out: ClassifierScores {
                n_rows: 1000,
                accuracy: 0.9,
                macro_f1: 0.7,
                labels: vec![label("a|b", 0.95, 800), label("few", 0.5, 3), label("weak", 0.6, 197)],
                confusion: Some(vec![vec![790, 1, 9], vec![1, 2, 0], vec![80, 0, 117]]),
            },
            n_rows_left_out: 7,
        };
        let reference: Reference = "classifiers/kind@2".parse().expect("reference");
        let inputs = vec![polder_base::Input { reference: "raw.messages@3".parse().expect("table"), digest: digest_json(&1) }];
        let manifest = Manifest::new(reference, Timestamp(0), inputs, digest_json(&2), serde_json::to_value(&details).expect("json"));
        let card = markdown(&manifest, &details);
        for part in ["raw.messages@3", "classify('kind@2', text)", "4,000 rows", "SELECT text, label", "| 790 | 1 | 9 |", "a\\|b"] {
            assert!(card.contains(part), "{part}\n{card}");
        }
        assert!(card.contains("mean little: few.") && card.contains("below 0.8: weak."), "{card}");
    }
}
