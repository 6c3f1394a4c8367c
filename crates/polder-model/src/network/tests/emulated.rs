//! Whole networks on the emulated kernels against the processor: losses, gradients and an update, as calls that are put down and made again too.

use polder_testkit::{Asked, counted_gpu, emulated_gpu};

use super::*;

/// ‖a − b‖ / ‖b‖.
fn distance(a: &[f32], b: &[f32]) -> f64 {
    let sum = |f: &dyn Fn(f64, f64) -> f64| a.iter().zip(b).map(|(a, b)| f(f64::from(*a), f64::from(*b))).sum::<f64>();
    (sum(&|a, b| (a - b) * (a - b)) / sum(&|_, b| b * b).max(1e-30)).sqrt()
}

#[test]
fn networks_of_every_kind_learn_on_the_emulated_kernels_what_they_learn_on_the_processor() {
    for (i, (name, config)) in kinds().into_iter().enumerate() {
        let (dtype, capability, tolerance) = if i % 2 == 0 { (Dtype::F32, (8, 0), 2e-4) } else { (Dtype::Bf16, (9, 0), 4e-2) };
        let config = ModelConfig { initializer_range: 0.1, ..config };
        let weights = Weights::init(&config, 4).expect("init");
        let Some(gpu) = emulated_gpu(capability, i as u64) else { return };
        let options = NetworkOptions { dtype, ..NetworkOptions::new(2, 16) };
        let mut cpu = Network::with_options(Cpu::new(), &weights, options).expect(name);
        let mut gpu = Network::with_options(gpu, &weights, options).expect(name);
        // The first of equal steps is called, the second put down, the third only made again.
        for round in 0..3 {
            let given = Given::new(&config, 16, 2 + round);
            let (a, b) = (gpu.loss_and_grads(&given.batch(), 0.5).expect(name), cpu.loss_and_grads(&given.batch(), 0.5).expect(name));
            assert!((a.sum / b.sum - 1.0).abs() < tolerance && a.count == b.count, "{name} {dtype:?} round {round}: {a:?} {b:?}");
        }
        let grads = gpu.grads_view();
        let mut ours = vec![0f32; grads.len];
        gpu.backend_mut().download(grads, &mut ours);
        let apart = distance(&ours, cpu.grads());
        assert!(apart < tolerance, "{name} {dtype:?}: gradients are {apart} apart");
        let step = AdamW { lr: 1e-2, beta1: 0.9, beta2: 0.95, eps: 1e-6, weight_decay: 0.1, step: 1, clip: 1.0 };
        gpu.update(step);
        cpu.update(step);
        let (a, b) = (gpu.grad_norm(), cpu.grad_norm());
        assert!((a / b - 1.0).abs() < tolerance, "{name} {dtype:?}: norms {a} {b}");
        let apart = distance(&gpu.weights().data, &cpu.weights().data);
        // The first update takes the sign of gradients that are nearly nothing for what it is.
        assert!(apart < 0.25 * tolerance.max(4e-3), "{name} {dtype:?}: weights are {apart} apart after an update");
    }
}

#[test]
fn what_is_computed_again_gives_the_same_bits_on_the_emulated_kernels() {
    let (name, config) = kinds().swap_remove(5);
    let (weights, given) = (weights(&config, 4), Given::new(&config, 16, 2));
    let run = |recompute: Recompute| {
        let gpu = emulated_gpu((9, 0), 1)?;
        let options = NetworkOptions { dtype: Dtype::Bf16, recompute, ..NetworkOptions::new(2, 16) };
        let mut network = Network::with_options(gpu, &weights, options).expect(name);
        let loss = network.loss_and_grads(&given.batch(), 0.5).expect(name);
        let grads = network.grads_view();
        let mut values = vec![0f32; grads.len];
        network.backend_mut().download(grads, &mut values);
        Some((loss, values.into_iter().map(f32::to_bits).collect::<Vec<_>>()))
    };
    let kept = run(Recompute::None);
    assert!(run(Recompute::Pointwise) == kept && run(Recompute::Layers) == kept, "{name}");
}

/// Batches of 8 sequences of 16 tokens: for a masked model of which few are guessed, of which each step has another count.
fn batches(config: &ModelConfig, step: u64) -> Vec<(Vec<u32>, Vec<i32>, Vec<i32>)> {
    let mut random = Random::new(step, "batches");
    let one = |_| {
        let mut below = |n: usize| random.below(n as u64) as u32;
        let tokens: Vec<u32> = (0..128).map(|_| below(config.vocab_size)).collect();
        let is_target = |i: usize, chance: u32| config.head == Head::LanguageModel && i % 16 < 15 || chance < 20;
        let targets = (0..128).map(|i| if is_target(i, below(100)) { below(config.vocab_size) as i32 } else { -1 }).collect();
        // Some sequences are split, each time at other places.
        let starts = (0..8).flat_map(|s| [16 * s, 16 * s + 1 + below(15) as i32]).chain([128]).collect();
        (tokens, targets, starts)
    };
    (0..3).map(one).collect()
}

