//! A linear classifier of text over hashed n-grams of words and characters.
//!
//! [`train()`] makes a [`Classifier`] of labelled rows in one go, on all cores; the result depends on the rows, their order and the
//! [`Options`] only. [`Classifier::classify`] answers in time linear in the text. [`evaluate()`] and [`cross_validate`] say how good it is on
//! rows that it has not seen.
//!
//! A text's features are its n-grams' hashes, counted and scaled as [`Counting`] says. A label's score is the sum of the counts times the
//! label's weights, and its probability the softmax of the scores, stretched as fits held-out rows. The weights are learnt as [`Learning`]
//! says: first over all features that tell labels apart, then over those that turned out to matter.
//!
//! Nothing here knows what the labels mean, and nothing is stored of the text but hashes of its n-grams.
//!
//! # Source
//! The task and the name of the kind: Joulin, Grave, Bojanowski, Mikolov: Bag of Tricks for Efficient Text Classification (2016), whose
//! hidden layer is left out: with sparse weights it saves nothing. Margins: Hsieh, Chang, Lin,
//! Keerthi, Sundararajan: A Dual Coordinate Descent Method for Large-scale Linear SVM (2008). Step sizes: Duchi, Hazan, Singer: Adaptive Subgradient Methods (2011).
//! Stretched scores: Guo, Pleiss, Sun, Weinberger: On Calibration of Modern Neural Networks (2017).

mod bayes;
mod calibrate;
mod dictionary;
mod evaluate;
mod features;
mod format;
mod lookup;
mod margin;
mod options;
mod own_margin;
mod score;
mod train;

pub(crate) use crate::characters::is_letter;
pub use evaluate::{Evaluation, LabelEvaluation, LabelledRows, cross_validate, evaluate, fold_of, split};
pub use options::{Counting, Features, Learning, NGRAM_MAX, Options, Tokens};
pub use score::Classifier;
pub use train::{Progress, train};

/// The most labels.
pub const LABELS_MAX: usize = 1 << 14;

/// Why there is no classifier.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ClassifierError {
    /// The rows have fewer than two labels: there is nothing to tell apart.
    #[error("{n_rows} rows have {n_labels} different labels; at least 2 are needed")]
    Labels {
        /// Rows given.
        n_rows: usize,
        /// Labels among them.
        n_labels: usize,
    },
    /// The rows have more labels than [`LABELS_MAX`].
    #[error("rows have {n_labels} different labels; {LABELS_MAX} are the most")]
    TooManyLabels {
        /// Labels among the rows.
        n_labels: usize,
    },
    /// No n-gram is in enough rows.
    #[error("no n-gram is in {rows_min} of {n_rows} rows")]
    NoFeatures {
        /// What [`Options::rows_min`] asks for.
        rows_min: usize,
        /// Rows given.
        n_rows: usize,
    },
    /// An option is out of its range.
    #[error("{option} is {value}; it must be {range}")]
    Option {
        /// The option's name.
        option: &'static str,
        /// What it was.
        value: String,
        /// What it may be.
        range: &'static str,
    },
    /// The threads could not be started.
    #[error("cannot start {n_threads} threads: {reason}")]
    Threads {
        /// Threads asked for.
        n_threads: usize,
        /// What the system said.
        reason: String,
    },
    /// The bytes aren't a classifier of this version.
    #[error("not a classifier: at byte {offset}, {reason}")]
    Format {
        /// Where.
        offset: usize,
        /// What is wrong there.
        reason: &'static str,
    },
}

#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;
