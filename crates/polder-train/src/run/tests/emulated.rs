//! Runs on the emulated kernels beside the processor's.

use super::*;

/// Steps of the short form; a hundred with `POLDER_SOAK`.
fn n_steps() -> u64 {
    if std::env::var_os("POLDER_SOAK").is_some() { 100 } else { 5 }
}

#[test]
fn every_family_in_bf16_on_the_emulated_kernels_stays_within_two_hundredths_of_the_processor_in_f32() {
    let dir = tempfile::tempdir().expect("folder");
    let set = token_set_with_mask(dir.path());
    let tokens = || TokenFolders::from(&set).with_tokenizer(&dir.path().join("tokenizer.json"));
    for (i, name) in ["nano", "gpt2-nano", "bert-nano", "modernbert-nano"].into_iter().enumerate() {
        let (config, _) = settings();
        let config = TrainConfig { steps: n_steps(), lr: 3e-4, eval_every: 0, checkpoint_every: 0, ..config };
        let config = if name.contains("bert") { TrainConfig { masking: Some(crate::MaskedLm::default()), ..config } } else { config };
        let init = Init::Fresh(preset(name, 300, 64).expect("preset"));
        let halves = TrainConfig { precision: Precision::Bf16, ..config.clone() };
        let Some(gpu) = emulated_gpu((9, 0), i as u64) else { return };
        let at = |kind: &str| dir.path().join(format!("{name}-{kind}"));
        let mut ours = TrainRun::start_or_resume_on(gpu, &at("gpu"), tokens(), &halves, &init).expect("start");
        ours.run_rank(&AtomicBool::new(false), None, &mut |_| {}).expect("run");
        let mut cpu = TrainRun::start_or_resume(&at("cpu"), tokens(), &config, &init).expect("start");
        cpu.run(&AtomicBool::new(false), &mut |_| {}).expect("run");
        let apart = ours.metrics().iter().zip(cpu.metrics()).map(|(a, b)| (a.loss - b.loss).abs());
        let (worst, n) = apart.fold((0.0f64, 0), |(worst, n), x| (worst.max(x), n + 1));
        println!("{name}: {n} steps, loss {:.3} to {:.3}, {worst:.5} apart at most", cpu.metrics()[0].loss, cpu.metrics()[n - 1].loss);
        assert!(n as u64 == n_steps() && worst < 0.02, "{name}: {worst} apart");
    }
}

#[test]
fn a_run_on_the_emulated_kernels_stays_near_the_processor_s_and_goes_on_with_the_same_bits() {
    let dir = tempfile::tempdir().expect("folder");
    let tokens = token_set(dir.path(), true);
    let (config, init) = settings();
    let config = TrainConfig { steps: 6, precision: Precision::Bf16, checkpoint_every: 2, ..config };
    let on_gpu = |name: &str, stop_at: u64| {
        let gpu = emulated_gpu((9, 0), stop_at)?;
        let mut run = TrainRun::start_or_resume_on(gpu, &dir.path().join(name), &tokens, &config, &init).expect("start");
        let stop = AtomicBool::new(false);
        run.run_rank(&stop, None, &mut |report| stop.store(report.metric.step == stop_at, Ordering::Relaxed)).expect("run");
        Some((run.network.weights().data, without_speed(run.metrics())))
    };
    let Some(whole) = on_gpu("whole", 0) else { return };
    on_gpu("parts", 3);
    assert_eq!(on_gpu("parts", 0), Some(whole.clone()));
    let f32s = TrainConfig { precision: Precision::F32, ..config.clone() };
    let mut cpu = TrainRun::start_or_resume(&dir.path().join("cpu"), &tokens, &f32s, &init).expect("start");
    cpu.run(&AtomicBool::new(false), &mut |_| {}).expect("run");
    for (a, b) in whole.1.iter().zip(cpu.metrics()) {
        assert!((a.loss - b.loss).abs() < 0.02, "step {}: {} and {}", a.step, a.loss, b.loss);
    }
}

#[test]
fn a_step_on_a_gpu_asks_for_no_memory_and_is_one_copy_in_two_replays_and_one_copy_out() {
    let dir = tempfile::tempdir().expect("folder");
    let tokens = TokenFolders::from(&token_set_with_mask(dir.path())).with_tokenizer(&dir.path().join("tokenizer.json"));
    let (config, _) = settings();
    let decoder = TrainConfig { steps: 5, micro_batch_size: 1, eval_every: 0, checkpoint_every: 0, ..config };
    let masked = TrainConfig { masking: Some(crate::MaskedLm { rate: 0.15, ..Default::default() }), ..decoder.clone() };
    let by_muon = TrainConfig { optimizer: Optimizer::Muon, precision: Precision::Bf16, ..decoder.clone() };
    // More batches than go in at once: all but the last part is a copy in, a replay and a copy out more.
    let many = TrainConfig { batch_size: BATCHES_AT_ONCE_MAX + 1, context: 16, ..decoder.clone() };
    for (name, parts, config) in [("nano", 1, decoder), ("bert-nano", 1, masked), ("nano", 1, by_muon), ("nano", 2, many)] {
        let model = preset(name, 300, 64).expect("preset");
        let Some((gpu, counts)) = counted_gpu((9, 0), 1, gpu_bytes(&model, &config)) else { return };
        let run_dir = dir.path().join(format!("{name} {:?} {}", config.optimizer, config.batch_size));
        let mut run = TrainRun::start_or_resume_on(gpu, &run_dir, tokens.clone(), &config, &Init::Fresh(model)).expect("start");
        let mut asked = Vec::new();
        run.run_rank(&AtomicBool::new(false), None, &mut |_| asked.push(counts.asked())).expect("run");
        assert_eq!(counts.asked().allocations, 1, "{name}: all memory is taken when the GPU is opened");
        // The first step is called and the second put down; behind the last one its weights are copied out.
        for step in asked[1..4].windows(2) {
            let steady = Asked { allocations: 0, copies_in: parts, copies_out: parts, launches: 0, replays: parts + 1 };
            assert_eq!(step[1] - step[0], steady, "{name} {config:?}");
        }
    }
}
