//! Who did what to which data, and what may go on: facts, lineage, cards, gates.
//!
//! It reads manifests, tables and facts, and writes the lake's books (`ops.*`) and cards; it computes no score and makes no
//! model. Everything a card says comes from there. Start with [`sync`] (events → `ops.facts`), [`lineage()`], [`data_card()`],
//! [`model_card()`] and [`clearance`].

mod books;
mod classifier_card;
mod data_card;
mod error;
mod facts;
mod funnel;
mod lineage;
mod markdown;
mod model_card;
mod policy;
mod queries;
mod rows;
#[cfg(test)]
mod tests;
mod tree;

pub use books::{RunRow, Score, record_runs, record_scores, scores};
pub use classifier_card::write_classifier_card;
pub use data_card::{DataCard, Share, data_card};
pub use error::GovernError;
pub use facts::{Fact, FactFilter, list, record, show, sync, verify_chain};
pub use funnel::FilterStep;
pub use lineage::{Lineage, Made, Node, Source, lineage};
pub use model_card::{ModelCard, Tokens, TuningCard, model_card, write_model_card};
pub use policy::{Gate, GateResult, Policy, clearance};
pub use queries::{QUERIES, query};
