//! Runs requests through a model and counts.
//!
//! # Source
//! Continuations are encoded together with their context and cut off it, and the accuracies are `acc` and `acc_bytes`, as
//! in lm-evaluation-harness; bits per byte is Σ −ln p / (ln 2 · Σ bytes). Every sequence begins with the end-of-text token.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use polder_base::Random;
use polder_tokenizer::{END_OF_TEXT, Tokenizer};
use serde::{Deserialize, Serialize};

use crate::error::EvalError;
use crate::interval::{Estimate, proportion, ratio};
use crate::requests::{Request, check};
use crate::scorer::Scorer;
use crate::scores::{Evaluation, Score};

/// How intervals are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvalOptions {
    /// Fixes the resampling.
    pub seed: u64,
    /// Resamples of an interval.
    pub n_resamples: u32,
}

impl Default for EvalOptions {
    fn default() -> Self {
        Self { seed: 0, n_resamples: 1000 }
    }
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Requests scored.
    pub done: usize,
    /// Requests asked for.
    pub total: usize,
    /// Tokens scored.
    pub n_tokens: u64,
}

/// What one request gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// The request.
    pub id: String,
    /// What it is counted with.
    pub group: String,
    /// It was found in the training data.
    pub contaminated: bool,
    /// The result.
    pub outcome: Outcome,
}

/// A request's result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Outcome {
    /// Of a text.
    BitsPerByte {
        /// Σ −ln p.
        nats: f64,
        /// Bytes of the text.
        bytes: u64,
        /// Tokens of the text.
        n_tokens: u64,
    },
    /// Of a choice.
    MultipleChoice {
        /// ln p of each choice.
        logprobs: Vec<f64>,
        /// The most probable one is right.
        right: bool,
        /// The one most probable a byte is right.
        right_per_byte: bool,
    },
}

/// About this many tokens go to the model at once, so that progress moves and a stop is seen.
const TOKENS_AT_ONCE: usize = 16_384;

/// What a request becomes: sequences to score, and the part of each one's tokens that counts.
struct Prepared {
    sequences: Vec<Vec<u32>>,
    counted: Vec<Range<usize>>,
}

/// Scores all requests. `stop` ends it between batches.
///
/// # Errors
/// A request that cannot be scored, a model that fails, or a stop.
pub fn evaluate(
    model: &dyn Scorer,
    requests: &[Request],
    options: &EvalOptions,
    on_progress: &mut dyn FnMut(Progress),
    stop: &AtomicBool,
) -> Result<Evaluation, EvalError> {
    check(requests)?;
    let mut items: Vec<Item> = Vec::with_capacity(requests.len());
    let mut progress = Progress { done: 0, total: requests.len(), n_tokens: 0 };
    let mut at = 0;
    while at < requests.len() {
        if stop.load(Ordering::Relaxed) {
            return Err(EvalError::Stopped { done: at, total: requests.len() });
        }
        let mut prepared = Vec::new();
        let mut sequences: Vec<Vec<u32>> = Vec::new();
        let mut n_tokens = 0;
        while at + prepared.len() < requests.len() && (prepared.is_empty() || n_tokens < TOKENS_AT_ONCE) {
            let mut request = prepare(model, &requests[at + prepared.len()])?;
            n_tokens += request.sequences.iter().map(Vec::len).sum::<usize>();
            sequences.append(&mut request.sequences);
            prepared.push(request.counted);
        }
        let failed = |source| EvalError::Model { id: requests[at].id().to_owned(), source };
        let mut logprobs = model.logprobs(&sequences).map_err(failed)?.into_iter();
        for (request, counted) in requests[at..].iter().zip(prepared) {
            let sums: Vec<f64> = counted
                .into_iter()
                .zip(&mut logprobs)
                // The first token has no probability, so token i stands at i − 1.
                .map(|(range, of_sequence)| of_sequence[range.start - 1..range.end - 1].iter().sum())
                .collect();
            items.push(outcome(model.tokenizer(), request, sums));
        }
        at = items.len();
        progress = Progress { done: at, n_tokens: progress.n_tokens + n_tokens as u64, ..progress };
        on_progress(progress);
    }
    Ok(Evaluation { scores: summarise(&items, options), items })
}

