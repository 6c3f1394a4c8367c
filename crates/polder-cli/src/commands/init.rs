//! `polder init`: make a lake.

use crate::output;
use crate::world::World;

pub fn run(world: &mut World) -> anyhow::Result<()> {
    world.lake_or_init()?;
    if world.json {
        return output::object("polder.lake", &serde_json::json!({ "lake": world.root }));
    }
    output::note(&format!("there is a lake at {} · next: polder ingest DIR", world.root.display()));
    Ok(())
}
