//! `polder run [WORKFLOW]`: the main job.

use std::path::PathBuf;

use crate::failure::usage;
use crate::quickstart::{self, Settings};
use crate::stages;
use crate::world::World;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The workflow.
    #[arg(default_value = quickstart::NAME, value_name = "WORKFLOW")]
    workflow: String,
    /// A folder of text or code, instead of the Rust registry's source cache.
    #[arg(long = "source", value_name = "DIR")]
    sources: Vec<PathBuf>,
    /// Text to take at most, in MB: whole top-level folders in the order of a hash of their names.
    #[arg(long, value_parser = stages::positive, default_value_t = 100.0, value_name = "MB")]
    limit: f64,
    /// Minutes to train.
    #[arg(long, value_parser = stages::positive, default_value_t = 3.0, value_name = "MINUTES")]
    minutes: f64,
    /// Training steps, instead of as many as fit the minutes.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..), value_name = "N")]
    steps: Option<u64>,
    /// A size of model (see `polder model sizes`), instead of what planning chooses.
    #[arg(long, value_name = "SIZE")]
    model: Option<String>,
    /// Vocabulary size.
    #[arg(long, default_value_t = 4096, value_name = "N")]
    vocab: usize,
    /// Fixes initial weights and order.
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// A folder with numbered folders of SQL files, like sql/10_stage, instead of those in the program.
    #[arg(long, value_name = "DIR")]
    sql_dir: Option<PathBuf>,
    /// Say what would be done.
    #[arg(long)]
    dry_run: bool,
}

/// The folders in which the registry's client keeps sources of packages.
fn registry_sources() -> Vec<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| std::env::home_dir().map(|h| h.join(".cargo")));
    let folders = home.map(|h| h.join("registry/src")).and_then(|p| std::fs::read_dir(p).ok());
    let mut found: Vec<PathBuf> = folders.into_iter().flatten().flatten().map(|e| e.path()).filter(|p| p.is_dir()).collect();
    found.sort();
    found
}

pub fn run(world: &mut World, args: Args) -> anyhow::Result<()> {
    if args.workflow != quickstart::NAME {
        return Err(usage(
            format!("there is no workflow `{}`", args.workflow),
            "The workflow is called quickstart: polder run quickstart.",
        ));
    }
    let named_sources = !args.sources.is_empty();
    let settings = Settings {
        sources: if named_sources { args.sources } else { registry_sources() },
        named_sources,
        limit_bytes: stages::megabytes(args.limit),
        minutes: args.minutes,
        steps: args.steps,
        preset: args.model,
        vocab_size: args.vocab,
        seed: args.seed,
        sql_dir: args.sql_dir,
    };
    if args.dry_run { quickstart::dry_run(world, &settings) } else { quickstart::run(world, settings) }
}
