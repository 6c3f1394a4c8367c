//! Why sources cannot be read.

use std::io;
use std::path::PathBuf;

use polder_base::{Advice, ExitKind};
use thiserror::Error;

/// Why sources cannot be read.
#[derive(Debug, Error)]
pub enum IngestError {
    /// There is no such file or folder, or nothing fits the pattern.
    #[error("there is no file or folder `{source_name}`")]
    Absent {
        /// What was asked for.
        source_name: String,
    },
    /// It is neither a file nor a folder nor an address that can be read.
    #[error("only files, folders, http(s) addresses, object stores and databases can be read, not `{source_name}`")]
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
        /// How many for which reason, and the first of them in full.
        reasons: String,
        /// The reason of the first.
        first: &'static str,
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
    /// An object store does not list what it holds.
    #[error("cannot list `{address}`: {reason}")]
    Store {
        /// Where.
        address: String,
        /// Why.
        reason: String,
    },
    /// An address of a database is wrong.
    #[error("`{address}` is no address of a database: {reason}")]
    DatabaseAddress {
        /// What was asked for, without user name and password.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A database gives no rows, or not such as were asked for.
    #[error("cannot read `{address}`: {detail}")]
    Database {
        /// Where, without user name and password.
        address: String,
        /// Why, in one word.
        reason: &'static str,
        /// Why, in full.
        detail: String,
    },
    /// It is not said which table of a database is meant.
    #[error("{problem} of `{address}`; its tables are {tables}")]
    NoTable {
        /// Where, without user name and password.
        address: String,
        /// What is wrong.
        problem: String,
        /// What there is.
        tables: String,
    },
    /// A query cannot be used.
    #[error("the query cannot be used: {reason}")]
    Query {
        /// What is wrong with it.
        reason: String,
    },
    /// A schema mapping cannot be used.
    #[error("the mapping cannot be used: {reason}")]
    Mapping {
        /// What is wrong with it.
        reason: String,
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
            Self::NoText { first, .. } => match *first {
                "no_text_column" | "no_column" => {
                    "Say which column is the text: --text-column NAME, or a mapping file with `text = \"NAME\"`. Nothing was written."
                }
                "private_address" => "Name --allow-private if you trust what answers there. Nothing was written.",
                "unreachable" | "unreadable" => "Check the address or the path, and that you may read it. Nothing was written.",
                "too_large" => "Larger documents are taken with --max-file MB. Nothing was written.",
                _ => "A document is text without NUL bytes and not larger than --max-file. Nothing was written.",
            }
            .into(),
            Self::Store { .. } => "Check the address, and the credentials that the environment gives, such as AWS_ACCESS_KEY_ID.".into(),
            Self::DatabaseAddress { .. } => {
                "Write postgres://USER@HOST:5432/DATABASE?table=SCHEMA.NAME, mysql://USER@HOST/DATABASE?table=NAME or sqlite:FILE?table=NAME."
                    .into()
            }
            Self::Database { reason, .. } => match *reason {
                "unreachable" => "Check host, database, user and sslmode; passwords come from PGPASSWORD, ~/.pgpass, MYSQL_PWD or the address.",
                "no_text_column" | "no_column" | "wrong_type" => {
                    "Say which column is the text: --text-column NAME; or ask for it: --query \"SELECT id, body AS text FROM …\". Nothing was written."
                }
                _ => "Check the table, or the statement, and that you may read it. Nothing was written.",
            }
            .into(),
            Self::NoTable { .. } => "Name one with ?table=NAME at the end of the address, in quotes for the shell, or ask with --query.".into(),
            Self::Query { .. } => "--query takes one SELECT, and sources that are databases: --query \"SELECT id, body AS text FROM …\".".into(),
            Self::List { .. } => "Check that you may read that folder.".into(),
            Self::Mapping { .. } => "A mapping is TOML such as `text = \"body\"`, `id = \"doc\"`, `keep = [\"lang\", \"score\"]`.".into(),
        })
    }
    fn exit(&self) -> ExitKind {
        match self {
            Self::List { .. } | Self::Store { .. } | Self::Database { reason: "unreachable", .. } => ExitKind::Failed,
            _ => ExitKind::Usage,
        }
    }
}
