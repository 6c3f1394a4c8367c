//! The settings of a run, resolved: nothing in them is left to the machine.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::TrainError;

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
    /// Largest norm of the gradients; 0 for none.
    pub grad_clip: f64,
    /// Fixes initial weights and the order of samples.
    pub seed: u64,
    /// Steps between validation losses; 0 for one at the end only.
    pub eval_every: u64,
    /// Samples of the validation split that are judged, at most.
    pub eval_samples: u64,
    /// Steps between checkpoints; 0 for one at the end only.
    pub checkpoint_every: u64,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            steps: 1000,
            batch_size: 16,
            micro_batch_size: 16,
            context: 256,
            lr: 3e-3,
            min_lr: 3e-4,
            warmup_steps: 50,
            schedule: Schedule::Cosine,
            decay_steps: 0,
            weight_decay: 0.1,
            beta1: 0.9,
            beta2: 0.95,
            eps: 1e-8,
            grad_clip: 1.0,
            seed: 1,
            eval_every: 200,
            eval_samples: 64,
            checkpoint_every: 200,
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
    pub fn samples_of(&self, step: u64) -> Range<u64> {
        let batch = self.batch_size as u64;
        step.saturating_sub(1) * batch..step * batch
    }

    /// Checks that the settings can be.
    ///
    /// # Errors
    /// The first one that cannot.
    pub fn check(&self) -> Result<(), TrainError> {
        let wrong = |option: &'static str, value: String| Err(TrainError::Option { option, value });
        for (option, value) in [("batch_size", self.batch_size), ("micro_batch_size", self.micro_batch_size), ("context", self.context)] {
            if value == 0 {
                return wrong(option, value.to_string());
            }
        }
        if self.steps == 0 || self.warmup_steps > self.steps {
            return wrong("steps", format!("{} with {} of warm-up", self.steps, self.warmup_steps));
        }
        if self.micro_batch_size > self.batch_size {
            return wrong("micro_batch_size", format!("{} of a batch of {}", self.micro_batch_size, self.batch_size));
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
            ("grad_clip", self.grad_clip, self.grad_clip >= 0.0 && self.grad_clip.is_finite()),
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
        for (key, bad) in
            [("steps", 0.into()), ("batch_size", 0.into()), ("lr", (-1.0).into()), ("min_lr", 1.0.into()), ("beta2", 1.0.into())]
        {
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
