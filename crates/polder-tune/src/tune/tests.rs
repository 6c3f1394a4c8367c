//! Tuning small models.

use super::*;
use crate::data::Example;
use crate::options::Target;
use crate::publish::write_adapter;
use polder_base::{Input, Manifest, Reference, Timestamp, digest_bytes};
use polder_infer::Engine;
use polder_model::ModelConfig;
use polder_tokenizer::{END_OF_TEXT, TrainOptions, WordCounts, train};

fn tokenizer() -> Tokenizer {
    let mut counts = WordCounts::new();
    counts.add("red blue green one two three red blue green");
    let options = TrainOptions { vocab_size: 280, special_tokens: vec![END_OF_TEXT.into()], min_count: 1, ..TrainOptions::default() };
    train(&counts, &options, &mut |_, _| {}).expect("train")
}

fn base() -> Weights {
    let config = ModelConfig {
        vocab_size: 288,
        hidden_size: 32,
        intermediate_size: 48,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        num_key_value_heads: 2,
        head_dim: 8,
        max_position_embeddings: 24,
        initializer_range: 0.3,
        bos_token_id: tokenizer().special_id(END_OF_TEXT),
        eos_token_id: tokenizer().special_id(END_OF_TEXT),
        ..polder_model::preset("nano", 288, 24).expect("preset")
    };
    Weights::init(&config, 1).expect("weights")
}

/// A colour that depends on the number's word.
fn data() -> TuningData {
    let pairs = [("one", " red"), ("two", " blue"), ("three", " green")];
    let examples = |n: usize, name: &str| {
        let of = |i: usize| {
            let (word, colour) = pairs[i % 3];
            Example { id: format!("{name}{i}"), prompt: format!("{} {word}:", ["say", "tell"][i % 2]), completion: colour.into() }
        };
        (0..n).map(of).collect()
    };
    TuningData { train: examples(24, "t"), held_out: examples(9, "h") }
}

fn options() -> TuneOptions {
    TuneOptions { rank: 4, alpha: 8.0, epochs: 12, batch: 8, lr: 2e-2, ..TuneOptions::default() }
}

fn run(options: &TuneOptions) -> Tuned {
    tune(&base(), &tokenizer(), &data(), options, &mut |_| {}, &AtomicBool::new(false)).expect("tune")
}

#[test]
fn a_model_without_the_matrices_is_refused() {
    for name in ["gpt2-nano", "bert-nano"] {
        let other = Weights::init(&polder_model::preset(name, 300, 24).expect("preset"), 1).expect("init");
        let result = tune(&other, &tokenizer(), &data(), &options(), &mut |_| {}, &AtomicBool::new(false));
        assert!(matches!(result, Err(TuneError::NoTargets { .. })), "{name}");
    }
}

#[test]
fn a_fresh_adapter_changes_nothing() {
    let base = base();
    let adapter = Adapter::init(&base, &options());
    assert_eq!(adapter.merged(&base).data, base.data);
    // Seven matrices of (out, in) in two layers, at rank 4.
    let sizes = [(32, 32), (16, 32), (16, 32), (32, 32), (48, 32), (48, 32), (32, 48)];
    assert_eq!(adapter.n_params(), sizes.iter().map(|(o, i)| 2 * 4 * (o + i)).sum::<usize>());
}

#[test]
fn gradients_of_the_adapter_agree_with_differences_of_the_loss() {
    let base = base();
    let mut adapter = Adapter::init(&base, &options());
    let mut random = Random::new(5, "adapter");
    adapter.data.iter_mut().for_each(|x| *x += 0.1 * random.normal() as f32);
    let encoded = encode(&data().train[..6], &tokenizer(), 24).expect("encode").examples;
    let (tokens, targets) = batch(&encoded.iter().collect::<Vec<_>>(), 24);
    let mut network = Network::new(Cpu::new(), &base, 6, 24).expect("network");
    let mut loss_at = |adapter: &Adapter| {
        adapter.apply(&base.data, network.params_mut());
        network.zero_grads();
        let loss = network.loss_and_grads(&Batch::new(&tokens, &targets), 1.0).expect("loss").sum;
        let mut grads = vec![0f32; adapter.n_params()];
        adapter.project(network.grads(), &mut grads);
        (loss, grads)
    };
    let (_, grads) = loss_at(&adapter);
    let mut checked = 0;
    for i in (0..adapter.n_params()).step_by(37) {
        let step = 1e-2;
        let mut moved = adapter.clone();
        moved.data[i] = adapter.data[i] + step;
        let (up, _) = loss_at(&moved);
        moved.data[i] = adapter.data[i] - step;
        let (down, _) = loss_at(&moved);
        let difference = (up - down) / f64::from(2.0 * step);
        let error = (difference - f64::from(grads[i])).abs();
        assert!(error < 2e-2 * difference.abs().max(0.2), "parameter {i}: {difference} and {}", grads[i]);
        checked += 1;
    }
    assert!(checked > 40);
}

