//! `polder table history TABLE`.

use polder_base::TableName;
use serde_json::json;

use crate::failure::OrAdvise;
use crate::output;
use crate::world::World;

pub fn run(world: &mut World, table: &str, limit: usize) -> anyhow::Result<()> {
    let table: TableName = table.parse::<TableName>().or_advise()?;
    let lake = world.lake()?;
    let commits = world.block_on(async { lake.history(&table, Some(limit)).await.or_advise() })?;
    let objects: Vec<_> =
        commits.iter().map(|c| json!({ "version": c.version, "at": c.at, "operation": c.operation, "metadata": c.metadata })).collect();
    let cells: Vec<_> = commits.iter().map(|c| vec![c.version.to_string(), c.at.to_string(), c.operation.clone()]).collect();
    output::rows(world.json, "polder.commit", &objects, &["version", "at", "operation"], &cells, &[0])
}
