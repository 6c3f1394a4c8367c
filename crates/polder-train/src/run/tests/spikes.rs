//! Steps that stand out, and numbers that are none.

use super::*;

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
