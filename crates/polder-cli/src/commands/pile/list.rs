//! `polder pile list`.

use polder_base::units;
use serde_json::json;

use crate::failure::OrAdvise;
use crate::output;
use crate::world::World;

pub fn run(world: &mut World) -> anyhow::Result<()> {
    let lake = world.lake()?;
    let tags = world.block_on(async { lake.tags(None).await.or_advise() })?;
    let objects: Vec<_> = tags
        .iter()
        .map(|t| json!({ "table": t.table, "tag": t.tag, "version": t.version, "n_rows": t.n_rows, "at": t.at, "actor": t.actor, "comment": t.comment }))
        .collect();
    let cells: Vec<_> = tags
        .iter()
        .map(|t| {
            vec![
                format!("{}@{}", t.table, t.tag),
                t.version.to_string(),
                units::count(t.n_rows),
                t.at.to_string(),
                t.actor.clone(),
                t.comment.clone(),
            ]
        })
        .collect();
    output::rows(world.json, "polder.tag", &objects, &["pile", "version", "rows", "at", "by", "comment"], &cells, &[1, 2])
}
