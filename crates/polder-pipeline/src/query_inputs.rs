//! A query of the user's, planned, with the versions of the tables it reads.

use std::collections::BTreeMap;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::DataFrame;
use polder_base::{At, Input, Reference};
use polder_lake::{Lake, Snapshot};

use crate::PipelineError;

/// Plans a query and says which versions it reads. It is planned between two looks at its tables that agree, since another
/// writer may commit meanwhile; the frame keeps to the states it was planned with.
pub(crate) async fn planned(lake: &Lake, query: &str) -> Result<(DataFrame, Vec<Input>), PipelineError> {
    let mut before = inputs(lake, &lake.sql(query).await?).await?;
    loop {
        let frame = lake.sql(query).await?;
        let after = inputs(lake, &frame).await?;
        if after == before {
            return Ok((frame, after));
        }
        before = after;
    }
}

/// A table at its version, as something that was read.
pub(crate) fn input(snapshot: Snapshot) -> Input {
    Input { reference: Reference::Table(snapshot.table, At::Version(snapshot.version)), digest: snapshot.files_digest }
}

async fn inputs(lake: &Lake, frame: &DataFrame) -> Result<Vec<Input>, PipelineError> {
    let mut inputs = Vec::new();
    for reference in tables(frame)? {
        inputs.push(input(lake.snapshot(&reference).await?));
    }
    Ok(inputs)
}

/// The tables of the lake that a frame reads, in order of their names.
fn tables(frame: &DataFrame) -> Result<Vec<Reference>, PipelineError> {
    let mut found: BTreeMap<String, Reference> = BTreeMap::new();
    frame.logical_plan().apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Some(schema) = scan.table_name.schema()
        {
            let name = format!("{schema}.{}", scan.table_name.table());
            // A state by time has no reference; the table then stands for it.
            let stem = || name.split('@').next().and_then(|stem| stem.parse().ok());
            if let Some(reference) = name.parse().ok().or_else(stem) {
                found.insert(name, reference);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found.into_values().collect())
}
