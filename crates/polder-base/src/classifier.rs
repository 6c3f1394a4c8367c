//! What is written down about a classifier of text: what it was made from, and how it does.

use serde::{Deserialize, Serialize};

/// What a classifier's manifest says about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassifierDetails {
    /// The query that gave the rows.
    pub query: String,
    /// Rows it learnt from.
    pub n_rows: u64,
    /// Their text.
    pub bytes: u64,
    /// Labels, in alphabetical order.
    pub labels: Vec<String>,
    /// Features that have weights.
    pub n_features: u64,
    /// What it looks at and how it learnt, as text.
    pub options: String,
    /// One row in so many was held out, by a draw from its text.
    pub held_out_one_in: u64,
    /// Its scores on those rows.
    pub held_out: ClassifierScores,
    /// Rows without text or label, which were left out.
    pub n_rows_left_out: u64,
}

/// How a classifier did on rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassifierScores {
    /// Rows judged.
    pub n_rows: u64,
    /// Share of rows that got their label.
    pub accuracy: f64,
    /// Mean F1 of the labels that rows have.
    pub macro_f1: f64,
    /// By label.
    pub labels: Vec<LabelScores>,
    /// For each label, in the same order, how many of its rows got each; `None` for very many labels.
    pub confusion: Option<Vec<Vec<u64>>>,
}

/// How one label fared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelScores {
    /// The label.
    pub label: String,
    /// Of the rows that got it, the share that have it.
    pub precision: f64,
    /// Of the rows that have it, the share that got it.
    pub recall: f64,
    /// Harmonic mean of both.
    pub f1: f64,
    /// Rows that have it.
    pub n_rows: u64,
}
