//! Model families over `polder_compute::Backend`: configuration, table of parameters, weights on disk, forward and backward.
//!
//! One family so far, the Llama-style decoder. It knows no data and no schedule. Start with [`ModelConfig`], then
//! [`Weights`] (what a model is) and [`Network`] (what it computes).

mod adapter;
mod config;
mod error;
mod network;
mod preset;
mod table;
mod weights;

pub use adapter::{ADAPTER_CONFIG_FILE, ADAPTER_TENSORS_FILE};
pub use config::ModelConfig;
pub use error::ModelError;
pub use network::{Loss, Network};
pub use preset::{PRESETS, Preset, preset};
pub use table::{Param, ParamTable};
pub use weights::{Layer, Weights, read_numbers};
