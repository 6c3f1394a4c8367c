//! Sequences that grow in slots, token by token, against whole passes over the same tokens.

use polder_compute::cpu::{self, Sampling};
use polder_testkit::{Asked, counted_gpu, emulated_gpu};

use super::*;

/// A text, how it is drawn, and what was drawn.
struct Text {
    tokens: Vec<u32>,
    n_prompt: usize,
    sampling: Sampling,
}

fn text(config: &ModelConfig, seed: u64, n_prompt: usize, temperature: f32) -> Text {
    let mut random = Random::new(seed, "prompt");
    let tokens = (0..n_prompt).map(|_| random.below(config.vocab_size as u64) as u32).collect();
    Text { tokens, n_prompt, sampling: Sampling { temperature, top_k: 20, top_p: 0.95, seed } }
}

impl Text {
    fn growing(&self) -> Option<Growing> {
        let (token, n_seen) = (*self.tokens.last()?, self.tokens.len() - 1);
        Some(Growing { token, n_seen, n_drawn: self.tokens.len() - self.n_prompt, sampling: self.sampling })
    }

    /// The logits behind which each token was drawn, from a whole pass.
    fn logits(&self, weights: &Weights, dtype: Dtype) -> Vec<Vec<f32>> {
        let (context, v) = (weights.config.max_position_embeddings, weights.config.vocab_size);
        let options = NetworkOptions { dtype, ..NetworkOptions::new(1, context) };
        let mut network = Network::with_options(Cpu::new(), weights, options).expect("network");
        let mut tokens = self.tokens.clone();
        tokens.resize(context, 0);
        let logits = network.logits(&Batch::of(&tokens)).expect("logits");
        (self.n_prompt..self.tokens.len()).map(|end| logits[(end - 1) * v..][..v].to_vec()).collect()
    }
}

/// Three texts in two slots: they come and go between passes, and one slot rests for a while.
fn drawn<B: Backend>(backend: B, weights: &Weights, dtype: Dtype, prompts: [usize; 3]) -> Vec<Text> {
    let mut network = Network::for_decoding(backend, weights, DecodeOptions { slots: 2, dtype }).expect("network");
    let config = &weights.config;
    let mut texts = vec![text(config, 1, prompts[0], 0.0), text(config, 2, prompts[1], 0.9), text(config, 3, prompts[2], 0.4)];
    let begin = |network: &mut Network<B>, text: &mut Text, slot: usize| {
        let mut first = 0;
        let token = loop {
            match network.read(slot, &text.tokens, first, text.sampling).expect("read") {
                Reading::Until(end) => first = end,
                Reading::Drawn(token) => break token,
            }
        };
        text.tokens.push(token);
    };
    let grow = |network: &mut Network<B>, texts: &mut [Text], slots: [Option<usize>; 2], times: usize| {
        for _ in 0..times {
            let sequences = slots.map(|text| text.and_then(|i| texts[i].growing()));
            let next = network.grow(&sequences).expect("grow");
            slots.iter().zip(next).for_each(|(text, token)| text.iter().for_each(|i| texts[*i].tokens.push(token)));
        }
    };
    begin(&mut network, &mut texts[0], 1);
    grow(&mut network, &mut texts, [None, Some(0)], 4);
    begin(&mut network, &mut texts[1], 0);
    grow(&mut network, &mut texts, [Some(1), Some(0)], 4);
    begin(&mut network, &mut texts[2], 1);
    grow(&mut network, &mut texts, [Some(1), Some(2)], 5);
    texts
}

/// Every token is the one that a whole pass over those before it draws.
fn assert_drawn(what: &str, weights: &Weights, texts: &[Text]) {
    for (i, text) in texts.iter().enumerate() {
        let logits = text.logits(weights, Dtype::F32);
        let draw = |(place, row): (usize, &Vec<f32>)| {
            let mut token = [0];
            cpu::sample(&mut token, row, &text.sampling.words(), &[place as i32], row.len(), row.len());
            token[0] as u32
        };
        let truth: Vec<u32> = logits.iter().enumerate().map(draw).collect();
        assert_eq!(text.tokens[text.n_prompt..], truth, "{what}, text {i}");
    }
}

/// Every token of a text that takes the largest logit has one that comes near it: rounding decides between those.
fn assert_near_the_largest(what: &str, weights: &Weights, text: &Text) {
    for (row, token) in text.logits(weights, Dtype::Bf16).iter().zip(&text.tokens[text.n_prompt..]) {
        let (least, most) = row.iter().fold((f32::MAX, f32::MIN), |(a, b), x| (a.min(*x), b.max(*x)));
        let short = (most - row[*token as usize]) / (most - least);
        assert!(short < 0.02, "{what}: {short} of the logits' span below the largest");
    }
}

fn decoders() -> impl Iterator<Item = (&'static str, ModelConfig)> {
    kinds().into_iter().filter(|(_, config)| config.is_decoder())
}

