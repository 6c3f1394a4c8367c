//! `polder table optimize TABLE [--zorder COLUMNS]`.

use polder_base::TableName;
use polder_lake::Upkeep;

use crate::failure::OrAdvise;
use crate::stages;
use crate::world::World;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// For example pile.base.
    table: String,
    /// Put rows near each other whose values in these columns are near.
    #[arg(long, value_delimiter = ',', value_name = "COLUMNS")]
    zorder: Vec<String>,
}

pub fn run(world: &mut World, args: Args) -> anyhow::Result<()> {
    let table: TableName = args.table.parse::<TableName>().or_advise()?;
    let order = if args.zorder.is_empty() { String::new() } else { format!(" --zorder {}", args.zorder.join(",")) };
    let why = format!("polder table optimize {table}{order}");
    let done = stages::statements::keep_up(world, &table, Upkeep::Optimize(args.zorder), &why)?;
    super::tell(world, &done, &format!("polder table vacuum {table} --dry-run"))
}
