//! `polder train …`.

mod resume;
mod rows;
mod start;
mod status;

use crate::world::World;

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Train a model; the same command again goes on where it stopped.
    Start(start::Args),
    /// Go on with a run that was stopped.
    Resume {
        /// The run, as `polder train status` names it.
        run: String,
        /// What to call the model, as it was called when the run was started.
        #[arg(long, value_name = "NAME")]
        name: String,
        /// Scores requests/NAME whenever the validation samples are judged; may be given several times.
        #[arg(long = "eval", value_name = "NAME")]
        tasks: Vec<String>,
    },
    /// Show which documents a step saw.
    Rows(rows::Args),
    /// Show runs: steps, loss, speed.
    Status,
}

pub fn run(world: &mut World, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Start(args) => start::run(world, args),
        Command::Resume { run, name, tasks } => resume::run(world, &run, &name, tasks),
        Command::Rows(args) => rows::run(world, &args),
        Command::Status => status::run(world),
    }
}
