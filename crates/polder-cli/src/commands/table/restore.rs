//! `polder table restore TABLE@VERSION` or `TABLE --time TIME`.

use polder_base::{At, Reference, Timestamp};
use polder_lake::Upkeep;

use crate::failure::{OrAdvise, usage};
use crate::stages;
use crate::world::World;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The table and its version or tag, for example pile.base@3 or pile.base@v1; or the table alone, with --time.
    table: String,
    /// The newest version at or before a time, such as 2026-01-31T12:00:00Z.
    #[arg(long, value_name = "TIME")]
    time: Option<Timestamp>,
}

pub fn run(world: &mut World, args: Args) -> anyhow::Result<()> {
    let hint = "Name a version or a tag behind the table, as in pile.base@3, or a time: pile.base --time 2026-01-31T12:00:00Z.";
    let (table, work) = match (args.table.parse::<Reference>().or_advise()?, args.time) {
        (Reference::Table(table, At::Latest), Some(time)) => (table, Upkeep::RestoreTime(time)),
        (Reference::Table(table, at), None) if at != At::Latest => (table, Upkeep::Restore(at)),
        _ => return Err(usage("one earlier state of one table is needed", hint)),
    };
    let why = args.time.map_or_else(String::new, |time| format!(" --time {time}"));
    let done = stages::statements::keep_up(world, &table, work, &format!("polder table restore {}{why}", args.table))?;
    super::tell(world, &done, &format!("polder table history {table}"))
}
