//! Steps whose loss or gradients stand out, and what is done about them.
//!
//! What stands out is a function of the steps before, so a run that was stopped decides as one that was not.
//!
//! # Source
//! The z-score of loss and gradient norm over a window of steps is llm.c's; going back and passing over the data between is
//! Chowdhery et al., PaLM, 2022, section 5.1.

use serde::{Deserialize, Serialize};

use crate::{Metric, TrainError};

/// What is done about a spike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SpikeAction {
    /// The step's update is not made.
    #[default]
    Skip,
    /// The run goes back to the checkpoint before it and passes over the batches since.
    Rewind,
}

/// When a step stands out, and what is done then.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpikePolicy {
    /// What is done.
    pub action: SpikeAction,
    /// Standard deviations above the window's mean at which a loss stands out; 0 for never.
    pub loss_z: f64,
    /// The same for the norm of gradients.
    pub norm_z: f64,
    /// Steps that a step is compared with; before there are as many, only numbers that are none stand out.
    pub window: usize,
    /// Spikes after which the run gives up: in a row for `skip`, in all for `rewind`.
    pub spikes_max: usize,
}

impl Default for SpikePolicy {
    fn default() -> Self {
        Self { action: SpikeAction::Skip, loss_z: 6.0, norm_z: 6.0, window: 128, spikes_max: 10 }
    }
}

/// Why a step stands out.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spike {
    /// Standard deviations of its loss above the window's mean; `None` where a number is none or the window is short.
    pub loss_z: Option<f64>,
    /// The same for the norm of its gradients.
    pub norm_z: Option<f64>,
}

impl SpikePolicy {
    pub(crate) fn check(&self, checkpoint_every: u64) -> Result<(), TrainError> {
        let wrong = |option: &'static str, value: String| Err(TrainError::Option { option, value });
        let positive = |z: f64| z >= 0.0 && z.is_finite();
        if !positive(self.loss_z) || !positive(self.norm_z) {
            return wrong("spikes", format!("loss_z {} and norm_z {}", self.loss_z, self.norm_z));
        }
        if self.window < 2 || self.spikes_max == 0 {
            return wrong("spikes", format!("window {} and spikes_max {}", self.window, self.spikes_max));
        }
        if self.action == SpikeAction::Rewind && checkpoint_every == 0 {
            return wrong("checkpoint_every", "0 where spikes rewind".to_owned());
        }
        Ok(())
    }

    /// Judges a step by the ones before it.
    pub(crate) fn judge(&self, before: &[Metric], loss: f64, grad_norm: f64) -> Option<Spike> {
        if !loss.is_finite() || !grad_norm.is_finite() {
            return Some(Spike { loss_z: None, norm_z: None });
        }
        let window = || before.iter().rev().filter(|m| m.spike.is_none()).take(self.window);
        if window().count() < self.window {
            return None;
        }
        let z = |x: f64, of: &dyn Fn(&Metric) -> f64| {
            let n = self.window as f64;
            let mean = window().map(of).sum::<f64>() / n;
            let deviation = (window().map(|m| (of(m) - mean).powi(2)).sum::<f64>() / n).sqrt();
            if deviation > 0.0 { (x - mean) / deviation } else { 0.0 }
        };
        let (loss_z, norm_z) = (z(loss, &|m| m.loss), z(grad_norm, &|m| m.grad_norm));
        let above = |z: f64, bound: f64| bound > 0.0 && z > bound;
        (above(loss_z, self.loss_z) || above(norm_z, self.norm_z)).then_some(Spike { loss_z: Some(loss_z), norm_z: Some(norm_z) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(n: usize) -> Vec<Metric> {
        let of = |i: usize| Metric { step: i as u64 + 1, loss: 3.0 + 0.1 * (i % 2) as f64, grad_norm: 1.0, ..Metric::default() };
        (0..n).map(of).collect()
    }

    #[test]
    fn a_step_far_above_the_window_stands_out_and_one_below_does_not() {
        let policy = SpikePolicy { window: 10, ..SpikePolicy::default() };
        let before = lines(20);
        assert_eq!(policy.judge(&before, 3.1, 1.0), None);
        assert_eq!(policy.judge(&before, 1.0, 1.0), None);
        // Mean 3.05, deviation 0.05.
        let spike = policy.judge(&before, 3.45, 1.0).expect("8 deviations above");
        assert!((spike.loss_z.expect("z") - 8.0).abs() < 1e-9);
        assert_eq!(SpikePolicy { loss_z: 0.0, ..policy.clone() }.judge(&before, 3.45, 1.0), None);
        assert_eq!(policy.judge(&lines(9), 9.0, 1.0), None, "too few to compare with");
        assert!(policy.judge(&[], f64::NAN, 1.0).is_some() && policy.judge(&[], 1.0, f64::INFINITY).is_some());
    }

    #[test]
    fn steps_that_stood_out_are_not_compared_with() {
        let policy = SpikePolicy { window: 10, ..SpikePolicy::default() };
        let mut before = lines(20);
        before[18].loss = 1e6;
        assert_eq!(policy.judge(&before, 3.5, 1.0), None, "the spike widens the window");
        before[18].spike = Some(Spike { loss_z: None, norm_z: None });
        assert!(policy.judge(&before, 3.5, 1.0).is_some());
    }
}
