//! `polder model …`.

mod list;
mod plan;
mod show;

use crate::world::World;

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List models.
    List,
    /// Match a pile with a model: what fits the data, the time and this machine.
    Plan(plan::Args),
    /// Show a model: sizes, what it was made from, its scores.
    Show {
        /// For example models/quickstart or models/quickstart@1.
        model: String,
    },
}

pub fn run(world: &mut World, command: Command) -> anyhow::Result<()> {
    match command {
        Command::List => list::run(world),
        Command::Plan(args) => plan::run(world, &args),
        Command::Show { model } => show::run(world, &model),
    }
}
