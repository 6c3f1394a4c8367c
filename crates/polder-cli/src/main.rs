//! The `polder` program: every stage from raw files to a served model, each also as a command of its own.
//!
//! It parses, joins the lake side with the model side, prints and exits. Start with [`commands`].

mod artefacts;
mod chart;
mod commands;
mod failure;
mod machine;
mod output;
mod progress;
mod quickstart;
mod signal;
mod stages;
mod world;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = match commands::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { polder_base::ExitKind::Usage.code() } else { 0 });
        }
    };
    // A panic is an invariant of ours that broke: say so, with its own exit code.
    match std::panic::catch_unwind(|| commands::execute(cli)) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => failure::report(&error),
        Err(_) => {
            output::note("hint: this is a bug in polder. Everything finished before stands; please report the message above.");
            ExitCode::from(polder_base::ExitKind::Bug.code())
        }
    }
}
