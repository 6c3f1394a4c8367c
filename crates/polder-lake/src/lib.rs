//! Delta tables, catalog, session, time travel, tags and ingest of a lake.
//!
//! It knows no model and no pipeline: what a table means is decided by those who write it.
//! Start with [`Lake`]; [`ingest`] brings files in; [`ops`] holds the schemas of the lake's own books.

mod catalog;
mod check;
mod commits;
mod diff;
mod error;
mod features;
mod functions;
pub mod ingest;
mod known;
mod lake;
mod memory;
mod near;
pub mod ops;
mod planner;
mod purge;
mod settings;
mod snapshot;
mod sql;
mod store;
mod tables;
mod tags;
#[cfg(test)]
mod tests;
mod views;
mod watch;
mod write;

pub use check::TagCheck;
pub use commits::Commit;
pub use diff::{Diff, Share};
pub use error::LakeError;
pub use ingest::{IngestProgress, IngestReport, IngestRequest, Order};
pub use lake::Lake;
pub use purge::Purged;
pub use snapshot::Snapshot;
pub use sql::{Answer, Author, Done, LakeDialect, Statements, Upkeep};
pub use store::{Place, StoreAccess, StoreError};
pub use tables::SCHEMAS;
pub use tags::Tag;
pub use watch::{Reading, Watch};
pub use write::{WriteMode, WriteOptions, Written};
