//! How long a step takes on this machine, measured before a run is planned.

use std::time::Instant;

use polder_base::Random;
use polder_compute::{Cpu, Dtype};
use polder_model::{Batch, Head, ModelConfig, Network, NetworkOptions, Weights};

use crate::{TrainConfig, TrainError};

/// Trains a few steps on random tokens as the settings say, on one rank, and returns the seconds of one, the middle of three.
///
/// # Errors
/// Settings or a model that cannot be.
pub fn measure(model: &ModelConfig, config: &TrainConfig) -> Result<f64, TrainError> {
    measure_in(model, config, config.precision.dtype())
}

/// The same with rows and matrices of a type.
///
/// # Errors
/// Those of [`measure`].
pub fn measure_in(model: &ModelConfig, config: &TrainConfig, dtype: Dtype) -> Result<f64, TrainError> {
    config.check()?;
    let weights = Weights::init(model, config.seed)?;
    let options = NetworkOptions { dtype, ..config.network_options() };
    let mut network = Network::with_options(Cpu::new(), &weights, options)?;
    let mut random = Random::new(config.seed, "measure");
    let n = config.micro_batch_size * config.context;
    let tokens: Vec<u32> = (0..n).map(|_| random.below(model.vocab_size as u64) as u32).collect();
    // Only hidden tokens pass an encoder's masked-LM head.
    let rate = if model.head == Head::MaskedLm { config.masking.clone().unwrap_or_default().rate } else { 1.0 };
    let every = (1.0 / rate).round().max(1.0) as usize;
    let targets: Vec<i32> = tokens.iter().enumerate().map(|(i, t)| if i % every == 0 { *t as i32 } else { -1 }).collect();
    let mut seconds = Vec::new();
    // The first step touches memory for the first time and does not count.
    for step in 1..=4 {
        let started = Instant::now();
        network.zero_grads();
        network.loss_and_grads(&Batch::new(&tokens, &targets), every as f32 / n as f32)?;
        let parts = started.elapsed().as_secs_f64() * config.batch_size as f64 / config.micro_batch_size as f64;
        let started = Instant::now();
        match config.update_at(step) {
            (adamw, Some(muon)) => network.update_with_muon(adamw, muon),
            (adamw, None) => network.update(adamw),
        }
        seconds.push(parts + started.elapsed().as_secs_f64());
    }
    seconds.remove(0);
    seconds.sort_by(f64::total_cmp);
    Ok(seconds[1])
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
                let seconds = measure_in(&model, &config, dtype).expect("seconds");
                assert!(seconds > 0.0 && seconds.is_finite(), "{name} {dtype:?} {seconds}");
            }
        }
    }
}
