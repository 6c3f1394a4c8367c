//! `polder tune …`.

mod start;

use crate::world::World;

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Fine-tune a model with examples; says how much better it got.
    Start(start::Args),
}

pub fn run(world: &mut World, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Start(args) => start::run(world, &args),
    }
}
