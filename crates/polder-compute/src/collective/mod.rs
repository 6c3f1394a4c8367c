//! Ranks that work on one step together: each has the whole model, a part of the batch, and a part of the optimizer's state.
//!
//! A step sums gradients to the owners of the parts ([`Collective::sum_to_owners`]), each owner updates its part of the
//! parameters, and all get all parts ([`Collective::share_from_owners`]). [`Alone`] is the collective of one rank,
//! [`LocalRank`] of threads of one process, [`TcpRank`] of processes on one host or several; the last two give the same bits.
//! Ranks with a GPU each are [`NcclRank`](crate::cuda::NcclRank).
//!
//! # Source
//! Rajbhandari et al., ZeRO: memory optimizations toward training trillion parameter models, 2020 (stage 1).

mod local;
mod rendezvous;
mod tcp;

use std::ops::Range;

use polder_base::{Advice, ExitKind};
use thiserror::Error;

use crate::{Backend, View};

pub use local::{LocalRank, local_ranks};
pub use rendezvous::{Patience, RankPlace, RendezvousError};
pub use tcp::TcpRank;

/// Why ranks cannot go on together.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CollectiveError {
    /// Another rank has ended, so nobody will answer.
    #[error("another of the {n_ranks} ranks has stopped")]
    Left {
        /// Ranks at the start.
        n_ranks: usize,
    },
    /// Another rank is there and says nothing.
    #[error("rank {rank} has not answered for {seconds} s")]
    Silent {
        /// Which.
        rank: usize,
        /// How long was waited.
        seconds: u64,
    },
    /// Another rank does something else.
    #[error("rank {rank} does not do what this rank does")]
    OutOfStep {
        /// Which.
        rank: usize,
    },
    /// A connection failed.
    #[error("the connection to rank {rank} failed: {reason}")]
    Connection {
        /// To whom.
        rank: usize,
        /// What the system says.
        reason: String,
    },
    /// A GPU or what carries numbers between GPUs failed.
    #[error("cannot {step} between GPUs: {reason}")]
    Device {
        /// What was tried.
        step: &'static str,
        /// What the driver or the library says.
        reason: String,
    },
}

impl Advice for CollectiveError {
    fn hint(&self) -> Option<String> {
        Some("Look at what the other ranks said, then run the same command again to go on from the last checkpoint.".into())
    }

    fn exit(&self) -> ExitKind {
        if matches!(self, Self::OutOfStep { .. }) { ExitKind::Bug } else { ExitKind::Failed }
    }
}

/// Adds a rank's numbers to sums. Ranks come in order, in f32 as a GPU does it, so that the bits do not depend on how they are connected.
fn add(sums: &mut [f32], numbers: impl Iterator<Item = f32>) {
    sums.iter_mut().zip(numbers).for_each(|(sum, x)| *sum += x);
}

/// Sums what each rank has given, in order of ranks.
pub(crate) fn sum_of_ranks(given: &[Vec<f64>], values: &mut [f64]) {
    for (i, value) in values.iter_mut().enumerate() {
        *value = given.iter().map(|numbers| numbers[i]).sum();
    }
}

/// What ranks do together. All of them call the same operations in the same order, each with views of the same sizes.
pub trait Collective<B: Backend>: Send {
    /// This rank, from 0.
    fn rank(&self) -> usize;

    /// How many there are.
    fn n_ranks(&self) -> usize;

    /// Sums a part of f32 `data` over all ranks to the rank that owns it, in order of ranks; `owners` holds the part of each
    /// rank. What a rank does not own keeps what it had.
    ///
    /// # Errors
    /// Another rank does not answer.
    fn sum_to_owners(&mut self, backend: &mut B, data: View, owners: &[Range<usize>]) -> Result<(), CollectiveError>;

    /// Copies each part of f32 `data` from the rank that owns it to all others.
    ///
    /// # Errors
    /// Another rank does not answer.
    fn share_from_owners(&mut self, backend: &mut B, data: View, owners: &[Range<usize>]) -> Result<(), CollectiveError>;

    /// Makes numbers of the host their sums over all ranks, the same bits on each.
    ///
    /// # Errors
    /// Another rank does not answer.
    fn sum(&mut self, values: &mut [f64]) -> Result<(), CollectiveError>;
}

/// The only rank.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

impl<B: Backend> Collective<B> for Alone {
    fn rank(&self) -> usize {
        0
    }

    fn n_ranks(&self) -> usize {
        1
    }

    fn sum_to_owners(&mut self, _: &mut B, _: View, _: &[Range<usize>]) -> Result<(), CollectiveError> {
        Ok(())
    }

    fn share_from_owners(&mut self, _: &mut B, _: View, _: &[Range<usize>]) -> Result<(), CollectiveError> {
        Ok(())
    }

    fn sum(&mut self, _: &mut [f64]) -> Result<(), CollectiveError> {
        Ok(())
    }
}
