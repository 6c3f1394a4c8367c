//! `polder train start NAME --tokens NAME`.

use polder_shard::TokenSet;

use crate::failure::OrAdvise;
use crate::world::World;
use crate::{output, stages};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to call the model.
    name: String,
    /// The token set.
    #[arg(long, value_name = "NAME")]
    tokens: String,
    /// A size of model (see `polder model plan`); by default what fits.
    #[arg(long, value_name = "SIZE")]
    model: Option<String>,
    /// Training steps; by default as many as fit the minutes.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..), value_name = "N")]
    steps: Option<u64>,
    /// Minutes to train.
    #[arg(long, value_parser = stages::positive, default_value_t = 3.0, value_name = "MINUTES")]
    minutes: f64,
    /// Fixes initial weights and order.
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
}

pub fn run(world: &mut World, args: Args) -> anyhow::Result<()> {
    stages::named("models", &args.name).or_advise()?;
    let tokens = stages::named("tokens", &args.tokens).or_advise()?;
    let set = TokenSet::open(&stages::folder(world, &tokens)?).or_advise()?;
    let details = set.details();
    let request = stages::train::PlanRequest {
        n_tokens: details.n_tokens.get("train").copied().unwrap_or(0),
        vocab_size: details.vocab_size,
        bos_id: details.bos_id.or(details.eos_id),
        eos_id: details.eos_id,
        seconds: args.minutes * 60.0,
        steps: args.steps,
        preset: args.model,
        seed: args.seed,
    };
    let plan = stages::train::plan_once(world, &request, &set)?;
    let request = stages::train::TrainRequest { name: args.name, tokens, model: plan.model, config: plan.train };
    output::note(&format!("run {} · {} · {} steps", stages::train::run_id(&request, &set), plan.chosen, request.config.steps));
    finish(world, &request)
}

/// Trains and says what came of it.
pub fn finish(world: &mut World, request: &stages::train::TrainRequest) -> anyhow::Result<()> {
    let trained = stages::train::train(world, request)?;
    if world.json {
        return output::object("polder.model", &serde_json::to_value(&trained.manifest)?);
    }
    stages::train::show_loss(&trained.metrics, trained.manifest.details["unigram_entropy_nats"].as_f64().unwrap_or(0.0));
    let reference = &trained.manifest.reference;
    output::note(&format!(
        "{reference} has loss {:.3} · next: polder eval run {reference}",
        trained.manifest.details["loss"].as_f64().unwrap_or(f64::NAN)
    ));
    Ok(())
}
