//! How well a model answers examples that it did not learn from.

use polder_base::Random;
use polder_compute::Cpu;
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
    first: bool,
    exact: bool,
}

pub(crate) const N_RESAMPLES: u32 = 1000;

/// Judges one batch of examples with the network's parameters as they are.
pub(crate) fn judge(network: &mut Network<Cpu>, examples: &[&Encoded], time: usize) -> Result<Vec<Judged>, TuneError> {
    let (tokens, targets) = batch(examples, time);
    let logits = network.logits(&Batch::of(&tokens))?;
    let vocab = network.config().vocab_size;
    let judged = examples.iter().enumerate().map(|(row, example)| {
        let mut judged = Judged { nats: 0.0, n_tokens: 0, bytes: example.completion_bytes, first: false, exact: true };
        for i in row * time..(row + 1) * time {
            let Ok(target) = usize::try_from(targets[i]) else { continue };
            let row = &logits[i * vocab..][..vocab];
            let (best, greatest) = row.iter().enumerate().fold((0, f32::NEG_INFINITY), |b, (j, x)| if *x > b.1 { (j, *x) } else { b });
            let sum: f64 = row.iter().map(|x| f64::from(x - greatest).exp()).sum();
            judged.nats += sum.ln() - f64::from(row[target] - greatest);
            judged.first |= judged.n_tokens == 0 && best == target;
            judged.exact &= best == target;
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
