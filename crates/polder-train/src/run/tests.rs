//! Runs that are stopped, killed and moved between thread counts, against runs that are not.

use std::fs;
use std::sync::atomic::Ordering;

use polder_base::{Manifest, Reference, Timestamp};
use polder_compute::{CollectiveError, Patience, RankPlace, TcpRank};
use polder_model::{BATCHES_AT_ONCE_MAX, preset};
use polder_shard::Batch;
use polder_testkit::{Asked, counted_gpu, emulated_gpu, token_set, token_set_with_mask, tokenizer};
use polder_tokenizer::{END_OF_TEXT, Tokenizer, TrainOptions, WordCounts, train};

use super::*;
use crate::{Optimizer, Precision, gpu_bytes};

fn settings() -> (TrainConfig, Init) {
    let config = TrainConfig {
        steps: 30,
        batch_size: 4,
        micro_batch_size: 3,
        context: 32,
        warmup_steps: 5,
        eval_every: 10,
        eval_samples: 4,
        checkpoint_every: 4,
        ..TrainConfig::default()
    };
    (config, Init::Fresh(preset("nano", 300, 64).expect("preset")))
}

fn run_to_end(dir: &Path, tokens: &Path) -> (Vec<f32>, Vec<Metric>) {
    let (config, init) = settings();
    let mut run = TrainRun::start_or_resume(dir, tokens, &config, &init).expect("start");
    assert_eq!(run.run(&AtomicBool::new(false), &mut |_| {}).expect("run"), Outcome::Finished);
    (run.network.params().to_vec(), without_speed(run.metrics()))
}

fn without_speed(metrics: &[Metric]) -> Vec<Metric> {
    metrics.iter().map(|m| Metric { tokens_per_second: 0.0, at_ms: 0, ..m.clone() }).collect()
}

