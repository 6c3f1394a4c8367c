//! What an evaluation came to, and how it is written down.

use std::fs;
use std::path::Path;

use polder_base::{Digest, Input, Timestamp, write_whole};
use serde::{Deserialize, Serialize};

use crate::error::EvalError;
use crate::evaluate::Item;
use crate::interval::Estimate;

/// One figure of one group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Score {
    /// What was counted together; `all` for everything.
    pub group: String,
    /// `bits_per_byte`, `accuracy` (by probability), `accuracy_per_byte` (by probability a byte); each without
    /// contaminated items, which have figures of their own whose names end in `_contaminated`.
    pub metric: String,
    /// The figure; items found in the training data are left out.
    pub estimate: Estimate,
    /// Items of this group and kind that were found in the training data.
    pub n_contaminated: u64,
}

/// All figures of a model over a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scores {
    /// The model, with the digest of its content.
    pub model: Input,
    /// The requests, with the digest of their content.
    pub requests: Input,
    /// Digest of the model's tokenizer.
    pub tokenizer_digest: Digest,
    /// When.
    pub at: Timestamp,
    /// By group, `all` first, then in order of name.
    pub scores: Vec<Score>,
}

/// Figures with what each item gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// By group, `all` first, then in order of name.
    pub scores: Vec<Score>,
    /// In order of the requests.
    pub items: Vec<Item>,
}

impl Scores {
    /// The file's name.
    pub const FILE: &'static str = "scores.json";

    /// Finds a figure.
    pub fn get(&self, group: &str, metric: &str) -> Option<&Estimate> {
        self.scores.iter().find(|s| s.group == group && s.metric == metric).map(|s| &s.estimate)
    }

    /// Writes the figures into a folder, whole.
    ///
    /// # Errors
    /// Those of writing a file whole.
    pub fn write(&self, folder: &Path) -> Result<(), EvalError> {
        // Figures are finite numbers and texts, which always serialise.
        let mut text = serde_json::to_vec_pretty(self).unwrap_or_default();
        text.push(b'\n');
        Ok(write_whole(&folder.join(Self::FILE), &text)?)
    }

    /// Reads a folder's figures.
    ///
    /// # Errors
    /// The file cannot be read or is not what it should be.
    pub fn read(folder: &Path) -> Result<Self, EvalError> {
        let path = folder.join(Self::FILE);
        let text = fs::read(&path).map_err(|source| EvalError::Read { path: path.clone(), source })?;
        serde_json::from_slice(&text).map_err(|source| EvalError::Parse { path, line: source.line(), source })
    }
}

impl Evaluation {
    /// Writes what each item gave as JSON lines, for comparing two models item by item.
    ///
    /// # Errors
    /// Those of writing a file whole.
    pub fn write_items(&self, path: &Path) -> Result<(), EvalError> {
        let mut text = Vec::new();
        for item in &self.items {
            text.extend(serde_json::to_vec(item).unwrap_or_default());
            text.push(b'\n');
        }
        Ok(write_whole(path, &text)?)
    }
}
