//! `polder facts show ID`.

use crate::failure::OrAdvise;
use crate::output;
use crate::world::World;

pub fn run(world: &mut World, id: &str) -> anyhow::Result<()> {
    let lake = world.lake()?;
    let fact = world.block_on(async { polder_govern::show(&lake, id).await.or_advise() })?;
    let value = serde_json::to_value(&fact)?;
    if world.json { output::object("polder.fact", &value) } else { output::data(&serde_json::to_string_pretty(&value)?) }
}
