//! How good a classifier is on rows that it has not seen.

use std::collections::BTreeMap;

use super::ClassifierError;
use super::options::Options;
use super::score::Classifier;
use super::train::{Progress, train};
use crate::digest::{hash_share, normalized};

/// How one label fared.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelEvaluation {
    /// The label.
    pub label: String,
    /// Of the rows that got the label, the share that have it; 0 where none got it.
    pub precision: f64,
    /// Of the rows that have the label, the share that got it; 0 where none has it.
    pub recall: f64,
    /// Harmonic mean of both.
    pub f1: f64,
    /// Rows that have the label.
    pub support: usize,
}

/// How a classifier fared on rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// Rows judged.
    pub n_rows: usize,
    /// Share of the rows that got their label.
    pub accuracy: f64,
    /// Mean F1 of the labels that rows have.
    pub macro_f1: f64,
    /// Each label, in alphabetical order.
    pub labels: Vec<LabelEvaluation>,
    /// For each label in the same order, how many of its rows got each label.
    pub confusion: Vec<Vec<usize>>,
}

impl Evaluation {
    /// From pairs of the label that a row has and the one it got.
    pub fn of_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        let mut index: BTreeMap<&str, usize> = BTreeMap::new();
        for (has, got) in pairs {
            *counts.entry((has, got)).or_default() += 1;
            index.insert(has, 0);
            index.insert(got, 0);
        }
        index.values_mut().zip(0..).for_each(|(number, i)| *number = i);
        let n_labels = index.len();
        let mut confusion = vec![vec![0; n_labels]; n_labels];
        for ((has, got), n) in &counts {
            confusion[index[has]][index[got]] = *n;
        }
        let share = |part: usize, whole: usize| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
        let labels: Vec<LabelEvaluation> = index
            .into_iter()
            .map(|(label, i)| {
                let (right, support) = (confusion[i][i], confusion[i].iter().sum());
                let got = confusion.iter().map(|row| row[i]).sum();
                let f1 = share(2 * right, support + got);
                LabelEvaluation { label: label.to_owned(), precision: share(right, got), recall: share(right, support), f1, support }
            })
            .collect();
        let n_rows = counts.values().sum();
        let right: usize = (0..n_labels).map(|i| confusion[i][i]).sum();
        let present = labels.iter().filter(|l| l.support > 0);
        let macro_f1 = present.clone().map(|l| l.f1).sum::<f64>() / present.count().max(1) as f64;
        Self { n_rows, accuracy: share(right, n_rows), macro_f1, labels, confusion }
    }
}

/// Judges rows of text and label. No rows give figures of 0.
pub fn evaluate(classifier: &Classifier, rows: &[(&str, &str)]) -> Evaluation {
    Evaluation::of_pairs(rows.iter().map(|(text, label)| (*label, classifier.classify(text).0)))
}

/// Which of `n_folds` parts a text belongs to. It follows from the text alone, whatever its case and white space, so that a text that
/// occurs twice is never on both sides.
pub fn fold_of(text: &str, n_folds: usize) -> usize {
    // `hash_share` is below 1, but its product may round up.
    ((hash_share(&normalized(text).to_lowercase()) * n_folds as f64) as usize).min(n_folds.saturating_sub(1))
}

/// Rows of text and label.
pub type LabelledRows<'a> = Vec<(&'a str, &'a str)>;

/// Splits rows into those to train on and those held out, of which there is about one in `one_in`; see [`fold_of`].
pub fn split<'a>(rows: &[(&'a str, &'a str)], one_in: usize) -> (LabelledRows<'a>, LabelledRows<'a>) {
    rows.iter().partition(|(text, _)| fold_of(text, one_in) != 0)
}

/// Judges every row by a classifier trained on the other `n_folds - 1` parts of the rows, and counts all verdicts together.
///
/// # Errors
/// As [`train`], where a part's complement lacks what training needs.
pub fn cross_validate(
    rows: &[(&str, &str)],
    options: &Options,
    n_folds: usize,
    n_threads: usize,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Evaluation, ClassifierError> {
    let folds: Vec<usize> = rows.iter().map(|(text, _)| fold_of(text, n_folds)).collect();
    let mut verdicts: Vec<(&str, String)> = Vec::with_capacity(rows.len());
    for fold in 0..n_folds {
        let others: LabelledRows<'_> = rows.iter().zip(&folds).filter(|(_, f)| **f != fold).map(|(row, _)| *row).collect();
        let classifier = train(&others, options, n_threads, progress)?;
        let judged = rows.iter().zip(&folds).filter(|(_, f)| **f == fold);
        verdicts.extend(judged.map(|((text, label), _)| (*label, classifier.classify(text).0.to_owned())));
    }
    Ok(Evaluation::of_pairs(verdicts.iter().map(|(has, got)| (*has, got.as_str()))))
}
