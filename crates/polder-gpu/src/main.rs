//! The `polder-gpu` program: the model side alone, to be carried to a host that has a GPU and no lake.
//!
//! It reads token shards, requests and tuning files, and writes models, scores and adapters. Facts stand beside them as
//! local events and come into the lake when they are brought back. It carries its kernels
//! with it; where there is no GPU it works on the processor, and says so.

mod bench;
mod commands;
mod kernels;
mod prompt;
mod ranks;
mod stop;
mod train;
mod tune;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use polder_base::{Advised, ExitKind};

/// Writes a line for people to standard error.
pub(crate) fn note(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

fn main() -> ExitCode {
    let cli = match commands::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { ExitKind::Usage.code() } else { 0 });
        }
    };
    let Err(error) = commands::execute(cli) else { return ExitCode::SUCCESS };
    let advised = error.chain().find_map(|cause| cause.downcast_ref::<Advised>());
    note(&format!("error: {error}"));
    for cause in error.chain().skip(1) {
        note(&format!("  caused by: {cause}"));
    }
    if let Some(hint) = advised.and_then(|a| a.hint.as_ref()) {
        note(&format!("hint: {hint}"));
    }
    ExitCode::from(advised.map_or(ExitKind::Failed, |a| a.exit).code())
}
