//! Tuning as a user on a host without a lake does it: machine, precision, what is refused.

use std::path::{Path, PathBuf};

use polder_base::{Clearance, Manifest, Reference, Timestamp, Verdict, digest_bytes};

use crate::program::{Said, model, polder_gpu, said, train};

/// Clears what stands in a folder.
fn clear(folder: &Path) {
    let mut manifest = Manifest::read(folder).expect("manifest");
    let (policy_digest, input_digest) = (digest_bytes(b"[]"), manifest.inputs_digest());
    manifest.clearance = Some(Clearance { verdict: Verdict::Cleared, policy_digest, input_digest, reasons: Vec::new(), at: Timestamp(0) });
    manifest.write(folder).expect("manifest");
}

/// A model that was trained for a few steps, and examples to tune it with.
fn model_and_examples(dir: &Path) -> [PathBuf; 2] {
    polder_testkit::token_set(dir, true);
    said(&mut train(dir, "r", 3, &[])).well();
    let examples = dir.join("tuning/lakes");
    std::fs::create_dir_all(&examples).expect("folder");
    let lines =
        |n: usize| (0..n).map(|i| format!("{{\"id\":\"{i}\",\"prompt\":\"the lake lies {i}\",\"completion\":\" below the sky\"}}\n"));
    std::fs::write(examples.join("train.jsonl"), lines(24).collect::<String>()).expect("write");
    std::fs::write(examples.join("heldout.jsonl"), lines(3).collect::<String>()).expect("write");
    let reference = Reference::artefact("tuning", "lakes");
    let mut manifest = Manifest::new(reference, Timestamp(0), Vec::new(), digest_bytes(b"lakes"), serde_json::Value::Null);
    manifest.describe(&examples, &["train.jsonl", "heldout.jsonl"]).expect("describe");
    manifest.write(&examples).expect("manifest");
    clear(&examples);
    clear(&model(dir, "r"));
    [model(dir, "r"), examples]
}

fn tune([model, examples]: &[PathBuf; 2], out: &Path, more: &[&str]) -> Said {
    let [model, examples, out] = [model, examples, out].map(|p| p.to_string_lossy().into_owned());
    Said::of(polder_gpu(&[&["tune", &model, &examples, "--out", &out, "--device", "cpu"], more].concat()))
}

#[test]
fn a_model_is_tuned_on_the_machine_and_in_the_precision_that_are_asked_for() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let given = model_and_examples(dir.path());
    let mut reports = Vec::new();
    for (name, more) in [("plain", &[][..]), ("rounded", &["--precision", "bf16", "--epochs", "2", "--batch", "8", "--lr", "0.01"])] {
        let out = dir.path().join("adapters").join(name).join("1");
        let err = tune(&given, &out, more).well();
        assert!(err.starts_with("on the processor") && err.contains("nats a token on held-out examples"), "{err}");
        let manifest = Manifest::verify(&out).expect("manifest");
        assert_eq!(manifest.reference.to_string(), format!("adapters/{name}@1"));
        reports.push(manifest.details);
    }
    // What was tuned answers, and what was damaged since does not.
    let adapter = dir.path().join("adapters/plain/1");
    let [base, of_base] = [&given[0], &adapter].map(|path| path.to_string_lossy().into_owned());
    let ask = || Said::of(polder_gpu(&["prompt", &base, "the lake lies 7", "--adapter", &of_base, "--device", "cpu", "--max-tokens", "4"]));
    assert!(ask().well().contains("4 tokens in"));
    let file = adapter.join("adapter_model.safetensors");
    let mut bytes = std::fs::read(&file).expect("read");
    *bytes.last_mut().expect("a byte") ^= 1;
    std::fs::write(&file, bytes).expect("write");
    assert_ne!(ask().code, Some(0));
    let options: Vec<String> = reports.iter().map(|r| format!("{} {}", r["options"]["precision"], r["n_steps"])).collect();
    // Of 24 examples: three passes of two steps, two of three.
    assert_eq!(options, ["null 6", "\"bf16\" 6"]);
    for report in reports {
        let value = |which: &str| report[which]["nats_per_token"]["value"].as_f64().expect("a figure");
        assert!(value("after") < value("before"), "{report}");
    }
}

#[test]
fn what_cannot_be_tuned_is_refused_before_anything_is_written() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let given = model_and_examples(dir.path());
    let out = dir.path().join("adapters/a/1");
    let refused = |more: &[&str], code: i32, what: &str| {
        let said = tune(&given, &out, more);
        assert!(said.code == Some(code) && said.err.contains(what), "{more:?}: {:?} {}", said.code, said.err);
    };
    refused(&["--precision", "f16"], 2, "neither f32 nor bf16");
    refused(&["--rank", "0"], 2, "`rank` cannot be 0");
    std::fs::write(given[1].join("train.jsonl"), "").expect("write");
    refused(&[], 1, "train.jsonl");
    assert!(!dir.path().join("adapters").exists());
    std::fs::create_dir_all(&out).expect("folder");
    std::fs::write(out.join("kept"), "mine").expect("write");
    refused(&[], 2, "holds something already");
    assert_eq!(std::fs::read_to_string(out.join("kept")).expect("read"), "mine");
}