#[test]
fn a_run_that_was_stopped_ends_with_the_same_bits_as_one_that_was_not() {
    let dir = tempfile::tempdir().expect("folder");
    let tokens = token_set(dir.path(), true);
    let whole = run_to_end(&dir.path().join("whole"), &tokens);
    assert_eq!(whole.1.len(), 30);
    let (config, init) = settings();
    let parts = dir.path().join("parts");
    let mut reached = 0;
    for stop_at in [1, 7, 8, 23] {
        let mut run = TrainRun::start_or_resume(&parts, &tokens, &config, &init).expect("resume");
        assert_eq!(run.step(), reached, "nothing that was done is done again");
        let stop = AtomicBool::new(false);
        let outcome = run.run(&stop, &mut |report| stop.store(report.metric.step >= stop_at, Ordering::Relaxed));
        assert_eq!(outcome.expect("run"), Outcome::Interrupted { step: stop_at });
        reached = stop_at;
    }
    assert_eq!(run_to_end(&parts, &tokens), whole);
    let kept = fs::read_dir(parts.join("checkpoints")).expect("list").count();
    assert_eq!(kept, 2);
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

#[test]
fn a_run_of_the_other_decoder_ends_with_the_same_bits_too_and_an_encoder_is_refused() {
    let dir = tempfile::tempdir().expect("folder");
    let tokens = token_set(dir.path(), true);
    let (config, _) = settings();
    let config = TrainConfig { steps: 8, ..config };
    let init = Init::Fresh(preset("gpt2-nano", 300, 64).expect("preset"));
    let run = |dir: &Path, stop_at: u64| {
        let mut run = TrainRun::start_or_resume(dir, &tokens, &config, &init).expect("start");
        let stop = AtomicBool::new(false);
        run.run(&stop, &mut |report| stop.store(report.metric.step == stop_at, Ordering::Relaxed)).expect("run");
        run.network.params().to_vec()
    };
    let whole = run(&dir.path().join("whole"), 0);
    run(&dir.path().join("parts"), 3);
    assert_eq!(run(&dir.path().join("parts"), 0), whole);
    let encoder = Init::Fresh(preset("bert-nano", 300, 64).expect("preset"));
    // Without masks there is nothing for it to guess.
    let refused = TrainRun::start_or_resume(&dir.path().join("bert"), &tokens, &config, &encoder);
    assert!(matches!(refused, Err(TrainError::Family { family: "bert", .. })));
}

/// Runs to the end, stopped after each of some steps; the parameters, and what each step measured.
fn with_stops(run_dir: &Path, tokens: &TokenFolders, config: &TrainConfig, init: &Init, stops: &[u64]) -> (Vec<f32>, Vec<Metric>) {
    for stop_at in stops {
        let mut run = TrainRun::start_or_resume(run_dir, tokens.clone(), config, init).expect("resume");
        let stop = AtomicBool::new(false);
        run.run(&stop, &mut |report| stop.store(report.metric.step >= *stop_at, Ordering::Relaxed)).expect("run");
    }
    let mut run = TrainRun::start_or_resume(run_dir, tokens.clone(), config, init).expect("resume");
    assert_eq!(run.run(&AtomicBool::new(false), &mut |_| {}).expect("run"), Outcome::Finished);
    (run.network.params().to_vec(), without_speed(run.metrics()))
}

#[test]
fn a_run_with_any_settings_ends_with_the_same_bits_however_often_it_was_stopped() {
    let dir = tempfile::tempdir().expect("folder");
    let tokens = TokenFolders::from(&token_set(dir.path(), true));
    let (base, init) = settings();
    let base = TrainConfig { steps: 12, ..base };
    let kinds: [&[&str]; 6] = [
        &["precision=bf16", "recompute=pointwise", "optimizer=muon"],
        &["optimizer=muon", "recompute=layers", "z_loss=1e-4"],
        &["packing=contiguous", "schedule=wsd", "decay_steps=4"],
        &["packing=best_fit", "precision=bf16"],
        &["ranks=2", "micro_batch_size=1", "optimizer=muon"],
        &["keep_best=true", "keep_last=1", "eval_every=3", "schedule=linear"],
    ];
    for (i, lines) in kinds.iter().enumerate() {
        let mut config = base.clone();
        config.set_all(lines).expect("settings");
        let whole = with_stops(&dir.path().join(format!("whole-{i}")), &tokens, &config, &init, &[]);
        let parts = with_stops(&dir.path().join(format!("parts-{i}")), &tokens, &config, &init, &[1, 5, 10]);
        assert_eq!(parts, whole, "{lines:?}");
        assert!(whole.1[11].loss < whole.1[0].loss - 0.5, "{lines:?} learn: {:?}", whole.1);
    }
}

#[test]
fn what_is_computed_again_changes_no_bit_of_a_run_and_ranks_change_its_loss_by_rounding_only() {
    let dir = tempfile::tempdir().expect("folder");
    let tokens = TokenFolders::from(&token_set(dir.path(), true));
    let (config, init) = settings();
    let config = TrainConfig { steps: 12, ..config };
    let with = |name: &str, lines: &[&str]| {
        let mut config = config.clone();
        config.set_all(lines).expect("settings");
        with_stops(&dir.path().join(name), &tokens, &config, &init, &[])
    };
    let plain = with("plain", &[]);
    assert_eq!(with("layers", &["recompute=layers"]), plain);
    let ranks = with("ranks", &["ranks=4", "micro_batch_size=1"]);
    for (a, b) in plain.1.iter().zip(&ranks.1) {
        assert!((a.loss - b.loss).abs() < 1e-4 && (a.grad_norm - b.grad_norm).abs() < 1e-3, "{a:?} {b:?}");
    }
}

#[test]
fn a_run_that_is_stopped_in_the_middle_of_a_step_ends_with_the_same_bits() {
    let dir = tempfile::tempdir().expect("folder");
    let tokens = token_set(dir.path(), true);
    let (config, init) = settings();
    // Sixteen parts a step: most stops come between two of them.
    let config = TrainConfig { steps: 8, batch_size: 16, micro_batch_size: 1, ..config };
    let whole = with_stops(&dir.path().join("whole"), &TokenFolders::from(&tokens), &config, &init, &[]);
    let mut random = polder_base::Random::new(3, "stops");
    let mut n_stops = 0;
    loop {
        let mut run = TrainRun::start_or_resume(&dir.path().join("parts"), &tokens, &config, &init).expect("resume");
        let (stop, pause) = (AtomicBool::new(false), random.below(40));
        let outcome = std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(std::time::Duration::from_millis(pause));
                stop.store(true, Ordering::Relaxed);
            });
            run.run(&stop, &mut |_| {})
        });
        match outcome.expect("run") {
            Outcome::Finished => {
                assert_eq!((run.network.params().to_vec(), without_speed(run.metrics())), whole);
                break;
            }
            Outcome::Interrupted { .. } => n_stops += 1,
        }
        drop(run);
        // A machine that is too slow for a step between two stops gets on without them.
        if n_stops == 200 {
            let end = with_stops(&dir.path().join("parts"), &TokenFolders::from(&tokens), &config, &init, &[]);
            assert_eq!(end, whole);
            break;
        }
    }
    assert!(n_stops > 0);
}

