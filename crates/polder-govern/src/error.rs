//! What can go wrong between the lake and what is said about it.

use std::io;
use std::path::PathBuf;

use arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use polder_base::{Advice, EventError, ExitKind, ManifestError, WholeError};
use polder_lake::LakeError;
use thiserror::Error;

/// Why facts, lineage, a card or a verdict could not be had.
#[derive(Debug, Error)]
pub enum GovernError {
    /// The lake said no.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// A query over the lake broke off.
    #[error("cannot read {what}")]
    Rows {
        /// What was asked for.
        what: &'static str,
        /// Why.
        #[source]
        source: DataFusionError,
    },
    /// Rows do not look as they should.
    #[error("rows of {what} cannot be read or made")]
    Shape {
        /// The table or query.
        what: &'static str,
        /// Why.
        #[source]
        source: ArrowError,
    },
    /// A value is no JSON of ours.
    #[error("{what} cannot be understood")]
    Json {
        /// Which value.
        what: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// Events of a run cannot be read.
    #[error(transparent)]
    Events(#[from] EventError),
    /// A manifest cannot be read.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A card cannot be written.
    #[error(transparent)]
    Write(#[from] WholeError),
    /// A folder or file cannot be read.
    #[error("cannot read `{path}`")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No fact has the id.
    #[error("no fact begins with `{id}`")]
    NoFact {
        /// What was asked for.
        id: String,
    },
    /// Several facts have the id.
    #[error("{n} facts begin with `{id}`")]
    ManyFacts {
        /// What was asked for.
        id: String,
        /// How many there are.
        n: usize,
    },
    /// The chain of facts is broken.
    #[error("the chain of facts is broken: {reason}")]
    Chain {
        /// Where, and how.
        reason: String,
    },
    /// Others kept writing facts.
    #[error("other programs kept writing facts; {n} are not in the lake yet")]
    Busy {
        /// How many wait.
        n: usize,
    },
    /// The thing cannot have such a card.
    #[error("`{reference}` has no {card}: {reason}")]
    NoCard {
        /// What was asked for.
        reference: String,
        /// Which card.
        card: &'static str,
        /// Why not.
        reason: String,
    },
    /// A gate cannot be run, so nothing can be cleared.
    #[error("the gate `{gate}` cannot be run")]
    Gate {
        /// Its file.
        gate: String,
        /// Why.
        #[source]
        source: Box<LakeError>,
    },
    /// There is nothing of that name, and no fact tells of it.
    #[error("nothing is known of `{reference}`")]
    Unknown {
        /// What was asked for.
        reference: String,
    },
}

impl Advice for GovernError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Lake(e) => return e.hint(),
            Self::Events(e) => return e.hint(),
            Self::Manifest(e) => return e.hint(),
            Self::Write(e) => return e.hint(),
            Self::NoFact { .. } | Self::ManyFacts { .. } => "See the facts and their ids with `polder facts list`.".into(),
            Self::Chain { .. } => "A fact was changed or taken away outside Polder; look at `polder table history ops.facts`.".into(),
            Self::Busy { .. } => "Run `polder facts sync` when the other work is done; nothing is lost.".into(),
            Self::NoCard { .. } => {
                "Data cards are of tables of documents, as in `polder pile card pile.base@v1`; a model's card stands in its folder.".into()
            }
            Self::Gate { gate, .. } => format!("Mend `policy/{gate}` in the lake's folder; until it runs, it clears nothing."),
            Self::Unknown { .. } => "See what there is with `polder table list`, `polder model list` and `polder facts list`.".into(),
            Self::Rows { .. } | Self::Shape { .. } | Self::Json { .. } | Self::Read { .. } => return None,
        })
    }

    fn exit(&self) -> ExitKind {
        match self {
            Self::Lake(e) => e.exit(),
            Self::Manifest(e) => e.exit(),
            Self::NoFact { .. } | Self::ManyFacts { .. } | Self::NoCard { .. } | Self::Unknown { .. } => ExitKind::Usage,
            Self::Chain { .. } | Self::Gate { .. } => ExitKind::Refused,
            _ => ExitKind::Failed,
        }
    }
}
