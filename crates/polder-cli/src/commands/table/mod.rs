//! `polder table …`: look at tables, and erase rows.

mod history;
mod list;
mod purge;
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
    /// Erase rows from a table and from every version that a tag names. Each tag that held some gets a successor and retires.
    Purge {
        /// For example pile.base.
        table: String,
        /// Which rows, as a condition in SQL.
        #[arg(long = "where", value_name = "CONDITION")]
        condition: String,
        /// Why: it stands in the books for good.
        #[arg(long, value_name = "WHY")]
        reason: String,
    },
}

pub fn run(world: &mut World, command: Command) -> anyhow::Result<()> {
    match command {
        Command::List => list::run(world),
        Command::Show { table } => show::run(world, &table),
        Command::Purge { table, condition, reason } => purge::run(world, &table, &condition, &reason),
        Command::History { table, limit } => history::run(world, &table, limit),
    }
}
