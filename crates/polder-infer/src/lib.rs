//! Runs a model on text: generation with a KV cache, and probabilities of given tokens.
//!
//! It reads a model's folder and writes nothing; it knows no lake and no server. Start with [`Engine`].

mod batcher;
mod decoder;
mod engine;
mod error;
mod packed;
mod stream;

pub use engine::{Engine, Finish, GenerateOptions, Generation};
pub use error::InferError;
pub use packed::Packed;
pub use polder_compute::Dtype;
pub use polder_model::DecodeOptions;
