//! Trains a model on token shards: sample order, schedule, optimizer, metrics, checkpoints, exact resume.
//!
//! It reads files and writes files, and knows no lake. Start with [`TrainConfig`], then [`TrainRun`].

mod checkpoint;
mod config;
mod error;
mod finish;
mod measure;
mod memory;
mod metrics;
mod plan;
mod run;
mod tokens;

pub use config::{Schedule, TrainConfig};
pub use error::TrainError;
pub use measure::{measure, measure_in};
pub use memory::{MemoryLayout, require_memory, run_bytes};
pub use metrics::{METRICS_FILE, Metric, read_metrics};
pub use plan::{Aim, Bound, Candidate, Choice, EPOCHS_MAX, Means, Speed, TOKENS_PER_PARAM_BEST, TOKENS_PER_PARAM_MIN, candidates, choose};
pub use run::{Init, Outcome, RunConfig, StepReport, TrainRun};
pub use tokens::{MixedTokens, TokenFolders, loader};