#[test]
fn an_encoder_learns_from_hidden_tokens_and_ends_with_the_same_bits() {
    let dir = tempfile::tempdir().expect("folder");
    let folders =
        || TokenFolders::from(&polder_testkit::token_set_with_mask(dir.path())).with_tokenizer(&dir.path().join("tokenizer.json"));
    let (base, _) = settings();
    for (size, lines) in
        [("bert-nano", &["masking.rate=0.15"][..]), ("modernbert-nano", &["masking=on", "masking.whole_words=true", "packing=contiguous"])]
    {
        let init = Init::Fresh(preset(size, 300, 64).expect("preset"));
        let mut config = TrainConfig { steps: 40, ..base.clone() };
        config.set_all(lines).expect("settings");
        let whole = with_stops(&dir.path().join(format!("{size}-whole")), &folders(), &config, &init, &[]);
        assert_eq!(with_stops(&dir.path().join(format!("{size}-parts")), &folders(), &config, &init, &[7, 31]), whole);
        let losses: Vec<f64> = whole.1.iter().map(|m| m.loss).collect();
        assert!(losses[30..].iter().sum::<f64>() / 10.0 < losses[0] - 1.0, "{size}: {losses:?}");
        assert!(whole.1.iter().all(|m| m.validation_bits_per_byte.is_none()) && whole.1[39].validation_loss.is_some());
        let mut run = TrainRun::start_or_resume(&dir.path().join(format!("{size}-whole")), folders(), &config, &init).expect("open");
        let (model, reference) = (dir.path().join(format!("models/{size}/1")), Reference::artefact("models", size));
        run.finish(&model, &dir.path().join("tokenizer.json"), reference, Timestamp(1), None).expect("finish");
        let text = fs::read_to_string(model.join("tokenizer_config.json")).expect("config");
        assert!(text.contains("[MASK]"), "{text}");
        // Without the tokenizer nobody knows what hides a token.
        let blind = TrainRun::start_or_resume(&dir.path().join("blind"), &dir.path().join("tokens"), &config, &init);
        assert!(matches!(blind, Err(TrainError::TokenizerNeeded)));
    }
    let (decoder, init) = settings();
    let masked = TrainConfig { masking: Some(crate::MaskedLm::default()), ..decoder };
    let refused = TrainRun::start_or_resume(&dir.path().join("decoder"), folders(), &masked, &init);
    assert!(matches!(refused, Err(TrainError::Family { family: "llama", .. })));
}

/// A set that is easily learnt, and now and then a sample of another one that is not.
fn with_strange_samples(dir: &Path) -> TokenFolders {
    let plain = polder_testkit::named_token_set(dir, "plain", "the lake ", true);
    let strange = polder_testkit::named_token_set(dir, "strange", "xq7#Zk!0vB{9}wJ@", true);
    TokenFolders::try_new(vec![(plain, "1".parse().expect("weight")), (strange, "0.01".parse().expect("weight"))]).expect("folders")
}

#[test]
fn a_step_that_stands_out_is_passed_over_or_gone_back_from_and_its_documents_are_named() {
    let dir = tempfile::tempdir().expect("folder");
    let tokens = with_strange_samples(dir.path());
    let (base, init) = settings();
    let ranks = ["ranks=2", "micro_batch_size=2"];
    let best = ["keep_best=true", "eval_every=4"];
    for (action, more) in [("skip", &[][..]), ("rewind", &[]), ("rewind", &ranks), ("rewind", &best)] {
        let mut config = TrainConfig { steps: 60, checkpoint_every: 10, ..base.clone() };
        config.set_all(more).expect("settings");
        let lines =
            [format!("spikes.action={action}"), "spikes.window=8".to_owned(), "spikes.loss_z=8".to_owned(), "spikes.norm_z=0".to_owned()];
        config.set_all(&lines).expect("settings");
        let name = format!("{action}-{}", more.concat());
        let (whole_dir, parts_dir) = (dir.path().join(format!("{name}-whole")), dir.path().join(format!("{name}-parts")));
        let whole = with_stops(&whole_dir, &tokens, &config, &init, &[]);
        let parts = with_stops(&parts_dir, &tokens, &config, &init, &[3, 24, 25, 26, 33, 51]);
        assert_eq!(parts, whole, "{action}");
        let read = |dir: &Path| -> Vec<SpikeReport> {
            let text = fs::read_to_string(dir.join(SPIKES_FILE)).expect("spikes");
            text.lines().map(|l| serde_json::from_str(l).expect("report")).collect()
        };
        let spikes = read(&whole_dir);
        assert_eq!(read(&parts_dir), spikes);
        assert!(!spikes.is_empty(), "a strange sample stands out");
        let names_it = |s: &SpikeReport| s.documents.iter().any(|d| d.tokens == "tokens/strange" && d.doc_id.len() == 32);
        assert!(spikes.iter().any(names_it), "{spikes:?}");
        let skipped = whole.1.iter().filter(|m| m.spike.is_some()).count();
        let passed_over = whole.1.last().expect("metrics").passed_over;
        assert_eq!((skipped > 0, passed_over > 0), if action == "skip" { (true, false) } else { (false, true) });
    }
    // Whoever puts up with too little is told.
    let mut config = TrainConfig { steps: 60, checkpoint_every: 10, ..base };
    config.set_all(&["spikes.action=rewind", "spikes.window=2", "spikes.loss_z=0.01", "spikes.spikes_max=2"]).expect("settings");
    let mut run = TrainRun::start_or_resume(&dir.path().join("nervous"), tokens, &config, &init).expect("start");
    assert!(matches!(run.run(&AtomicBool::new(false), &mut |_| {}), Err(TrainError::Spikes { n_spikes: 2, .. })));
}

