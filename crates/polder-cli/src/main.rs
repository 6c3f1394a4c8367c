//! The `polder` program: every stage from raw files to a served model, each also as a command of its own.
//!
//! It parses, joins the lake side with the model side, prints and exits. Start with [`commands`].

mod artefacts;
mod chart;
mod commands;
mod failure;
mod machine;
mod output;
mod pieces;
mod progress;
mod quickstart;
mod signal;
mod stages;
mod world;

use std::panic::{self, PanicHookInfo};
use std::process::ExitCode;
use std::sync::Mutex;

/// What a library said when it panicked, and where.
static UNSAID: Mutex<Option<String>> = Mutex::new(None);

/// Keeps back what libraries say when they panic: where they catch it themselves, an error with a better text follows.
fn hold_back_libraries() {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |panic: &PanicHookInfo<'_>| {
        let is_library = panic.location().is_some_and(|l| l.file().contains("/registry/src/"));
        match UNSAID.lock() {
            Ok(mut unsaid) if is_library => *unsaid = Some(panic.to_string()),
            _ => print(panic),
        }
    }));
}

fn main() -> ExitCode {
    hold_back_libraries();
    let cli = match commands::parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { polder_base::ExitKind::Usage.code() } else { 0 });
        }
    };
    // A panic is an invariant of ours that broke: say so, with its own exit code.
    match panic::catch_unwind(|| commands::execute(cli)) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => failure::report(&error),
        Err(_) => {
            if let Some(said) = UNSAID.lock().ok().and_then(|mut u| u.take()) {
                output::note(&said);
            }
            output::note("hint: this is a bug in polder. Everything finished before stands; please report the message above.");
            ExitCode::from(polder_base::ExitKind::Bug.code())
        }
    }
}