#[test]
fn texts_that_grow_in_slots_are_those_of_whole_passes() {
    for (name, config) in decoders() {
        let weights = weights(&config, 3);
        assert_drawn(name, &weights, &drawn(Cpu::new(), &weights, Dtype::F32, [1, 5, 11]));
        let truth = drawn(Reference::new(), &weights, Dtype::F32, [1, 5, 11]);
        assert_drawn(name, &weights, &truth);
    }
}

#[test]
fn a_long_text_goes_in_by_parts() {
    let config = ModelConfig { max_position_embeddings: 2300, num_hidden_layers: 2, ..small("nano") };
    let weights = weights(&config, 3);
    assert_drawn("long", &weights, &drawn(Cpu::new(), &weights, Dtype::F32, [2270, 2049, 300]));
}

#[test]
fn texts_that_grow_on_the_emulated_kernels_are_those_of_whole_passes() {
    let long = |name: &'static str| (name, ModelConfig { max_position_embeddings: 600, ..small(name) }, [250, 1, 300]);
    let cases = decoders().map(|(name, config)| (name, config, [1, 5, 11])).chain([long("nano"), long("gpt2-nano")]);
    for (i, (name, config, prompts)) in cases.enumerate() {
        let weights = weights(&config, 3);
        let Some(gpu) = emulated_gpu([(8, 0), (9, 0)][i % 2], i as u64) else { return };
        assert_drawn(name, &weights, &drawn(gpu, &weights, Dtype::F32, prompts));
        let Some(gpu) = emulated_gpu((9, 0), i as u64) else { return };
        assert_near_the_largest(name, &weights, &drawn(gpu, &weights, Dtype::Bf16, prompts)[0]);
    }
}

#[test]
fn what_cannot_grow_is_refused() {
    let config = small("nano");
    let weights = weights(&config, 3);
    let options = DecodeOptions { slots: 2, dtype: Dtype::F32 };
    assert!(Network::for_decoding(Cpu::new(), &weights, DecodeOptions { slots: 0, ..options }).is_err());
    let bert = self::weights(&small("bert-nano"), 3);
    assert!(Network::for_decoding(Cpu::new(), &bert, options).is_err());
    let mut network = Network::for_decoding(Cpu::new(), &weights, options).expect("network");
    let sampling = Sampling { temperature: 0.0, top_k: 0, top_p: 1.0, seed: 0 };
    for (slot, tokens) in [(0, vec![]), (0, vec![61]), (2, vec![1]), (0, vec![1; 33])] {
        assert!(network.read(slot, &tokens, 0, sampling).is_err(), "{} tokens in slot {slot}", tokens.len());
    }
    let full = Growing { token: 1, n_seen: 32, n_drawn: 0, sampling };
    assert!(network.grow(&[Some(full), None]).is_err());
    assert!(network.grow(&[Some(Growing { token: 61, n_seen: 1, ..full }), None]).is_err());
    assert!(network.grow(&[None]).is_err());
    let mut other = Network::new(Cpu::new(), &weights, 1, 8).expect("network");
    assert!(other.read(0, &[1], 0, sampling).is_err());
}

#[test]
fn a_token_is_one_copy_in_one_replay_and_one_copy_out_and_memory_is_taken_once() {
    let config = ModelConfig { max_position_embeddings: 600, vocab_size: 20_000, ..small("nano") };
    let (weights, options) = (weights(&config, 3), DecodeOptions { slots: 4, dtype: Dtype::Bf16 });
    let bytes = options.bytes(&config) + options.attention_bytes(&config) + (1 << 20);
    let Some((gpu, counts)) = counted_gpu((9, 0), 1, bytes) else { return };
    let mut network = Network::for_decoding(gpu, &weights, options).expect("network");
    let mut text = text(&config, 1, 300, 0.7);
    let Ok(Reading::Drawn(token)) = network.read(1, &text.tokens, 0, text.sampling) else { panic!("a short text is read at once") };
    text.tokens.push(token);
    for round in 0..5 {
        let before = counts.asked();
        let drawn = network.grow(&[None, text.growing(), None, None]).expect("grow");
        text.tokens.push(drawn[1]);
        if round > 1 {
            let asked = Asked { copies_in: 1, replays: 1, copies_out: 1, ..Asked::default() };
            assert_eq!(counts.asked() - before, asked, "round {round}");
        }
    }
    assert_eq!(counts.asked().allocations, 1);
}

#[test]
fn the_plan_of_memory_is_what_generation_asks_for() {
    for (name, config) in decoders() {
        for dtype in [Dtype::F32, Dtype::Bf16] {
            let options = DecodeOptions { slots: 3, dtype };
            let network = Network::for_decoding(Counted::default(), &weights(&config, 1), options).expect(name);
            assert_eq!(network.backend.bytes, options.bytes(&config), "{name}");
        }
    }
}
