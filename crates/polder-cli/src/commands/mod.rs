//! The commands: one file each, named for what the user types.

mod classifier;
mod doctor;
mod eval;
mod examples;
mod facts;
mod ingest;
mod init;
mod model;
mod pile;
mod pipeline;
mod run;
mod serve;
mod sql;
mod table;
mod tokenizer;
mod tokens;
mod train;
mod tune;

use std::path::PathBuf;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::world::World;

const EXAMPLES: &str = "Examples:
  polder run                                  every stage, from raw files to a served model
  polder ingest ~/src --into raw.docs         files into the lake
  polder sql \"SELECT category, count(*) FROM pile.base VERSION AS OF 'v1' GROUP BY 1\"
  polder facts lineage models/quickstart      what a model was made from
  polder serve models/quickstart              answer completions over HTTP";

/// From a data lake to a foundation model.
#[derive(Debug, Parser)]
#[command(name = "polder", version, before_help = EXAMPLES, max_term_width = 110)]
pub struct Cli {
    /// The lake's folder.
    #[arg(long, global = true, env = "POLDER_LAKE", default_value = "./lake", value_name = "DIR")]
    lake: PathBuf,
    /// Print data as JSON, one object a line.
    #[arg(long, global = true)]
    json: bool,
    /// What trains, tunes, measures and answers: auto (a GPU where there is one), cpu, gpu, or gpu:N.
    #[arg(long, global = true, env = "POLDER_DEVICE", default_value = "auto", value_name = "MACHINE")]
    device: polder_compute::cuda::Machine,
    /// Memory that queries may hold together, such as 2GB or 500MB; what needs more goes to disk [default: 60 % of the machine's].
    #[arg(long, global = true, env = "POLDER_MEMORY", value_parser = crate::stages::memory, value_name = "SIZE")]
    memory: Option<u64>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The main job: every stage from raw data to a served model; run again = continue.
    Run(run::Args),
    /// Make a lake.
    Init(init::Args),
    /// Say what this machine and this lake have, and what is missing.
    Doctor,
    /// Bring files into the lake.
    Ingest(ingest::Args),
    /// Run SQL: a statement, a file, or statements from standard input.
    Sql(sql::Args),
    /// Look at tables.
    #[command(subcommand)]
    Table(table::Command),
    /// Tag, look at and describe base data piles.
    #[command(subcommand)]
    Pile(pile::Command),
    /// Bring the tables that SQL files make up to date.
    #[command(subcommand)]
    Pipeline(pipeline::Command),
    /// Train, judge and look at classifiers of text.
    #[command(subcommand)]
    Classifier(classifier::Command),
    /// Train, bring in and compare tokenizers.
    #[command(subcommand)]
    Tokenizer(tokenizer::Command),
    /// Build and look at token shards.
    #[command(subcommand)]
    Tokens(tokens::Command),
    /// Choose and look at models.
    #[command(subcommand)]
    Model(model::Command),
    /// Train a model on token shards.
    #[command(subcommand)]
    Train(train::Command),
    /// Measure a model.
    #[command(subcommand)]
    Eval(eval::Command),
    /// Fine-tune a model with examples.
    #[command(subcommand)]
    Tune(tune::Command),
    /// Serve a model over HTTP.
    Serve(serve::Args),
    /// Ask what happened, and what came from what.
    #[command(subcommand)]
    Facts(facts::Command),
}

/// Parses the command line; each command's help begins with examples.
///
/// # Errors
/// Those of usage, and help that was asked for.
pub fn parse() -> Result<Cli, clap::Error> {
    let mut command = examples::add(Cli::command());
    let mut matches = command.try_get_matches_from_mut(std::env::args_os())?;
    Cli::from_arg_matches_mut(&mut matches).map_err(|e| e.format(&mut command))
}

/// Runs a parsed command line.
///
/// # Errors
/// Whatever the command says.
pub fn execute(cli: Cli) -> anyhow::Result<()> {
    let mut world = World::new(&cli.lake, cli.json, cli.device, cli.memory)?;
    let world = &mut world;
    match cli.command {
        Command::Run(args) => run::run(world, args),
        Command::Init(args) => init::run(world, &args),
        Command::Doctor => doctor::run(world),
        Command::Ingest(args) => ingest::run(world, args),
        Command::Sql(args) => sql::run(world, &args),
        Command::Table(command) => table::run(world, command),
        Command::Pile(command) => pile::run(world, command),
        Command::Pipeline(command) => pipeline::run(world, command),
        Command::Classifier(command) => classifier::run(world, command),
        Command::Tokenizer(command) => tokenizer::run(world, command),
        Command::Tokens(command) => tokens::run(world, command),
        Command::Model(command) => model::run(world, command),
        Command::Train(command) => train::run(world, command),
        Command::Eval(command) => eval::run(world, command),
        Command::Tune(command) => tune::run(world, command),
        Command::Serve(args) => serve::run(world, args),
        Command::Facts(command) => facts::run(world, command),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::examples::add(super::Cli::command()).debug_assert();
    }
}
