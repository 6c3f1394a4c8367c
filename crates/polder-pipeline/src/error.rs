//! What can go wrong between SQL files and what they make.

use std::io;
use std::path::PathBuf;

use polder_base::{Advice, ExitKind, ManifestError, WholeError};
use polder_lake::LakeError;
use thiserror::Error;

/// Why a pipeline could not be read, planned or applied.
#[derive(Debug, Error)]
pub enum PipelineError {
    /// A line of front matter cannot be read.
    #[error("`{path}`, line {line}: {message}")]
    FrontMatter {
        /// The SQL file.
        path: String,
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// The text is not one SQL query.
    #[error("`{path}` is not one SQL query: {message}")]
    Sql {
        /// The SQL file.
        path: String,
        /// The parser's words, with line and column.
        message: String,
    },
    /// The SQL cannot be run.
    #[error("`{path}` failed")]
    Step {
        /// The SQL file.
        path: String,
        /// Why.
        #[source]
        source: Box<LakeError>,
    },
    /// Two files make one table, or files read each other in a circle.
    #[error("{message}")]
    Graph {
        /// What is wrong, naming the files.
        message: String,
    },
    /// A table is read that no file makes and the lake does not hold.
    #[error("`{path}` reads `{table}`, which no SQL file makes and the lake does not hold")]
    NoInput {
        /// The SQL file.
        path: String,
        /// The table.
        table: String,
    },
    /// The folder of SQL files cannot be read.
    #[error("cannot read `{path}`")]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The lake said no.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// A stream of rows broke off.
    #[error("cannot run the query")]
    Rows(#[from] datafusion::error::DataFusionError),
    /// A column is missing or of another type.
    #[error("{what} needs a column `{column}` of type {expected}")]
    Column {
        /// The output that was to be made.
        what: String,
        /// The column.
        column: String,
        /// Its type.
        expected: &'static str,
    },
    /// Nothing to work on.
    #[error("{what} has no rows")]
    Empty {
        /// The table or query.
        what: String,
    },
    /// A row that cannot be named.
    #[error("{what} has a row whose doc_id is NULL")]
    NoDocId {
        /// The table.
        what: String,
    },
    /// Two rows with one name.
    #[error("{what} has more than one row with doc_id `{doc_id}`")]
    SameDocId {
        /// The table.
        what: String,
        /// The id.
        doc_id: String,
    },
    /// What memory does not hold cannot be kept on disk.
    #[error("cannot sort on disk in `{folder}`")]
    Spill {
        /// Where.
        folder: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A condition on rows cannot be understood.
    #[error("the condition `{condition}` cannot be used")]
    Condition {
        /// Its text.
        condition: String,
        /// Why.
        #[source]
        source: datafusion::error::DataFusionError,
    },
    /// The tokenizer has no such special token.
    #[error("tokenizers/{tokenizer} has no special token `{token}`")]
    NoToken {
        /// The tokenizer's name.
        tokenizer: String,
        /// What was asked for.
        token: String,
        /// The special tokens it has.
        known: Vec<String>,
    },
    /// Options that do not go together, or ask for what is not there.
    #[error("{message}")]
    Request {
        /// What is wrong.
        message: String,
        /// What to do.
        hint: String,
    },
    /// Another process works on the same.
    #[error("{what} is being built by another process")]
    Busy {
        /// The artefact.
        what: String,
    },
    /// The user asked to stop.
    #[error("stopped")]
    Stopped,
    /// The tokenizer cannot be trained or read.
    #[error("cannot make or read a tokenizer")]
    Tokenizer(#[from] polder_tokenizer::TokenizerError),
    /// The classifier cannot be trained.
    #[error("cannot train the classifier")]
    Classifier {
        /// Why.
        #[source]
        source: polder_text::classifier::ClassifierError,
    },
    /// A classifier's file is none.
    #[error("cannot read the classifier `{path}`")]
    ClassifierFile {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: polder_text::classifier::ClassifierError,
    },
    /// Shards cannot be written.
    #[error("cannot write token shards")]
    Shard(#[from] polder_shard::ShardError),
    /// A manifest cannot be read or written.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A file cannot be written whole.
    #[error(transparent)]
    Write(#[from] WholeError),
}

impl Advice for PipelineError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::FrontMatter { .. } => {
                Some("Front matter lines look like `-- table: clean.docs_clean`, `-- mode: full`, `-- why: …`; see sql/README.md.".into())
            }
            Self::Sql { .. } | Self::Graph { .. } => {
                Some("Mend the file, then run the same command again; tables made before are untouched.".into())
            }
            Self::Step { source, .. } => {
                let mend = || "Mend the file, then run the same command again; the table still holds its last version.".to_owned();
                source.hint().or_else(|| (!is_from_system(source)).then(mend))
            }
            Self::NoInput { .. } => Some("Bring the data in with `polder ingest DIR`, or correct the table's name.".into()),
            Self::Empty { .. } => Some("Look at what the filters removed with `polder pile card`, or ingest more data.".into()),
            Self::Column { .. } => Some("Name the columns in the query, for example SELECT doc_id, text FROM …".into()),
            Self::NoDocId { .. } => Some("Give every row a doc_id, or leave such rows out with --where \"doc_id IS NOT NULL\".".into()),
            Self::SameDocId { what, doc_id } => {
                let table = what.split('@').next().unwrap_or(what);
                Some(format!(
                    "Look at the rows with `polder sql \"SELECT * FROM {table} WHERE doc_id = '{doc_id}'\"`, and keep one of them."
                ))
            }
            Self::Spill { .. } => Some("Free some space in the lake's folder, or give more memory with --memory.".into()),
            Self::Condition { .. } => Some("A condition is what stands after WHERE, for example --where \"language = 'en'\".".into()),
            Self::NoToken { known, .. } if known.is_empty() => {
                Some("It has none at all: build with --no-eos, or train one with `polder tokenizer train NAME --special TOKEN`.".into())
            }
            Self::NoToken { known, .. } => Some(format!("Name one with --eos or --bos: {}; or build with --no-eos.", known.join(", "))),
            Self::Request { hint, .. } => Some(hint.clone()),
            Self::Busy { .. } => Some("Wait until it is done; or give this set another name.".into()),
            Self::Stopped => Some("Run the same command again to go on where it stopped.".into()),
            Self::Classifier { .. } => {
                Some("The query must give rows with the columns text and label, with at least two different labels.".into())
            }
            Self::ClassifierFile { .. } => Some("Train it again with `polder classifier train`.".into()),
            Self::Lake(e) => e.hint(),
            Self::Tokenizer(e) => e.hint(),
            Self::Shard(e) => e.hint(),
            Self::Manifest(e) => e.hint(),
            Self::Write(e) => e.hint(),
            Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Some("Check the spelling; a folder of SQL files is laid out like sql/ of the sources.".into())
            }
            Self::Read { .. } | Self::Rows(_) => None,
        }
    }

    fn exit(&self) -> ExitKind {
        match self {
            Self::FrontMatter { .. } | Self::Sql { .. } | Self::Graph { .. } | Self::NoInput { .. } | Self::Column { .. } => {
                ExitKind::Usage
            }
            Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => ExitKind::Usage,
            Self::Condition { .. } | Self::NoToken { .. } | Self::Request { .. } | Self::Classifier { .. } => ExitKind::Usage,
            Self::Stopped => ExitKind::Interrupted,
            Self::Step { source, .. } => source.exit(),
            Self::Lake(e) => e.exit(),
            Self::Tokenizer(e) => e.exit(),
            Self::Shard(e) => e.exit(),
            Self::Manifest(e) => e.exit(),
            _ => ExitKind::Failed,
        }
    }
}

/// Whether the operating system refused something: no SQL file is at fault then.
fn is_from_system(error: &LakeError) -> bool {
    let mut cause = Some(error as &(dyn std::error::Error + 'static));
    while let Some(error) = cause {
        if error.is::<io::Error>() {
            return true;
        }
        cause = error.source();
    }
    false
}
