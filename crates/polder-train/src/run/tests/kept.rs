//! What a run leaves behind: checkpoints, the best step, scores.

use super::*;

#[test]
fn a_run_that_somebody_works_on_is_not_taken_up_and_one_that_lacks_its_metrics_neither() {
    let dir = tempfile::tempdir().expect("folder");
    let tokens = token_set(dir.path(), true);
    let (config, init) = settings();
    let start = || TrainRun::start_or_resume(&dir.path().join("run"), &tokens, &config, &init);
    let mut first = start().expect("start");
    assert!(matches!(start(), Err(TrainError::Busy { .. })));
    let stop = AtomicBool::new(false);
    first.run(&stop, &mut |report| stop.store(report.metric.step == 6, Ordering::Relaxed)).expect("run");
    drop(first);
    assert_eq!(start().expect("free again").step(), 6);
    let metrics = dir.path().join("run").join(crate::METRICS_FILE);
    let text = fs::read_to_string(&metrics).expect("metrics");
    fs::write(&metrics, text.lines().take(4).map(|l| format!("{l}\n")).collect::<String>()).expect("cut");
    assert!(matches!(start(), Err(TrainError::Metrics { n_steps: 4, step: 6, .. })));
}

#[test]
fn checkpoints_by_the_clock_lose_no_more_than_what_came_after_them() {
    let dir = tempfile::tempdir().expect("folder");
    let tokens = token_set(dir.path(), true);
    let (config, init) = settings();
    let config = TrainConfig { checkpoint_every: 0, checkpoint_minutes: 1e-9, ..config };
    let start = || TrainRun::start_or_resume(&dir.path().join("run"), &tokens, &config, &init).expect("start");
    let mut run = start();
    let killed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        run.run(&AtomicBool::new(false), &mut |report| assert!(report.metric.step < 9, "killed"))
    }));
    assert!(killed.is_err());
    drop(run);
    assert_eq!(start().step(), 8, "each step begins with a checkpoint of the one before");
}

#[test]
fn the_best_step_becomes_the_model_where_it_is_kept() {
    let dir = tempfile::tempdir().expect("folder");
    let tokens = token_set(dir.path(), true);
    let (config, init) = settings();
    // A rate that grows past all reason makes the end worse than the middle.
    let config =
        TrainConfig { steps: 20, warmup_steps: 20, lr: 0.3, eval_every: 2, keep_best: true, keep_last: 1, checkpoint_every: 5, ..config };
    let mut run = TrainRun::start_or_resume(&dir.path().join("run"), &tokens, &config, &init).expect("start");
    run.run(&AtomicBool::new(false), &mut |_| {}).expect("run");
    let judged: Vec<(u64, f64)> = run.metrics().iter().filter_map(|m| Some((m.step, m.validation_loss?))).collect();
    let best = judged.iter().copied().reduce(|a, b| if b.1 <= a.1 { b } else { a }).expect("judged");
    assert!(best.0 < 20, "{judged:?}");
    let reference = Reference::artefact("models", "m");
    let manifest = run.finish(&dir.path().join("m/1"), &dir.path().join("tokenizer.json"), reference, Timestamp(1), None).expect("finish");
    assert_eq!(manifest.details["weights_of_step"], best.0);
    let weights = Weights::load(&dir.path().join("m/1")).expect("load");
    assert_ne!(weights.data, run.network.params());
    run.network.set_params(&weights.data);
    assert_eq!(run.validation_loss().expect("loss"), Some(best.1));
}

#[test]
fn tasks_are_scored_with_the_weights_of_their_step() {
    let dir = tempfile::tempdir().expect("folder");
    let tokens = token_set(dir.path(), true);
    let (config, init) = settings();
    let mut run = TrainRun::start_or_resume(&dir.path().join("run"), &tokens, &config, &init).expect("start");
    let mut first = |weights: Weights| Ok(BTreeMap::from([("first".to_owned(), f64::from(weights.data[0]))]));
    run.run_with(&AtomicBool::new(false), Some(&mut first), &mut |_| {}).expect("run");
    let scored: Vec<u64> = run.metrics().iter().filter(|m| m.tasks.contains_key("first")).map(|m| m.step).collect();
    assert_eq!(scored, [10, 20, 30]);
    let mut broken = |_: Weights| Err("no model fits".into());
    let mut other = TrainRun::start_or_resume(&dir.path().join("other"), &tokens, &config, &init).expect("start");
    assert!(matches!(other.run_with(&AtomicBool::new(false), Some(&mut broken), &mut |_| {}), Err(TrainError::Tasks { step: 10, .. })));
    assert_eq!(run.metrics()[29].tasks["first"], f64::from(run.network.params()[0]));
    assert!(run.metrics()[29].validation_bits_per_byte.is_some_and(|bits| bits > 0.0 && bits < 8.0));
}

#[test]
fn a_killed_run_goes_on_from_its_last_checkpoint_and_forgets_what_came_after() {
    let dir = tempfile::tempdir().expect("folder");
    let tokens = token_set(dir.path(), true);
    let whole = run_to_end(&dir.path().join("whole"), &tokens);
    let (config, init) = settings();
    let killed = dir.path().join("killed");
    let mut run = TrainRun::start_or_resume(&killed, &tokens, &config, &init).expect("start");
    // Dropped between checkpoints, as a kill would leave it, with a half-written line.
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        run.run(&AtomicBool::new(false), &mut |report| assert!(report.metric.step < 11, "killed"))
    }));
    assert!(result.is_err());
    drop(run);
    let metrics = killed.join(crate::METRICS_FILE);
    let mut text = fs::read(&metrics).expect("metrics");
    text.extend_from_slice(b"{\"step\":12,\"lo");
    fs::write(&metrics, text).expect("metrics");
    let resumed = TrainRun::start_or_resume(&killed, &tokens, &config, &init).expect("resume");
    assert_eq!((resumed.step(), resumed.metrics().len()), (8, 8));
    drop(resumed);
    assert_eq!(run_to_end(&killed, &tokens), whole);
}
