//! `polder model …`.

mod export;
mod import;
mod list;
mod plan;
mod show;
mod sizes;

use crate::world::World;

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Show every size that a model can be trained in, and what it takes.
    Sizes(sizes::Args),
    /// Match a pile with a model: what fits the data, the time and this machine.
    Plan(plan::Args),
    /// Bring a model of others into the lake.
    Import(import::Args),
    /// Write a model out as a folder that others open.
    Export(export::Args),
    /// List models.
    List,
    /// Show a model: sizes, what it was made from, its scores.
    Show {
        /// For example models/quickstart or models/quickstart@1.
        model: String,
    },
}

pub fn run(world: &mut World, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Sizes(args) => sizes::run(world, &args),
        Command::Plan(args) => plan::run(world, &args),
        Command::Import(args) => import::run(world, &args),
        Command::Export(args) => export::run(world, &args),
        Command::List => list::run(world),
        Command::Show { model } => show::run(world, &model),
    }
}
