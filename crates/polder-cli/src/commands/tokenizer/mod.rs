//! `polder tokenizer …`.

mod train;

use crate::world::World;

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Train a byte-level BPE tokenizer on a pile.
    Train(train::Args),
}

pub fn run(world: &mut World, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Train(args) => train::run(world, args),
    }
}
