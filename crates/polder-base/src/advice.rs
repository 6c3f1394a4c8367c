//! What a failure tells its user besides its message: a hint, and the exit code it deserves.

use std::error::Error;
use std::fmt;

/// Names the exit codes of every Polder program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitKind {
    /// The work failed (1).
    Failed,
    /// The request was wrong (2).
    Usage,
    /// It ran, and a check said no (3).
    Refused,
    /// An invariant of ours broke (70).
    Bug,
    /// The user stopped it (130).
    Interrupted,
}

impl ExitKind {
    /// Returns the process exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::Bug => 70,
            Self::Interrupted => 130,
        }
    }
}

/// Says what a user can do about an error; every library error enum implements it.
pub trait Advice: Error {
    /// A full sentence with a command to run, printed by binaries only.
    fn hint(&self) -> Option<String> {
        None
    }
    /// The exit code that fits.
    fn exit(&self) -> ExitKind {
        ExitKind::Failed
    }
}

/// An error with its advice taken out, so that it survives type erasure.
#[derive(Debug)]
pub struct Advised {
    source: Box<dyn Error + Send + Sync>,
    /// What the user can do.
    pub hint: Option<String>,
    /// The exit code that fits.
    pub exit: ExitKind,
}

impl<E: Advice + Send + Sync + 'static> From<E> for Advised {
    fn from(error: E) -> Self {
        Self { hint: error.hint(), exit: error.exit(), source: Box::new(error) }
    }
}

impl Advised {
    /// Makes one from a plain message.
    pub fn new(message: impl Into<String>, hint: impl Into<String>, exit: ExitKind) -> Self {
        Self { source: message.into().into(), hint: Some(hint.into()), exit }
    }
}

impl fmt::Display for Advised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

impl Error for Advised {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.source()
    }
}
