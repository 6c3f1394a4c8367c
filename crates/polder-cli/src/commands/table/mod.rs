//! `polder table …`: look at tables.

mod history;
mod list;
mod show;

use crate::world::World;

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List all tables with versions and rows.
    List,
    /// Show a table's columns.
    Show {
        /// For example pile.base, pile.base@v1 or raw.docs@3.
        table: String,
    },
    /// Show what was done to a table, newest first.
    History {
        /// For example pile.base.
        table: String,
        /// How many commits.
        #[arg(long, default_value_t = 20)]
        limit: usize,
    },
}

pub fn run(world: &mut World, command: Command) -> anyhow::Result<()> {
    match command {
        Command::List => list::run(world),
        Command::Show { table } => show::run(world, &table),
        Command::History { table, limit } => history::run(world, &table, limit),
    }
}
