//! What a table's log says about its commits: who wrote when and what, read from the log's own entries.
//! File times are not asked: a copy of a lake has others.

use std::collections::BTreeMap;

use deltalake::DeltaTable;
use deltalake::logstore::LogStore as _;
use futures::stream::{self, StreamExt as _};
use polder_base::{TableName, Timestamp};
use serde_json::Value;

use crate::LakeError;

/// So many entries of a log are read at a time.
const READS_AT_ONCE: usize = 16;

/// One commit of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Commit {
    /// The version it made.
    pub version: u64,
    /// When, by the writer's clock.
    pub at: Timestamp,
    /// What was done: `WRITE`, `CREATE TABLE`, …
    pub operation: String,
    /// Rows added, where the writer said so.
    pub n_rows_added: Option<u64>,
    /// Files added and removed.
    pub n_files: (u64, u64),
    /// Application transactions it carries.
    pub transactions: Vec<(String, i64)>,
    /// What the writer said besides.
    pub metadata: BTreeMap<String, Value>,
}

/// Reads one commit; `None` where its entry is no longer there.
pub(crate) async fn read(handle: &DeltaTable, table: &TableName, version: u64) -> Result<Option<Commit>, LakeError> {
    let entry = handle.log_store().read_commit_entry(version).await.map_err(LakeError::delta("read the log of", table))?;
    let Some(bytes) = entry else { return Ok(None) };
    let wrong = |reason: String| LakeError::Commit { table: table.clone(), version, reason };
    let mut commit = Commit {
        version,
        at: Timestamp(0),
        operation: String::new(),
        n_rows_added: None,
        n_files: (0, 0),
        transactions: Vec::new(),
        metadata: BTreeMap::new(),
    };
    for line in bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
        let action: Value = serde_json::from_slice(line).map_err(|e| wrong(e.to_string()))?;
        if let Some(info) = action.get("commitInfo").and_then(Value::as_object) {
            commit.at = Timestamp(info.get("timestamp").and_then(Value::as_i64).unwrap_or_default());
            commit.operation = info.get("operation").and_then(Value::as_str).unwrap_or_default().to_owned();
            commit.n_rows_added = info.get("operationMetrics").and_then(|m| m.get("num_added_rows")).and_then(Value::as_u64);
            const OWN: [&str; 3] = ["timestamp", "operation", "operationMetrics"];
            commit.metadata = info.iter().filter(|(k, _)| !OWN.contains(&k.as_str())).map(|(k, v)| (k.clone(), v.clone())).collect();
        } else if let Some(txn) = action.get("txn") {
            if let (Some(app), Some(v)) = (txn.get("appId").and_then(Value::as_str), txn.get("version").and_then(Value::as_i64)) {
                commit.transactions.push((app.to_owned(), v));
            }
        } else if action.get("add").is_some() {
            commit.n_files.0 += 1;
        } else if action.get("remove").is_some() {
            commit.n_files.1 += 1;
        }
    }
    Ok(Some(commit))
}

/// Reads commits, newest first; those whose entries were cleaned away are left out.
pub(crate) async fn history(handle: &DeltaTable, table: &TableName, limit: Option<usize>) -> Result<Vec<Commit>, LakeError> {
    let versions = (0..=handle.version().unwrap_or_default()).rev().take(limit.unwrap_or(usize::MAX));
    let mut entries = stream::iter(versions).map(|version| read(handle, table, version)).buffered(READS_AT_ONCE);
    let mut commits = Vec::new();
    while let Some(Some(commit)) = entries.next().await.transpose()? {
        commits.push(commit);
    }
    Ok(commits)
}

/// Finds the newest version at or before a time. Writers' clocks may step back: a commit counts as no older
/// than the one before it, as Delta's own time travel does.
pub(crate) async fn version_at(handle: &DeltaTable, table: &TableName, time: Timestamp) -> Result<u64, LakeError> {
    let mut commits = history(handle, table, None).await?;
    commits.reverse();
    let mut clock = Timestamp(i64::MIN);
    for commit in &mut commits {
        clock = clock.max(commit.at);
        commit.at = clock;
    }
    let (first, last) = (commits.first().map_or(Timestamp(0), |c| c.at), clock);
    // A time after the newest commit has no settled answer: a later commit could still change it.
    if time > last {
        return Err(LakeError::NoTime { table: table.clone(), time, first, last });
    }
    commits.iter().rev().find(|c| c.at <= time).map(|c| c.version).ok_or(LakeError::NoTime { table: table.clone(), time, first, last })
}

/// Finds the commit that carries a transaction, newest first.
pub(crate) async fn carrying(handle: &DeltaTable, table: &TableName, transaction: &(String, i64)) -> Result<Option<Commit>, LakeError> {
    for version in (0..=handle.version().unwrap_or_default()).rev() {
        match read(handle, table, version).await? {
            Some(commit) if commit.transactions.contains(transaction) => return Ok(Some(commit)),
            Some(_) => {}
            None => break,
        }
    }
    Ok(None)
}