#[test]
fn weights_that_are_no_numbers_end_a_run_and_leave_the_last_checkpoint() {
    let dir = tempfile::tempdir().expect("folder");
    let tokens = token_set(dir.path(), true);
    let mut weights = Weights::init(&preset("nano", 300, 64).expect("preset"), 9).expect("init");
    // Finite, and too large for what is computed with them.
    weights.data.iter_mut().for_each(|x| *x *= 1e25);
    weights.save(&dir.path().join("base")).expect("save");
    let (config, _) = settings();
    let init = Init::Weights(dir.path().join("base"));
    let run = |config: &TrainConfig, name: &str| {
        let mut run = TrainRun::start_or_resume(&dir.path().join(name), &tokens, config, &init).expect("start");
        run.run(&AtomicBool::new(false), &mut |_| {}).expect_err("diverged")
    };
    let e = run(&config, "plain");
    assert!(matches!(e, TrainError::Diverged { step: 1, .. }), "{e}");
    let patient = TrainConfig { spikes: Some(crate::SpikePolicy::default()), ..config };
    assert!(matches!(run(&patient, "patient"), TrainError::Spikes { step: 11, n_spikes: 10, .. }));
    let metrics = crate::read_metrics(&dir.path().join("patient")).expect("metrics");
    assert!(metrics.len() == 10 && metrics.iter().all(|m| m.spike.is_some() && !(m.loss.is_finite() && m.grad_norm.is_finite())));
}

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

#[test]
fn one_thread_and_several_give_the_same_bits() {
    let dir = tempfile::tempdir().expect("folder");
    let tokens = token_set(dir.path(), true);
    let with = |n: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build().expect("threads");
        pool.install(|| run_to_end(&dir.path().join(format!("threads-{n}")), &tokens))
    };
    let one = with(1);
    assert_eq!(with(2), one);
    assert_eq!(with(3), one);
}

#[test]
fn training_learns_and_becomes_a_model_folder_with_a_manifest() {
    let dir = tempfile::tempdir().expect("folder");
    let tokens = token_set(dir.path(), true);
    let (config, init) = settings();
    let mut run = TrainRun::start_or_resume(&dir.path().join("runs/a"), &tokens, &config, &init).expect("start");
    let model = dir.path().join("models/a/1");
    let reference = Reference::artefact("models", "a");
    let tokenizer = dir.path().join("tokenizer.json");
    let early = run.finish(&model, &tokenizer, reference.clone(), Timestamp(5), None);
    assert!(matches!(early, Err(TrainError::Unfinished { step: 0, steps: 30 })));
    let mut losses = Vec::new();
    run.run(&AtomicBool::new(false), &mut |report| losses.push(report.metric.loss)).expect("run");
    assert!(losses[29] < losses[0] - 1.0, "{losses:?}");
    let expected = run.inputs_digest();
    let manifest = run.finish(&model, &tokenizer, reference, Timestamp(5), None).expect("finish");
    assert_eq!(Manifest::verify(&model).expect("verify"), manifest);
    assert_eq!((manifest.inputs[0].digest, manifest.inputs_digest()), (run.tokens()[0].fingerprint(), expected));
    assert_eq!(Weights::load(&model).expect("load").data, run.network.params());
    assert!(manifest.details["validation_loss"].as_f64().expect("loss") < losses[0]);
    fs::write(&tokenizer, tokenizer_of_other_text().to_json()).expect("write");
    let other = run.finish(&model, &tokenizer, Reference::artefact("models", "a"), Timestamp(5), None);
    assert!(matches!(other, Err(TrainError::OtherTokenizer { .. })));
}

