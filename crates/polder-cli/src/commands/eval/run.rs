//! `polder eval run MODEL`.

use crate::failure::OrAdvise;
use crate::world::World;
use crate::{output, stages};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// For example models/quickstart.
    model: String,
    /// Only this task: bits_per_byte or next_line.
    #[arg(long, value_name = "TASK")]
    task: Option<String>,
}

pub fn run(world: &mut World, args: &Args) -> anyhow::Result<()> {
    let model = stages::newest(world, &stages::named("models", &args.model).or_advise()?);
    stages::manifest(world, &model)?;
    let tasks: Vec<&str> = match &args.task {
        Some(task) => vec![task],
        None => stages::validate::TASKS.iter().map(|t| t.0).collect(),
    };
    for task in tasks {
        stages::validate::requests(world, task)?;
        let scores = stages::validate::evaluate(world, &model, task)?;
        if world.json {
            output::object("polder.scores", &serde_json::to_value(&scores)?)?;
        } else {
            output::data(&output::table(&[task, "metric", "value", "95 %", "n", ""], &stages::validate::cells(&scores), &[2, 4]))?;
        }
    }
    let card = stages::validate::card(world, &model)?;
    output::note(&format!("the model card is in {} · next: polder tune start {model}", card.display()));
    Ok(())
}
