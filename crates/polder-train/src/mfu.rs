//! How much of a machine a run uses.

use polder_compute::{Backend, trace::Roofline};

use crate::RunConfig;

/// Model FLOP utilisation: `tokens a second · FLOP a token / peak FLOP a second`.
///
/// FLOP a token are those of [`ModelConfig::flops_per_token`](polder_model::ModelConfig::flops_per_token): six for each
/// parameter of a matrix product and, of attention, what a row sees on average. What is computed again does not count.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mfu {
    /// Floating-point operations of forward and backward for one token.
    pub flops_per_token: f64,
    /// What the machine reaches at most in the run's precision, measured on a large product.
    pub peak_flops: f64,
}

impl Mfu {
    /// Measures a machine in some hundredths of a second. The backend is filled with the matrices of the measurement, so it
    /// should not be the one of the run.
    pub fn measure(backend: &mut dyn Backend, config: &RunConfig) -> Self {
        let peak_flops = Roofline::peak_flops(backend, config.train.precision.dtype());
        Self { flops_per_token: config.model.flops_per_token(config.train.context) as f64, peak_flops }
    }

    /// The share of the peak at a speed.
    pub fn at(&self, tokens_per_second: f64) -> f64 {
        tokens_per_second * self.flops_per_token / self.peak_flops
    }
}
