//! Whole networks on the emulated kernels against the processor: losses, gradients and an update, as calls that are put down and made again too.

use polder_testkit::emulated_gpu;

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
