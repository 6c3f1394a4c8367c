//! How well a model answers examples that it did not learn from.

use polder_base::Random;
use polder_compute::Backend;
use polder_eval::{Estimate, proportion, ratio};
use polder_model::{Batch, Network};
use serde::{Deserialize, Serialize};

use crate::data::{Encoded, batch};
use crate::error::TuneError;

/// Figures over held-out examples; tokens are those of completions and the end after them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeldOut {
    /// Σ −ln p / tokens.
    pub nats_per_token: Estimate,
    /// Σ −log₂ p / bytes of completions.
    pub bits_per_byte: Estimate,
    /// Share of completions whose first token is the most probable one.
    pub first_token: Estimate,
    /// Share of completions that greedy decoding gives exactly, end included.
    pub exact_match: Estimate,
}

/// What one example gave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Judged {
    pub(crate) nats: f64,
    pub(crate) n_tokens: usize,
    bytes: usize,
    pub(crate) first: bool,
    pub(crate) exact: bool,
}

pub(crate) const N_RESAMPLES: u32 = 1000;

/// Judges one batch of examples with the network's parameters as they are.
pub(crate) fn judge<B: Backend>(network: &mut Network<B>, examples: &[&Encoded], time: usize) -> Result<Vec<Judged>, TuneError> {
    let (tokens, targets) = batch(examples, time);
    let choices = network.target_choices(&Batch::new(&tokens, &targets))?;
    let rows = examples.iter().zip(targets.chunks(time)).zip(choices.chunks(time));
    let judged = rows.map(|((example, targets), choices)| {
        let mut judged = Judged { nats: 0.0, n_tokens: 0, bytes: example.completion_bytes, first: false, exact: true };
        for (target, choice) in targets.iter().zip(choices) {
            let Some((nats, best)) = choice else { continue };
            let is_best = i64::from(*best) == i64::from(*target);
            judged.nats += f64::from(*nats);
            judged.first |= judged.n_tokens == 0 && is_best;
            judged.exact &= is_best;
            judged.n_tokens += 1;
        }
        judged
    });
    Ok(judged.collect())
}

/// Sums up; `None` without examples.
pub(crate) fn summarise(judged: &[Judged], seed: u64) -> Option<HeldOut> {
    let n = judged.len() as u64;
    let pairs = |x: &dyn Fn(&Judged) -> (f64, f64)| judged.iter().map(x).collect::<Vec<_>>();
    let estimate = |name: &str, pairs: Vec<(f64, f64)>| ratio(&pairs, N_RESAMPLES, &mut Random::new(seed, name));
    let share = |hit: &dyn Fn(&Judged) -> bool| proportion(judged.iter().filter(|j| hit(j)).count() as u64, n);
    Some(HeldOut {
        nats_per_token: estimate("nats_per_token", pairs(&|j| (j.nats, j.n_tokens as f64)))?,
        bits_per_byte: estimate("bits_per_byte", pairs(&|j| (j.nats / std::f64::consts::LN_2, j.bytes as f64)))?,
        first_token: share(&|j| j.first)?,
        exact_match: share(&|j| j.exact)?,
    })
}
