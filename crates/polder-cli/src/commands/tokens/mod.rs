//! `polder tokens …`: token shards.

mod build;
mod show;

use crate::world::World;

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Encode a pile into token shards.
    Build(build::Args),
    /// Show a set, and the beginning of a document with its token boundaries.
    Show(show::Args),
}

pub fn run(world: &mut World, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Build(args) => build::run(world, args),
        Command::Show(args) => show::run(world, &args),
    }
}
