//! `polder pipeline apply`.

use std::path::Path;

use serde_json::json;

use crate::world::World;
use crate::{output, stages};

pub fn run(world: &mut World, sql_dir: Option<&Path>) -> anyhow::Result<()> {
    let applied = stages::prepare::apply(world, sql_dir)?;
    if world.json {
        return applied.iter().try_for_each(|a| {
            let object = json!({ "table": a.table, "version": a.version, "written": a.written, "n_rows": a.n_rows, "removed": a.removed });
            output::object("polder.applied", &object)
        });
    }
    let levels = stages::prepare::levels(world, &applied)?;
    stages::prepare::show_funnel(&levels);
    let written = applied.iter().filter(|a| a.written).count();
    output::note(&format!("{written} tables made, {} up to date · next: polder pile tag pile.base v1", applied.len() - written));
    Ok(())
}
