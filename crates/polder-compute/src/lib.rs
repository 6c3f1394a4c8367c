//! The numeric operations of Polder's models: the [`Backend`] trait, its fast CPU half, and the naive f64 reference.
//!
//! It knows no model and no file, and of the network only how ranks meet (`collective/`). Start with [`Backend`]; then read one operation across
//! `cpu/<op>.rs`, `reference/<op>.rs` and `tests/kernels/<op>.rs`, which share their names.

mod backend;
mod collective;
pub mod cpu;
pub mod cuda;
mod number;
mod reference;
pub mod trace;

pub use backend::{
    Activation, AdamW, Attention, Backend, Buffer, CrossEntropy, Dtype, Gemm, IdBuffer, IdView, KvCache, LogitsRoom, Muon, MuonStep, Norm,
    NormKind, Rope, RopeScaling, View,
};
pub use collective::{Alone, Collective, CollectiveError, LocalRank, Patience, RankPlace, RendezvousError, TcpRank, local_ranks};
pub use cpu::Cpu;
pub use number::{Bf16, Number};
pub use reference::Reference;
pub use trace::{LockStep, Traced};
