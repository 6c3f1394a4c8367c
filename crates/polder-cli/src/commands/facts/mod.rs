//! `polder facts …`: what happened, and what came from what.

mod lineage;
mod list;
mod show;
mod sync;

use crate::world::World;

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List facts, newest last.
    List {
        /// Only about this, for example pile.base or models/quickstart.
        #[arg(long, value_name = "REFERENCE")]
        about: Option<String>,
        /// Only of this kind: ingest, make, tag, train, evaluate, tune, serve, …
        #[arg(long)]
        verb: Option<String>,
        /// How many.
        #[arg(long, default_value_t = 30)]
        limit: usize,
    },
    /// Show one fact whole.
    Show {
        /// Its id, or the beginning of it.
        id: String,
    },
    /// Walk from a thing back to the sources it came from.
    Lineage {
        /// For example models/quickstart, pile.base@v1 or tokens/quickstart.
        reference: String,
        /// Source packages to name at most; 0 names all.
        #[arg(long, default_value_t = 10, value_name = "N")]
        sources: usize,
    },
    /// Bring facts that were written beside the lake into it.
    Sync,
}

pub fn run(world: &mut World, command: Command) -> anyhow::Result<()> {
    match command {
        Command::List { about, verb, limit } => list::run(world, about.as_deref(), verb, limit),
        Command::Show { id } => show::run(world, &id),
        Command::Lineage { reference, sources } => lineage::run(world, &reference, sources),
        Command::Sync => sync::run(world),
    }
}
