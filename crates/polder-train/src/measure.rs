//! How long a step takes on this machine, measured before a run is planned.

use std::time::Instant;

use polder_base::Random;
use polder_compute::{Alone, Backend, Cpu, Dtype};
use polder_model::{Batch, Head, ModelConfig, Network, NetworkOptions, StepPart, Weights};

use crate::{TrainConfig, TrainError};

/// Trains a few steps on random tokens as the settings say, on one rank, and returns the seconds of one, the middle of three.
///
/// # Errors
/// Settings or a model that cannot be.
pub fn measure(model: &ModelConfig, config: &TrainConfig) -> Result<f64, TrainError> {
    measure_in(Cpu::new(), model, config, config.precision.dtype())
}

/// The same on a backend, with rows and matrices of a type.
///
/// # Errors
/// Those of [`measure`].
pub fn measure_in<B: Backend>(backend: B, model: &ModelConfig, config: &TrainConfig, dtype: Dtype) -> Result<f64, TrainError> {
    // Micro batches cost the same each: one is measured.
    let parts = (config.batch_size / config.micro_batch_size.max(1)).max(1);
    let one = TrainConfig { batch_size: config.batch_size / parts, ..config.clone() };
    let mut bench = Bench::in_type(backend, model, &one, dtype)?;
    let seconds = bench.seconds(3)?;
    if parts == 1 {
        return Ok(seconds);
    }
    let update = bench.update_seconds();
    Ok((seconds - update) * parts as f64 + update)
}

/// Steps on random tokens, on a backend.
pub struct Bench<B: Backend> {
    network: Network<B>,
    config: TrainConfig,
    tokens: Vec<u32>,
    targets: Vec<i32>,
    scale: f32,
    step: u64,
}

impl<B: Backend> Bench<B> {
    /// Draws a model and tokens from the settings' seed.
    ///
    /// # Errors
    /// Settings or a model that cannot be.
    pub fn try_new(backend: B, model: &ModelConfig, config: &TrainConfig) -> Result<Self, TrainError> {
        Self::in_type(backend, model, config, config.precision.dtype())
    }

    fn in_type(backend: B, model: &ModelConfig, config: &TrainConfig, dtype: Dtype) -> Result<Self, TrainError> {
        config.check()?;
        let weights = Weights::init(model, config.seed)?;
        let options = NetworkOptions { dtype, ..config.network_options() };
        let network = Network::with_options(backend, &weights, options)?;
        let mut random = Random::new(config.seed, "measure");
        let n = config.micro_batch_size * config.context;
        let tokens: Vec<u32> = (0..n).map(|_| random.below(model.vocab_size as u64) as u32).collect();
        // Only hidden tokens pass an encoder's masked-LM head.
        let rate = if model.head == Head::MaskedLm { config.masking.clone().unwrap_or_default().rate } else { 1.0 };
        let every = (1.0 / rate).round().max(1.0) as usize;
        let targets = tokens.iter().enumerate().map(|(i, t)| if i % every == 0 { *t as i32 } else { -1 }).collect();
        let scale = every as f32 / (n * (config.batch_size / config.micro_batch_size).max(1)) as f32;
        Ok(Self { network, config: config.clone(), tokens, targets, scale, step: 0 })
    }

    /// The network.
    pub fn network(&mut self) -> &mut Network<B> {
        &mut self.network
    }

    /// Returns the seconds of an update alone.
    fn update_seconds(&mut self) -> f64 {
        let started = Instant::now();
        self.update();
        started.elapsed().as_secs_f64()
    }

    fn update(&mut self) {
        self.step += 1;
        match self.config.update_at(self.step) {
            (adamw, Some(muon)) => self.network.update_with_muon(adamw, muon),
            (adamw, None) => self.network.update(adamw),
        }
        // What was only called is waited for.
        self.network.grad_norm();
    }

    /// Returns the seconds of a step, the middle of `n_steps`, after one that does not count.
    ///
    /// # Errors
    /// A model that cannot be.
    pub fn seconds(&mut self, n_steps: usize) -> Result<f64, TrainError> {
        let mut seconds = Vec::new();
        for _ in 0..=n_steps {
            let started = Instant::now();
            self.step += 1;
            let update = self.config.update_at(self.step);
            let batches = vec![Batch::new(&self.tokens, &self.targets); self.config.batch_size.div_ceil(self.config.micro_batch_size)];
            let at_once = self.network.batches_at_once();
            let n_parts = batches.len().div_ceil(at_once);
            for (i, batches) in batches.chunks(at_once).enumerate() {
                let part = StepPart { scale: self.scale, is_first: i == 0, measures: i + 1 == n_parts, update: Some(update) };
                self.network.step_grads(batches, part)?;
            }
            self.network.update_together(&mut Alone, update.0, update.1)?;
            // What was only called is waited for.
            self.network.grad_norm();
            seconds.push(started.elapsed().as_secs_f64());
        }
        seconds.remove(0);
        seconds.sort_by(f64::total_cmp);
        Ok(seconds[seconds.len() / 2])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoders_and_decoders_are_measured_in_every_type() {
        let config = TrainConfig { batch_size: 2, micro_batch_size: 1, context: 16, ..TrainConfig::default() };
        for name in ["nano", "gpt2-nano", "bert-nano", "modernbert-nano"] {
            let model = polder_model::preset(name, 300, 16).expect("a size");
            for dtype in [Dtype::F32, Dtype::Bf16] {
                let seconds = measure_in(Cpu::new(), &model, &config, dtype).expect("seconds");
                assert!(seconds > 0.0 && seconds.is_finite(), "{name} {dtype:?} {seconds}");
            }
        }
    }
}
