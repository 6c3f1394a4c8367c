//! `polder eval …`.

mod run;

use crate::world::World;

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Measure a model on the tasks that the SQL files make.
    Run(run::Args),
}

pub fn run(world: &mut World, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Run(args) => run::run(world, &args),
    }
}
