//! How a model is tuned.

use std::str::FromStr;

use polder_train::Precision;
use serde::{Deserialize, Serialize};

use crate::error::TuneError;

/// A kind of matrix that gets an adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// Queries.
    Q,
    /// Keys.
    K,
    /// Values.
    V,
    /// The attention's output.
    O,
    /// The gate of the feed-forward layer.
    Gate,
    /// The width of the feed-forward layer.
    Up,
    /// The output of the feed-forward layer.
    Down,
}

impl Target {
    /// All of them.
    pub const ALL: [Self; 7] = [Self::Q, Self::K, Self::V, Self::O, Self::Gate, Self::Up, Self::Down];

    /// Its module's name in Hugging Face's models.
    pub fn module(self) -> &'static str {
        match self {
            Self::Q => "q_proj",
            Self::K => "k_proj",
            Self::V => "v_proj",
            Self::O => "o_proj",
            Self::Gate => "gate_proj",
            Self::Up => "up_proj",
            Self::Down => "down_proj",
        }
    }
}

impl FromStr for Target {
    type Err = TuneError;
    fn from_str(text: &str) -> Result<Self, TuneError> {
        let known = Self::ALL.into_iter().find(|t| t.module() == text || t.module().strip_suffix("_proj") == Some(text));
        known.ok_or_else(|| TuneError::Option { option: "targets", value: text.to_owned() })
    }
}

/// How a model is tuned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TuneOptions {
    /// Rank of the adapter's matrices.
    pub rank: usize,
    /// The adapter's product is added times alpha / rank.
    pub alpha: f64,
    /// Which matrices get one.
    pub targets: Vec<Target>,
    /// Times that every example is seen.
    pub epochs: u32,
    /// Ends earlier, after this many steps.
    pub steps_max: Option<u64>,
    /// Examples a step.
    pub batch: usize,
    /// The highest learning rate; it rises over the first twentieth of the steps and falls to a tenth along a cosine.
    pub lr: f64,
    /// Weight decay.
    pub weight_decay: f64,
    /// Gradients are scaled down to this norm.
    pub clip: f64,
    /// Fixes initial adapters, order and intervals.
    pub seed: u64,
    /// How rows between products, and the matrices they meet, are stored.
    // Left out where it is f32, so that what was tuned without it keeps its digest.
    #[serde(default, skip_serializing_if = "is_f32")]
    pub precision: Precision,
}

fn is_f32(precision: &Precision) -> bool {
    *precision == Precision::F32
}

impl Default for TuneOptions {
    fn default() -> Self {
        Self {
            rank: 8,
            alpha: 16.0,
            targets: Target::ALL.to_vec(),
            epochs: 3,
            steps_max: None,
            batch: 16,
            lr: 2e-3,
            weight_decay: 0.0,
            clip: 1.0,
            seed: 0,
            precision: Precision::F32,
        }
    }
}

impl TuneOptions {
    /// Says what cannot be.
    pub(crate) fn check(&self) -> Result<(), TuneError> {
        let refuse = |option, value: String| Err(TuneError::Option { option, value });
        if self.rank == 0 || self.rank > 1024 {
            return refuse("rank", self.rank.to_string());
        }
        if self.targets.is_empty() {
            return refuse("targets", "empty".into());
        }
        if self.batch == 0 {
            return refuse("batch", "0".into());
        }
        if self.epochs == 0 || self.steps_max == Some(0) {
            return refuse("epochs or steps", "0".into());
        }
        let positive = [("alpha", self.alpha), ("learning rate", self.lr), ("clip", self.clip)];
        match positive.into_iter().find(|(_, x)| !(x.is_finite() && *x > 0.0)) {
            Some((option, value)) => refuse(option, value.to_string()),
            None if !(0.0..1.0).contains(&self.weight_decay) => refuse("weight decay", self.weight_decay.to_string()),
            None => Ok(()),
        }
    }

    /// Steps over a number of examples.
    pub fn n_steps(&self, n_examples: usize) -> u64 {
        let all = n_examples.div_ceil(self.batch.max(1)) as u64 * u64::from(self.epochs);
        self.steps_max.map_or(all, |most| most.min(all))
    }

    /// The learning rate of a step, counted from 1.
    pub(crate) fn lr_at(&self, step: u64, n_steps: u64) -> f64 {
        let warm = n_steps.div_ceil(20);
        if step <= warm {
            return self.lr * step as f64 / warm as f64;
        }
        let part = (step - warm) as f64 / (n_steps - warm).max(1) as f64;
        self.lr * (0.1 + 0.45 * (1.0 + (std::f64::consts::PI * part).cos()))
    }
}
