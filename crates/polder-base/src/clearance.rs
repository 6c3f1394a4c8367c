//! The verdict of a lake's policy over a pile, carried by manifests to where there is no lake.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{Advice, Digest, ExitKind, Timestamp};

/// What a policy said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Every gate passed, or there is none.
    Cleared,
    /// At least one gate said no.
    Refused,
}

/// A verdict with what it was said about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clearance {
    /// What the gates said.
    pub verdict: Verdict,
    /// Digest of the policy's gates; of the empty list where a lake has no policy.
    pub policy_digest: Digest,
    /// Digest of what was judged: a manifest's inputs digest.
    pub input_digest: Digest,
    /// One sentence a gate that said no.
    pub reasons: Vec<String>,
    /// When.
    pub at: Timestamp,
}

/// Why work refuses to go on.
#[derive(Debug, Error)]
pub enum ClearanceError {
    /// No verdict was written.
    #[error("{subject} has no clearance")]
    Missing {
        /// What was asked for.
        subject: String,
    },
    /// The verdict is about other inputs.
    #[error("the clearance of {subject} is stale: it judged other inputs")]
    Stale {
        /// What was asked for.
        subject: String,
    },
    /// A gate said no.
    #[error("{subject} was refused: {}", reasons.join("; "))]
    Refused {
        /// What was asked for.
        subject: String,
        /// The gates' sentences.
        reasons: Vec<String>,
    },
}

impl Advice for ClearanceError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Missing { .. } | Self::Stale { .. } => "Build it again, so that the lake's policy is applied to it.".into(),
            Self::Refused { .. } => "Mend the data or the policy in the lake's gates, then build it again.".into(),
        })
    }
    fn exit(&self) -> ExitKind {
        ExitKind::Refused
    }
}

impl Clearance {
    /// Lets work on `subject` go on, or says why not.
    ///
    /// # Errors
    /// A missing, stale or negative verdict.
    pub fn require(of: Option<&Self>, subject: &str, input_digest: &Digest) -> Result<(), ClearanceError> {
        let subject = subject.to_owned();
        match of {
            None => Err(ClearanceError::Missing { subject }),
            Some(c) if c.input_digest != *input_digest => Err(ClearanceError::Stale { subject }),
            Some(c) if c.verdict == Verdict::Refused => Err(ClearanceError::Refused { subject, reasons: c.reasons.clone() }),
            Some(_) => Ok(()),
        }
    }
}