fn prepare(model: &dyn Scorer, request: &Request) -> Result<Prepared, EvalError> {
    let tokenizer = model.tokenizer();
    let refuse = |reason: &str| EvalError::Request { id: request.id().to_owned(), reason: reason.into() };
    let begin = tokenizer.special_id(END_OF_TEXT).ok_or_else(|| refuse("the model's tokenizer has no end-of-text token"))?;
    let mut prepared = Prepared { sequences: Vec::new(), counted: Vec::new() };
    match request {
        Request::BitsPerByte { text, .. } => {
            let mut tokens = vec![begin];
            tokenizer.encode_into(text, &mut tokens);
            prepared.counted.push(1..tokens.len());
            prepared.sequences.push(tokens);
        }
        Request::MultipleChoice { context, choices, .. } => {
            // White space at the context's end belongs to the choice: so it is split in running text.
            let stem = context.trim_end();
            let encoded_stem = tokenizer.encode(stem);
            for choice in choices {
                let whole = tokenizer.encode(&format!("{context}{choice}"));
                let shared = encoded_stem.iter().zip(&whole).take_while(|(a, b)| a == b).count();
                // A merge across the border can swallow a whole choice; its last token then counts.
                let shared = shared.min(whole.len() - 1);
                let mut tokens = vec![begin];
                tokens.extend(whole);
                let mut first = shared + 1;
                // What does not fit is cut off on the left; at least one token stays before the choice.
                let surplus = tokens.len().saturating_sub(model.context_tokens() + 1).min(first - 1);
                tokens.drain(..surplus);
                first -= surplus;
                prepared.counted.push(first..tokens.len());
                prepared.sequences.push(tokens);
            }
        }
    }
    Ok(prepared)
}

fn outcome(tokenizer: &Tokenizer, request: &Request, sums: Vec<f64>) -> Item {
    match request {
        Request::BitsPerByte { id, group, text, contaminated } => Item {
            id: id.clone(),
            group: group.clone(),
            contaminated: *contaminated,
            outcome: Outcome::BitsPerByte {
                nats: -sums.iter().sum::<f64>(),
                bytes: text.len() as u64,
                n_tokens: tokenizer.encode(text).len() as u64,
            },
        },
        Request::MultipleChoice { id, group, choices, answer, contaminated, .. } => {
            let per_byte: Vec<f64> = sums.iter().zip(choices).map(|(l, c)| l / c.len() as f64).collect();
            Item {
                id: id.clone(),
                group: group.clone(),
                contaminated: *contaminated,
                outcome: Outcome::MultipleChoice {
                    right: first_greatest(&sums) == *answer,
                    right_per_byte: first_greatest(&per_byte) == *answer,
                    logprobs: sums,
                },
            }
        }
    }
}

fn first_greatest(values: &[f64]) -> usize {
    let mut best = 0;
    for (i, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = i;
        }
    }
    best
}

const ALL: &str = "all";

fn summarise(items: &[Item], options: &EvalOptions) -> Vec<Score> {
    let mut groups: BTreeMap<&str, Vec<&Item>> = BTreeMap::new();
    for item in items {
        groups.entry(&item.group).or_default().push(item);
    }
    let everything = items.iter().collect();
    let mut scores = Vec::new();
    for (group, of_group) in std::iter::once((ALL, everything)).chain(groups.into_iter().filter(|(g, _)| *g != ALL)) {
        for metric in ["bits_per_byte", "accuracy", "accuracy_per_byte"] {
            for contaminated in [false, true] {
                let chosen: Vec<&Item> = of_group.iter().copied().filter(|i| i.contaminated == contaminated).collect();
                let metric_name = if contaminated { format!("{metric}_contaminated") } else { metric.to_owned() };
                let random = Random::new(options.seed, &format!("{group}/{metric_name}"));
                let n_contaminated = of_group.iter().filter(|i| i.contaminated && is_of(i, metric)).count() as u64;
                if let Some(estimate) = estimate(&chosen, metric, options.n_resamples, random) {
                    scores.push(Score { group: group.to_owned(), metric: metric_name, estimate, n_contaminated });
                }
            }
        }
    }
    scores
}

fn is_of(item: &Item, metric: &str) -> bool {
    matches!(item.outcome, Outcome::BitsPerByte { .. }) == (metric == "bits_per_byte")
}

fn estimate(items: &[&Item], metric: &str, n_resamples: u32, mut random: Random) -> Option<Estimate> {
    let mut pairs = Vec::new();
    let (mut hits, mut n) = (0, 0);
    for item in items {
        match &item.outcome {
            Outcome::BitsPerByte { nats, bytes, .. } => pairs.push((nats / std::f64::consts::LN_2, *bytes as f64)),
            Outcome::MultipleChoice { right, right_per_byte, .. } => {
                n += 1;
                hits += u64::from(if metric == "accuracy" { *right } else { *right_per_byte });
            }
        }
    }
    if metric == "bits_per_byte" { ratio(&pairs, n_resamples, &mut random) } else { proportion(hits, n) }
}

#[cfg(test)]
mod tests;
