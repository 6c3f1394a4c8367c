//! Why work on a lake fails, and what its user can do about it.

use std::error::Error as StdError;
use std::io;
use std::path::PathBuf;

use datafusion::arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use deltalake::{DeltaTableError, ObjectStoreError};
use polder_base::{Advice, ExitKind, ReferenceError, TableName, Timestamp, WholeError};
use thiserror::Error;

use crate::StoreError;
use crate::ingest::IngestError;

/// Why work on a lake failed.
#[derive(Debug, Error)]
pub enum LakeError {
    /// There is no lake at the path.
    #[error("there is no lake at `{path}`")]
    Absent {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The lake was made by another program version.
    #[error("the lake at `{path}` has format {found}; this program reads format {known}")]
    Format {
        /// The settings file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// Ours.
        known: u32,
    },
    /// `polder.toml` is not what it should be.
    #[error("`{path}` is not the settings file of a lake: {reason}")]
    Settings {
        /// The settings file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file or folder could not be read or made.
    #[error("cannot {step} `{path}`")]
    Io {
        /// What was tried.
        step: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// A file could not be written whole.
    #[error(transparent)]
    Whole(#[from] WholeError),
    /// A text names nothing.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// A reference names something that is not a table.
    #[error("`{reference}` is not a table")]
    NotATable {
        /// What was asked for.
        reference: String,
    },
    /// There is no such table.
    #[error("there is no table `{name}`{}", crate::near::or(near))]
    NoTable {
        /// What was asked for.
        name: String,
        /// Tables whose names are close.
        near: Vec<String>,
    },
    /// The table has no such column.
    #[error("`{name}` has no column `{column}`{}", crate::near::or(near))]
    NoColumn {
        /// The table or one of its states.
        name: String,
        /// What was asked for.
        column: String,
        /// Columns whose names are close.
        near: Vec<String>,
    },
    /// There is no such schema.
    #[error("there is no schema `{name}`; a lake has {}", crate::SCHEMAS.join(", "))]
    NoSchema {
        /// What was asked for.
        name: String,
    },
    /// A version that the log knows, of which files are gone.
    #[error("files of version {version} of `{table}` are gone")]
    NoFiles {
        /// The table.
        table: TableName,
        /// The version.
        version: u64,
    },
    /// The table has no such version.
    #[error("`{table}` has no version {version}; its versions end at {latest}")]
    NoVersion {
        /// The table.
        table: TableName,
        /// What was asked for.
        version: u64,
        /// Its newest version.
        latest: u64,
    },
    /// The table has no such tag.
    #[error("`{table}` has no tag `{tag}`{}", crate::near::or(near))]
    NoTag {
        /// The table.
        table: TableName,
        /// What was asked for.
        tag: String,
        /// Tags whose names are close.
        near: Vec<String>,
    },
    /// No version of the table belongs to the time.
    #[error("`{table}` has no state at {time}: its commits reach from {first} to {last}")]
    NoTime {
        /// The table.
        table: TableName,
        /// What was asked for.
        time: Timestamp,
        /// The first commit that is still known.
        first: Timestamp,
        /// The newest commit.
        last: Timestamp,
    },
    /// A version clause that cannot be honoured.
    #[error("cannot honour the version clause `{clause}`: {reason}")]
    VersionClause {
        /// The clause, as it was written.
        clause: String,
        /// Why not.
        reason: String,
    },
    /// A statement that this front end does not run.
    #[error("{statement} statements are not run here")]
    Unsupported {
        /// Its kind, such as `INSERT`.
        statement: String,
    },
    /// A statement that writes, where only rows are asked for.
    #[error("{statement} statements write, and this only reads")]
    Writes {
        /// Its kind, such as `INSERT`.
        statement: String,
    },
    /// A statement that would write the lake's own books.
    #[error("`{table}` is kept by Polder itself and is never written by SQL")]
    OpsWrite {
        /// The table.
        table: String,
    },
    /// A statement could not be parsed or planned.
    #[error("cannot understand the SQL statement")]
    Statement {
        /// Why.
        #[source]
        source: DataFusionError,
    },
    /// A statement failed while its rows were read.
    #[error("cannot read the statement's rows")]
    Reading {
        /// Why.
        #[source]
        source: DataFusionError,
    },
    /// What a statement holds and cannot put on disk is larger than the memory for queries.
    #[error("the statement needs more memory than queries may hold together: {operator} cannot go on")]
    Memory {
        /// The part of its plan that asked for more.
        operator: String,
    },
    /// A plan failed while it ran.
    #[error("cannot {step} `{table}`")]
    Query {
        /// What was tried.
        step: &'static str,
        /// The table.
        table: TableName,
        /// Why.
        #[source]
        source: Box<DataFusionError>,
    },
    /// The Delta library failed.
    #[error("cannot {step} `{table}`")]
    Delta {
        /// What was tried.
        step: &'static str,
        /// The table.
        table: TableName,
        /// Why.
        #[source]
        source: Box<DeltaTableError>,
    },
    /// A commit of the log cannot be read.
    #[error("commit {version} of `{table}` cannot be read: {reason}")]
    Commit {
        /// The table.
        table: TableName,
        /// The commit.
        version: u64,
        /// What is wrong.
        reason: String,
    },
    /// Another writer came first.
    #[error("`{table}` was changed by another writer while this write was prepared; nothing was written")]
    Conflict {
        /// The table.
        table: TableName,
        /// What the Delta library said.
        #[source]
        source: Box<DeltaTableError>,
    },
    /// A tag names another version already.
    #[error("tag `{tag}` of `{table}` names version {version} already; tags never move")]
    TagTaken {
        /// The table.
        table: TableName,
        /// The tag.
        tag: String,
        /// The version it names.
        version: u64,
    },
    /// A tag that names its version no longer; the name is never used again.
    #[error("tag `{tag}` of `{table}` was {state}: {reason}")]
    TagGone {
        /// The table.
        table: TableName,
        /// The tag.
        tag: String,
        /// What became of it: `dropped` or `retired`.
        state: String,
        /// Why.
        reason: String,
    },
    /// A tag that is dropped without a reason.
    #[error("what takes `{tag}` out of `{table}` needs a reason")]
    NoReason {
        /// The table.
        table: TableName,
        /// The tag.
        tag: String,
    },
    /// A table that tags name cannot be dropped.
    #[error("`{table}` cannot be dropped: {} of its versions {} a name, {}", tags.len(), if tags.len() == 1 { "has" } else { "have" }, tags.join(", "))]
    Tagged {
        /// The table.
        table: TableName,
        /// Its tags.
        tags: Vec<String>,
    },
    /// The name of a new table or view is taken.
    #[error("there is a {what} `{name}` already")]
    NameTaken {
        /// The name.
        name: TableName,
        /// What has it: `table` or `view`.
        what: &'static str,
    },
    /// A table whose features cannot be honoured by a writer.
    #[error("`{table}` is read here and not written: it uses {feature}")]
    Feature {
        /// The table.
        table: TableName,
        /// Which feature.
        feature: String,
    },
    /// Rows break a promise that the table makes.
    #[error("rows for `{table}` break its rules: {reason}; nothing was written")]
    Rule {
        /// The table.
        table: TableName,
        /// Which rule, and by which value.
        reason: String,
    },
    /// A text that cannot be a tag.
    #[error("`{tag}` cannot be a tag")]
    BadTag {
        /// What was asked for.
        tag: String,
    },
    /// Rows do not have the columns of the table.
    #[error("rows for `{table}` do not fit its schema: {reason}")]
    Columns {
        /// The table.
        table: TableName,
        /// Which column, and why.
        reason: String,
    },
    /// Columnar data could not be built or converted.
    #[error("cannot {step}")]
    Arrow {
        /// What was tried.
        step: &'static str,
        /// Why.
        #[source]
        source: ArrowError,
    },
    /// A thread of its own did not come to its end.
    #[error("cannot {step}: {reason}")]
    Task {
        /// What was tried.
        step: &'static str,
        /// Why.
        reason: String,
    },
    /// The store of the tables cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What stands in the store of the tables could not be listed, written or removed.
    #[error("cannot {step} `{what}`")]
    Objects {
        /// What was tried.
        step: &'static str,
        /// On what.
        what: String,
        /// Why it failed.
        #[source]
        source: ObjectStoreError,
    },
    /// A lake whose tables are to stand where they do not.
    #[error("the lake at `{path}` has its tables at `{there}`; they do not move")]
    TablesElsewhere {
        /// The lake.
        path: PathBuf,
        /// Where they stand.
        there: String,
    },
    /// Files could not be brought in.
    #[error(transparent)]
    Ingest(#[from] IngestError),
}

impl LakeError {
    /// Wraps a failure to parse or plan; an error of ours that travelled through the engine comes out again.
    pub(crate) fn statement(source: DataFusionError) -> Self {
        match unwrapped(source) {
            Ok(ours) => ours,
            Err(source) => Self::Statement { source: called(source) },
        }
    }

    /// What failed while an answer's rows were read.
    pub fn reading(source: DataFusionError) -> Self {
        match unwrapped(source) {
            Ok(ours) => ours,
            Err(source) => Self::Reading { source },
        }
    }

    /// Wraps a failure of a plan over a table.
    pub(crate) fn query(step: &'static str, table: &TableName) -> impl FnOnce(DataFusionError) -> Self {
        let table = table.clone();
        move |source| match unwrapped(source) {
            Ok(ours) => ours,
            Err(source) => Self::Query { step, table, source: Box::new(source) },
        }
    }

    /// Wraps a failure of the Delta library.
    pub(crate) fn delta(step: &'static str, table: &TableName) -> impl FnOnce(DeltaTableError) -> Self {
        let table = table.clone();
        move |source| Self::Delta { step, table, source: Box::new(source) }
    }

    pub(crate) fn task(step: &'static str) -> impl FnOnce(tokio::task::JoinError) -> Self {
        move |error| Self::Task { step, reason: error.to_string() }
    }

    /// Sends an error of ours through the engine.
    pub(crate) fn through_engine(self) -> DataFusionError {
        DataFusionError::External(Box::new(self))
    }
}

/// What the store of the tables said, where that is behind an error.
fn store_error(error: &LakeError) -> Option<&StoreError> {
    let mut cause: Option<&(dyn StdError + 'static)> = error.source();
    while let Some(inner) = cause {
        if let Some(found) = inner.downcast_ref::<StoreError>() {
            return Some(found);
        }
        cause = inner.source();
    }
    None
}

/// Where no signature of a function fits a call, the engine asks for a report of its own defect, and says what there is behind that.
fn called(error: DataFusionError) -> DataFusionError {
    let text = error.to_string();
    match text.find("No function matches").filter(|_| text.contains("failed to match any signature")) {
        Some(from) => DataFusionError::Plan(text[from..].to_owned()),
        None => error,
    }
}

fn unwrapped(error: DataFusionError) -> Result<LakeError, DataFusionError> {
    match error.find_root() {
        DataFusionError::ResourcesExhausted(what) => return Ok(LakeError::Memory { operator: operator(what).to_owned() }),
        // A join of every row with every row, where not one batch of its first side fits.
        DataFusionError::Internal(what) if what.contains("no data to spill") => {
            return Ok(LakeError::Memory { operator: "NestedLoopJoin".to_owned() });
        }
        _ => {}
    }
    match error {
        DataFusionError::External(inner) => inner.downcast::<LakeError>().map(|e| *e).map_err(DataFusionError::External),
        DataFusionError::Context(text, inner) => unwrapped(*inner).map_err(|e| DataFusionError::Context(text, Box::new(e))),
        DataFusionError::Diagnostic(what, inner) => unwrapped(*inner).map_err(|e| DataFusionError::Diagnostic(what, Box::new(e))),
        other => Err(other),
    }
}

/// The operator that memory ended for, by the engine's text, `Failed to allocate additional 1.2 MB for HashJoinInput[0] with …`, or by
/// that of our own pool, `HashJoinInput[0] holds …`.
fn operator(text: &str) -> &str {
    let named = match text.split_once(" holds ") {
        Some((name, _)) => name.rsplit(' ').next().unwrap_or(name),
        None => text.split(" for ").nth(1).unwrap_or(text),
    };
    named.split(['[', ' ']).next().unwrap_or(named)
}

impl Advice for LakeError {
    fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Absent { .. } => "Make one with `polder init`, or name another folder with --lake or POLDER_LAKE.",
            Self::Format { .. } => "Use the program version that made it, or make a new lake with `polder init`.",
            Self::Settings { .. } => "Mend the file, or make a new lake with `polder init` and run the work again.",
            Self::Whole(e) => return e.hint(),
            Self::Store(e) => return e.hint(),
            Self::TablesElsewhere { .. } => "Make another lake, with another --lake, or leave --tables out.",
            Self::Reference(e) => return e.hint(),
            Self::Ingest(e) => return e.hint(),
            Self::NotATable { .. } | Self::NoTable { .. } | Self::NoSchema { .. } => "See which tables there are with `polder table list`.",
            Self::NoColumn { name, .. } => return Some(format!("See its columns with `polder table show {name}`.")),
            Self::NoFiles { .. } => "VACUUM removes what no version within its hours and no tag names; a tag made in time keeps it.",
            Self::NoVersion { table, .. } | Self::NoTime { table, .. } => {
                return Some(format!("See its versions with `polder table history {table}`."));
            }
            Self::NoTag { table, .. } => return Some(format!("See its tags with `polder sql \"SHOW TAGS IN {table}\"`.")),
            Self::VersionClause { .. } => {
                "Write VERSION AS OF 3, VERSION AS OF 'tag' or TIMESTAMP AS OF '2026-01-31T12:00:00Z' after a table's name."
            }
            Self::Unsupported { .. } => "See `polder sql --help` for the statements there are.",
            Self::Writes { .. } => "Run it with `polder sql \"…\"`; SQL files of a pipeline hold one query each.",
            Self::OpsWrite { .. } => "Read it with SELECT; every command appends to it what it did.",
            Self::Statement { .. } => {
                "See a table's columns with `polder table show TABLE`, and the functions with `polder sql \"SHOW FUNCTIONS\"`."
            }
            Self::Memory { .. } => {
                "Give it more with --memory, such as --memory 8GB, or ask for less at a time: fewer columns, fewer groups, a WHERE."
            }
            Self::Conflict { .. } => "Run the same command again; it starts from the newest version.",
            Self::TagTaken { .. } => "Choose another name, such as the next number, with `polder pile tag`.",
            Self::TagGone { table, .. } => return Some(format!("See its tags with `polder sql \"SHOW TAGS IN {table}\"`.")),
            Self::NoReason { table, tag } => {
                return Some(format!(
                    "Write it: ALTER TABLE {table} DROP TAG {tag} REASON 'why', or polder table purge {table} --reason 'why'."
                ));
            }
            Self::Tagged { table, tags } => {
                let tag = tags.first().map_or("v1", String::as_str);
                return Some(format!(
                    "Drop them first, each with its reason: polder sql \"ALTER TABLE {table} DROP TAG {tag} REASON 'why'\"."
                ));
            }
            Self::NameTaken { name, what } => {
                return Some(format!(
                    "Choose another name, or look at it with `polder sql \"DESCRIBE {name}\"`; a {what} is replaced by CREATE OR REPLACE."
                ));
            }
            Self::Feature { .. } => "Write it with the program that made it, or make a table of your own from a query over it.",
            Self::Rule { table, .. } => return Some(format!("See its rules with `polder sql \"DESCRIBE DETAIL {table}\"`.")),
            Self::BadTag { .. } => "A tag has letters, digits, `_`, `-` and `.`, and is not a number, such as v1.",
            Self::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                "The disk is full. Free some space and run the same command again; nothing was lost."
            }
            _ => return store_error(self).and_then(Advice::hint),
        };
        Some(text.to_owned())
    }

    fn exit(&self) -> ExitKind {
        match self {
            Self::Absent { .. }
            | Self::Reference(_)
            | Self::NotATable { .. }
            | Self::NoTable { .. }
            | Self::NoSchema { .. }
            | Self::NoColumn { .. }
            | Self::NoVersion { .. }
            | Self::NoTag { .. }
            | Self::NoTime { .. }
            | Self::VersionClause { .. }
            | Self::Unsupported { .. }
            | Self::Writes { .. }
            | Self::OpsWrite { .. }
            | Self::Statement { .. }
            | Self::TagTaken { .. }
            | Self::TagGone { .. }
            | Self::NoReason { .. }
            | Self::Tagged { .. }
            | Self::NameTaken { .. }
            | Self::Feature { .. }
            | Self::Rule { .. }
            | Self::BadTag { .. }
            | Self::TablesElsewhere { .. } => ExitKind::Usage,
            Self::Columns { .. } | Self::Task { .. } => ExitKind::Bug,
            Self::Ingest(e) => e.exit(),
            Self::Whole(e) => e.exit(),
            Self::Store(e) => e.exit(),
            _ => ExitKind::Failed,
        }
    }
}
