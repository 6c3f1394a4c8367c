//! Model families over `polder_compute::Backend`: configuration, table of parameters, weights on disk, forward and backward.
//!
//! Four families: Llama-style and GPT-2 decoders, BERT and ModernBERT encoders. It knows no data and no schedule. Start
//! with [`ModelConfig`] and its [`Parts`], then [`Weights`] (what a model is) and [`Network`] (what it computes).

mod adapter;
mod config;
mod error;
mod network;
mod preset;
mod table;
mod weights;

pub use adapter::{ADAPTER_CONFIG_FILE, ADAPTER_TENSORS_FILE};
pub use config::{AttentionBias, Family, Head, Llama, ModelConfig, ModernBert, NormPlace, Parts, Pooling, Positions};
pub use error::ModelError;
pub use network::{
    BATCHES_AT_ONCE_MAX, Batch, DecodeOptions, Growing, Loss, MuonStep, Network, NetworkOptions, Reading, Recompute, StepGrads, StepPart,
    memory_bytes,
};
pub use preset::{FAMILIES, PRESETS, Preset, preset, sizes};
pub use table::{Group, Init, Param, ParamTable};
pub use weights::{Layer, Linear, ModelFolder, Normalisation, Weights, read_numbers};