fn tokenizer_of_other_text() -> Tokenizer {
    let mut counts = WordCounts::default();
    counts.add("another text, another text");
    train(
        &counts,
        &TrainOptions { vocab_size: 260, special_tokens: vec![END_OF_TEXT.into()], min_count: 1, ..TrainOptions::default() },
        &mut |_, _| {},
    )
    .expect("tokenizer")
}

#[test]
fn a_run_begins_with_given_weights_too() {
    let dir = tempfile::tempdir().expect("folder");
    let tokens = token_set(dir.path(), true);
    let weights = Weights::init(&preset("nano", 300, 64).expect("preset"), 9).expect("init");
    weights.save(&dir.path().join("base")).expect("save");
    let (config, _) = settings();
    let init = Init::Weights(dir.path().join("base"));
    let run = TrainRun::start_or_resume(&dir.path().join("run"), &tokens, &config, &init).expect("start");
    assert_eq!(run.network.params(), weights.data);
    assert!(run.config().initial_weights.is_some());
}

#[test]
fn what_a_run_cannot_start_with_is_refused() {
    let dir = tempfile::tempdir().expect("folder");
    let tokens = token_set(dir.path(), true);
    let (config, init) = settings();
    let start =
        |config: &TrainConfig, init: &Init, run: &str| TrainRun::start_or_resume(&dir.path().join(run), &tokens, config, init).err();
    assert!(start(&config, &init, "a").is_none());
    let other = TrainConfig { seed: 2, ..config.clone() };
    assert!(matches!(start(&other, &init, "a"), Some(TrainError::OtherRun { what: "configuration", .. })));
    let vocab_size = tokenizer().vocab_size();
    let small = Init::Fresh(preset("nano", vocab_size - 1, 64).expect("preset"));
    assert!(
        matches!(start(&config, &small, "b"), Some(TrainError::Vocabulary { tokens, model }) if tokens == vocab_size && model == vocab_size - 1)
    );
    let long = TrainConfig { context: 1 << 20, ..config.clone() };
    assert!(matches!(start(&long, &init, "c"), Some(TrainError::TooFewTokens { .. })));
    let longer_than_model = TrainConfig { context: 128, ..config.clone() };
    assert!(matches!(start(&longer_than_model, &init, "d"), Some(TrainError::Model(_))));
    let absent = TrainRun::start_or_resume(&dir.path().join("e"), &dir.path().join("none"), &config, &init).err();
    assert!(matches!(absent, Some(TrainError::Tokens { .. })));
    let uncleared = tempfile::tempdir().expect("folder");
    let tokens = token_set(uncleared.path(), false);
    let refused = TrainRun::start_or_resume(&uncleared.path().join("run"), &tokens, &config, &init).err();
    assert!(matches!(refused, Some(TrainError::Clearance(_))));
}

#[test]
fn measuring_gives_the_seconds_of_a_step() {
    let (config, Init::Fresh(model)) = settings() else { panic!("fresh") };
    let seconds = crate::measure(&model, &config).expect("measure");
    assert!(seconds > 0.0 && seconds < 60.0, "{seconds}");
}

fn two_sets(dir: &Path) -> TokenFolders {
    let a = polder_testkit::named_token_set(dir, "a", polder_testkit::TEXT, true);
    let b = polder_testkit::named_token_set(dir, "b", "another sky over the same lake; ", true);
    TokenFolders::try_new(vec![(a, "0.7".parse().expect("weight")), (b, "0.3".parse().expect("weight"))]).expect("two")
}

