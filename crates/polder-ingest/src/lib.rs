//! What stands in files, archives, web pages and databases, as records: documents, and faults with the place and the reason.
//!
//! It knows formats, compression, encodings and limits; it knows no table, writes nothing, and follows no link out of a
//! source. Start with [`Request`] and [`Reading`].

mod compression;
#[cfg_attr(
    not(all(feature = "mysql", feature = "postgres", feature = "sqlite")),
    allow(dead_code, reason = "what only some databases need")
)]
mod database;
mod encoding;
mod error;
mod globs;
mod mapping;
mod media;
mod pieces;
mod readers;
mod reading;
mod record;
mod settings;
mod sources;
#[cfg(test)]
mod tests;
mod web;

pub use error::IngestError;
pub use mapping::{Mapping, Scalar};
pub use pieces::{Pieces, with_causes};
pub use readers::{Format, rows};
pub use reading::{Batch, Reading, Tally};
pub use record::{Bad, EXCERPT_BYTES, Fault, Flow, Gone, Item, Member, Offset, Origin, Record, Sink, identity};
pub use settings::{Limits, Order, Outside, Pages, Request, Seen, StoredObject};
pub use web::without_secrets;
