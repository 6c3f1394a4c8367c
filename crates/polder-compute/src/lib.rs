//! The numeric operations of Polder's models: the [`Backend`] trait, its fast CPU half, and the naive f64 reference.
//!
//! It knows no model, no file and no network. Start with [`Backend`]; then read one operation across
//! `cpu/<op>.rs`, `reference/mod.rs` and `tests/kernels/<op>.rs`, which share their names.

mod backend;
pub mod cpu;
pub mod cuda;
mod reference;

pub use backend::{AdamW, Attention, Backend, Buffer, Gemm, IdBuffer, IdView, Rope, View};
pub use cpu::Cpu;
pub use reference::Reference;
