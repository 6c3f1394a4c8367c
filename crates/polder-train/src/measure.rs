//! How long a step takes on this machine, measured before a run is planned.

use std::time::Instant;

use polder_base::Random;
use polder_compute::{AdamW, Cpu, Dtype};
use polder_model::{Batch, Head, ModelConfig, Network, NetworkOptions, Weights};

use crate::{TrainConfig, TrainError};

/// Tokens of a hundred that masked-LM training usually hides; only those pass the head.
const MASKED_OF_100: u64 = 15;

/// Trains a few steps on random tokens and returns the seconds of one, the middle of three.
///
/// # Errors
/// Settings or a model that cannot be.
pub fn measure(model: &ModelConfig, config: &TrainConfig) -> Result<f64, TrainError> {
    measure_in(model, config, Dtype::F32)
}

/// The same with rows and matrices of a type.
///
/// # Errors
/// Those of [`measure`].
pub fn measure_in(model: &ModelConfig, config: &TrainConfig, dtype: Dtype) -> Result<f64, TrainError> {
    config.check()?;
    let weights = Weights::init(model, config.seed)?;
    let options = NetworkOptions { dtype, ..NetworkOptions::new(config.micro_batch_size, config.context) };
    let mut network = Network::with_options(Cpu::new(), &weights, options)?;
    let mut random = Random::new(config.seed, "measure");
    let n = config.micro_batch_size * config.context;
    let tokens: Vec<u32> = (0..n).map(|_| random.below(model.vocab_size as u64) as u32).collect();
    let targets: Vec<i32> = match model.head {
        Head::MaskedLm => tokens.iter().map(|t| if random.below(100) < MASKED_OF_100 { *t as i32 } else { -1 }).collect(),
        _ => tokens.iter().map(|t| *t as i32).collect(),
    };
    let mut seconds = Vec::new();
    // The first step touches memory for the first time and does not count.
    for step in 1..=4 {
        let started = Instant::now();
        network.zero_grads();
        network.loss_and_grads(&Batch::new(&tokens, &targets), 1.0 / n as f32)?;
        let parts = started.elapsed().as_secs_f64() * config.batch_size as f64 / config.micro_batch_size as f64;
        let started = Instant::now();
        network.update(AdamW { lr: 1e-4, beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.1, step, clip: 1.0 });
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
