//! The words that every crate of Polder shares: digests, units, references, manifests, events,
//! clearances, and what a failure tells its user.
//!
//! It does no more I/O than reading, writing and hashing whole files, and knows no stage.
//! Start with [`Reference`] (how things are named) and [`Manifest`] (how they are described).

mod advice;
mod classifier;
mod clearance;
mod digest;
mod event;
mod layout;
mod manifest;
mod memory;
mod random;
mod reference;
mod time;
pub mod units;
mod whole;

pub use advice::{Advice, Advised, ExitKind};
pub use classifier::{ClassifierDetails, ClassifierScores, LabelScores};
pub use clearance::{Clearance, ClearanceError, Verdict};
pub use digest::{Digest, Hasher, digest_bytes, digest_file, digest_json};
pub use event::{Event, EventError, EventLog, read_events};
pub use layout::Layout;
pub use manifest::{Input, Manifest, ManifestError, ManifestFile};
pub use memory::Memory;
pub use random::Random;
pub use reference::{At, Reference, ReferenceError, TableName};
pub use time::{Timestamp, TimestampError};
pub use whole::{WholeError, publish_dir, write_whole};
