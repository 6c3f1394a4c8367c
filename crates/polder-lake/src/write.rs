//! Writing a table, exactly once where the writer names its transaction.
//!
//! The protocol: open the target's newest snapshot → if its recorded transaction is at or past this one, skip →
//! write with the transaction from that same snapshot → on any error open again and look before giving up,
//! since a commit can land and its aftermath still fail. Overwrites never retry: a stale one must fail.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::dataframe::DataFrame;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{cast, ident};
use deltalake::delta_datafusion::SessionFallbackPolicy;
use deltalake::kernel::Transaction;
use deltalake::kernel::transaction::{CommitProperties, TransactionError};
use deltalake::operations::write::{SchemaMode, WriteBuilder};
use deltalake::parquet::basic::{Compression, ZstdLevel};
use deltalake::parquet::file::properties::WriterProperties;
use deltalake::parquet::schema::types::ColumnPath;
use deltalake::protocol::SaveMode;
use deltalake::{DeltaTable, DeltaTableError};
use polder_base::TableName;
use serde_json::Value;

use crate::tables::SCHEMAS;
use crate::{Lake, LakeError, commits, ops};

/// What happens to the rows that are there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WriteMode {
    /// They stay.
    #[default]
    Append,
    /// They are replaced, with their schema.
    Overwrite,
    /// They are replaced; columns and rules stay.
    Replace,
}

/// How a table is written.
#[derive(Clone, Debug, Default)]
pub struct WriteOptions {
    /// What happens to the rows that are there.
    pub mode: WriteMode,
    /// The application's name and its number: a write whose number is not greater than the recorded one is skipped.
    pub transaction: Option<(String, i64)>,
    /// What to put into the commit besides.
    pub metadata: BTreeMap<String, String>,
    /// Columns that split the table into folders; for a new table or an overwrite.
    pub partition_by: Vec<String>,
    /// Table properties of a new table, beside those that every table has.
    pub properties: Vec<(String, String)>,
    /// What a new table says of itself.
    pub comment: Option<String>,
    /// Whether columns that the table lacks are added to it, and those that the rows lack are NULL; for an append.
    pub add_columns: bool,
}

/// What a write did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// The version it made, or, when it was skipped, the newest one.
    pub version: u64,
    /// Rows written.
    pub n_rows: u64,
    /// Whether it was there already.
    pub skipped: bool,
}

/// Row groups of this size let several threads read one file.
const ROW_GROUP_BYTES: usize = 8 << 20;
/// A batch of this many rows of long text stays in the megabytes.
const WRITE_BATCH_ROWS: usize = 1024;

pub(crate) fn parquet() -> WriterProperties {
    WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
        .set_write_batch_size(WRITE_BATCH_ROWS)
        // A dictionary of whole documents is built, found too large and thrown away.
        .set_column_dictionary_enabled(ColumnPath::from("text"), false)
        .build()
}

/// Properties of a new table: it is opened soon, and nothing removes what a tag may name.
pub(crate) fn properties(table: &TableName) -> Vec<(&'static str, Option<&'static str>)> {
    let mut all = vec![
        // Whoever opens a table reads what was committed since: with the library's hundred that takes longer than most statements.
        ("delta.checkpointInterval", Some("25")),
        ("delta.enableExpiredLogCleanup", Some("false")),
        ("delta.logRetentionDuration", Some("interval 36500 days")),
        ("delta.deletedFileRetentionDuration", Some("interval 36500 days")),
    ];
    if table.schema == ops::SCHEMA {
        all.push(("delta.appendOnly", Some("true")));
    }
    all
}

impl Lake {
    /// Writes a query's rows into a table, making the table when it is not there. The rows are streamed.
    ///
    /// # Errors
    /// [`LakeError::Conflict`] when another writer came first (overwrites, and appends that cannot be merged),
    /// and what the plan or the store says.
    pub async fn write(&self, table: &TableName, rows: DataFrame, options: &WriteOptions) -> Result<Written, LakeError> {
        let retries = match options.mode {
            WriteMode::Append => None,
            WriteMode::Overwrite | WriteMode::Replace => Some(0),
        };
        let rows = ops::fit_frame(table, rows)?;
        let before = self.known.newest(table).await?;
        let is_new = before.is_none();
        match self.commit(table, before, rows.clone(), options, retries).await {
            // Another writer has made the table meanwhile: then this is an append like any other.
            Err(LakeError::Conflict { .. }) if is_new && options.mode == WriteMode::Append => {
                let before = self.known.newest(table).await?;
                self.commit(table, before, rows, options, retries).await
            }
            other => other,
        }
    }

