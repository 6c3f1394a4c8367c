//! Runs that are stopped, killed and moved between thread counts, against runs that are not.

use polder_base::{Manifest, Reference, Timestamp};
use polder_model::preset;
use polder_testkit::{token_set, tokenizer};
use polder_tokenizer::{END_OF_TEXT, Tokenizer, TrainOptions, WordCounts, train};

use super::*;

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
    metrics.iter().map(|m| Metric { tokens_per_second: 0.0, ..m.clone() }).collect()
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
    let refused = TrainRun::start_or_resume(&dir.path().join("bert"), &tokens, &config, &encoder);
    assert!(matches!(refused, Err(TrainError::Family { family: "bert" })));
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
    let rows = loader.rows(found.train.samples_of(7)).expect("rows");
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
