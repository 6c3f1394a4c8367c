//! OPTIMIZE, VACUUM, RESTORE, and what DESCRIBE DETAIL tells.

use std::sync::Arc;

use chrono::Duration;
use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{Field, Schema};
use datafusion::error::DataFusionError;
use deltalake::delta_datafusion::SessionFallbackPolicy;
use deltalake::operations::optimize::OptimizeType;
use deltalake::operations::vacuum::VacuumMode;
use polder_base::TableName;

use super::super::own::Own;
use super::{Done, Run};
use crate::tables::State;
use crate::{Lake, LakeError, Snapshot, ops, tags, write};

/// What has left a table stays readable for so long, unless a statement says otherwise; what a tag names stays in any case.
const RETAIN_HOURS: u64 = 168;
/// Files that no version knows may be those of a write that is under way.
const FULL_RETAIN_HOURS_MIN: u64 = 24;

/// Runs a statement of the lake's own that writes.
pub(in super::super) async fn run(run: &Run<'_>, own: Own) -> Result<Done, LakeError> {
    match own {
        Own::CreateTag { table, tag, version, is_materialized, comment } => {
            let (lake, by) = (run.lake, run.by);
            let made = lake.tag(&table, &tag, version, &comment, &by.actor, by.at).await?;
            if is_materialized {
                lake.materialize_tag(&table, &tag, by).await?;
            }
            Ok(Done::new("CREATE TAG", &table, Some(made.version)).with("n_rows", made.n_rows))
        }
        Own::DropTag { table, tag, reason } => {
            let dropped = run.lake.drop_tag(&table, &tag, &reason, run.by).await?;
            Ok(Done::new("DROP TAG", &table, Some(dropped.version)))
        }
        Own::Restore(table, state) => restore(run, &table, &state).await,
        Own::Optimize(table, columns) => optimize(run, &table, columns).await,
        Own::Vacuum { table, retain_hours, is_full, is_dry_run } => vacuum(run, &table, retain_hours, is_full, is_dry_run).await,
        _ => Err(LakeError::statement(DataFusionError::Internal("a statement that reads was taken for one that writes".into()))),
    }
}

fn not_a_book(table: &TableName) -> Result<(), LakeError> {
    if table.schema == ops::SCHEMA { Err(LakeError::OpsWrite { table: table.to_string() }) } else { Ok(()) }
}

async fn restore(run: &Run<'_>, table: &TableName, state: &State) -> Result<Done, LakeError> {
    not_a_book(table)?;
    let opened = run.open(table).await?;
    if let State::At(polder_base::At::Tag(tag)) = state
        && tags::active(&run.lake.tables, table, tag).await?.copy.is_some()
    {
        // Its version is not what it reads: after an erasure it may even hold what had to go.
        let what = format!("`{tag}` is read from a copy, which is no version of `{table}`: write INSERT OVERWRITE from a query over it");
        return Err(LakeError::statement(DataFusionError::Plan(what)));
    }
    let then = run.lake.known.open(table, state).await?;
    let version = then.version().unwrap_or_default();
    if opened.version() == Some(version) {
        return Ok(Done::new("RESTORE", table, Some(version)));
    }
    let restore = opened.restore().with_version_to_restore(version).with_commit_properties(run.commit().with_max_retries(0));
    let (after, metrics) = restore.await.map_err(write::failed("restore", table))?;
    Ok(Done::new("RESTORE", table, after.version())
        .with("n_files_restored", metrics.num_restored_file as u64)
        .with("n_files_removed", metrics.num_removed_file as u64))
}

async fn optimize(run: &Run<'_>, table: &TableName, columns: Vec<String>) -> Result<Done, LakeError> {
    let opened = run.open(table).await?;
    let schema = opened.snapshot().map_err(LakeError::delta("read the snapshot of", table))?.schema();
    if let Some(missing) = columns.iter().find(|c| schema.field(c).is_none()) {
        let near = crate::near::misses(missing, schema.fields().map(|f| f.name().clone()));
        let what = format!("`{table}` has no column `{missing}`{}", crate::near::or(&near));
        return Err(LakeError::statement(DataFusionError::Plan(what)));
    }
    let kind = if columns.is_empty() { OptimizeType::Compact } else { OptimizeType::ZOrder(columns) };
    let optimize = opened
        .optimize()
        .with_type(kind)
        .with_writer_properties(write::parquet())
        .with_session_state(run.state())
        .with_session_fallback_policy(SessionFallbackPolicy::RequireSessionState)
        .with_commit_properties(run.commit());
    let (after, metrics) = optimize.await.map_err(write::failed("optimize", table))?;
    Ok(Done::new("OPTIMIZE", table, after.version())
        .with("n_files_added", metrics.num_files_added)
        .with("n_files_removed", metrics.num_files_removed))
}

