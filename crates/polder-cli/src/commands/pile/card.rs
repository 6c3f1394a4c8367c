//! `polder pile card PILE`.

use polder_base::Reference;
use serde_json::json;

use crate::failure::OrAdvise;
use crate::world::World;
use crate::{output, stages};

pub fn run(world: &mut World, pile: &str) -> anyhow::Result<()> {
    let reference: Reference = pile.parse::<Reference>().or_advise()?;
    let at = world.now();
    let card = stages::prepare::card(world, &reference, at)?;
    if world.json {
        return output::object("polder.card", &json!({ "pile": reference, "markdown": card }));
    }
    output::data(card.trim_end())
}