#[test]
fn a_run_on_a_mixture_of_sets_ends_with_the_same_bits_however_often_it_was_stopped_and_names_both() {
    let dir = tempfile::tempdir().expect("folder");
    let tokens = two_sets(dir.path());
    let (config, init) = settings();
    let start = |name: &str| TrainRun::start_or_resume(&dir.path().join(name), tokens.clone(), &config, &init).expect("start");
    let mut whole = start("whole");
    whole.run(&AtomicBool::new(false), &mut |_| {}).expect("run");
    for stop_at in [3, 17, 30] {
        let stop = AtomicBool::new(false);
        start("parts").run(&stop, &mut |report| stop.store(report.metric.step >= stop_at, Ordering::Relaxed)).expect("run");
    }
    let mut parts = start("parts");
    assert_eq!((parts.step(), parts.network.params()), (30, whole.network.params()));
    assert!(parts.metrics().iter().rev().find_map(|m| m.validation_loss).is_some());
    let named: Vec<String> = parts.inputs().iter().map(|i| i.reference.to_string()).collect();
    assert_eq!(named, ["tokens/a", "tokens/b"]);
    let manifest = parts
        .finish(&dir.path().join("m/1"), &dir.path().join("tokenizer.json"), Reference::artefact("models", "m"), Timestamp(1), None)
        .expect("finish");
    assert_eq!(manifest.inputs.len(), 2);
    // 30 steps of 4 samples: 84 from one set and 36 from the other.
    assert_eq!((0..120).filter(|p| parts.loader().place(*p).source == 0).count(), 84);
}

#[test]
fn which_documents_a_step_saw_is_known_from_what_a_run_is() {
    let dir = tempfile::tempdir().expect("folder");
    let tokens = two_sets(dir.path());
    let (config, init) = settings();
    let run_dir = dir.path().join("run");
    drop(TrainRun::start_or_resume(&run_dir, tokens, &config, &init).expect("start"));
    let text = fs::read(run_dir.join("config.json")).expect("config");
    let found: RunConfig = serde_json::from_slice(&text).expect("config");
    let sets = ["a", "b"].map(|name| TokenSet::open(&dir.path().join(name)).expect("open"));
    let loader = crate::loader(&found, &sets).expect("loader");
    let rows = loader.rows(found.train.samples_of(7, 0)).expect("rows");
    assert_eq!(rows.iter().map(|r| r.position).collect::<Vec<_>>(), [24, 25, 26, 27]);
    let mut batch = Batch::default();
    loader.fill(24, 4, &mut batch).expect("fill");
    for (i, row) in rows.iter().enumerate() {
        let set = sets.iter().find(|s| s.manifest().reference.to_string() == row.set).expect("one of them");
        let mut seen = Vec::new();
        for document in &row.documents {
            let mut part = Vec::new();
            set.split("train").expect("train").read(document.tokens.start, document.tokens.end, &mut part).expect("read");
            seen.append(&mut part);
        }
        assert_eq!(seen, batch.samples(i..i + 1).0);
    }
    let swapped = crate::loader(&found, &[sets[1].clone(), sets[0].clone()]);
    assert!(matches!(swapped, Err(TrainError::OtherTokens { .. })));
}

#[test]
fn sets_that_do_not_belong_together_or_to_the_run_are_refused() {
    let dir = tempfile::tempdir().expect("folder");
    let (config, init) = settings();
    let tokens = token_set(dir.path(), true);
    let other = polder_testkit::token_set_of(dir.path(), "other", 300, 1000, [vec![1; 99]].into_iter());
    let mixed = |folders: &[&Path]| {
        let folders = folders.iter().map(|f| ((*f).to_owned(), polder_shard::Weight::ONE)).collect();
        let folders = TokenFolders::try_new(folders)?;
        TrainRun::start_or_resume(&dir.path().join("run"), folders, &config, &init).map(|run| run.step())
    };
    assert!(matches!(mixed(&[]), Err(TrainError::Option { option: "tokens", .. })));
    assert!(matches!(mixed(&[&tokens, &other]), Err(TrainError::OtherVocabulary { .. })));
    assert!(matches!(mixed(&[&tokens, &tokens]), Err(TrainError::Option { option: "tokens", .. })));
    assert_eq!(mixed(&[&tokens]).expect("start"), 0);
    // A configuration of one set that names it alone, as earlier versions wrote it.
    let path = dir.path().join("run/config.json");
    let mut value: serde_json::Value = serde_json::from_slice(&fs::read(&path).expect("config")).expect("json");
    let mut alone = value["tokens"][0].clone();
    alone.as_object_mut().expect("object").remove("weight");
    value["tokens"] = alone;
    fs::write(&path, value.to_string()).expect("write");
    assert_eq!(mixed(&[&tokens]).expect("the same run"), 0);
    value["tokens"]["digest"] = serde_json::to_value(polder_base::digest_bytes(b"other")).expect("json");
    fs::write(&path, value.to_string()).expect("write");
    assert!(matches!(mixed(&[&tokens]), Err(TrainError::OtherRun { what: "token set", .. })));
}

