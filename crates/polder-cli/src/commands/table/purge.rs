//! `polder table purge TABLE --where CONDITION --reason WHY`.

use polder_base::TableName;
use serde_json::json;

use crate::failure::OrAdvise;
use crate::world::World;
use crate::{output, stages};

pub fn run(world: &mut World, table: &str, condition: &str, reason: &str) -> anyhow::Result<()> {
    let table: TableName = table.parse::<TableName>().or_advise()?;
    let (purged, token_sets, models) = stages::statements::purge(world, &table, condition, reason)?;
    let successors: Vec<_> = purged.successors.iter().map(|(old, new)| json!({ "tag": old.tag, "successor": new.tag })).collect();
    if world.json {
        return output::object(
            "polder.purge",
            &json!({
                "table": table, "n_rows": purged.n_rows, "version": purged.version, "n_documents": purged.doc_ids.len(),
                "successors": successors, "n_files": purged.n_files, "token_sets": token_sets, "models": models,
            }),
        );
    }
    for (old, new) in &purged.successors {
        output::data(&format!("{table}@{} is retired; {table}@{} follows it with {} rows", old.tag, new.tag, new.n_rows))?;
    }
    token_sets.iter().chain(&models).try_for_each(|name| output::data(&format!("{name} saw them")))?;
    let next = if token_sets.is_empty() { "" } else { " · next: build those token sets again, and train what was trained on them" };
    output::note(&format!("{} rows left {table}, {} files were removed{next}", purged.n_rows, purged.n_files));
    Ok(())
}
