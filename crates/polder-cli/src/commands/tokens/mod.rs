//! `polder tokens …`: token shards.

mod build;
mod check;
mod export;
mod list;
mod show;

pub use list::names;

use crate::world::World;

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Encode a pile into token shards, or bring a set up to date.
    Build(build::Args),
    /// Check every digest, count and document of sets; a flipped byte is named.
    Check(check::Args),
    /// Write a set in a format of other trainers.
    Export(export::Args),
    /// List the lake's token sets.
    List,
    /// Show a set, and a document with its token boundaries.
    Show(show::Args),
}

pub fn run(world: &mut World, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Build(args) => build::run(world, args),
        Command::Check(args) => check::run(world, &args),
        Command::Export(args) => export::run(world, &args),
        Command::List => list::run(world),
        Command::Show(args) => show::run(world, &args),
    }
}
