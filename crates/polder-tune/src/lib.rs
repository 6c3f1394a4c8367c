//! Fine-tunes a model with examples: a low-rank adapter, and how much it helps on examples that it did not see.
//!
//! It reads `train.jsonl` and `heldout.jsonl`, knows no tables and fetches nothing. The same data, options and base give
//! the same adapter; it takes minutes, so a run that was broken off starts over, and nothing half-done is left.
//! Start with [`TuningData`] and [`Tuning`], on the processor or a GPU, then [`write_adapter`].

mod adapted;
mod adapter;
mod data;
mod error;
mod held_out;
mod options;
mod publish;
mod tune;

pub use adapter::Adapter;
pub use data::{Example, TuningData};
pub use error::TuneError;
pub use held_out::HeldOut;
pub use options::{Target, TuneOptions};
pub use polder_train::Precision;
pub use publish::write_adapter;
pub use tune::{TuneProgress, TuneReport, Tuned, Tuning};
