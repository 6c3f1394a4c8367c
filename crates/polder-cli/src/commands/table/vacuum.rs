//! `polder table vacuum TABLE [--retain-hours N] [--full] [--dry-run]`.

use polder_base::TableName;
use polder_lake::Upkeep;

use crate::failure::OrAdvise;
use crate::stages;
use crate::world::World;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// For example pile.base.
    table: String,
    /// Keep what has left the table within so many hours [default: 168].
    #[arg(long, value_name = "HOURS")]
    retain_hours: Option<u64>,
    /// Also remove files that no version knows, left by writes that were broken off.
    #[arg(long)]
    full: bool,
    /// Say how many files would go.
    #[arg(long)]
    dry_run: bool,
}

pub fn run(world: &mut World, args: Args) -> anyhow::Result<()> {
    let table: TableName = args.table.parse::<TableName>().or_advise()?;
    let work = Upkeep::Vacuum { retain_hours: args.retain_hours, is_full: args.full, is_dry_run: args.dry_run };
    let retain = args.retain_hours.map_or_else(String::new, |hours| format!(" --retain-hours {hours}"));
    let why = format!("polder table vacuum {table}{retain}{}", if args.full { " --full" } else { "" });
    let done = stages::statements::keep_up(world, &table, work, &why)?;
    super::tell(world, &done, &if args.dry_run { why } else { format!("polder table history {table}") })
}
