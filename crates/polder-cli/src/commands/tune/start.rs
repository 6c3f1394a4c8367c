//! `polder tune start MODEL --data NAME`.

use polder_base::Reference;
use polder_tune::{Precision, TuneOptions};

use crate::failure::OrAdvise;
use crate::quickstart;
use crate::world::World;
use crate::{output, stages};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The model to start from, for example models/quickstart.
    model: String,
    /// Examples under tuning/; the set `signatures` is made from the lake where it is missing.
    #[arg(long, default_value = quickstart::EXAMPLES, value_name = "NAME")]
    data: String,
    /// What to call the adapter; by default as the model.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Rank of the adapter's matrices.
    #[arg(long, default_value_t = 8)]
    rank: usize,
    /// Times that every example is seen.
    #[arg(long, default_value_t = 3)]
    epochs: u32,
    /// Examples a step.
    #[arg(long, default_value_t = 16)]
    batch: usize,
    /// The highest learning rate.
    #[arg(long, default_value_t = 2e-3)]
    lr: f64,
    /// How rows between products are stored: f32, or bf16, which takes less memory and is faster on a GPU.
    #[arg(long, value_name = "TYPE", default_value = "f32")]
    precision: Precision,
    /// Fixes initial adapters and order.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

pub fn run(world: &mut World, args: &Args) -> anyhow::Result<()> {
    let model = stages::newest(world, &stages::named("models", &args.model).or_advise()?);
    let data = stages::named("tuning", &args.data).or_advise()?;
    if args.data == quickstart::EXAMPLES {
        stages::tune::examples(world, &args.data)?;
    }
    let Reference::Artefact { name: model_name, .. } = &model else { return Ok(()) };
    let name = args.name.clone().unwrap_or_else(|| model_name.clone());
    stages::named("adapters", &name).or_advise()?;
    let options = TuneOptions {
        rank: args.rank,
        alpha: 2.0 * args.rank as f64,
        epochs: args.epochs,
        batch: args.batch,
        lr: args.lr,
        precision: args.precision,
        seed: args.seed,
        ..TuneOptions::default()
    };
    let (manifest, report) = stages::tune::tune(world, &model, &data, &name, &options)?;
    if world.json {
        return output::object("polder.adapter", &serde_json::to_value(&manifest)?);
    }
    output::data(&output::table(&["held out", "before", "after"], &stages::tune::cells(&report), &[]))?;
    output::note(&format!("{} is tuned · next: polder serve {model} --adapter {}", manifest.reference, manifest.reference));
    Ok(())
}
