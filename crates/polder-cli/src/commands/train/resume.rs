//! `polder train resume RUN`.

use polder_train::RunConfig;

use super::start::finish;
use crate::failure::{OrAdvise, usage};
use crate::stages;
use crate::stages::train::{Beginning, TrainRequest};
use crate::world::World;

pub fn run(world: &mut World, run: &str, name: &str, tasks: Vec<String>) -> anyhow::Result<()> {
    stages::named("runs", run).or_advise()?;
    stages::named("models", name).or_advise()?;
    let path = world.layout().run(run).join("config.json");
    let hint = "See which runs there are with `polder train status`.";
    let text = std::fs::read(&path).map_err(|_| usage(format!("there is no run `{run}`"), hint))?;
    let config: RunConfig = serde_json::from_slice(&text)?;
    let tokens: Vec<_> = config.tokens.iter().map(|t| (t.reference.clone(), t.weight)).collect();
    let sets = stages::train::open_sets(world, &tokens)?;
    if let Some((_, tokens)) = sets.iter().zip(&config.tokens).find(|(set, tokens)| set.fingerprint() != tokens.digest) {
        let hint = format!("Start a new run on the tokens as they are now: polder train start {name} --tokens NAME.");
        return Err(usage(format!("{} was built again since `{run}` began", tokens.reference), hint));
    }
    let begins = match config.initial_model {
        Some(model) => Beginning::Model(model.reference),
        None => Beginning::Shape(Box::new(config.model)),
    };
    // The run's own settings are compared with these where it is opened, so those of earlier versions go on too.
    let request = TrainRequest { name: name.to_owned(), tokens, begins, config: config.train, tasks, run: Some(run.to_owned()) };
    finish(world, &request)
}
