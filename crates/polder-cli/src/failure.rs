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
    output::note(&format!("error: {}", output::printable(&error.to_string())));
    let mut last = error.to_string();
    for cause in error.chain().skip(1) {
        let text = cause.to_string();
        // The engine lists every column there is; the hint says where to see them.
        let text = text.split("\nValid fields are").next().unwrap_or_default().replace('\n', " ");
        if !says(&last, &text) {
            output::note(&format!("  caused by: {}", output::printable(&text)));
        }
        last = text;
    }
    let hint = advised.and_then(|a| a.hint.clone());
    if let Some(hint) = hint.or_else(|| from_system(error)) {
        output::note(&format!("hint: {}", output::printable(&hint)));
    }
    ExitCode::from(exit.code())
}

/// Whether a message says what its cause says, maybe without the cause's own preface.
fn says(message: &str, cause: &str) -> bool {
    message.contains(cause) || cause.split_once(": ").is_some_and(|(_, rest)| message.contains(rest))
}

/// A hint for what the operating system refused.
fn from_system(error: &anyhow::Error) -> Option<String> {
    use std::io::ErrorKind::{FileTooLarge, NotADirectory, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    let kinds = error.chain().filter_map(|c| c.downcast_ref::<std::io::Error>()).map(std::io::Error::kind);
    let hint = kinds.into_iter().find_map(|kind| match kind {
        StorageFull | QuotaExceeded => Some("The disk is full. Free some space and run the same command again; what was finished stands."),
        FileTooLarge => Some("A file may not grow that large here (see `ulimit -f`). Raise the limit and run the same command again."),
        PermissionDenied | ReadOnlyFilesystem | NotADirectory => {
            Some("This place cannot be written. Name a lake elsewhere with --lake or POLDER_LAKE, or get the right to write.")
        }
        _ => None,
    });
    hint.map(str::to_owned)
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
