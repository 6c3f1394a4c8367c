//! `documents.jsonl`: which document stands where.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::ShardError;

pub(crate) const DOCUMENTS_FILE: &str = "documents.jsonl";

/// A document's place in a set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenDocument {
    /// `train`, `validation`, …
    pub split: String,
    /// The shard's files without their endings: `train-00000`.
    pub shard: String,
    /// Its number within the shard.
    pub doc_idx: u64,
    /// Its id in the table it came from.
    pub doc_id: String,
    /// Its tokens, the closing one included.
    pub n_tokens: u64,
}

/// Reads a set's documents one at a time, in the order they were written.
///
/// # Errors
/// The file cannot be opened; a line that cannot be read is an error in its turn.
pub fn read_documents(folder: &Path) -> Result<impl Iterator<Item = Result<TokenDocument, ShardError>>, ShardError> {
    let path = folder.join(DOCUMENTS_FILE);
    let file = File::open(&path).map_err(|source| ShardError::Read { path: path.clone(), source })?;
    Ok(BufReader::new(file).lines().enumerate().map(move |(i, line)| {
        let line = line.map_err(|source| ShardError::Read { path: path.clone(), source })?;
        serde_json::from_str(&line)
            .map_err(|e| ShardError::Broken { path: path.clone(), reason: format!("line {} is not a document: {e}", i + 1) })
    }))
}
