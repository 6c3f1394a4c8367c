//! `polder facts lineage REFERENCE`.

use polder_base::Reference;

use crate::failure::OrAdvise;
use crate::world::World;
use crate::{output, stages};

pub fn run(world: &mut World, reference: &str, sources: usize) -> anyhow::Result<()> {
    let reference = stages::newest(world, &reference.parse::<Reference>().or_advise()?);
    let lake = world.lake()?;
    let lineage = world.block_on(async { polder_govern::lineage(&lake, &reference).await.or_advise() })?;
    if world.json {
        return output::object("polder.lineage", &serde_json::to_value(&lineage)?);
    }
    output::data(output::printable(&lineage.text(if sources == 0 { usize::MAX } else { sources })).trim_end())
}