#[test]
fn a_checkpoint_whose_loader_stood_elsewhere_is_refused() {
    let dir = tempfile::tempdir().expect("folder");
    let tokens = token_set(dir.path(), true);
    let (config, init) = settings();
    let run_dir = dir.path().join("run");
    run_to_end(&run_dir, &tokens);
    let path = run_dir.join("checkpoints/step-00000030/state.json");
    let text = fs::read_to_string(&path).expect("state");
    let state: serde_json::Value = serde_json::from_str(&text).expect("json");
    assert_eq!((state["loader"]["samples"].as_u64(), state["loader"]["tokens"].as_u64()), (Some(120), Some(120 * 32)));
    let refused = |key: &str, value: serde_json::Value| {
        let mut changed = state.clone();
        *changed.pointer_mut(key).expect("key") = value;
        fs::write(&path, changed.to_string()).expect("write");
        TrainRun::start_or_resume(&run_dir, &tokens, &config, &init).err().expect("refused").to_string()
    };
    assert!(refused("/loader/fingerprint/context", 64.into()).contains("another context length: 64, and it is 32"));
    assert!(refused("/loader/fingerprint/weights/0", 2.into()).contains("another mixture"));
    assert!(refused("/loader/seed", 5.into()).contains("another seed"));
    fs::write(&path, text).expect("write");
    assert_eq!(TrainRun::start_or_resume(&run_dir, &tokens, &config, &init).expect("whole").step(), 30);
}

/// Runs as processes do, each rank opening the run for itself over a connection; stops after each of some steps, on the rank that asks.
fn over_tcp(run_dir: &Path, tokens: &Path, config: &TrainConfig, init: &Init, stops: &[(usize, u64)]) -> (Vec<f32>, Vec<Metric>) {
    let never = (config.ranks, 0);
    let mut end = Vec::new();
    for (asks, stop_at) in stops.iter().copied().chain([never]) {
        end = tcp_ranks(config.ranks, |ranks| {
            let (rank, stop) = (ranks.rank(), AtomicBool::new(false));
            let mut run = TrainRun::start_or_resume_rank(Cpu::new(), Box::new(ranks), run_dir, tokens, config, init).expect("open");
            let mut on_step = |report: &StepReport| stop.store(rank == asks && report.metric.step >= stop_at, Ordering::Relaxed);
            let outcome = run.run_rank(&stop, None, &mut on_step).expect("run");
            let expected = if asks < config.ranks { Outcome::Interrupted { step: stop_at } } else { Outcome::Finished };
            assert_eq!(outcome, expected, "rank {rank}");
            (run.network.params().to_vec(), without_speed(run.metrics()))
        });
    }
    let first = end.swap_remove(0);
    assert!(end.iter().all(|(params, _)| *params == first.0), "all ranks end with the same parameters");
    first
}

/// Does something on each rank's thread, the ranks connected over the loopback.
fn tcp_ranks<R: Send>(n_ranks: usize, work: impl Fn(TcpRank) -> R + Sync) -> Vec<R> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("port");
    let port = listener.local_addr().expect("address").port();
    let place = |rank| RankPlace { rank, n_ranks, local_rank: None, n_local_ranks: n_ranks, host: "127.0.0.1".into(), port };
    std::thread::scope(|scope| {
        let (work, listener, place) = (&work, &listener, &place);
        let rank = |rank: usize| {
            scope.spawn(move || {
                let patience = Patience::default();
                work(match rank {
                    0 => TcpRank::gather(listener, n_ranks, patience, &mut || true).expect("met"),
                    _ => TcpRank::meet(&place(rank), patience).expect("met"),
                })
            })
        };
        let threads: Vec<_> = (0..n_ranks).map(rank).collect();
        threads.into_iter().map(|t| t.join().expect("rank")).collect()
    })
}

