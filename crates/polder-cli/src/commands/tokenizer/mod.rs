//! `polder tokenizer …`.

mod import;
mod show;
mod train;

use crate::world::World;

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Train a byte-level BPE tokenizer on a pile.
    Train(train::Args),
    /// Bring a tokenizer of others into the lake.
    Import(import::Args),
    /// Compare tokenizers: what they are, what they make of a text, and of a table.
    Show(show::Args),
}

pub fn run(world: &mut World, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Train(args) => train::run(world, args),
        Command::Import(args) => import::run(world, &args),
        Command::Show(args) => show::run(world, &args),
    }
}
