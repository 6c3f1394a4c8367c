//! Which tables are stale, and bringing them up to date, each at the versions it was planned with.
//!
//! What a table was made from stands in its own commit: the plan's digest, the input versions, the counts.
//! So there is no second record that could disagree with the table, and a fact can be told again from it.

use std::collections::BTreeMap;

use polder_base::{At, Digest, Event, Hasher, Input, Reference, TableName, Timestamp, digest_bytes};
use polder_lake::{Commit, Lake, Snapshot, WriteMode, WriteOptions};
use serde::{Deserialize, Serialize};

use crate::removed::{append_removed, count_removed};
use crate::{Pipeline, PipelineError, SqlFile};

/// Keys of the record in a table's commit.
const RECORD: &str = "polder.record";

/// Who applies, as part of which run.
#[derive(Clone, Debug)]
pub struct ApplyContext {
    /// `user@host`.
    pub actor: String,
    /// The run that facts name.
    pub run_id: String,
}

/// Why a table is or isn't brought up to date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepState {
    /// Nothing that it depends on has changed.
    UpToDate,
    /// The table does not exist.
    Absent,
    /// The query or a parameter has changed.
    QueryChanged,
    /// A table it reads has another version.
    InputChanged(TableName),
    /// A table it reads will be made first.
    WaitsFor(TableName),
}

/// A file with what would be done.
#[derive(Clone, Debug)]
pub struct PlannedStep {
    /// The file's path.
    pub path: String,
    /// The table it makes.
    pub table: TableName,
    /// Whether and why it runs.
    pub state: StepState,
    /// The versions it reads, of tables that are there.
    pub inputs: Vec<Snapshot>,
}

/// What was recorded with a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Record {
    path: String,
    why: String,
    sql: String,
    sql_digest: Digest,
    inputs: Vec<Input>,
    removed: BTreeMap<String, u64>,
    actor: String,
    run_id: String,
}

/// A table after [`apply()`].
#[derive(Clone, Debug)]
pub struct Applied {
    /// The file's path.
    pub path: String,
    /// The table.
    pub table: TableName,
    /// Its version.
    pub version: u64,
    /// Whether it was written by this call.
    pub written: bool,
    /// Its rows.
    pub n_rows: u64,
    /// Rows left out, by reason.
    pub removed: BTreeMap<String, u64>,
    /// The fact, told from the table's commit: the same each time.
    pub event: Event,
}

