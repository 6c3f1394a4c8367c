//! Why files cannot be brought in.

use std::io;
use std::path::PathBuf;

use polder_base::{Advice, ExitKind};
use thiserror::Error;

/// Why files cannot be brought in.
#[derive(Debug, Error)]
pub enum IngestError {
    /// There is no such file or folder, or nothing fits the pattern.
    #[error("there is no file or folder `{source_name}`")]
    Absent {
        /// What was asked for.
        source_name: String,
    },
    /// It is neither a file nor a folder.
    #[error("only files and folders can be read, not `{source_name}`")]
    Unsupported {
        /// What was asked for, without user name and password.
        source_name: String,
    },
    /// The sources hold no file.
    #[error("there are no files in {sources}")]
    Empty {
        /// What was asked for.
        sources: String,
    },
    /// The sources hold no text.
    #[error("there is no readable text in {sources}: of {files} files, {reasons}")]
    NoText {
        /// What was asked for.
        sources: String,
        /// Files read.
        files: u64,
        /// How many for which reason.
        reasons: String,
    },
    /// A folder cannot be listed.
    #[error("cannot list `{path}`")]
    List {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file is not what it was when it was judged.
    #[error("`{path}` changed while it was being read")]
    Changed {
        /// The file.
        path: PathBuf,
    },
}

impl Advice for IngestError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Absent { .. } => {
                "Check the spelling; a relative path starts at the folder you are in, and patterns need quotes in a shell.".into()
            }
            Self::Unsupported { .. } => "Fetch it into a folder first, then run `polder ingest FOLDER --into raw.docs`.".into(),
            Self::Empty { .. } => {
                "Hidden files and links are left out. Name a folder with files, such as `polder ingest docs --into raw.docs`.".into()
            }
            Self::NoText { .. } => "Text is UTF-8 without NUL bytes and not larger than --max-file. Nothing was written.".into(),
            Self::Changed { .. } => "Run the same command again when nothing writes to that folder; it adds what is missing.".into(),
            Self::List { .. } => "Check that you may read that folder.".into(),
        })
    }
    fn exit(&self) -> ExitKind {
        match self {
            Self::Changed { .. } | Self::List { .. } => ExitKind::Failed,
            _ => ExitKind::Usage,
        }
    }
}
