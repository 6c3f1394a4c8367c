//! Tuning small models.

use super::*;
use crate::data::Example;
use crate::options::Target;
use crate::publish::write_adapter;
use polder_base::{Input, Manifest, Reference, Timestamp, digest_bytes};
use polder_compute::cuda::{Gpu, SCRATCH_BYTES};
use polder_compute::{Cpu, Dtype};
use polder_infer::Engine;
use polder_model::ModelConfig;
use polder_model::Network;
use polder_testkit::emulated_gpu;
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

fn tune<B: Backend>(backend: B, data: &TuningData, options: &TuneOptions) -> Result<Tuned, TuneError> {
    Tuning::try_new(&base(), &tokenizer(), data, options)?.run(backend, &mut |_| {}, &AtomicBool::new(false))
}

fn run(options: &TuneOptions) -> Tuned {
    tune(Cpu::new(), &data(), options).expect("tune")
}

#[test]
fn a_model_without_the_matrices_is_refused() {
    for name in ["gpt2-nano", "bert-nano"] {
        let other = Weights::init(&polder_model::preset(name, 300, 24).expect("preset"), 1).expect("init");
        let (tokenizer, data, options) = (tokenizer(), data(), options());
        let result = Tuning::try_new(&other, &tokenizer, &data, &options);
        assert!(matches!(result.map(|_| ()), Err(TuneError::NoTargets { .. })), "{name}");
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
    let mut adapted = Adapted::try_new(Cpu::new(), &base, &adapter, NetworkOptions::new(6, 24)).expect("adapted");
    let mut loss_at = |data: &[f32]| {
        let (view, grads) = (adapted.data, adapted.grads);
        adapted.network.backend_mut().upload(view, data);
        adapted.apply();
        adapted.network.zero_grads();
        let loss = adapted.network.loss_and_grads(&Batch::new(&tokens, &targets), 1.0).expect("loss").sum;
        adapted.project();
        (loss, adapted.network.backend_mut().slice(grads).to_vec())
    };
    let (_, grads) = loss_at(&adapter.data);
    let mut checked = 0;
    for i in (0..adapter.n_params()).step_by(37) {
        let step = 1e-2;
        let mut moved = adapter.data.clone();
        moved[i] = adapter.data[i] + step;
        let (up, _) = loss_at(&moved);
        moved[i] = adapter.data[i] - step;
        let (down, _) = loss_at(&moved);
        let difference = (up - down) / f64::from(2.0 * step);
        let error = (difference - f64::from(grads[i])).abs();
        assert!(error < 2e-2 * difference.abs().max(0.2), "parameter {i}: {difference} and {}", grads[i]);
        checked += 1;
    }
    assert!(checked > 40);
}

/// An adapter that changes the model, at a scale that is no power of two.
fn moved(base: &Weights) -> Adapter {
    let mut adapter = Adapter::init(base, &TuneOptions { rank: 3, alpha: 5.0, ..options() });
    let mut random = Random::new(5, "adapter");
    adapter.data.iter_mut().for_each(|x| *x += 0.1 * random.normal() as f32);
    adapter
}

#[test]
fn a_network_with_an_adapter_has_the_bits_of_the_model_that_it_was_added_to() {
    let (base, tokens) = (base(), [5u32; 24]);
    let adapter = moved(&base);
    let merged = adapter.merged(&base);
    for dtype in [Dtype::F32, Dtype::Bf16] {
        let options = NetworkOptions { dtype, ..NetworkOptions::new(1, 24) };
        let mut adapted = Adapted::try_new(Cpu::new(), &base, &adapter, options).expect("adapted");
        // Twice, as after steps.
        adapted.apply();
        adapted.apply();
        let mut network = Network::with_options(Cpu::new(), &merged, options).expect("network");
        let [ours, theirs] = [&mut adapted.network, &mut network].map(|n| n.logits(&Batch::of(&tokens)).expect("logits"));
        assert_eq!(ours, theirs, "{dtype:?}");
    }
}

#[test]
fn figures_of_held_out_examples_are_those_of_whole_logits() {
    let base = base();
    let merged = moved(&base).merged(&base);
    let encoded = encode(&data().held_out, &tokenizer(), 24).expect("encode").examples;
    let examples: Vec<&Encoded> = encoded.iter().collect();
    let (n, time, vocab) = (examples.len(), 12, base.config.vocab_size);
    let mut network = Network::new(Cpu::new(), &merged, n, time).expect("network");
    let judged = judge(&mut network, &examples, time).expect("judge");
    let (tokens, targets) = batch(&examples, time);
    let logits = network.logits(&Batch::of(&tokens)).expect("logits");
    for (row, judged) in judged.iter().enumerate() {
        let (mut nats, mut right) = (0.0, Vec::new());
        for i in row * time..(row + 1) * time {
            let Ok(target) = usize::try_from(targets[i]) else { continue };
            let logits = &logits[i * vocab..][..vocab];
            let greatest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let sum: f64 = logits.iter().map(|x| f64::from(x - greatest).exp()).sum();
            nats += sum.ln() - f64::from(logits[target] - greatest);
            right.push(logits.iter().position(|x| *x == greatest) == Some(target));
        }
        assert!((judged.nats / nats - 1.0).abs() < 1e-6, "{judged:?} {nats}");
        assert_eq!((judged.n_tokens, judged.first, judged.exact), (right.len(), right[0], right.iter().all(|r| *r)));
    }
    assert!(judged.iter().any(|j| j.nats > 0.0));
}

#[test]
fn tuning_on_a_gpu_learns_what_the_processor_learns() {
    let wish = TuneOptions { steps_max: Some(3), batch: 4, ..options() };
    let data = TuningData { held_out: data().held_out[..4].to_vec(), ..data() };
    let on_processor = tune(Cpu::new(), &data, &wish).expect("tune");
    // The third step's products are those of the second, which were put down, made again.
    for (precision, capability, tolerance) in [(Precision::F32, (8, 0), 1e-5), (Precision::Bf16, (9, 0), 2e-2)] {
        let Some(gpu) = emulated_gpu(capability, 1) else { return };
        let wish = TuneOptions { precision, ..wish.clone() };
        let on_gpu = tune(Box::new(gpu) as Box<dyn Backend>, &data, &wish).expect("tune");
        let (ours, theirs) = (&on_gpu.report, &on_processor.report);
        for (a, b) in ours.losses.iter().zip(&theirs.losses) {
            assert!((a / b - 1.0).abs() < tolerance, "{precision:?}: {:?} and {:?}", ours.losses, theirs.losses);
        }
        for (a, b) in [(&ours.before, &theirs.before), (&ours.after, &theirs.after)] {
            let (a, b) = (a.nats_per_token.value, b.nats_per_token.value);
            assert!((a / b - 1.0).abs() < tolerance, "{precision:?}: {a} and {b} nats a token");
        }
        assert!(ours.after.nats_per_token.value < ours.before.nats_per_token.value);
        // What was learnt holds on the processor too.
        let encoded = encode(&data.held_out, &tokenizer(), 24).expect("encode").examples;
        let mut network = Network::new(Cpu::new(), &on_gpu.adapter.merged(&base()), 4, 24).expect("network");
        let judged = judge(&mut network, &encoded.iter().collect::<Vec<_>>(), 24).expect("judge");
        let again = summarise(&judged, 0).expect("examples").nats_per_token.value;
        assert!((again / ours.after.nats_per_token.value - 1.0).abs() < tolerance, "{precision:?}: {again} nats a token");
    }
}

#[test]
fn rounded_rows_learn_nearly_what_f32_learns() {
    let (f32s, rounded) = (run(&options()), run(&TuneOptions { precision: Precision::Bf16, ..options() }));
    assert!(rounded.report.after.exact_match.value > 0.9);
    let (a, b) = (rounded.report.losses[0], f32s.report.losses[0]);
    assert!((a / b - 1.0).abs() < 0.02 && a != b, "{a} and {b}");
}

#[test]
fn too_little_memory_is_told_before_the_work_with_what_would_fit() {
    let (base, data, wish) = (base(), data(), options());
    let tuning = Tuning::try_new(&base, &tokenizer(), &data, &wish).expect("tuning");
    let bytes = |precision, batch| tuning.bytes(LogitsRoom::PROCESSOR, &TuneOptions { precision, batch, ..options() });
    let needed = bytes(Precision::F32, 8);
    assert!(tuning.require(LogitsRoom::PROCESSOR, needed).is_ok());
    let fits = |free| match tuning.require(LogitsRoom::PROCESSOR, free) {
        Err(TuneError::Memory { needed_bytes, free_bytes, fits }) if (needed_bytes, free_bytes) == (needed, free) => fits,
        other => panic!("{other:?}"),
    };
    let said = |flags: &str, bytes| format!("{flags} ({})", units::bytes(bytes));
    let (half, rounded) = (bytes(Precision::F32, 4), bytes(Precision::Bf16, 8));
    assert_eq!(fits(needed - 1), [said("--batch 4", half), said("--precision bf16", rounded)]);
    assert_eq!(fits(bytes(Precision::Bf16, 1)).last(), Some(&said("--batch 1 --precision bf16", bytes(Precision::Bf16, 1))));
    assert!(fits(1000).is_empty());
    assert_eq!(tuning.bytes(LogitsRoom::GPU, &wish), needed + SCRATCH_BYTES);
    let gpu = Chosen::Gpu(Gpu { ordinal: 0, name: "small".into(), memory_bytes: 1 << 20, capability: (9, 0), driver: 13_000 });
    let cpu = Chosen::Processor { because: None };
    assert!(matches!(tuning.open(&gpu, 0), Err(TuneError::Memory { free_bytes: 1_048_576, .. })));
    assert!(tuning.open(&cpu, 0).is_ok() && matches!(tuning.open(&cpu, 1), Err(TuneError::Memory { free_bytes: 1, .. })));
}

#[test]
fn options_from_before_precisions_keep_their_digest() {
    let text = r#"{"rank":8,"alpha":16.0,"targets":["q","k","v","o","gate","up","down"],"epochs":3,"steps_max":null,"batch":16,"lr":0.002,"weight_decay":0.0,"clip":1.0,"seed":0}"#;
    let read: TuneOptions = serde_json::from_str(text).expect("options");
    assert_eq!((&read, serde_json::to_string(&read).expect("text").as_str()), (&TuneOptions::default(), text));
    let rounded = serde_json::to_string(&TuneOptions { precision: Precision::Bf16, ..read }).expect("text");
    assert!(rounded.ends_with(r#","precision":"bf16"}"#), "{rounded}");
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
    let refused = |options: TuneOptions, data: TuningData| tune(Cpu::new(), &data, &options).expect_err("refused");
    assert!(matches!(refused(TuneOptions { rank: 0, ..options() }, data()), TuneError::Option { option: "rank", .. }));
    assert!(matches!(refused(TuneOptions { lr: f64::NAN, ..options() }, data()), TuneError::Option { .. }));
    assert!(matches!(refused(options(), TuningData { held_out: Vec::new(), ..data() }), TuneError::NoExamples { which: "held-out", .. }));
    let long = Example { id: "l".into(), prompt: String::new(), completion: "q".repeat(100) };
    assert!(matches!(refused(options(), TuningData { train: vec![long], ..data() }), TuneError::NoExamples { which: "training", .. }));
    assert!("x_proj".parse::<Target>().is_err() && "gate".parse::<Target>().is_ok_and(|t| t == Target::Gate));
}

#[test]
fn a_loss_that_is_no_number_ends_it() {
    let result = tune(Cpu::new(), &data(), &TuneOptions { lr: 1e30, ..options() });
    assert!(matches!(result, Err(TuneError::Diverged { step: 2.., loss }) if !loss.is_finite()), "{result:?}");
}

#[test]
fn a_stop_ends_it() {
    let stop = AtomicBool::new(false);
    let mut on_progress = |p| {
        if let TuneProgress::Step { step: 2, .. } = p {
            stop.store(true, Ordering::Relaxed);
        }
    };
    let (base, data, options) = (base(), data(), options());
    let result = Tuning::try_new(&base, &tokenizer(), &data, &options).expect("tuning").run(Cpu::new(), &mut on_progress, &stop);
    assert!(matches!(result, Err(TuneError::Stopped { step: 2 })));
}
