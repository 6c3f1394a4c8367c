//! The token sets that a run reads: mixtures, what a step saw of them, and what does not belong together.

use super::*;

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
