//! Generation and probabilities against the network that training uses.

use std::sync::atomic::{AtomicBool, Ordering};

use polder_compute::{Cpu, Dtype, RopeScaling};
use polder_model::{AttentionBias, Batch, Family, Llama, Network, preset};
use polder_testkit::emulated_gpu;
use polder_tokenizer::{END_OF_TEXT, TrainOptions, WordCounts, train};

use super::*;

fn tokenizer() -> Tokenizer {
    let mut counts = WordCounts::default();
    counts.add("the polder lies below the lake, and the lake lies below the sky; fn main() { println!(\"hello\"); }");
    let options = TrainOptions { vocab_size: 300, special_tokens: vec![END_OF_TEXT.into()], min_count: 1, ..TrainOptions::default() };
    train(&counts, &options, &mut |_, _| {}).expect("tokenizer")
}

fn engine() -> Engine {
    let tokenizer = tokenizer();
    let config =
        ModelConfig { bos_token_id: tokenizer.special_id(END_OF_TEXT), initializer_range: 0.3, ..preset("nano", 300, 64).expect("preset") };
    Engine::new(Weights::init(&config, 5).expect("init"), tokenizer).expect("engine")
}

fn text(engine: &Engine, prompt: &str, options: &GenerateOptions) -> (Generation, String) {
    let mut sent = String::new();
    let generation = engine.generate(prompt, options, &mut |t| {
        sent.push_str(t);
        ControlFlow::Continue(())
    });
    (generation.expect("generate"), sent)
}

/// A model of each family that continues text, with numbers that leave nothing out.
fn decoders() -> Vec<Engine> {
    let plain = |name: &str| ModelConfig { initializer_range: 0.15, ..preset(name, 300, 64).expect("preset") };
    let llama = |own: Llama| ModelConfig { family: Family::Llama(own), ..plain("nano") };
    let scaling = RopeScaling { factor: 4.0, low_frequency_factor: 1.0, high_frequency_factor: 4.0, original_context: 16.0 };
    let configs = [
        plain("tiny"),
        llama(Llama { rope_scaling: Some(scaling), ..Llama::plain() }),
        llama(Llama { attention_bias: AttentionBias::Qkv, ..Llama::plain() }),
        llama(Llama { attention_bias: AttentionBias::All, mlp_bias: true, ..Llama::plain() }),
        llama(Llama { qk_norm: true, ..Llama::plain() }),
        plain("gpt2-nano"),
    ];
    let engine = |config: &ModelConfig| {
        let mut weights = Weights::init(config, 5).expect("init");
        let vectors = weights.table.n_decayed();
        weights.data[vectors..].iter_mut().enumerate().for_each(|(i, x)| *x += (i % 13) as f32 * 0.03 - 0.18);
        Engine::new(weights, tokenizer()).expect("engine")
    };
    configs.iter().map(engine).collect()
}

#[test]
fn decoding_with_the_cache_equals_the_full_forward_pass_in_every_family() {
    for (kind, engine) in decoders().iter().enumerate() {
        let tokens: Vec<u32> = (0..40).map(|i| i * 7 % 300).collect();
        let full = engine.logits(&tokens).expect("logits");
        let mut network = Network::new(Cpu::new(), &engine.weights, 1, 40).expect("network");
        let trained = network.logits(&Batch::of(&tokens)).expect("logits");
        assert!(full.iter().zip(&trained).all(|(a, b)| (a - b).abs() < 1e-4), "{kind}");
        let mut decoder = Decoder::new(&engine.weights, &engine.rope, 40);
        let mut logits = Vec::new();
        let close = |logits: &[f32], row: usize| logits.iter().zip(&full[row * 300..]).all(|(a, b)| (a - b).abs() < 1e-4);
        // A prompt at once, then one token at a time, then several behind a filled cache.
        decoder.next_logits(&tokens[..11], &mut logits);
        assert!(close(&logits, 10), "{kind}");
        for (i, token) in tokens.iter().enumerate().take(30).skip(11) {
            decoder.next_logits(std::slice::from_ref(token), &mut logits);
            assert!(close(&logits, i), "{kind}: token {i}");
        }
        decoder.next_logits(&tokens[30..], &mut logits);
        assert!(close(&logits, 39), "{kind}");
    }
}

#[test]
fn a_model_that_does_not_continue_text_is_refused() {
    for name in ["bert-nano", "modernbert-nano"] {
        let weights = Weights::init(&preset(name, 300, 64).expect("preset"), 5).expect("init");
        assert!(matches!(Engine::new(weights, tokenizer()), Err(InferError::NotADecoder { .. })), "{name}");
    }
}

#[test]
fn probabilities_of_tokens_agree_with_the_loss_of_training() {
    let engine = engine();
    let tokens: Vec<u32> = (0..33).map(|i| i * 11 % 300).collect();
    let logprobs = engine.token_logprobs(&tokens).expect("logprobs");
    let mut network = Network::new(Cpu::new(), &engine.weights, 1, 32).expect("network");
    let targets: Vec<i32> = tokens[1..].iter().map(|t| *t as i32).collect();
    let loss = network.loss(&Batch::new(&tokens[..32], &targets)).expect("loss");
    let sum: f64 = logprobs.iter().map(|x| f64::from(*x)).sum();
    assert!((sum + loss.sum).abs() < 1e-3 && logprobs.len() == 32, "{sum} {loss:?}");
}

