//! The settings of a run, resolved: nothing in them is left to the machine.

use std::ops::Range;

use polder_compute::{AdamW, Dtype};
use polder_model::{MuonStep, NetworkOptions, Recompute};
use polder_shard::Packing;
use serde::{Deserialize, Serialize};

use crate::{MaskedLm, SpikePolicy, TrainError};

/// How the learning rate moves after its warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// Half a cosine down to the least rate.
    Cosine,
    /// Stays, then falls in a line over the last `decay_steps` (warm-up, stable, decay).
    Wsd,
    /// Stays.
    Constant,
    /// A line down to the least rate.
    Linear,
}

/// What turns gradients into updates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Optimizer {
    /// AdamW for everything.
    #[default]
    AdamW,
    /// Muon for the matrices between hidden states, AdamW for embeddings, output and vectors; one rate serves both.
    Muon,
}

/// How rows between products, and the matrices they meet, are stored. Parameters and sums are f32 in either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Four bytes.
    #[default]
    F32,
    /// Two bytes: less memory, and faster where the machine multiplies them.
    Bf16,
}

impl std::str::FromStr for Precision {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text.parse()? {
            Dtype::F32 => Self::F32,
            Dtype::Bf16 => Self::Bf16,
        })
    }
}

impl Precision {
    /// As the backend calls it.
    pub fn dtype(self) -> Dtype {
        match self {
            Self::F32 => Dtype::F32,
            Self::Bf16 => Dtype::Bf16,
        }
    }
}

/// The settings of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// Updates of the weights.
    pub steps: u64,
    /// Sequences an update.
    pub batch_size: usize,
    /// Sequences in memory at once; gradients of the parts are added. At most `batch_size`.
    pub micro_batch_size: usize,
    /// Tokens a sequence.
    pub context: usize,
    /// Ranks that share each batch and the optimizer's state; divides `batch_size`.
    #[serde(default = "one")]
    pub ranks: usize,
    /// How documents become sequences.
    #[serde(default = "joined")]
    pub packing: Packing,
    /// Which tokens an encoder has to guess; a decoder guesses the next one.
    #[serde(default)]
    pub masking: Option<MaskedLm>,
    /// How rows are stored.
    #[serde(default)]
    pub precision: Precision,
    /// What the backward pass computes again instead of keeping it.
    #[serde(default)]
    pub recompute: Recompute,
    /// What turns gradients into updates.
    #[serde(default)]
    pub optimizer: Optimizer,
    /// Largest learning rate.
    pub lr: f64,
    /// Learning rate at the end.
    pub min_lr: f64,
    /// Steps over which the rate rises from 0.
    pub warmup_steps: u64,
    /// How the rate moves then.
    pub schedule: Schedule,
    /// Steps of the fall at the end, for the schedule `wsd`.
    pub decay_steps: u64,
    /// Decoupled decay of matrices.
    pub weight_decay: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Keeps the update away from division by zero.
    pub eps: f64,
    /// Decay of Muon's momentum.
    #[serde(default = "muon_momentum")]
    pub muon_momentum: f64,
    /// Weight of ln² of the softmax's sum in what gradients descend; keeps logits small.
    #[serde(default)]
    pub z_loss: f64,
    /// Largest norm of the gradients; 0 for none.
    pub grad_clip: f64,
    /// What is done about a step whose loss or gradients stand out; nothing without.
    #[serde(default)]
    pub spikes: Option<SpikePolicy>,
    /// Fixes initial weights and the order of samples.
    pub seed: u64,
    /// Steps between validation losses; 0 for one at the end only.
    pub eval_every: u64,
    /// Samples of the validation split that are judged, at most.
    pub eval_samples: u64,
    /// Steps between checkpoints; 0 for one at the end only.
    pub checkpoint_every: u64,
    /// Minutes between checkpoints beside those; 0 for none.
    #[serde(default)]
    pub checkpoint_minutes: f64,
    /// Newest checkpoints that are kept.
    #[serde(default = "two")]
    pub keep_last: usize,
    /// Keeps the checkpoint with the least validation loss too, and makes the model from it.
    #[serde(default)]
    pub keep_best: bool,
}

fn one() -> usize {
    1
}