    /// Appends rows that are in memory.
    ///
    /// # Errors
    /// Those of [`Lake::write`]; rows for an `ops` table must have its columns.
    pub async fn append_rows(
        &self,
        table: &TableName,
        rows: RecordBatch,
        transaction: Option<(String, i64)>,
    ) -> Result<Written, LakeError> {
        let rows = ops::fit(table, rows)?;
        if rows.num_rows() == 0 {
            let version = self.known.newest(table).await?.and_then(|t| t.version()).unwrap_or_default();
            return Ok(Written { version, n_rows: 0, skipped: true });
        }
        let rows = self.session().read_batch(rows).map_err(LakeError::query("read rows for", table))?;
        self.write(table, rows, &WriteOptions { transaction, ..WriteOptions::default() }).await
    }

    /// The protocol itself, from a snapshot that the caller has judged. `retries`: `None` for the library's own.
    pub(crate) async fn commit(
        &self,
        table: &TableName,
        before: Option<DeltaTable>,
        rows: DataFrame,
        options: &WriteOptions,
        retries: Option<usize>,
    ) -> Result<Written, LakeError> {
        if !SCHEMAS.contains(&table.schema.as_str()) {
            return Err(LakeError::NoSchema { name: table.schema.clone() });
        }
        if let Some(opened) = &before
            && let Some(skipped) = recorded(opened, table, options).await?
        {
            return Ok(skipped);
        }
        let handle = match &before {
            Some(opened) => opened.clone(),
            None => self.tables.handle(table)?,
        };
        let mut commit = CommitProperties::default()
            .with_metadata(options.metadata.iter().map(|(k, v)| (k.clone(), Value::from(v.as_str()))))
            .with_cleanup_expired_logs(Some(false));
        if let Some((app, number)) = &options.transaction {
            commit = commit.with_application_transaction(Transaction::new(app, *number));
        }
        // Two writers that make the same table: one of them made it, and the other must look again.
        if let Some(n) = if before.is_none() { Some(0) } else { retries } {
            commit = commit.with_max_retries(n);
        }
        let (state, plan) = signed(rows).map_err(LakeError::query("write", table))?.into_parts();
        let snapshot = match &before {
            Some(opened) => Some(opened.snapshot().map_err(LakeError::delta("read the snapshot of", table))?.snapshot().clone()),
            None => None,
        };
        let mut builder = WriteBuilder::new(handle.log_store(), snapshot)
            .with_input_plan(plan)
            .with_session_state(Arc::new(state))
            .with_session_fallback_policy(SessionFallbackPolicy::RequireSessionState)
            .with_save_mode(SaveMode::Append)
            .with_writer_properties(parquet())
            .with_write_batch_size(WRITE_BATCH_ROWS)
            .with_configuration(
                properties(table)
                    .into_iter()
                    .map(|(key, value)| (key.to_owned(), value.map(str::to_owned)))
                    .chain(options.properties.iter().map(|(key, value)| (key.clone(), Some(value.clone())))),
            )
            .with_commit_properties(commit);
        if (table.schema == ops::SCHEMA || options.add_columns) && before.is_some() {
            // A book that an earlier program began gets the columns that have come since.
            builder = builder.with_schema_mode(SchemaMode::Merge);
        }
        match options.mode {
            WriteMode::Overwrite if before.is_some() => {
                builder = builder.with_save_mode(SaveMode::Overwrite).with_schema_mode(SchemaMode::Overwrite);
            }
            WriteMode::Replace if before.is_some() => builder = builder.with_save_mode(SaveMode::Overwrite),
            _ => {}
        }
        if let Some(comment) = &options.comment {
            builder = builder.with_description(comment);
        }
        if !options.partition_by.is_empty() {
            builder = builder.with_partition_columns(options.partition_by.clone());
        }
        match builder.await {
            Ok(written) => {
                self.known.keep(table, &written).await;
                let version = written.version().unwrap_or_default();
                let n_rows = commits::read(&written, table, version).await?.and_then(|c| c.n_rows_added).unwrap_or_default();
                Ok(Written { version, n_rows, skipped: false })
            }
            Err(error) => self.landed(table, error, options).await,
        }
    }

