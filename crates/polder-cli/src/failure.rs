//! Errors as their reader sees them: what failed, why, what to do; and the exit code.

use std::process::ExitCode;

use polder_base::{Advice, Advised, ExitKind};

use crate::output;

/// Takes a library's advice along when its error becomes an `anyhow` one.
pub trait OrAdvise<T> {
    /// Turns the error into one that keeps its hint and exit code.
    fn or_advise(self) -> anyhow::Result<T>;
}

impl<T, E: Advice + Send + Sync + 'static> OrAdvise<T> for Result<T, E> {
    fn or_advise(self) -> anyhow::Result<T> {
        self.map_err(|e| anyhow::Error::new(Advised::from(e)))
    }
}

/// An error of the user's making, with a hint.
pub fn usage(message: impl Into<String>, hint: impl Into<String>) -> anyhow::Error {
    anyhow::Error::new(Advised::new(message, hint, ExitKind::Usage))
}

/// A check that said no, with a hint.
pub fn refused(message: impl Into<String>, hint: impl Into<String>) -> anyhow::Error {
    anyhow::Error::new(Advised::new(message, hint, ExitKind::Refused))
}

/// The user stopped the work.
pub fn interrupted() -> anyhow::Error {
    anyhow::Error::new(Advised::new("stopped", "Run the same command again to go on where it stopped.", ExitKind::Interrupted))
}

/// Prints an error and returns its exit code.
pub fn report(error: &anyhow::Error) -> ExitCode {
    let advised = error.chain().find_map(|cause| cause.downcast_ref::<Advised>());
    let exit = advised.map_or(ExitKind::Failed, |a| a.exit);
    // A reader of our output that went away is no failure to speak of.
    if error.chain().any(|c| c.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)) {
        return ExitCode::SUCCESS;
    }
    let full = error.chain().filter_map(|c| c.downcast_ref::<std::io::Error>()).any(|e| e.kind() == std::io::ErrorKind::StorageFull);
    output::note(&format!("error: {}", output::printable(&error.to_string())));
    let mut last = error.to_string();
    for cause in error.chain().skip(1) {
        let text = cause.to_string();
        if !last.contains(&text) {
            output::note(&format!("  caused by: {}", output::printable(&text)));
        }
        last = text;
    }
    let hint = advised.and_then(|a| a.hint.clone());
    let space = || full.then(|| "The disk is full. Free some space and run the same command again; what was finished stands.".to_owned());
    if let Some(hint) = hint.or_else(space) {
        output::note(&format!("hint: {}", output::printable(&hint)));
    }
    ExitCode::from(exit.code())
}

/// An `anyhow` error that workflow errors turn into, with their advice.
#[derive(Debug)]
pub struct Error(pub anyhow::Error);

impl From<anyhow::Error> for Error {
    fn from(error: anyhow::Error) -> Self {
        Self(error)
    }
}

impl From<polder_workflow::WorkflowError> for Error {
    fn from(error: polder_workflow::WorkflowError) -> Self {
        Self(anyhow::Error::new(Advised::from(error)))
    }
}

impl From<Error> for anyhow::Error {
    fn from(error: Error) -> Self {
        error.0
    }
}
