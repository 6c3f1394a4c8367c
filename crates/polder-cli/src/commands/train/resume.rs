//! `polder train resume RUN`.

use polder_shard::TokenSet;
use polder_train::RunConfig;

use super::start::finish;
use crate::failure::{OrAdvise, usage};
use crate::stages;
use crate::stages::train::TrainRequest;
use crate::world::World;

pub fn run(world: &mut World, run: &str, name: &str) -> anyhow::Result<()> {
    stages::named("runs", run).or_advise()?;
    stages::named("models", name).or_advise()?;
    let path = world.layout().run(run).join("config.json");
    let hint = "See which runs there are with `polder train status`.";
    let text = std::fs::read(&path).map_err(|_| usage(format!("there is no run `{run}`"), hint))?;
    let config: RunConfig = serde_json::from_slice(&text)?;
    let request = TrainRequest { name: name.to_owned(), tokens: config.tokens.reference, model: config.model, config: config.train };
    let set = TokenSet::open(&stages::folder(world, &request.tokens)?).or_advise()?;
    if stages::train::run_id(&request, &set) != run {
        let hint = format!("Start a new run on the tokens as they are now: polder train start {name} --tokens NAME.");
        return Err(usage(format!("{} was built again since `{run}` began", request.tokens), hint));
    }
    finish(world, &request)
}
