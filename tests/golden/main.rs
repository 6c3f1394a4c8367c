//! Every family against PyTorch: loss, logits and all gradients, and where ten AdamW and ten Muon steps lead.
//!
//! `make_models.py` made the files in `models/`, and says what is in them.

#![allow(clippy::expect_used)]

use std::path::Path;

use polder_compute::{AdamW, Cpu, RopeScaling};
use polder_model::{
    Batch, Family, Head, Llama, ModelConfig, ModernBert, MuonStep, Network, NetworkOptions, Param, Weights, preset, read_numbers,
};
use safetensors::SafeTensors;

const V: usize = 257;
const B: usize = 2;
const T: usize = 32;
const STORED_ROWS: usize = 8;

/// `n` numbers in −0.5 .. 0.5 that depend on a name alone.
fn noise(name: &str, n: usize) -> Vec<f64> {
    let seed = name.bytes().fold(2_166_136_261u32, |seed, byte| (seed ^ u32::from(byte)).wrapping_mul(16_777_619));
    let one = |i: usize| {
        let mut x = (i as u32).wrapping_mul(2_654_435_761).wrapping_add(seed);
        for _ in 0..2 {
            x = (x ^ (x >> 16)).wrapping_mul(0x45d9f3b);
        }
        f64::from(x ^ (x >> 16)) / 2f64.powi(32) - 0.5
    };
    (0..n).map(one).collect()
}

/// A tensor's numbers as files hold it, turned to how they stand in the network.
fn turned(param: &Param, stored: &[f32]) -> Vec<f32> {
    if !param.transposed {
        return stored.to_vec();
    }
    let (rows, columns) = (param.shape[0], param.shape[1]);
    (0..stored.len()).map(|i| stored[i % columns * rows + i / columns]).collect()
}

fn weights(config: &ModelConfig) -> Weights {
    let mut weights = Weights::init(config, 0).expect("init");
    for param in weights.table.clone().iter() {
        let one = |x: f64| match (param.is_matrix(), param.name.ends_with("weight")) {
            (true, _) => 0.4 * x,
            (false, is_norm) => 0.2 * x + f64::from(u8::from(is_norm)),
        };
        let stored: Vec<f32> = noise(&param.name, param.len()).into_iter().map(|x| one(x) as f32).collect();
        weights.data[param.offset..][..param.len()].copy_from_slice(&turned(param, &stored));
    }
    weights
}

fn config(kind: &str) -> ModelConfig {
    let size = if kind == "llama" { "nano".to_owned() } else { format!("{kind}-nano") };
    let sizes = ModelConfig {
        hidden_size: 56,
        intermediate_size: 44,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        num_key_value_heads: if kind == "llama" { 2 } else { 4 },
        head_dim: 14,
        ..preset(&size, V, 64).expect("preset")
    };
    let family = match kind {
        "llama" => Family::Llama(Llama {
            rope_theta: 100.0,
            rope_scaling: Some(RopeScaling { factor: 8.0, low_frequency_factor: 1.0, high_frequency_factor: 4.0, original_context: 16.0 }),
            ..Llama::plain()
        }),
        "modernbert" => Family::ModernBert(ModernBert {
            global_rope_theta: 1000.0,
            local_rope_theta: 100.0,
            local_attention: 8,
            is_global: vec![true, false],
            ..ModernBert::plain(2)
        }),
        _ => sizes.family.clone(),
    };
    ModelConfig { family, ..sizes }
}

struct Golden(Vec<u8>);

impl Golden {
    fn open(kind: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/models").join(format!("{kind}.safetensors"));
        Self(std::fs::read(path).expect("golden file"))
    }

    fn get(&self, name: &str) -> Vec<f32> {
        let tensors = SafeTensors::deserialize(&self.0).expect("safetensors");
        let tensor = tensors.tensor(name).expect(name);
        let mut out = vec![0f32; tensor.shape().iter().product()];
        read_numbers(&mut out, &tensor).expect("numbers");
        out
    }
}

/// Distance of two vectors as a share of the second one's length.
fn distance(ours: &[f32], theirs: &[f32]) -> f64 {
    assert_eq!(ours.len(), theirs.len());
    let square = |x: f64| x * x;
    let sum: f64 = theirs.iter().map(|t| square(f64::from(*t))).sum();
    let apart: f64 = ours.iter().zip(theirs).map(|(o, t)| square(f64::from(*o) - f64::from(*t))).sum();
    (apart / sum.max(1e-30)).sqrt()
}

struct Given {
    tokens: Vec<u32>,
    targets: Vec<i32>,
    types: Option<Vec<u32>>,
    scale: f32,
}

impl Given {
    fn new(config: &ModelConfig, kind: &str) -> Self {
        let ids = |name: &str, bound: f64| noise(name, B * T).into_iter().map(move |x| ((x + 0.5) * bound) as u32).collect::<Vec<_>>();
        let least = if config.head == Head::MaskedLm { 0.3 } else { -0.4 };
        let judged = noise("judged", B * T).into_iter().map(|x| x > least);
        let targets: Vec<i32> = ids("targets", V as f64).iter().zip(judged).map(|(t, j)| if j { *t as i32 } else { -100 }).collect();
        let scale = 1.0 / targets.iter().filter(|t| **t >= 0).count() as f32;
        Self { tokens: ids("tokens", V as f64), targets, types: (kind == "bert").then(|| ids("token types", 2.0)), scale }
    }

