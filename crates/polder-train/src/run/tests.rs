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

mod emulated;
mod kept;
mod ranks;
mod sets;
mod spikes;
