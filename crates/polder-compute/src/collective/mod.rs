//! Ranks that work on one step together: each has the whole model, a part of the batch, and a part of the optimizer's state.
//!
//! A step sums gradients to the owners of the parts ([`Collective::sum_to_owners`]), each owner updates its part of the
//! parameters, and all get all parts ([`Collective::share_from_owners`]). [`Alone`] is the collective of one rank,
//! [`LocalRank`] of threads on one machine.
//!
//! # Source
//! Rajbhandari et al., ZeRO: memory optimizations toward training trillion parameter models, 2020 (stage 1).

mod local;

use std::ops::Range;

use thiserror::Error;

use crate::{Backend, View};

pub use local::{LocalRank, local_ranks};

/// Why ranks cannot go on together.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CollectiveError {
    /// Another rank has ended, so nobody will answer.
    #[error("another of the {n_ranks} ranks has stopped")]
    Left {
        /// Ranks at the start.
        n_ranks: usize,
    },
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
