//! Trains a model on token shards: sample order, schedule, optimizer, metrics, checkpoints, exact resume.
//!
//! It reads files and writes files, and knows no lake. Start with [`TrainConfig`], then [`TrainRun`].

mod checkpoint;
mod config;
mod error;
mod finish;
mod masked;
mod measure;
mod memory;
mod metrics;
mod mfu;
mod plan;
mod run;
mod settings;
mod spikes;
mod tensorboard;
mod tokens;

pub use config::{Optimizer, Precision, Schedule, TrainConfig};
pub use error::TrainError;
pub use masked::{MaskedLm, mask_token};
pub use measure::{Bench, measure, measure_in};
pub use memory::{MemoryLayout, gpu_bytes, require_gpu_memory, require_memory, run_bytes};
pub use metrics::{METRICS_FILE, Metric, read_metrics};
pub use mfu::Mfu;
pub use plan::{Aim, Bound, Candidate, Choice, EPOCHS_MAX, Means, Speed, TOKENS_PER_PARAM_BEST, TOKENS_PER_PARAM_MIN, candidates, choose};
pub use polder_model::Recompute;
pub use polder_shard::Packing;
pub use run::{Init, Outcome, RunConfig, SPIKES_FILE, SpikeReport, StepReport, Tasks, TrainRun};
pub use spikes::{Spike, SpikeAction, SpikePolicy};
pub use tokens::{MixedTokens, SeenDocument, TokenFolders, loader, seen_documents};
