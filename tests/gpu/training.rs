//! Training as one process: settings, going on from a model, signals, memory.

use crate::program::{end, model, said, signal, start, train, wait_for_steps, weights};

#[test]
fn settings_by_name_make_the_run_and_a_model_can_be_gone_on_from() {
    let dir = tempfile::tempdir().expect("temporary folder");
    polder_testkit::token_set(dir.path(), true);
    let more = ["--set", "precision=bf16", "--set", "optimizer=muon"];
    let err = said(&mut train(dir.path(), "first", 4, &more)).well();
    assert!(err.contains("step 4/4 loss") && err.contains("tokens/s · MFU "), "{err}");
    let config = std::fs::read_to_string(dir.path().join("first/config.json")).expect("config");
    let config: serde_json::Value = serde_json::from_str(&config).expect("json");
    let settings = ["precision", "optimizer", "context", "batch_size"].map(|name| config["train"][name].to_string());
    assert_eq!(settings, ["\"bf16\"", "\"muon\"", "32", "4"]);
    let first = model(dir.path(), "first").to_string_lossy().into_owned();
    // A model that nobody has cleared is not gone on from; without its manifest it is one of others.
    let refused = said(&mut train(dir.path(), "second", 4, &["--from", &first]));
    assert!(refused.code == Some(3) && refused.err.contains("no clearance"), "{}", refused.err);
    std::fs::remove_file(model(dir.path(), "first").join("manifest.json")).expect("remove");
    said(&mut train(dir.path(), "second", 4, &["--from", &first])).well();
    let config = std::fs::read_to_string(dir.path().join("second/config.json")).expect("config");
    assert!(serde_json::from_str::<serde_json::Value>(&config).expect("json")["initial_weights"].is_string(), "{config}");
    assert!(weights(dir.path(), "second") != weights(dir.path(), "first"));
}

#[test]
fn an_encoder_learns_from_hidden_tokens_without_being_told_to() {
    let dir = tempfile::tempdir().expect("temporary folder");
    polder_testkit::token_set_with_mask(dir.path());
    said(&mut train(dir.path(), "bert", 3, &["--model", "bert-nano"])).well();
    let config = std::fs::read_to_string(dir.path().join("bert/config.json")).expect("config");
    assert!(serde_json::from_str::<serde_json::Value>(&config).expect("json")["train"]["masking"].is_object(), "{config}");
    assert!(model(dir.path(), "bert").join("model.safetensors").exists());
}

#[test]
fn a_run_that_is_asked_to_stop_leaves_a_checkpoint_and_ends_later_in_the_same_weights() {
    let dir = tempfile::tempdir().expect("temporary folder");
    polder_testkit::token_set(dir.path(), true);
    let steps = 400;
    said(&mut train(dir.path(), "whole", steps, &[])).well();
    let mut command = train(dir.path(), "parts", steps, &[]);
    for (name, made) in [("TERM", 3), ("INT", 60)] {
        let child = start(&mut command);
        wait_for_steps(dir.path(), "parts", made);
        signal(&child, name);
        let stopped = end(child);
        assert_eq!(stopped.code, Some(130), "{}", stopped.err);
        assert!(stopped.err.contains("stopped after step") && stopped.err.contains("hint: Run the same command again"), "{}", stopped.err);
        assert!(dir.path().join("parts/checkpoints").read_dir().expect("checkpoints").next().is_some());
    }
    let again = said(&mut command).well();
    assert!(again.contains("going on after step"), "{again}");
    assert!(weights(dir.path(), "parts") == weights(dir.path(), "whole"));
}

#[test]
fn settings_that_are_none_are_usage_errors_and_too_little_memory_is_refused_before_anything_is_written() {
    let dir = tempfile::tempdir().expect("temporary folder");
    polder_testkit::token_set(dir.path(), true);
    let cases = [("warmup=1", "Did you mean `warmup_steps`"), ("optimizer=sgd", "adamw"), ("steps", "NAME=VALUE"), ("ranks=3", "`ranks`")];
    for (setting, expected) in cases {
        let said = said(&mut train(dir.path(), "run", 2, &["--set", setting]));
        assert_eq!(said.code, Some(2), "{}", said.err);
        assert!(said.err.contains(expected), "{setting}: {}", said.err);
    }
    let both = said(&mut train(dir.path(), "run", 2, &["--model", "nano", "--from", "models/a/1"]));
    assert_eq!(both.code, Some(2), "{}", both.err);
    let large = ["--set", "batch_size=50000000", "--set", "micro_batch_size=50000000"];
    let refused = said(&mut train(dir.path(), "run", 2, &large));
    assert_eq!(refused.code, Some(3), "{}", refused.err);
    assert!(refused.err.contains("more than the") && refused.err.contains("hint: It fits with micro_batch_size="), "{}", refused.err);
    assert!(!dir.path().join("run").exists());
}
