//! How right the curation functions are, on labelled sets that nobody here made.
//!
//! `cargo xtask score FOLDER [TOPIC…]` runs it and keeps the table in `benches/README.md`; `cargo xtask models FOLDER [NAME…]` trains what
//! polder-text embeds, by the trainer behind `polder classifier train`. A topic is a file beside this one: it reads its sets, and returns
//! rows. What a model was trained on is never what it is scored on.
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::expect_used, clippy::unwrap_used, clippy::panic, missing_docs)]

mod clean;
mod hap;
mod html_text;
mod language;
mod license;
mod near_duplicates;
mod pii;
mod programming_language;
mod quality;
mod quality_figures;
mod secrets;

use std::path::{Path, PathBuf};

/// One figure: of what, how it was taken, and what was asked for.
pub struct Row {
    /// The set and the measure, such as `lingua sentences, accuracy`.
    pub what: String,
    /// The figure.
    pub figure: f64,
    /// What is asked for, where something is.
    pub asked: Option<f64>,
    /// How it was taken: numbers of items, what was held out, what peers reach.
    pub note: String,
}

/// A topic: its name on the command line, and what scores it given the folder of sets.
type Topic = (&'static str, fn(&Path) -> Vec<Row>);

const TOPICS: [Topic; 10] = [
    ("clean", clean::score),
    ("hap", hap::score),
    ("html_text", html_text::score),
    ("language", language::score),
    ("license", license::score),
    ("near_duplicates", near_duplicates::score),
    ("pii", pii::score),
    ("programming_language", programming_language::score),
    ("quality", quality::score),
    ("secrets", secrets::score),
];

/// An embedded model: its file under `crates/polder-text/models/`, and what makes its bytes of the folder of sets.
type Model = (&'static str, fn(&Path) -> Vec<u8>);

const MODELS: [Model; 3] = [("hap", hap::model), ("language", language::model), ("programming_language", programming_language::model)];

fn main() {
    let Some(data) = std::env::var_os("POLDER_SCORE_DATA").map(PathBuf::from) else {
        println!("score: skipped, POLDER_SCORE_DATA names no folder of labelled sets");
        return;
    };
    let asked: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let is_asked = |name: &str| asked.is_empty() || asked.iter().any(|a| a == name);
    if let Some(folder) = std::env::var_os("POLDER_SCORE_MODELS").map(PathBuf::from) {
        for (name, model) in MODELS.iter().filter(|(name, _)| is_asked(name)) {
            let bytes = model(&data);
            std::fs::write(folder.join(format!("{name}.model")), &bytes).expect("models/ can be written");
            println!("{name}: {} bytes", bytes.len());
        }
        return;
    }
    for (name, score) in TOPICS.iter().filter(|(name, _)| is_asked(name)) {
        for row in score(&data) {
            let asked = row.asked.map_or_else(|| "–".to_owned(), |a| format!("{a:.3}"));
            println!("| {name} | {} | {:.4} | {asked} | {} |", row.what, row.figure, row.note);
        }
    }
}
