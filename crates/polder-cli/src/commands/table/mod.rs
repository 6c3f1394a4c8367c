//! `polder table …`: look at tables, keep them in order, and erase rows.

mod history;
mod list;
mod optimize;
mod purge;
mod restore;
mod show;
mod vacuum;

use polder_lake::Done;
use serde_json::{Map, Value, json};

use crate::output;
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
    /// Make the rows of an earlier version the newest again, as one more version.
    Restore(restore::Args),
    /// Join small files of a table.
    Optimize(optimize::Args),
    /// Remove files that no kept version needs; what a tag names stays.
    Vacuum(vacuum::Args),
    /// Erase rows from a table and from every version that a tag names. Each tag that held some gets a successor and retires.
    ///
    /// What the log says of earlier statements, and of the least and greatest values in files, stays.
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
        Command::Restore(args) => restore::run(world, args),
        Command::Optimize(args) => optimize::run(world, args),
        Command::Vacuum(args) => vacuum::run(world, args),
        Command::Purge { table, condition, reason } => purge::run(world, &table, &condition, &reason),
        Command::History { table, limit } => history::run(world, &table, limit),
    }
}

/// Says what upkeep has done.
fn tell(world: &World, done: &Done, next: &str) -> anyhow::Result<()> {
    if world.json {
        let mut object = Map::new();
        object.insert("statement".into(), json!(done.statement.to_lowercase()));
        object.insert("table".into(), json!(done.table));
        object.insert("version".into(), json!(done.version));
        object.extend(done.counts.iter().map(|(name, n)| ((*name).to_owned(), json!(n))));
        return output::object("polder.upkeep", &Value::Object(object));
    }
    let counts: String = done.counts.iter().map(|(name, n)| format!(", {} {n}", name.trim_start_matches("n_").replace('_', " "))).collect();
    let version = done.version.map_or_else(String::new, |v| format!(" is at version {v}"));
    output::data(&format!("{}{version}{counts}", done.table))?;
    output::note(&format!("{} is done · next: {next}", done.statement.to_lowercase()));
    Ok(())
}