#[test]
fn tuning_learns_what_held_out_examples_ask() {
    let tuned = run(&options());
    let report = &tuned.report;
    assert_eq!((report.n_steps, report.n_train, report.n_held_out, report.losses.len()), (36, 24, 9, 36));
    assert!(report.after.nats_per_token.value < 0.2 * report.before.nats_per_token.value, "{report:?}");
    assert!(report.after.exact_match.value > 0.9 && report.before.exact_match.value < 0.5);
    let change = report.change_nats_per_token;
    assert!((change.value - (report.after.nats_per_token.value - report.before.nats_per_token.value)).abs() < 1e-9);
    assert!(change.high.expect("high") < 0.0);
}

#[test]
fn the_same_wish_gives_the_same_adapter() {
    let few = TuneOptions { steps_max: Some(3), ..options() };
    assert_eq!(run(&few), run(&few));
    assert_ne!(run(&few).adapter, run(&TuneOptions { seed: 1, ..few }).adapter);
}

#[test]
fn the_written_folder_gives_the_tuned_model_back() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let wish = TuneOptions { targets: vec![Target::V, Target::Q, Target::Down], ..options() };
    let (base, tokenizer, tuned) = (base(), tokenizer(), run(&wish));
    let model_dir = dir.path().join("model");
    base.save(&model_dir).expect("save");
    std::fs::write(model_dir.join("tokenizer.json"), tokenizer.to_json()).expect("write");
    let target = dir.path().join("adapters/a/1");
    let inputs = vec![Input { reference: Reference::artefact("models", "m"), digest: digest_bytes(b"m") }];
    let written = write_adapter(&target, &tuned, &wish, Reference::artefact("adapters", "a"), Timestamp(0), inputs, None).expect("write");
    assert_eq!(Manifest::verify(&target).expect("verify"), written);
    let config: serde_json::Value =
        serde_json::from_slice(&std::fs::read(target.join("adapter_config.json")).expect("read")).expect("json");
    assert_eq!(config["target_modules"], serde_json::json!(["q_proj", "v_proj", "down_proj"]));
    assert_eq!((&config["r"], &config["base_model_name_or_path"]), (&4.into(), &"models/m".into()));
    let engine = Engine::open(&model_dir, Some(&target)).expect("open");
    let ours = tuned.adapter.merged(&base);
    let worst = engine.weights().data.iter().zip(&ours.data).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
    assert!(worst < 1e-6, "{worst}");
    assert_ne!(ours.data, base.data);
    let options = polder_infer::GenerateOptions { max_tokens: 8, ..Default::default() };
    let ask = |engine: &Engine| engine.generate("say two:", &options, &mut |_| std::ops::ControlFlow::Continue(())).expect("generate");
    assert_eq!(ask(&engine), ask(&Engine::new(ours, tokenizer).expect("engine")));
    assert!(ask(&engine).text.starts_with(' '), "all answers begin with a space");
}

#[test]
fn wishes_and_data_that_cannot_be_are_refused() {
    let refused = |options: TuneOptions, data: TuningData| {
        tune(&base(), &tokenizer(), &data, &options, &mut |_| {}, &AtomicBool::new(false)).expect_err("refused")
    };
    assert!(matches!(refused(TuneOptions { rank: 0, ..options() }, data()), TuneError::Option { option: "rank", .. }));
    assert!(matches!(refused(TuneOptions { lr: f64::NAN, ..options() }, data()), TuneError::Option { .. }));
    assert!(matches!(refused(options(), TuningData { held_out: Vec::new(), ..data() }), TuneError::NoExamples { which: "held-out", .. }));
    let long = Example { id: "l".into(), prompt: String::new(), completion: "q".repeat(100) };
    assert!(matches!(refused(options(), TuningData { train: vec![long], ..data() }), TuneError::NoExamples { which: "training", .. }));
    assert!("x_proj".parse::<Target>().is_err() && "gate".parse::<Target>().is_ok_and(|t| t == Target::Gate));
}

#[test]
fn a_stop_ends_it() {
    let stop = AtomicBool::new(false);
    let mut on_progress = |p| {
        if let TuneProgress::Step { step: 2, .. } = p {
            stop.store(true, Ordering::Relaxed);
        }
    };
    let result = tune(&base(), &tokenizer(), &data(), &options(), &mut on_progress, &stop);
    assert!(matches!(result, Err(TuneError::Stopped { step: 2 })));
}