fn as_batches(made: &[(Vec<u32>, Vec<i32>, Vec<i32>)]) -> Vec<Batch<'_>> {
    made.iter().map(|(tokens, targets, starts)| Batch { cu_seqlens: Some(starts), ..Batch::new(tokens, targets) }).collect()
}

#[test]
fn a_step_of_several_batches_is_one_copy_in_two_replays_and_one_copy_out_with_the_bits_of_its_batches_one_by_one() {
    let muon = MuonStep { lr: 1e-2, momentum: 0.95, weight_decay: 0.1 };
    for (name, config, dtype, muon) in [
        ("llama", small("nano"), Dtype::Bf16, None),
        ("bert", small("bert-nano"), Dtype::F32, None),
        ("modernbert", modernbert(&|_| {}), Dtype::Bf16, Some(muon)),
    ] {
        let weights = weights(&config, 4);
        let options = NetworkOptions { dtype, batches_at_once: 3, ..NetworkOptions::new(8, 16) };
        let Some((gpu, counts)) = counted_gpu((9, 0), 1, 0) else { return };
        let mut whole = Network::with_options(gpu, &weights, options).expect(name);
        let mut parts = Network::with_options(emulated_gpu((9, 0), 2).expect("a second"), &weights, options).expect(name);
        let mut cpu = Network::with_options(Cpu::new(), &weights, options).expect(name);
        for step in 1..=5 {
            let made = batches(&config, step);
            let (batches, before) = (as_batches(&made), counts.asked());
            let n_targets = made.iter().flat_map(|(_, targets, _)| targets).filter(|t| **t >= 0).count();
            let adamw = AdamW { lr: 1e-3 / step as f32, beta1: 0.9, beta2: 0.95, eps: 1e-6, weight_decay: 0.1, step, clip: 1.0 };
            let part = StepPart { scale: 1.0 / n_targets as f32, is_first: true, measures: true, update: Some((adamw, muon)) };
            let ours = whole.step_grads(&batches, part).expect(name);
            whole.update_together(&mut Alone, adamw, muon).expect("alone");
            if step > 2 {
                let asked = Asked { allocations: 0, copies_in: 1, copies_out: 1, launches: 0, replays: 2 };
                assert_eq!(counts.asked() - before, asked, "{name}, step {step}");
            }
            let same = one_by_one(&mut parts, &batches, part);
            assert_eq!((ours.loss, ours.norm), (same.loss, same.norm), "{name}, step {step}");
            // On the processor, rows that are filled up with are not there.
            let near = one_by_one(&mut cpu, &batches, part);
            let tolerance = if dtype == Dtype::F32 { 1e-3 } else { 6e-2 };
            let apart = (ours.norm.expect("norm") / near.norm.expect("norm") - 1.0).abs().max((ours.loss.sum / near.loss.sum - 1.0).abs());
            assert!(apart < tolerance && ours.loss.count == near.loss.count, "{name}, step {step}: {ours:?} and {near:?}");
        }
        assert_eq!(bits(&whole.weights().data), bits(&parts.weights().data), "{name}");
    }
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

/// A step by the calls that know one batch.
fn one_by_one<B: Backend>(network: &mut Network<B>, batches: &[Batch<'_>], part: StepPart) -> StepGrads {
    network.zero_grads();
    let mut loss = Loss::default();
    for batch in batches {
        loss += network.loss_and_grads(batch, part.scale).expect("loss");
    }
    let norm = network.sum_grads(&mut Alone).expect("alone");
    let (adamw, muon) = part.update.expect("an update");
    network.update_together(&mut Alone, adamw, muon).expect("alone");
    StepGrads { loss, norm: Some(norm) }
}

#[test]
fn a_processor_takes_one_batch_at_a_time_and_more_than_there_is_room_for_is_refused() {
    let config = small("nano");
    let options = NetworkOptions { batches_at_once: 99, ..NetworkOptions::new(8, 16) };
    let mut cpu = Network::with_options(Cpu::new(), &weights(&config, 4), options).expect("network");
    assert_eq!(cpu.batches_at_once(), 1);
    let made = batches(&config, 1);
    let part = StepPart { scale: 1.0, is_first: true, measures: true, update: None };
    let refused = cpu.step_grads(&as_batches(&made), part).expect_err("three");
    assert!(refused.to_string().contains("3 batches where 1 to 1 go in"), "{refused}");
    let Some(gpu) = emulated_gpu((9, 0), 1) else { return };
    let gpu = Network::with_options(gpu, &weights(&config, 4), options).expect("network");
    assert_eq!(gpu.batches_at_once(), BATCHES_AT_ONCE_MAX);
}