async fn vacuum(run: &Run<'_>, table: &TableName, retain_hours: Option<u64>, is_full: bool, is_dry_run: bool) -> Result<Done, LakeError> {
    let hours = retain_hours.unwrap_or(RETAIN_HOURS);
    if is_full && hours < FULL_RETAIN_HOURS_MIN {
        let what = format!(
            "VACUUM … FULL removes files that no version knows, those of a write under way too: RETAIN {FULL_RETAIN_HOURS_MIN} HOURS at least"
        );
        return Err(LakeError::statement(DataFusionError::Plan(what)));
    }
    let opened = run.open(table).await?;
    let tagged: Vec<u64> = run.lake.tags(Some(table)).await?.iter().filter(|t| t.needs_version()).map(|t| t.version).collect();
    let mut vacuum = opened
        .vacuum()
        .with_mode(if is_full { VacuumMode::Full } else { VacuumMode::Lite })
        .with_retention_period(Duration::hours(i64::try_from(hours).unwrap_or(i64::MAX / 4_000_000)))
        // Tables ask other writers to keep files for a century; what is kept here is what tags name.
        .with_enforce_retention_duration(false)
        .with_dry_run(is_dry_run)
        .with_commit_properties(run.commit());
    if !tagged.is_empty() {
        vacuum = vacuum.with_keep_versions(&tagged);
    }
    let (after, metrics) = vacuum.await.map_err(write::failed("vacuum", table))?;
    let name = if is_dry_run { "n_files_to_delete" } else { "n_files_deleted" };
    Ok(Done::new("VACUUM", table, after.version()).with(name, metrics.files_deleted.len() as u64))
}

/// One row about a table: `DESCRIBE DETAIL`.
pub(in super::super) async fn detail(lake: &Lake, table: &TableName) -> Result<RecordBatch, LakeError> {
    let opened = lake.known.open(table, &State::At(polder_base::At::Latest)).await?;
    let snapshot = Snapshot::of(&opened, table).await?;
    let state = opened.snapshot().map_err(LakeError::delta("read the snapshot of", table))?;
    let (metadata, protocol) = (state.metadata(), state.protocol());
    let mut features: Vec<String> = protocol.writer_features().unwrap_or_default().iter().map(ToString::to_string).collect();
    features.extend(protocol.reader_features().unwrap_or_default().iter().map(ToString::to_string));
    features.sort();
    features.dedup();
    let properties: std::collections::BTreeMap<_, _> = metadata.configuration().iter().collect();
    let n_files = state.log_data().iter().count() as u64;
    let number = |n: u64| -> ArrayRef { Arc::new(Int64Array::from(vec![i64::try_from(n).unwrap_or(i64::MAX)])) };
    let text = |t: String| -> ArrayRef { Arc::new(StringArray::from(vec![t])) };
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("name", text(table.to_string())),
        ("location", text(opened.table_url().to_string())),
        ("version", number(snapshot.version)),
        ("n_rows", number(snapshot.n_rows)),
        ("n_files", number(n_files)),
        ("bytes", number(snapshot.bytes)),
        ("partition_columns", text(metadata.partition_columns().join(", "))),
        ("min_reader_version", number(protocol.min_reader_version().max(0) as u64)),
        ("min_writer_version", number(protocol.min_writer_version().max(0) as u64)),
        ("features", text(features.join(", "))),
        ("properties", text(serde_json::to_string(&properties).unwrap_or_default())),
        ("files_digest", text(snapshot.files_digest.to_string())),
        ("schema_digest", text(snapshot.schema_digest.to_string())),
    ];
    let fields: Vec<Field> = columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.into_iter().map(|c| c.1).collect())
        .map_err(|source| LakeError::Arrow { step: "describe a table", source })
}
