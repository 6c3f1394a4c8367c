//! The whole network against the reference, against finite differences, and against what training must do.

use polder_base::Random;
use polder_compute::{AdamW, Reference};

use super::*;
use crate::preset;

fn small(tie: bool) -> ModelConfig {
    ModelConfig {
        vocab_size: 61,
        hidden_size: 32,
        intermediate_size: 48,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        num_key_value_heads: 2,
        head_dim: 8,
        tie_word_embeddings: tie,
        // Larger than in training, so that every path carries a signal.
        initializer_range: 0.3,
        ..preset("nano", 61, 32).expect("preset")
    }
}

fn batch(vocab: usize, n: usize, seed: u64) -> (Vec<u32>, Vec<i32>) {
    let mut random = Random::new(seed, "batch");
    let tokens: Vec<u32> = (0..n).map(|_| random.below(vocab as u64) as u32).collect();
    let targets = (0..n).map(|i| if i % 7 == 3 { -1 } else { random.below(vocab as u64) as i32 }).collect();
    (tokens, targets)
}

#[test]
fn gradients_agree_with_finite_differences_in_f64() {
    for tie in [true, false] {
        let weights = Weights::init(&small(tie), 3).expect("init");
        let mut network = Network::new(Reference::new(), &weights, 2, 9).expect("network");
        let (tokens, targets) = batch(61, 18, 1);
        network.loss_and_grads(&tokens, &targets, 1.0).expect("grads");
        let (params, grads) = (network.params_view(), network.grads_view());
        let grads = network.backend_mut().slice(grads).to_vec();
        let mut loss_at = |place: usize, shift: f64| {
            network.backend_mut().slice_mut(params)[place] += shift;
            let n = network.take(&tokens, Some(&targets)).expect("batch");
            network.forward(n);
            network.losses(n, None);
            let sum: f64 = network.backend.slice(network.losses).iter().sum();
            network.backend_mut().slice_mut(params)[place] -= shift;
            sum
        };
        let mut random = Random::new(5, "places");
        for param in weights.table.iter() {
            for _ in 0..4 {
                let place = param.offset + random.below(param.len() as u64) as usize;
                let h = 1e-5;
                let slope = (loss_at(place, h) - loss_at(place, -h)) / (2.0 * h);
                let error = (slope - grads[place]).abs() / (slope.abs() + grads[place].abs() + 1e-4);
                assert!(error < 1e-5, "{} at {place}: {slope} by differences, {} by the backward pass", param.name, grads[place]);
            }
        }
    }
}

#[test]
fn the_cpu_agrees_with_the_reference_on_loss_logits_and_every_gradient() {
    for tie in [true, false] {
        let weights = Weights::init(&small(tie), 4).expect("init");
        let (tokens, targets) = batch(61, 3 * 32, 2);
        let mut cpu = Network::new(Cpu::new(), &weights, 3, 32).expect("network");
        let mut reference = Network::new(Reference::new(), &weights, 3, 32).expect("network");
        let ours = cpu.loss_and_grads(&tokens, &targets, 0.5).expect("grads");
        let truth = reference.loss_and_grads(&tokens, &targets, 0.5).expect("grads");
        assert!((ours.sum / truth.sum - 1.0).abs() < 1e-5 && ours.count == truth.count, "{ours:?} {truth:?}");
        let grads_view = reference.grads_view();
        let grads = reference.backend_mut().slice(grads_view).to_vec();
        for param in weights.table.iter() {
            let part = param.offset..param.offset + param.len();
            let norm = grads[part.clone()].iter().map(|g| g * g).sum::<f64>().sqrt();
            let distance = cpu.grads()[part.clone()].iter().zip(&grads[part]).map(|(a, b)| (f64::from(*a) - b).powi(2)).sum::<f64>().sqrt();
            assert!(distance / norm < 2e-5, "{}: {}", param.name, distance / norm);
        }
        let (a, b) = (cpu.logits(&tokens).expect("logits"), reference.logits(&tokens).expect("logits"));
        assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-4));
    }
}

#[test]
fn the_initial_loss_is_the_logarithm_of_the_vocabulary() {
    let config = preset("nano", 2048, 64).expect("preset");
    let mut network = Network::new(Cpu::new(), &Weights::init(&config, 1).expect("init"), 4, 64).expect("network");
    let (tokens, targets) = batch(2048, 256, 3);
    let loss = network.loss(&tokens, &targets).expect("loss").mean();
    assert!((loss / 2048f64.ln() - 1.0).abs() < 0.01, "{loss}");
}

#[test]
fn one_batch_is_learned_by_heart() {
    let config = ModelConfig { initializer_range: 0.02, ..small(true) };
    let mut network = Network::new(Cpu::new(), &Weights::init(&config, 1).expect("init"), 4, 16).expect("network");
    let tokens: Vec<u32> = batch(61, 64, 4).0;
    // Random text with distinct beginnings: the next token follows from the ones before it.
    let targets: Vec<i32> = (0..64).map(|i| if i % 16 == 15 { -1 } else { tokens[i + 1] as i32 }).collect();
    let mut loss = f64::INFINITY;
    for step in 1..=400 {
        network.zero_grads();
        loss = network.loss_and_grads(&tokens, &targets, 1.0 / 60.0).expect("grads").mean();
        network.update(AdamW { lr: 3e-3, beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.0, step, clip: 1.0 });
    }
    assert!(loss < 0.01, "{loss}");
}

#[test]
fn a_part_of_a_batch_gives_the_same_bits_as_alone() {
    let weights = Weights::init(&small(true), 6).expect("init");
    let (tokens, _) = batch(61, 96, 5);
    let mut large = Network::new(Cpu::new(), &weights, 3, 32).expect("network");
    let all = large.logits(&tokens).expect("logits");
    let again = large.logits(&tokens[..32]).expect("logits");
    assert_eq!(again, all[..32 * 61]);
}

#[test]
fn batches_that_do_not_fit_are_refused() {
    let weights = Weights::init(&small(true), 6).expect("init");
    let mut network = Network::new(Cpu::new(), &weights, 1, 8).expect("network");
    assert!(network.loss(&[1; 7], &[1; 7]).is_err());
    assert!(network.loss(&[1; 16], &[1; 16]).is_err());
    assert!(network.loss(&[61; 8], &[1; 8]).is_err());
    assert!(network.loss(&[1; 8], &[61; 8]).is_err());
    assert!(network.loss(&[1; 8], &[1; 7]).is_err());
    assert!(Network::new(Cpu::new(), &weights, 1, 33).is_err());
}
