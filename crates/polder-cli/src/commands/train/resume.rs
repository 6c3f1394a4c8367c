//! `polder train resume RUN`.

use polder_train::RunConfig;

use super::start::finish;
use crate::failure::usage;
use crate::stages::train::TrainRequest;
use crate::world::World;

pub fn run(world: &mut World, run: &str, name: &str) -> anyhow::Result<()> {
    let path = world.layout().run(run).join("config.json");
    let hint = "See which runs there are with `polder train status`.";
    let text = std::fs::read(&path).map_err(|_| usage(format!("there is no run `{run}`"), hint))?;
    let config: RunConfig = serde_json::from_slice(&text)?;
    finish(world, &TrainRequest { name: name.to_owned(), tokens: config.tokens.reference, model: config.model, config: config.train })
}