#[test]
fn sequences_packed_together_give_what_each_gives_alone() {
    for (kind, engine) in decoders().iter().enumerate() {
        let packed = crate::Packed::try_new(engine, Cpu::new().into()).expect("packed");
        // Nothing, one token, a full row, one more than the context, long ones, and many short ones over several passes.
        let lengths = [0, 1, 2, 65, 66, 30, 35, 200, 64].into_iter().chain(std::iter::repeat_n(50, 20));
        let sequences: Vec<Vec<u32>> = lengths.enumerate().map(|(i, n)| (0..n).map(|t| (t * t + 7 * i as u32) % 300).collect()).collect();
        let found = packed.token_logprobs(&sequences).expect("logprobs");
        for (i, (sequence, found)) in sequences.iter().zip(&found).enumerate() {
            let alone = engine.token_logprobs(sequence).expect("logprobs");
            let near = alone.len() == found.len() && alone.iter().zip(found).all(|(a, b)| (a - b).abs() < 1e-4);
            assert!(near, "decoder {kind}, sequence {i} of {}", sequence.len());
        }
        assert!(matches!(packed.token_logprobs(&[vec![1, 300]]), Err(InferError::Token { token: 300, .. })));
    }
}

#[test]
fn sequences_packed_on_the_emulated_kernels_give_what_each_gives_alone() {
    let engine = engine();
    let Some(gpu) = emulated_gpu((9, 0), 3) else { return };
    let packed = crate::Packed::try_new(&engine, Box::new(gpu)).expect("packed");
    let sequences: Vec<Vec<u32>> = [2, 65, 30, 100].map(|n| (0..n).map(|t| (t * t + 7 * n) % 300).collect()).to_vec();
    for (sequence, found) in sequences.iter().zip(packed.token_logprobs(&sequences).expect("logprobs")) {
        let alone = engine.token_logprobs(sequence).expect("logprobs");
        assert!(alone.len() == found.len() && alone.iter().zip(&found).all(|(a, b)| (a - b).abs() < 1e-4), "{} tokens", sequence.len());
    }
}

#[test]
fn long_texts_are_judged_in_windows_and_their_first_window_as_alone() {
    let engine = engine();
    let tokens: Vec<u32> = (0..200).map(|i| i * i % 300).collect();
    let all = engine.token_logprobs(&tokens).expect("logprobs");
    assert_eq!((all.len(), &all[..64]), (199, &engine.token_logprobs(&tokens[..65]).expect("logprobs")[..]));
    // The second window begins half a context before its first judged token.
    let second = engine.token_logprobs(&tokens[32..97]).expect("logprobs");
    assert!(all[64..96].iter().zip(&second[32..]).all(|(a, b)| (a - b).abs() < 1e-4));
    assert!(all.iter().all(|x| x.is_finite() && *x < 0.0));
    assert!(engine.token_logprobs(&[]).expect("empty").is_empty() && engine.token_logprobs(&[1]).expect("one").is_empty());
}

#[test]
fn the_same_seed_gives_the_same_text_and_streams_what_it_returns() {
    let engine = engine();
    let options = GenerateOptions { max_tokens: 30, temperature: 1.0, top_k: 50, top_p: 0.95, seed: 7, stop: Vec::new() };
    let (first, sent) = text(&engine, "the lake", &options);
    assert_eq!(first.text, sent);
    assert_eq!(text(&engine, "the lake", &options).0, first);
    assert_ne!(text(&engine, "the lake", &GenerateOptions { seed: 8, ..options }).0.text, first.text);
    assert_eq!(first.n_prompt_tokens, 1 + engine.tokenizer().encode("the lake").len());
}

#[test]
fn generation_ends_at_stop_strings_lengths_contexts_and_when_cancelled() {
    let engine = engine();
    let options = GenerateOptions { max_tokens: 20, ..GenerateOptions::default() };
    let (whole, _) = text(&engine, "the", &options);
    assert_eq!((whole.finish, whole.n_tokens), (Finish::Length, 20));
    let middle: String = whole.text.chars().skip(5).take(3).collect();
    let place = whole.text.find(&middle).expect("there");
    let (cut, sent) = text(&engine, "the", &GenerateOptions { stop: vec![middle], ..options.clone() });
    assert_eq!((cut.finish, cut.text.as_str(), sent.as_str()), (Finish::Stop, &whole.text[..place], &whole.text[..place]));
    let (full, _) = text(&engine, "the", &GenerateOptions { max_tokens: 1000, ..options.clone() });
    // The last generated token need not be read back, so one more than the cache holds.
    assert_eq!((full.finish, full.n_prompt_tokens + full.n_tokens), (Finish::Length, 65));
    let cancelled = engine.generate("the", &options, &mut |_| ControlFlow::Break(())).expect("generate");
    assert_eq!(cancelled.finish, Finish::Cancelled);
    assert_eq!(text(&engine, "the", &GenerateOptions { max_tokens: 0, ..options }).0.n_tokens, 0);
}