fn two() -> usize {
    2
}

fn joined() -> Packing {
    Packing::Joined
}

fn muon_momentum() -> f64 {
    0.95
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            steps: 1000,
            batch_size: 16,
            micro_batch_size: 16,
            context: 256,
            ranks: one(),
            packing: joined(),
            masking: None,
            precision: Precision::F32,
            recompute: Recompute::None,
            optimizer: Optimizer::AdamW,
            lr: 3e-3,
            min_lr: 3e-4,
            warmup_steps: 50,
            schedule: Schedule::Cosine,
            decay_steps: 0,
            weight_decay: 0.1,
            beta1: 0.9,
            beta2: 0.95,
            eps: 1e-8,
            muon_momentum: muon_momentum(),
            z_loss: 0.0,
            grad_clip: 1.0,
            spikes: None,
            seed: 1,
            eval_every: 200,
            eval_samples: 64,
            checkpoint_every: 200,
            checkpoint_minutes: 0.0,
            keep_last: two(),
            keep_best: false,
        }
    }
}

impl TrainConfig {
    /// The settings that a number of steps gives; everything else follows from it.
    pub fn of_steps(steps: u64, seed: u64) -> Self {
        let part = |n: u64| (steps / n).max(1);
        Self {
            steps,
            seed,
            warmup_steps: part(20).min(200),
            eval_every: part(8),
            checkpoint_every: part(10).min(200),
            batch_size: 8,
            micro_batch_size: 8,
            ..Self::default()
        }
    }

