//! What every step on the way to a pile kept and removed, as its fact tells.

use std::collections::BTreeMap;

use polder_base::Reference;
use serde::Serialize;

use crate::facts::Fact;
use crate::lineage::Lineage;

/// A step on the way to a table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FilterStep {
    /// The table it made, at its version.
    pub table: Reference,
    /// The SQL file.
    pub path: String,
    /// Why the step exists.
    pub why: String,
    /// Rows that came in; known where the step says what it removes.
    pub rows_in: Option<u64>,
    /// Rows that it left.
    pub rows_out: u64,
    /// Rows removed, by reason.
    pub removed: BTreeMap<String, u64>,
    /// The query.
    pub sql: String,
    /// Digest of the query and its parameters.
    pub sql_digest: String,
    /// What it read.
    pub inputs: Vec<Reference>,
}

/// Lists the steps that made the tables of a lineage, in the order in which rows went through them.
pub(crate) fn steps(lineage: &Lineage, facts: &[Fact]) -> Vec<FilterStep> {
    let of = |id: &Option<String>| facts.iter().find(|f| Some(&f.fact_id) == id.as_ref() && f.verb == "make");
    lineage.tables().into_iter().filter_map(|(_, node)| step(node.reference.clone(), of(&node.made.as_ref()?.fact_id)?)).collect()
}

fn step(table: Reference, fact: &Fact) -> Option<FilterStep> {
    let text = |key: &str| fact.details.get(key).and_then(|v| v.as_str()).unwrap_or_default().to_owned();
    let rows_out = fact.details.get("n_rows")?.as_u64()?;
    let removed: BTreeMap<String, u64> =
        fact.details.get("removed").and_then(|r| serde_json::from_value(r.clone()).ok()).unwrap_or_default();
    // A step that joins or groups has no rows of which it could be said that they came in.
    let filters = !removed.is_empty() || text("sql").lines().any(|l| l.starts_with("-- removes:"));
    Some(FilterStep {
        table,
        path: text("path"),
        why: text("why"),
        rows_in: filters.then(|| rows_out + removed.values().sum::<u64>()),
        rows_out,
        removed,
        sql: text("sql"),
        sql_digest: text("sql_digest"),
        inputs: fact.inputs.iter().map(|i| i.reference.clone()).collect(),
    })
}