#[test]
fn wrong_questions_are_refused() {
    let engine = engine();
    let mut ignore = |_: &str| ControlFlow::Continue(());
    let mut ask = |options: GenerateOptions| engine.generate("the", &options, &mut ignore).is_err();
    assert!(ask(GenerateOptions { temperature: -1.0, ..GenerateOptions::default() }));
    assert!(ask(GenerateOptions { temperature: f32::NAN, ..GenerateOptions::default() }));
    assert!(ask(GenerateOptions { top_p: 0.0, ..GenerateOptions::default() }));
    assert!(matches!(engine.logits(&[300]), Err(InferError::Token { .. })));
    assert!(matches!(engine.logits(&[1; 65]), Err(InferError::PromptTooLong { .. })));
    let long = "the lake ".repeat(100);
    assert!(matches!(engine.generate(&long, &GenerateOptions::default(), &mut ignore), Err(InferError::PromptTooLong { .. })));
}

#[test]
fn one_engine_serves_several_threads() {
    let engine = engine();
    let options = GenerateOptions { max_tokens: 10, ..GenerateOptions::default() };
    let alone = text(&engine, "fn main", &options).0;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| text(&engine, "fn main", &options).0)).collect();
        threads.into_iter().for_each(|t| assert_eq!(t.join().expect("thread"), alone));
    });
}

#[test]
fn many_callers_of_a_backend_get_the_processor_s_texts_whoever_comes_and_goes() {
    let processor = engine();
    let asked = |i: usize| GenerateOptions {
        max_tokens: [1, 7, 20, 0, 1000][i % 5],
        temperature: [0.0, 0.8][i % 2],
        top_k: 30,
        seed: i as u64,
        ..GenerateOptions::default()
    };
    let prompts = ["the lake", "fn", "the polder lies below the sky, and so on: one, two, three"];
    let truth: Vec<Generation> = (0..12).map(|i| text(&processor, prompts[i % 3], &asked(i)).0).collect();
    let gpu = || emulated_gpu((9, 0), 1).map(|gpu| Box::new(gpu) as Box<dyn Backend>);
    for backend in [Some(Cpu::new().into()), gpu()].into_iter().flatten() {
        let mut engine = engine();
        engine.generate_on(backend, DecodeOptions { slots: 3, dtype: Dtype::F32 }).expect("backend");
        let engine = &engine;
        std::thread::scope(|scope| {
            // One takes a piece and goes away; its slot is free for others then.
            let gone = scope.spawn(|| engine.generate(prompts[0], &asked(4), &mut |_| ControlFlow::Break(())).expect("generate").finish);
            let threads: Vec<_> = (0..12).map(|i| scope.spawn(move || text(engine, prompts[i % 3], &asked(i)).0)).collect();
            for (i, thread) in threads.into_iter().enumerate() {
                assert_eq!(thread.join().expect("thread"), truth[i], "{i}");
            }
            assert_eq!(gone.join().expect("thread"), Finish::Cancelled);
        });
    }
}

#[test]
fn callers_that_want_one_token_leave_others_their_turn() {
    let mut engine = engine();
    engine.generate_on(Cpu::new().into(), DecodeOptions { slots: 4, dtype: Dtype::F32 }).expect("backend");
    let (engine, over) = (&engine, AtomicBool::new(false));
    let ask = |max_tokens: usize| text(engine, "the lake", &GenerateOptions { max_tokens, ..GenerateOptions::default() }).0.n_tokens;
    std::thread::scope(|scope| {
        let hasty: Vec<_> =
            (0..8).map(|_| scope.spawn(|| (0..).take_while(|_| ask(1) == 1 && !over.load(Ordering::Relaxed)).count())).collect();
        assert_eq!(ask(50), 50);
        over.store(true, Ordering::Relaxed);
        // Were they always first, they would have had thousands of turns, if the text had ended at all.
        let n_turns: usize = hasty.into_iter().map(|h| h.join().expect("thread")).sum();
        assert!(n_turns < 500, "{n_turns} turns of others in a text of 50 tokens");
    });
}

#[test]
fn a_folder_opens_and_one_without_a_tokenizer_does_not() {
    let engine = engine();
    let dir = tempfile::tempdir().expect("folder");
    engine.weights.save(dir.path()).expect("save");
    assert!(matches!(Engine::open(dir.path(), None), Err(InferError::Tokenizer { .. })));
    std::fs::write(dir.path().join("tokenizer.json"), engine.tokenizer.to_json()).expect("write");
    let opened = Engine::open(dir.path(), None).expect("open");
    assert_eq!(opened.logits(&[1, 2, 3]).expect("logits"), engine.logits(&[1, 2, 3]).expect("logits"));
    assert!(matches!(Engine::open(dir.path(), Some(dir.path())), Err(InferError::Adapter { .. })));
    assert!(matches!(Engine::open(&dir.path().join("absent"), None), Err(InferError::Model { .. })));
}
