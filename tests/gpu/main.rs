//! The carried program, run as a user on a host without a lake runs it.
#![allow(missing_docs, clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::process::Output;

use program::polder_gpu;

mod program;
mod ranks;
mod training;
mod tuning;

fn train(dir: &Path, steps: &str) -> Output {
    let at = |name: &str| dir.join(name).to_string_lossy().into_owned();
    let (tokens, run, tokenizer, out) = (at("tokens"), at("run"), at("tokenizer.json"), at("models/test/1"));
    polder_gpu(&["train", &tokens, "--run", &run, "--model", "nano", "--steps", steps, "--tokenizer", &tokenizer, "--out", &out])
}

#[test]
fn it_trains_without_a_lake_and_does_nothing_twice() {
    let dir = tempfile::tempdir().expect("temporary folder");
    polder_testkit::token_set(dir.path(), true);
    let first = train(dir.path(), "3");
    assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    let weights = std::fs::read(dir.path().join("models/test/1/model.safetensors")).expect("weights");
    let second = train(dir.path(), "3");
    assert!(second.status.success() && !String::from_utf8_lossy(&second.stderr).contains("step 1/3"));
    assert_eq!(std::fs::read(dir.path().join("models/test/1/model.safetensors")).expect("weights"), weights);
}

#[test]
fn a_text_goes_on_in_any_precision_and_many_times_at_once() {
    let dir = tempfile::tempdir().expect("temporary folder");
    polder_testkit::token_set(dir.path(), true);
    assert!(train(dir.path(), "3").status.success());
    let model = dir.path().join("models/test/1").to_string_lossy().into_owned();
    let ask = |more: &[&str]| {
        let output = polder_gpu(&[&["prompt", &model, "The lake", "--max-tokens", "9", "--device", "cpu"], more].concat());
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, text, said) = ask(&[]);
    assert!(code == Some(0) && !text.trim().is_empty() && said.contains("9 tokens in"), "{text}{said}");
    let (code, text, said) = ask(&["--times", "3", "--precision", "bf16", "--temperature", "0.8"]);
    assert!(code == Some(0) && !text.trim().is_empty() && said.contains("27 tokens in"), "{text}{said}");
    assert_eq!(ask(&["--precision", "f16"]).0, Some(2));
    assert_eq!(ask(&["--temperature", "-1"]).0, Some(2));
}

#[test]
fn tokens_without_a_clearance_are_refused_with_exit_code_3() {
    let dir = tempfile::tempdir().expect("temporary folder");
    polder_testkit::token_set(dir.path(), false);
    let refused = train(dir.path(), "3");
    assert_eq!(refused.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("has no clearance"));
    assert!(!dir.path().join("models").exists());
}

#[test]
fn it_says_what_devices_there_are_and_never_panics() {
    let output = polder_gpu(&["devices"]);
    assert!(output.status.success());
    assert!(!output.stderr.is_empty());
}

#[test]
fn a_size_that_is_none_is_a_usage_error_that_names_the_sizes() {
    let dir = tempfile::tempdir().expect("temporary folder");
    polder_testkit::token_set(dir.path(), true);
    let tokens = dir.path().join("tokens").to_string_lossy().into_owned();
    let output =
        polder_gpu(&["train", &tokens, "--run", "r", "--model", "huge", "--steps", "1", "--tokenizer", "t", "--out", "models/a/1"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("nano"));
}
