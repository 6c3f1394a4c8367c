//! `polder pipeline …`: tables that SQL files make.

mod apply;
mod plan;

use std::path::PathBuf;

use crate::world::World;

#[derive(Debug, clap::Args)]
pub struct Files {
    /// A folder with numbered folders of SQL files, like sql/10_stage, instead of those in the program.
    #[arg(long, value_name = "DIR")]
    sql_dir: Option<PathBuf>,
}

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Show which tables are stale, and why.
    Plan(Files),
    /// Bring stale tables up to date.
    Apply(Files),
}

pub fn run(world: &mut World, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Plan(files) => plan::run(world, files.sql_dir.as_deref()),
        Command::Apply(files) => apply::run(world, files.sql_dir.as_deref()),
    }
}