    /// The learning rate of a step, counted from 1.
    pub fn lr_at(&self, step: u64) -> f64 {
        if step <= self.warmup_steps {
            return self.lr * step as f64 / self.warmup_steps as f64;
        }
        let total = self.steps.saturating_sub(self.warmup_steps).max(1) as f64;
        let done = ((step - self.warmup_steps) as f64 / total).min(1.0);
        let share = match self.schedule {
            Schedule::Constant => 1.0,
            Schedule::Linear => 1.0 - done,
            Schedule::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * done).cos()),
            Schedule::Wsd => (self.steps.saturating_sub(step) as f64 / self.decay_steps.max(1) as f64).min(1.0),
        };
        self.min_lr + (self.lr - self.min_lr) * share
    }

    /// Tokens an update.
    pub fn tokens_per_step(&self) -> u64 {
        (self.batch_size * self.context) as u64
    }

    /// The samples that a step takes, counted from 1, as places in the order of all samples; step 0 ends where the first begins.
    /// A run that went back has passed over batches.
    pub fn samples_of(&self, step: u64, passed_over: u64) -> Range<u64> {
        let (batch, passed_over) = (self.batch_size as u64, passed_over * self.batch_size as u64);
        passed_over + step.saturating_sub(1) * batch..passed_over + step * batch
    }

    /// How a network is laid out for one rank of the run.
    pub fn network_options(&self) -> NetworkOptions {
        NetworkOptions {
            dtype: self.precision.dtype(),
            z_loss: self.z_loss as f32,
            recompute: self.recompute,
            batches_at_once: (self.batch_size / self.ranks.max(1)).div_ceil(self.micro_batch_size.max(1)),
            ..NetworkOptions::new(self.micro_batch_size, self.context)
        }
    }

    /// The scalars of a step, counted from 1; hidden matrices may have their own.
    pub fn update_at(&self, step: u64) -> (AdamW, Option<MuonStep>) {
        let (lr, weight_decay) = (self.lr_at(step) as f32, self.weight_decay as f32);
        let adamw = AdamW {
            lr,
            beta1: self.beta1 as f32,
            beta2: self.beta2 as f32,
            eps: self.eps as f32,
            weight_decay,
            step,
            clip: self.grad_clip as f32,
        };
        let muon = MuonStep { lr, momentum: self.muon_momentum as f32, weight_decay };
        (adamw, (self.optimizer == Optimizer::Muon).then_some(muon))
    }

    /// Checks that the settings can be.
    ///
    /// # Errors
    /// The first one that cannot.
    pub fn check(&self) -> Result<(), TrainError> {
        let wrong = |option: &'static str, value: String| Err(TrainError::Option { option, value });
        let counts = [
            ("batch_size", self.batch_size),
            ("micro_batch_size", self.micro_batch_size),
            ("context", self.context),
            ("ranks", self.ranks),
            ("keep_last", self.keep_last),
        ];
        for (option, value) in counts {
            if value == 0 {
                return wrong(option, value.to_string());
            }
        }
        if self.steps == 0 || self.warmup_steps > self.steps {
            return wrong("steps", format!("{} with {} of warm-up", self.steps, self.warmup_steps));
        }
        if !self.batch_size.is_multiple_of(self.ranks) {
            return wrong("ranks", format!("{}, which do not divide a batch of {}", self.ranks, self.batch_size));
        }
        if self.micro_batch_size > self.batch_size / self.ranks {
            return wrong(
                "micro_batch_size",
                format!("{} of a batch of {} on each rank", self.micro_batch_size, self.batch_size / self.ranks),
            );
        }
        if self.schedule == Schedule::Wsd && self.decay_steps > self.steps {
            return wrong("decay_steps", format!("{} of {} steps", self.decay_steps, self.steps));
        }
        if let Some(spikes) = &self.spikes {
            spikes.check(self.checkpoint_every)?;
        }
        let positive = |x: f64| x > 0.0 && x.is_finite();
        let share = |x: f64| (0.0..1.0).contains(&x);
        let numbers = [
            ("lr", self.lr, positive(self.lr)),
            ("min_lr", self.min_lr, (0.0..=self.lr).contains(&self.min_lr)),
            ("weight_decay", self.weight_decay, (0.0..=10.0).contains(&self.weight_decay)),
            ("beta1", self.beta1, share(self.beta1)),
            ("beta2", self.beta2, share(self.beta2)),
            ("eps", self.eps, positive(self.eps)),
            ("muon_momentum", self.muon_momentum, share(self.muon_momentum)),
            ("z_loss", self.z_loss, (0.0..=1.0).contains(&self.z_loss)),
            ("grad_clip", self.grad_clip, self.grad_clip >= 0.0 && self.grad_clip.is_finite()),
            ("checkpoint_minutes", self.checkpoint_minutes, self.checkpoint_minutes >= 0.0 && self.checkpoint_minutes.is_finite()),
        ];
        match numbers.iter().find(|(_, _, sound)| !sound) {
            Some((option, value, _)) => wrong(option, value.to_string()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_rises_falls_and_ends_at_the_least() {
        for (schedule, middle) in [(Schedule::Cosine, 0.55), (Schedule::Linear, 0.55), (Schedule::Wsd, 1.0), (Schedule::Constant, 1.0)] {
            let c = TrainConfig { steps: 110, warmup_steps: 10, lr: 1.0, min_lr: 0.1, decay_steps: 20, schedule, ..TrainConfig::default() };
            assert!((c.lr_at(1) - 0.1).abs() < 1e-12 && (c.lr_at(10) - 1.0).abs() < 1e-12);
            assert!((c.lr_at(60) - middle).abs() < 1e-9, "{schedule:?} {}", c.lr_at(60));
            let end = if schedule == Schedule::Constant { 1.0 } else { 0.1 };
            assert!((c.lr_at(110) - end).abs() < 1e-9);
        }
    }

    #[test]
    fn settings_that_cannot_be_are_refused_by_name() {
        let good = serde_json::to_value(TrainConfig::default()).expect("json");
        for (key, bad) in [
            ("steps", 0.into()),
            ("batch_size", 0.into()),
            ("ranks", 3.into()),
            ("lr", (-1.0).into()),
            ("min_lr", 1.0.into()),
            ("beta2", 1.0.into()),
            ("z_loss", 2.into()),
            ("keep_last", 0.into()),
            ("checkpoint_minutes", (-1).into()),
        ] {
            let mut value = good.clone();
            value[key] = bad;
            let config: TrainConfig = serde_json::from_value(value).expect(key);
            assert!(config.check().expect_err(key).to_string().contains(key));
        }
        let mut unknown = good;
        unknown["learning_rate"] = 1.into();
        assert!(serde_json::from_value::<TrainConfig>(unknown).is_err());
    }
}
