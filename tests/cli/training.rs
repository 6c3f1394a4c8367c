//! Training by the program: settings, tasks during a run, models that go on from models, encoders.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::finished::copy;
use crate::program::{line, polder};

/// What each step of a run measured.
fn metrics(lake: &Path, run: &str) -> Vec<Value> {
    let text = fs::read_to_string(lake.join("runs").join(run).join("metrics.jsonl")).expect("metrics");
    text.lines().map(|l| serde_json::from_str(l).expect("a line")).collect()
}

/// Trains and returns the model's manifest.
fn train(lake: &Path, arguments: &str) -> Value {
    line(lake, &format!("--json train start {arguments}")).well().objects().remove(0)
}

#[test]
fn a_run_takes_settings_scores_tasks_and_writes_for_tensorboard() {
    let lake = copy("settings");
    let settings =
        "--set precision=bf16 --set optimizer=muon --set packing=best_fit --set recompute=layers --set eval_every=4 --set ranks=2";
    let command = format!("set --tokens quickstart --model nano --steps 8 {settings} --eval next_line");
    let model = train(&lake, &command);
    let set = &model["details"]["train"];
    assert_eq!((set["precision"].as_str(), set["optimizer"].as_str(), set["ranks"].as_u64()), (Some("bf16"), Some("muon"), Some(2)));
    let run = model["details"]["run_id"].as_str().expect("a run");
    let metrics = metrics(&lake, run);
    let scored: Vec<u64> =
        metrics.iter().filter(|m| m["tasks"]["next_line/accuracy"].is_number()).filter_map(|m| m["step"].as_u64()).collect();
    assert_eq!((metrics.len(), scored), (8, vec![4, 8]));
    let board = fs::read(lake.join("runs").join(run).join("tensorboard/events.out.tfevents.0.polder")).expect("events");
    assert!(board.windows(24).any(|w| w == b"tasks/next_line/accuracy"));
    let rows = line(&lake, &format!("--json train rows {run} --step 3")).well().objects();
    assert!(!rows.is_empty() && rows.iter().all(|r| r["doc_id"] != ""), "{rows:?}");
    let said = line(&lake, &format!("train start {}", command.replace("set --tokens", "other --tokens"))).well();
    assert!(!said.err.contains("going on"), "the same run under another name is not made again: {}", said.err);
}

#[test]
fn a_setting_that_is_none_or_cannot_be_is_answered_with_what_there_is() {
    let lake = copy("wrong-settings");
    let start = |settings: &str| line(&lake, &format!("train start set --tokens quickstart --model nano --steps 2 {settings}"));
    let said = start("--set optimiser=muon");
    said.fails(2, "there is no setting `optimiser`");
    assert!(said.err.contains("Did you mean `optimizer`?"), "{}", said.err);
    let said = start("--set optimizer=sgd");
    said.fails(2, "`sgd`");
    let said = start("--set masking=on");
    said.fails(2, "a llama model learns from next tokens");
    start("--set batch_size=8 --set ranks=3").fails(2, "ranks");
    start("--eval nothing").fails(2, "requests/nothing");
    assert!(!lake.join("models/set").exists(), "nothing is left of what was refused");
}

#[test]
fn a_model_is_trained_on_from_and_its_lineage_names_it() {
    let lake = copy("from");
    let first =
        metrics(&lake, train(&lake, "fresh --tokens quickstart --model nano --steps 2")["details"]["run_id"].as_str().expect("a run"));
    let more = train(&lake, "more --tokens quickstart --from quickstart --steps 4");
    let inputs: Vec<&str> = more["inputs"].as_array().expect("inputs").iter().filter_map(|i| i["reference"].as_str()).collect();
    assert_eq!(inputs, ["tokens/quickstart", "models/quickstart@1"]);
    let run = more["details"]["run_id"].as_str().expect("a run");
    let gone_on = metrics(&lake, run);
    assert!(gone_on[0]["loss"].as_f64() < first[0]["loss"].as_f64().map(|l| l - 0.5), "it begins where the other ended");
    let said = line(&lake, "facts lineage models/more").well();
    assert!(said.out.contains("models/quickstart"), "{}", said.out);
    let resumed = &line(&lake, &format!("--json train resume {run} --name more")).well().objects()[0];
    assert_eq!(resumed["reference"], "models/more@1", "a finished run stays as it is");
    line(&lake, "train start x --tokens quickstart --from nobody --steps 2").fails(2, "models/nobody");
}

#[test]
fn an_encoder_is_trained_from_hidden_tokens_where_the_tokenizer_has_one_for_them() {
    let lake = copy("encoder");
    line(&lake, "train start e --tokens quickstart --model bert-nano --steps 2").fails(2, "no token that stands for a hidden one");
    polder(&lake, &["tokenizer", "train", "masked", "--vocab", "400", "--from", "pile.base", "--special", "[MASK]"]).well();
    line(&lake, "tokens build masked --from pile.base --tokenizer masked").well();
    let settings = "--set masking.rate=0.2 --set masking.whole_words=true --set packing=contiguous";
    let model = train(&lake, &format!("e --tokens masked --model modernbert-nano --steps 6 {settings}"));
    assert_eq!(model["details"]["train"]["masking"]["rate"], 0.2);
    let folder = lake.join("models/e/1");
    let config = fs::read_to_string(folder.join("config.json")).expect("config");
    assert!(config.contains("ModernBertForMaskedLM"), "{config}");
    assert!(fs::read_to_string(folder.join("tokenizer_config.json")).expect("config").contains("[MASK]"));
    // It reads text whole, and does not continue any.
    line(&lake, "eval run e --task next_line").fails(2, "modernbert");
}
