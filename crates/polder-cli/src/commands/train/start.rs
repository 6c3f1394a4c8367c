//! `polder train start NAME --tokens NAME`.

use polder_base::Reference;
use polder_shard::Weight;

use crate::failure::{OrAdvise, usage};
use crate::stages::plan::PlanRequest;
use crate::stages::train::{Beginning, TrainRequest};
use crate::world::World;
use crate::{output, stages};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to call the model.
    name: String,
    /// The token set; several with weights are mixed: `--tokens code=0.3 --tokens text=0.7`.
    #[arg(long, value_name = "NAME[=WEIGHT]", required = true)]
    tokens: Vec<String>,
    /// A size of model (see `polder model sizes`); by default what fits.
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
    /// Goes on from the weights of a model, on tokens of its own tokenizer, for example models/base or models/base@2.
    #[arg(long, value_name = "MODEL", conflicts_with = "model")]
    from: Option<String>,
    /// A setting of the run, for example lr=1e-3, precision=bf16, optimizer=muon, recompute=layers, packing=best_fit, spikes=on; may be
    /// given several times. A wrong name is answered with all names.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    settings: Vec<String>,
    /// Scores requests/NAME whenever the validation samples are judged; may be given several times.
    #[arg(long = "eval", value_name = "NAME")]
    tasks: Vec<String>,
}

pub fn run(world: &mut World, args: Args) -> anyhow::Result<()> {
    stages::named("models", &args.name).or_advise()?;
    let tokens = args.tokens.iter().map(|t| mixed(t)).collect::<anyhow::Result<Vec<_>>>()?;
    if let Some((twice, _)) = tokens.iter().enumerate().find_map(|(i, t)| tokens[..i].iter().find(|(name, _)| *name == t.0)) {
        return Err(usage(format!("{twice} is named twice"), "Name each set once, with its weight: --tokens NAME=WEIGHT."));
    }
    let sets = stages::train::open_sets(world, &tokens)?;
    let details = sets[0].details();
    let request = PlanRequest {
        n_tokens: sets.iter().filter_map(|set| set.details().n_tokens.get("train")).sum(),
        vocab_size: details.vocab_size,
        bos_id: details.bos_id.or(details.eos_id),
        eos_id: details.eos_id,
        seconds: args.minutes * 60.0,
        steps: args.steps,
        preset: args.model,
        seed: args.seed,
        settings: args.settings,
        device: world.device,
    };
    let (begins, what, config) = match args.from {
        Some(from) => {
            let model = stages::newest(world, &stages::named("models", &from).or_advise()?);
            let config = stages::plan::plan_from(world, &request, &model, &sets)?;
            (Beginning::Model(model.clone()), model.to_string(), config)
        }
        None => {
            let plan = stages::plan::plan_once(world, &request, &sets)?;
            (Beginning::Shape(Box::new(plan.model)), plan.chosen, plan.train)
        }
    };
    let request = TrainRequest { name: args.name, tokens, begins, config, tasks: args.tasks, run: None };
    output::note(&format!("run {} · {what} · {} steps", stages::train::run_id(world, &request, &sets)?, request.config.steps));
    finish(world, &request)
}

/// Reads `NAME` or `NAME=WEIGHT`.
fn mixed(text: &str) -> anyhow::Result<(Reference, Weight)> {
    let (name, weight) = text.split_once('=').map_or((text, None), |(name, weight)| (name, Some(weight)));
    let weight = weight.map_or(Ok(Weight::ONE), str::parse).or_advise()?;
    Ok((stages::named("tokens", name).or_advise()?, weight))
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