    /// Looks whether a write that failed has landed all the same, or another writer made the same one.
    async fn landed(&self, table: &TableName, error: DeltaTableError, options: &WriteOptions) -> Result<Written, LakeError> {
        if options.transaction.is_some()
            && let Some(opened) = self.known.newest(table).await?
            && let Some(skipped) = recorded(&opened, table, options).await?
        {
            return Ok(skipped);
        }
        Err(failed("write", table)(error))
    }
}

/// Delta has no unsigned numbers: they become signed ones in which all of them fit. Of those with 64 bits, the largest are an error.
fn signed(rows: DataFrame) -> Result<DataFrame, DataFusionError> {
    let wider = |kind: &DataType| match kind {
        DataType::UInt8 => Some(DataType::Int16),
        DataType::UInt16 => Some(DataType::Int32),
        DataType::UInt32 | DataType::UInt64 => Some(DataType::Int64),
        _ => None,
    };
    let fields = rows.schema().fields().clone();
    if fields.iter().all(|field| wider(field.data_type()).is_none()) {
        return Ok(rows);
    }
    let column = |field: &Field| match wider(field.data_type()) {
        Some(kind) => cast(ident(field.name()), kind).alias(field.name()),
        None => ident(field.name()),
    };
    rows.select(fields.iter().map(|field| column(field)).collect::<Vec<_>>())
}

/// Says why a builder of the Delta library failed.
pub(crate) fn failed(step: &'static str, table: &TableName) -> impl FnOnce(DeltaTableError) -> LakeError {
    let table = table.clone();
    move |error| match error {
        e if let Some(reason) = broken_rule(&e) => LakeError::Rule { table, reason },
        DeltaTableError::Transaction { source: TransactionError::UnsupportedTableFeatures(features) } => {
            LakeError::Feature { table, feature: features.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ") }
        }
        e if is_conflict(&e) => LakeError::Conflict { table, source: Box::new(e) },
        DeltaTableError::GenericError { source } => match source.downcast::<datafusion::error::DataFusionError>() {
            Ok(e) => LakeError::query(step, &table)(*e),
            Err(source) => LakeError::delta(step, &table)(DeltaTableError::GenericError { source }),
        },
        e => LakeError::delta(step, &table)(e),
    }
}

/// What a recorded transaction says: `Some` when this write, or a later one of the same application, is in the table.
async fn recorded(opened: &DeltaTable, table: &TableName, options: &WriteOptions) -> Result<Option<Written>, LakeError> {
    let Some((app, number)) = &options.transaction else { return Ok(None) };
    let state = opened.snapshot().map_err(LakeError::delta("read the snapshot of", table))?;
    let found =
        state.transaction_version(opened.log_store().as_ref(), app).await.map_err(LakeError::delta("read the transactions of", table))?;
    if found.is_none_or(|found| found < *number) {
        return Ok(None);
    }
    Ok(Some(Written { version: state.version(), n_rows: 0, skipped: true }))
}

/// What rows that break a table's rule did, if that is what an error says. The library says it in text alone.
fn broken_rule(error: &DeltaTableError) -> Option<String> {
    const ROWS: &str = "failed validation check";
    const CAST: &str = "Cast error: ";
    let text = error.to_string();
    if let Some(at) = text.find(CAST) {
        return Some(format!("a value does not fit its column: {}", &text[at + CAST.len()..]));
    }
    if text.contains("declared as non-nullable but contains null values") {
        return Some("NULL stands where a column is NOT NULL".into());
    }
    // Before it stands how many, behind it a preview of the rows.
    let (before, _) = text.split_once(ROWS)?;
    let n = before.trim_end_matches(" rows ").rsplit(' ').next().unwrap_or_default();
    Some(format!("{n} of them fail a CHECK, NOT NULL or generated column"))
}

fn is_conflict(error: &DeltaTableError) -> bool {
    match error {
        DeltaTableError::VersionAlreadyExists(_) => true,
        DeltaTableError::Transaction { source } => {
            matches!(source, TransactionError::CommitConflict(_) | TransactionError::MaxCommitAttempts(_))
        }
        _ => false,
    }
}
