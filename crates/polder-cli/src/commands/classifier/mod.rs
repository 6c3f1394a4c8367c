//! `polder classifier …`.

mod eval;
mod show;
mod train;

use polder_base::{ClassifierScores, units};
use serde_json::json;

use crate::output;
use crate::world::World;

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Train a classifier of text on a query's rows; `classify('NAME', text)` then asks it.
    Train(train::Args),
    /// Judge a classifier on a query's rows.
    Eval(eval::Args),
    /// List classifiers, or show one.
    Show(show::Args),
}

pub fn run(world: &mut World, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Train(args) => train::run(world, args),
        Command::Eval(args) => eval::run(world, &args),
        Command::Show(args) => show::run(world, &args),
    }
}

/// Labels whose confusion is drawn; more would not fit on a line.
const CONFUSION_SHOWN_MAX: usize = 12;

/// Prints scores: by label, then who was taken for whom.
fn scores(json: bool, scores: &ClassifierScores) -> anyhow::Result<()> {
    let objects: Vec<_> = scores
        .labels
        .iter()
        .map(|l| json!({"label": l.label, "precision": l.precision, "recall": l.recall, "f1": l.f1, "n_rows": l.n_rows}))
        .collect();
    let figure = |x: f64| format!("{x:.3}");
    let cells: Vec<_> = scores
        .labels
        .iter()
        .map(|l| vec![l.label.clone(), units::count(l.n_rows), figure(l.precision), figure(l.recall), figure(l.f1)])
        .collect();
    output::rows(json, "polder.label_scores", &objects, &["label", "rows", "precision", "recall", "F1"], &cells, &[1, 2, 3, 4])?;
    let whole = json!({"n_rows": scores.n_rows, "accuracy": scores.accuracy, "macro_f1": scores.macro_f1, "confusion": scores.confusion});
    if json {
        return output::object("polder.classifier_scores", &whole);
    }
    if let Some(confusion) = scores.confusion.as_ref().filter(|c| (2..=CONFUSION_SHOWN_MAX).contains(&c.len())) {
        let head: Vec<&str> = std::iter::once("has ↓ got →").chain(scores.labels.iter().map(|l| l.label.as_str())).collect();
        let row = |(label, row): (&polder_base::LabelScores, &Vec<u64>)| {
            std::iter::once(label.label.clone()).chain(row.iter().map(u64::to_string)).collect::<Vec<_>>()
        };
        let cells: Vec<_> = scores.labels.iter().zip(confusion).map(row).collect();
        let right: Vec<usize> = (1..head.len()).collect();
        output::data(&format!("\n{}", output::table(&head, &cells, &right)))?;
    }
    output::data(&format!("\naccuracy {:.3} · macro F1 {:.3} · {} rows", scores.accuracy, scores.macro_f1, units::count(scores.n_rows)))
}
