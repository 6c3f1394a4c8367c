//! Which steps are done, from what: a small file, written whole after each step.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use polder_base::{Digest, Timestamp, write_whole};
use serde::{Deserialize, Serialize};

use crate::{Outcome, WorkflowError};

/// A step that ended well.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Done {
    /// Digest of what it depended on.
    pub key: Digest,
    /// When it ended.
    pub at: Timestamp,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// What came of it.
    pub outcome: Outcome,
}

/// All steps that ended well, and values fixed once for the workflow.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// By step name.
    pub steps: BTreeMap<String, Done>,
    #[serde(skip)]
    path: PathBuf,
}

impl State {
    /// Reads the state of a workflow's folder; an empty one where there is none.
    ///
    /// # Errors
    /// The file cannot be read or is not a state.
    pub fn open(folder: &Path) -> Result<Self, WorkflowError> {
        let path = folder.join("state.json");
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Self { path, ..Self::default() }),
            Err(source) => return Err(WorkflowError::Write { path, source }),
        };
        let state: Self = serde_json::from_slice(&bytes).map_err(|source| WorkflowError::State { path: path.clone(), source })?;
        Ok(Self { path, ..state })
    }

    /// Writes a step down as done.
    ///
    /// # Errors
    /// Those of writing a file whole.
    pub fn finish(&mut self, step: &str, done: Done) -> Result<(), WorkflowError> {
        self.steps.insert(step.to_owned(), done);
        let text = serde_json::to_vec_pretty(self).map_err(|source| WorkflowError::State { path: self.path.clone(), source })?;
        Ok(write_whole(&self.path, &text)?)
    }
}