/// Progress of [`apply()`].
#[derive(Clone, Debug)]
pub enum Progress<'a> {
    /// A step begins: its place, how many there are, and why.
    Begins(usize, usize, &'a PlannedStep),
    /// A step has ended.
    Ended(&'a Applied),
}

fn reference(snapshot: &Snapshot) -> Input {
    Input { reference: Reference::Table(snapshot.table.clone(), At::Version(snapshot.version)), digest: snapshot.files_digest }
}

/// So many commits of upkeep are passed over.
const UPKEEP_MAX: usize = 16;

/// Reads what was recorded with the newest version of a table; upkeep since then has changed no row.
async fn recorded(lake: &Lake, table: &TableName) -> Result<Option<(u64, Timestamp, Record)>, PipelineError> {
    let commits = lake.history(table, Some(UPKEEP_MAX)).await?;
    let is_upkeep = |c: &Commit| c.operation.starts_with("VACUUM") || c.operation == "OPTIMIZE";
    Ok(commits.into_iter().find(|c| !is_upkeep(c)).and_then(|c| {
        let record = serde_json::from_str(c.metadata.get(RECORD)?.as_str()?).ok()?;
        Some((c.version, c.at, record))
    }))
}

async fn inputs(lake: &Lake, file: &SqlFile) -> Result<Vec<Snapshot>, PipelineError> {
    let mut found = Vec::new();
    for table in &file.reads {
        found.extend(lake.snapshot_opt(table).await?);
    }
    Ok(found)
}

async fn state_of(lake: &Lake, file: &SqlFile, inputs: &[Snapshot]) -> Result<StepState, PipelineError> {
    if lake.snapshot_opt(&file.table).await?.is_none() {
        return Ok(StepState::Absent);
    }
    let Some((_, _, record)) = recorded(lake, &file.table).await? else { return Ok(StepState::QueryChanged) };
    if record.sql_digest != file.digest() {
        return Ok(StepState::QueryChanged);
    }
    // A version more of the same files has the same rows.
    let is_known = |now: &Snapshot| {
        record
            .inputs
            .iter()
            .any(|then| then.digest == now.files_digest && matches!(&then.reference, Reference::Table(t, _) if *t == now.table))
    };
    let changed = inputs.iter().find(|now| !is_known(now));
    Ok(changed.map_or(StepState::UpToDate, |s| StepState::InputChanged(s.table.clone())))
}

/// Says for every file whether it would run, and why.
///
/// # Errors
/// A table is missing that no file makes; the lake cannot be read.
pub async fn plan(lake: &Lake, pipeline: &Pipeline) -> Result<Vec<PlannedStep>, PipelineError> {
    let mut steps: Vec<PlannedStep> = Vec::new();
    for file in &pipeline.files {
        let inputs = inputs(lake, file).await?;
        let waits = steps.iter().find(|s| s.state != StepState::UpToDate && file.reads.contains(&s.table));
        let state = match waits {
            Some(step) => StepState::WaitsFor(step.table.clone()),
            None => {
                if let Some(missing) = file.reads.iter().find(|t| !inputs.iter().any(|s| s.table == **t)) {
                    return Err(PipelineError::NoInput { path: file.path.clone(), table: missing.to_string() });
                }
                state_of(lake, file, &inputs).await?
            }
        };
        steps.push(PlannedStep { path: file.path.clone(), table: file.table.clone(), state, inputs });
    }
    Ok(steps)
}

/// Brings every stale table up to date, in order, and returns all of them.
///
/// # Errors
/// Those of planning, and of the first step that fails; tables made before it stay.
pub async fn apply(
    lake: &Lake,
    pipeline: &Pipeline,
    context: &ApplyContext,
    on_progress: &mut (dyn FnMut(Progress<'_>) + Send),
) -> Result<Vec<Applied>, PipelineError> {
    let planned = plan(lake, pipeline).await?;
    let mut all = Vec::new();
    for (i, (file, mut step)) in pipeline.files.iter().zip(planned).enumerate() {
        step.inputs = inputs(lake, file).await?;
        if matches!(step.state, StepState::WaitsFor(_)) {
            step.state = state_of(lake, file, &step.inputs).await?;
        }
        let written = step.state != StepState::UpToDate;
        if written {
            on_progress(Progress::Begins(i, pipeline.files.len(), &step));
            run(lake, file, &step.inputs, context).await?;
        }
        let Some((version, at, record)) = recorded(lake, &file.table).await? else {
            return Err(PipelineError::Graph {
                message: format!("`{}` was changed by another writer while `{}` ran", file.table, file.path),
            });
        };
        let applied = told(lake, file, version, at, record, written).await?;
        if written {
            on_progress(Progress::Ended(&applied));
        }
        all.push(applied);
    }
    Ok(all)
}

/// Runs one file at fixed input versions: first the removed rows, then the table with its record.
async fn run(lake: &Lake, file: &SqlFile, inputs: &[Snapshot], context: &ApplyContext) -> Result<(), PipelineError> {
    let failed = |source| PipelineError::Step { path: file.path.clone(), source: Box::new(source) };
    let versions = inputs.iter().map(|s| (s.table.clone(), s.version)).collect();
    let parameters: Vec<_> = file.front.parameters.iter().map(|p| (p.name.as_str(), p.value.clone())).collect();
    let frame = lake.sql_with(&file.pinned(&versions), &parameters).await.map_err(failed)?;
    // Versions and the query name this work: a second try after a kill finds the removed rows written.
    let mut hasher = Hasher::new();
    hasher.field(file.digest().bytes());
    inputs.iter().for_each(|s| hasher.field(format!("{}@{}", s.table, s.version).as_bytes()));
    let work_id = hasher.finish().hex()[..16].to_owned();
    let mut removed = BTreeMap::new();
    let frame = match &file.front.removes {
        None => frame,
        Some(columns) => {
            append_removed(lake, &file.table, &work_id, &frame, columns).await?;
            removed = count_removed(lake, &file.table, &work_id).await?;
            let kept = frame.filter(datafusion::prelude::col(&columns.0).is_null())?;
            kept.drop_columns(&[columns.0.as_str(), columns.1.as_str()])?
        }
    };
    let record = Record {
        path: file.path.clone(),
        why: file.front.why.clone(),
        sql: file.text.clone(),
        sql_digest: file.digest(),
        inputs: inputs.iter().map(reference).collect(),
        removed,
        actor: context.actor.clone(),
        run_id: context.run_id.clone(),
    };
    let metadata = BTreeMap::from([(RECORD.to_owned(), serde_json::to_string(&record).unwrap_or_default())]);
    let options = WriteOptions { mode: WriteMode::Overwrite, metadata, ..WriteOptions::default() };
    lake.write(&file.table, frame, &options).await.map_err(failed)?;
    Ok(())
}

/// Tells what a table's newest commit says, as a fact.
async fn told(lake: &Lake, file: &SqlFile, version: u64, at: Timestamp, record: Record, written: bool) -> Result<Applied, PipelineError> {
    let subject = Reference::Table(file.table.clone(), At::Version(version));
    let snapshot = lake.snapshot(&subject).await?;
    let details = serde_json::json!({
        "path": record.path,
        "why": record.why,
        "sql_digest": record.sql_digest,
        "text_digest": digest_bytes(record.sql.as_bytes()),
        "sql": record.sql,
        "n_rows": snapshot.n_rows,
        "bytes": snapshot.bytes,
        "removed": record.removed,
    });
    let event = Event::new(at, &record.actor, "make", subject.clone(), &record.run_id)
        .with_inputs(record.inputs)
        .with_outputs(vec![Input { reference: subject, digest: snapshot.files_digest }])
        .with_details(details);
    Ok(Applied {
        path: file.path.clone(),
        table: file.table.clone(),
        version,
        written,
        n_rows: snapshot.n_rows,
        removed: record.removed,
        event,
    })
}
