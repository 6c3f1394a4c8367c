//! `polder facts sync`.

use serde_json::json;

use crate::failure::OrAdvise;
use crate::output;
use crate::world::World;

pub fn run(world: &mut World) -> anyhow::Result<()> {
    let lake = world.lake()?;
    let n = world.block_on(async {
        polder_govern::sync(&lake).await.or_advise()?;
        polder_govern::verify_chain(&lake).await.or_advise()
    })?;
    if world.json {
        return output::object("polder.facts", &json!({ "n_facts": n, "chain": "whole" }));
    }
    output::note(&format!("{n} facts in ops.facts, each naming the digest of the one before it · next: polder facts list"));
    Ok(())
}