    fn batch(&self) -> Batch<'_> {
        Batch { token_types: self.types.as_deref(), ..Batch::new(&self.tokens, &self.targets) }
    }
}

fn network(kind: &str) -> Network<Cpu> {
    let z_loss = if kind == "llama" { 1e-3 } else { 0.0 };
    let options = NetworkOptions { z_loss, ..NetworkOptions::new(B, T) };
    Network::with_options(Cpu::new(), &weights(&config(kind)), options).expect("network")
}

/// A matrix, as files hold it, times a vector of signs from both sides; a vector as it is.
fn sketch(param: &Param, ours: &[f32]) -> Vec<f32> {
    if !param.is_matrix() {
        return ours.to_vec();
    }
    let stored = param.stored_shape();
    let (rows, columns) = (stored[0], stored[1]);
    let at = |r: usize, c: usize| f64::from(if param.transposed { ours[c * rows + r] } else { ours[r * columns + c] });
    let signs = |n: usize| noise("signs", n).into_iter().map(|x| if x < 0.0 { -1.0 } else { 1.0 }).collect::<Vec<f64>>();
    let (left, right) = (signs(rows), signs(columns));
    let of_rows = (0..rows).map(|r| (0..columns).map(|c| at(r, c) * right[c]).sum::<f64>() as f32);
    let of_columns = (0..columns).map(|c| (0..rows).map(|r| at(r, c) * left[r]).sum::<f64>() as f32);
    of_rows.chain(of_columns).collect()
}

/// Softmax does not see what is added to all scores, so a bias of keys learns from rounding alone.
fn is_key_bias(name: &str) -> bool {
    name.ends_with("key.bias")
}

/// The same where keys share a vector with queries and values.
fn without_key_bias(name: &str, mut numbers: Vec<f32>) -> Vec<f32> {
    if name.ends_with("c_attn.bias") {
        let third = numbers.len() / 3;
        numbers.drain(third..2 * third);
    }
    numbers
}

fn check(kind: &str) {
    let golden = Golden::open(kind);
    let mut network = network(kind);
    let given = Given::new(network.config(), kind);
    let logits = network.logits(&given.batch()).expect("logits");
    let last: Vec<f32> = (0..B).flat_map(|b| logits[((b + 1) * T - STORED_ROWS) * V..][..STORED_ROWS * V].to_vec()).collect();
    assert!(distance(&last, &golden.get("logits")) < 1e-5, "{kind}: logits {}", distance(&last, &golden.get("logits")));
    let loss = network.loss_and_grads(&given.batch(), given.scale).expect("grads").mean();
    let expected = f64::from(golden.get("loss")[0]);
    assert!((loss / expected - 1.0).abs() < 1e-5, "{kind}: loss {loss}, not {expected}");
    for param in network.table().clone().iter() {
        let theirs = golden.get(&format!("grad/{}", param.name));
        let ours = &network.grads()[param.offset..][..param.len()];
        if is_key_bias(&param.name) {
            assert!(ours.iter().all(|g| g.abs() < 1e-6), "{kind}: {}", param.name);
            continue;
        }
        let distance = distance(ours, &turned(param, &theirs));
        assert!(distance < 1e-5, "{kind}: gradient of {}: {distance}", param.name);
    }
    for optimizer in ["adamw", "muon"] {
        check_steps(kind, optimizer, &golden);
    }
}

fn check_steps(kind: &str, optimizer: &str, golden: &Golden) {
    let mut network = network(kind);
    let given = Given::new(network.config(), kind);
    let expected = golden.get(&format!("{optimizer}/losses"));
    for step in 1..=10 {
        network.zero_grads();
        let loss = network.loss_and_grads(&given.batch(), given.scale).expect("grads").mean();
        let expected = f64::from(expected[step as usize - 1]);
        assert!((loss / expected - 1.0).abs() < 1e-5, "{kind} {optimizer}: loss {loss}, not {expected}, at step {step}");
        let adamw = AdamW { lr: 1e-3, beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.1, step, clip: 1.0 };
        match optimizer {
            "muon" => network.update_with_muon(adamw, MuonStep { lr: 2e-3, momentum: 0.95, weight_decay: 0.1 }),
            _ => network.update(adamw),
        }
    }
    let before = weights(network.config());
    let after = network.weights();
    for param in network.table().clone().iter().filter(|p| !is_key_bias(&p.name)) {
        let part = |data: &[f32]| without_key_bias(&param.name, sketch(param, &data[param.offset..][..param.len()]));
        let theirs = without_key_bias(&param.name, golden.get(&format!("{optimizer}/{}", param.name)));
        let apart = distance(&part(&after.data), &theirs);
        assert!(apart < 1e-5, "{kind} {optimizer}: {} after ten steps: {apart}", param.name);
        // Ten steps went somewhere, or the comparison says nothing.
        assert!(distance(&part(&before.data), &theirs) > 1e-3, "{kind} {optimizer}: {}", param.name);
    }
}

#[test]
fn llama_agrees_with_pytorch_on_logits_gradients_and_ten_steps() {
    check("llama");
}

#[test]
fn gpt2_agrees_with_pytorch_on_logits_gradients_and_ten_steps() {
    check("gpt2");
}

#[test]
fn bert_agrees_with_pytorch_on_logits_gradients_and_ten_steps() {
    check("bert");
}

#[test]
fn modernbert_agrees_with_pytorch_on_logits_gradients_and_ten_steps() {
    check("modernbert");
}
