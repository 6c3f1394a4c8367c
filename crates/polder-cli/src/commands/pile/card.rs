//! `polder pile card PILE`.

use polder_base::Reference;

use crate::failure::OrAdvise;
use crate::world::World;
use crate::{output, stages};

pub fn run(world: &mut World, pile: &str) -> anyhow::Result<()> {
    let reference: Reference = pile.parse::<Reference>().or_advise()?;
    let card = stages::prepare::card(world, &reference)?;
    if world.json {
        return output::object("polder.data_card", &serde_json::to_value(&card)?);
    }
    output::data(card.markdown().trim_end())
}