#[test]
fn ranks_that_are_connected_end_with_the_bits_of_ranks_in_one_process_however_often_they_were_stopped() {
    let dir = tempfile::tempdir().expect("folder");
    let tokens = token_set(dir.path(), true);
    let (base, init) = settings();
    for n_ranks in [2, 3] {
        let mut config = TrainConfig { steps: 12, batch_size: 6, micro_batch_size: 1, ranks: n_ranks, ..base.clone() };
        config.set_all(&["optimizer=muon"]).expect("settings");
        let at = |name: &str| dir.path().join(format!("{name}-{n_ranks}"));
        let local = with_stops(&at("local"), &TokenFolders::from(&tokens), &config, &init, &[]);
        assert_eq!(over_tcp(&at("whole"), &tokens, &config, &init, &[]), local);
        // Whichever rank is asked to stop; and what ranks in one process began, connected ones go on with, and the reverse.
        assert_eq!(over_tcp(&at("parts"), &tokens, &config, &init, &[(0, 1), (1, 5), (n_ranks - 1, 10)]), local);
        let mut run = TrainRun::start_or_resume(&at("mixed"), &tokens, &config, &init).expect("start");
        let stop = AtomicBool::new(false);
        run.run(&stop, &mut |report| stop.store(report.metric.step >= 3, Ordering::Relaxed)).expect("run");
        drop(run);
        tcp_ranks(n_ranks, |ranks| {
            let (leads, stop) = (ranks.rank() == 0, AtomicBool::new(false));
            let mut run = TrainRun::start_or_resume_rank(Cpu::new(), Box::new(ranks), &at("mixed"), &tokens, &config, &init).expect("open");
            assert_eq!(run.step(), 3);
            let mut on_step = |report: &StepReport| stop.store(leads && report.metric.step >= 7, Ordering::Relaxed);
            run.run_rank(&stop, None, &mut on_step).expect("run");
        });
        assert_eq!(with_stops(&at("mixed"), &TokenFolders::from(&tokens), &config, &init, &[]), local);
    }
}

#[test]
fn a_connected_rank_that_dies_ends_the_others_and_the_last_checkpoint_stays_good() {
    let dir = tempfile::tempdir().expect("folder");
    let tokens = token_set(dir.path(), true);
    let (config, init) = settings();
    let config = TrainConfig { steps: 12, batch_size: 6, micro_batch_size: 1, ranks: 3, ..config };
    let whole = with_stops(&dir.path().join("whole"), &TokenFolders::from(&tokens), &config, &init, &[]);
    for dies in 0..3 {
        let run_dir = dir.path().join(format!("dies-{dies}"));
        let ends = tcp_ranks(3, |ranks| {
            let rank = ranks.rank();
            let mut run = TrainRun::start_or_resume_rank(Cpu::new(), Box::new(ranks), &run_dir, &tokens, &config, &init).expect("open");
            // Whatever happens in a step, its connections are closed as those of a process that is no more.
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
                run.run_rank(&AtomicBool::new(false), None, &mut |report| {
                    assert!(rank != dies || report.metric.step < 6, "this rank dies");
                })
            }))
        });
        for (rank, end) in ends.into_iter().enumerate() {
            match end {
                Err(_) => assert_eq!(rank, dies),
                Ok(end) => {
                    let error = end.expect_err("nobody goes on alone");
                    assert!(matches!(error, TrainError::Collective(CollectiveError::Left { n_ranks: 3 })), "rank {rank}: {error}");
                    assert!(polder_base::Advice::hint(&error).expect("hint").contains("last checkpoint"));
                }
            }
        }
        let run = TrainRun::start_or_resume(&run_dir, &tokens, &config, &init).expect("resume");
        assert_eq!(run.step(), 4, "the checkpoint before");
        drop(run);
        assert_eq!(over_tcp(&run_dir, &tokens, &config, &init, &[]), whole);
    }
}

#[test]
fn connected_ranks_that_have_not_opened_the_same_run_are_refused_all_of_them() {
    let dir = tempfile::tempdir().expect("folder");
    let tokens = token_set(dir.path(), true);
    let (config, init) = settings();
    let config = TrainConfig { batch_size: 6, micro_batch_size: 1, ranks: 3, ..config };
    let ends = tcp_ranks(3, |ranks| {
        let config = TrainConfig { weight_decay: if ranks.rank() == 2 { 0.2 } else { 0.1 }, ..config.clone() };
        let mut run =
            TrainRun::start_or_resume_rank(Cpu::new(), Box::new(ranks), &dir.path().join("run"), &tokens, &config, &init).expect("open");
        run.run_rank(&AtomicBool::new(false), None, &mut |_| {}).expect_err("refused")
    });
    assert!(ends.iter().all(|e| matches!(e, TrainError::RanksDiffer { what } if what.contains("settings"))), "{ends:?}");
    let ends = tcp_ranks(2, |ranks| {
        TrainRun::start_or_resume_rank(Cpu::new(), Box::new(ranks), &dir.path().join("run"), &tokens, &config, &init).err()
    });
    assert!(ends.iter().all(|e| matches!(e, Some(TrainError::Option { option: "ranks", .. }))), "{ends:?}");
}
