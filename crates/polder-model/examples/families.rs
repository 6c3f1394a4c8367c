//! Models of every kind for `tests/golden/check_families.py`: those that transformers wrote are run here, and others are
//! written for it.
//!
//! usage: families DIR
//!
//! For each folder in DIR/theirs it writes `ours.f32`: logits, or without a head the last hidden states, little-endian. In
//! DIR/ours it writes one folder a kind, with its own numbers in the same file.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use polder_base::Random;
use polder_compute::{Cpu, RopeScaling};
use polder_model::{AttentionBias, Batch, Family, Head, Llama, ModelConfig, ModernBert, Network, NetworkOptions, Pooling, Weights, preset};

const TIME: usize = 24;

fn main() -> Result<(), Box<dyn Error>> {
    let dir = PathBuf::from(std::env::args().nth(1).ok_or("usage: families DIR")?);
    let mut theirs: Vec<PathBuf> = fs::read_dir(dir.join("theirs"))?.flatten().map(|e| e.path()).collect();
    theirs.sort();
    for folder in theirs {
        let weights = Weights::load(&folder)?;
        println!("{}: {} parameters, {:?}", folder.display(), weights.data.len(), weights.config.head);
        run(&weights, &folder)?;
    }
    for (name, config) in kinds()? {
        let folder = dir.join("ours").join(name);
        let mut weights = Weights::init(&config, 1)?;
        // Biases of 0 and norms of 1 would hide mistakes.
        let mut random = Random::new(1, name);
        let vectors = weights.table.n_decayed();
        weights.data[vectors..].iter_mut().for_each(|x| *x += (0.2 * random.normal()) as f32);
        let files = if name == "llama-split" { weights.save_split(&folder, 100_000)? } else { weights.save(&folder)? };
        println!("{}: {}", folder.display(), files.join(" "));
        run(&weights, &folder)?;
    }
    Ok(())
}

fn run(weights: &Weights, folder: &Path) -> Result<(), Box<dyn Error>> {
    let options = NetworkOptions { frozen: true, ..NetworkOptions::new(2, TIME) };
    let mut network = Network::with_options(Cpu::new(), weights, options)?;
    let vocab = weights.config.vocab_size as u32;
    let tokens: Vec<u32> = (0..2 * TIME as u32).map(|i| (i * 7 + 3) % vocab).collect();
    let types: Vec<u32> = (0..2 * TIME).map(|i| u32::from(i % TIME > TIME / 2)).collect();
    let token_types = matches!(weights.config.family, Family::Bert { .. }).then_some(&types[..]);
    let batch = Batch { token_types, ..Batch::of(&tokens) };
    let numbers = if weights.config.head == Head::Embedding { network.hidden_states(&batch)? } else { network.logits(&batch)? };
    fs::write(folder.join("ours.f32"), bytemuck::cast_slice::<f32, u8>(&numbers))?;
    Ok(())
}

fn kinds() -> Result<Vec<(&'static str, ModelConfig)>, Box<dyn Error>> {
    let small = |name: &str| -> Result<ModelConfig, Box<dyn Error>> {
        let config = preset(name, 211, 48).ok_or("no such size")?;
        let kv = if matches!(config.family, Family::Llama(_)) { 2 } else { 4 };
        let sizes = ModelConfig { hidden_size: 64, intermediate_size: 80, num_hidden_layers: 3, num_attention_heads: 4, ..config };
        Ok(ModelConfig { num_key_value_heads: kv, head_dim: 16, initializer_range: 0.2, pad_token_id: Some(1), ..sizes })
    };
    let llama = |f: &dyn Fn(&mut Llama)| -> Result<ModelConfig, Box<dyn Error>> {
        let mut own = Llama::plain();
        f(&mut own);
        Ok(ModelConfig { family: Family::Llama(own), ..small("nano")? })
    };
    let modern = |f: &dyn Fn(&mut ModernBert)| -> Result<ModelConfig, Box<dyn Error>> {
        let mut own = ModernBert { local_attention: 8, ..ModernBert::plain(3) };
        f(&mut own);
        Ok(ModelConfig { family: Family::ModernBert(own), ..small("modernbert-nano")? })
    };
    let classifier = || Head::Classifier { labels: vec!["no".into(), "yes".into(), "perhaps".into()] };
    let scaling = RopeScaling { factor: 8.0, low_frequency_factor: 1.0, high_frequency_factor: 4.0, original_context: 16.0 };
    Ok(vec![
        ("llama", small("nano")?),
        ("llama-split", ModelConfig { tie_word_embeddings: false, bos_token_id: Some(0), eos_token_id: Some(0), ..small("nano")? }),
        ("llama-3", llama(&|l| (l.rope_theta, l.rope_scaling) = (500.0, Some(scaling)))?),
        ("llama-biases", llama(&|l| (l.attention_bias, l.mlp_bias) = (AttentionBias::All, true))?),
        ("qwen2", llama(&|l| l.attention_bias = AttentionBias::Qkv)?),
        ("qwen3", ModelConfig { head_dim: 24, ..llama(&|l| l.qk_norm = true)? }),
        ("gpt2", small("gpt2-nano")?),
        ("bert", small("bert-nano")?),
        ("bert-classifier", ModelConfig { head: classifier(), ..small("bert-nano")? }),
        ("bert-embedding", ModelConfig { head: Head::Embedding, ..small("bert-nano")? }),
        ("modernbert", modern(&|_| {})?),
        ("modernbert-biases", modern(&|m| (m.attention_bias, m.mlp_bias, m.norm_bias, m.classifier_bias) = (true, true, true, true))?),
        ("modernbert-classifier", ModelConfig { head: classifier(), ..modern(&|m| m.classifier_pooling = Pooling::Mean)? }),
        ("modernbert-embedding", ModelConfig { head: Head::Embedding, ..modern(&|_| {})? }),
    ])
}
