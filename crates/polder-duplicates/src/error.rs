//! Why a search for duplicates fails.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why a search for duplicates failed.
#[derive(Debug, Error)]
pub enum DuplicatesError {
    /// An option has a value that means nothing.
    #[error("{option} is {found}: it must be {allowed}")]
    Option {
        /// Its name.
        option: &'static str,
        /// What was given.
        found: String,
        /// What can be given.
        allowed: &'static str,
    },
    /// Two documents have one id, so a row of the result could not say which of them it means.
    #[error("the id `{id}` stands twice; ids tell documents apart")]
    SameId {
        /// The id.
        id: String,
    },
    /// More documents than are counted.
    #[error("there are more than {} documents", u32::MAX)]
    TooMany,
    /// What does not fit into memory could not be written or read back.
    #[error("cannot keep what does not fit into memory below `{folder}`")]
    Spill {
        /// Where.
        folder: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}
