//! `polder train rows RUN --step N`.

use polder_train::RunConfig;

use crate::failure::{OrAdvise, usage};
use crate::world::World;
use crate::{output, stages};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run, as `polder train status` names it.
    run: String,
    /// The step, counted from 1.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..), value_name = "N")]
    step: u64,
}

pub fn run(world: &mut World, args: &Args) -> anyhow::Result<()> {
    stages::named("runs", &args.run).or_advise()?;
    let path = world.layout().run(&args.run).join("config.json");
    let hint = "See which runs there are with `polder train status`.";
    let text = std::fs::read(&path).map_err(|_| usage(format!("there is no run `{}`", args.run), hint))?;
    let config: RunConfig = serde_json::from_slice(&text)?;
    if args.step > config.train.steps {
        return Err(usage(format!("`{}` has {} steps", args.run, config.train.steps), "Ask for one of them."));
    }
    let tokens: Vec<_> = config.tokens.iter().map(|t| (t.reference.clone(), t.weight)).collect();
    let sets = stages::train::open_sets(world, &tokens)?;
    let loader = polder_train::loader(&config, &sets).or_advise()?;
    // A run that went back has passed over batches, as its metrics say.
    let metrics = polder_train::read_metrics(&world.layout().run(&args.run)).or_advise()?;
    let passed_over = metrics.iter().take_while(|m| m.step <= args.step).last().map_or(0, |m| m.passed_over);
    let seen = polder_train::seen_documents(&loader, &sets, config.train.samples_of(args.step, passed_over)).or_advise()?;
    let objects: Vec<serde_json::Value> = seen.iter().map(serde_json::to_value).collect::<Result<_, _>>()?;
    let cells: Vec<Vec<String>> = seen
        .into_iter()
        .map(|d| {
            let (place, tokens) = (format!("{}/{}", d.shard, d.doc_idx), format!("{}..{}", d.from_token, d.to_token));
            vec![d.sample.to_string(), d.tokens, place, tokens, d.doc_id]
        })
        .collect();
    output::rows(world.json, "polder.training_row", &objects, &["sample", "tokens", "document", "its tokens", "doc_id"], &cells, &[0, 3])
}
