//! Model folders: configuration, weights, index, adapter.
//!
//! What is read in spite of the change must work: come back bit for bit as it was written, and compute.

use std::fs;
use std::path::Path;

use polder_compute::Cpu;
use polder_model::{
    ADAPTER_CONFIG_FILE, ADAPTER_TENSORS_FILE, Batch, Head, ModelConfig, ModelFolder, Network, NetworkOptions, Weights, preset, sizes,
};

use crate::mutate::{fuzz, fuzz_slow};

/// Positions above which a network is not laid out: a table of them is asked for, and a configuration may ask for many.
const CONTEXT_MAX: usize = 4096;

/// The smallest sound model of a family.
fn small(family: &str) -> Weights {
    let config = preset(&sizes(family)[0], 30, 16).expect("preset");
    let sizes = ModelConfig { hidden_size: 8, intermediate_size: 12, num_attention_heads: 2, head_dim: 4, num_hidden_layers: 3, ..config };
    let config = ModelConfig { num_key_value_heads: 2, bos_token_id: Some(1), eos_token_id: Some(2), ..sizes };
    // What a family says for each layer is as long as there are layers.
    let mut value = config.to_hugging_face();
    if let Some(types) = value.get_mut("layer_types").and_then(|t| t.as_array_mut()) {
        types.truncate(3);
    }
    Weights::init(&ModelConfig::from_hugging_face(&value).expect("a configuration"), 1).expect("weights")
}

fn must_work(weights: &Weights) {
    let again = tempfile::tempdir().expect("folder");
    weights.save(again.path()).expect("what was read is written");
    assert!(Weights::load(again.path()).expect("what was written is read") == *weights);
    if weights.config.max_position_embeddings > CONTEXT_MAX {
        return;
    }
    let options = NetworkOptions { frozen: true, ..NetworkOptions::new(1, 1) };
    let mut network = Network::with_options(Cpu::new(), weights, options).expect("a network");
    match weights.config.head {
        Head::Embedding => drop(network.hidden_states(&Batch::of(&[0])).expect("hidden states")),
        _ => drop(network.logits(&Batch::of(&[0])).expect("logits")),
    }
}

fn check(folder: &Path) {
    match Weights::load(folder) {
        Ok(weights) => must_work(&weights),
        Err(e) => {
            assert!(!e.to_string().is_empty());
            // Looking and checking find no less than reading.
            let checked = ModelFolder::open(folder).and_then(|mut f| f.check(&mut |_| true));
            assert_eq!(checked.expect_err("reading failed").to_string(), e.to_string());
        }
    }
}

/// Changes one file of a folder again and again.
fn changed(target: &str, folder: &Path, name: &str, times: u64) {
    let path = folder.join(name);
    let sound = fs::read(&path).expect("a file");
    fuzz_slow(target, &sound, times, &mut |bytes| {
        fs::write(&path, bytes).expect("write");
        check(folder);
    });
    fs::write(&path, sound).expect("mend");
}

#[test]
fn a_mutated_model_folder_is_an_error_or_works() {
    for family in polder_model::FAMILIES {
        let folder = tempfile::tempdir().expect("folder");
        let weights = small(family);
        weights.save(folder.path()).expect("save");
        for name in [Weights::CONFIG_FILE, Weights::TENSORS_FILE] {
            changed(&format!("{family} {name}"), folder.path(), name, 2);
        }
        assert!(Weights::load(folder.path()).expect("whole again") == weights);
    }
}

#[test]
fn a_mutated_index_is_an_error_or_works() {
    let folder = tempfile::tempdir().expect("folder");
    let files = small("llama").save_split(folder.path(), 1000).expect("save");
    assert!(files.iter().any(|f| f == Weights::INDEX_FILE));
    changed("index", folder.path(), Weights::INDEX_FILE, 1);
    changed("one of several files", folder.path(), &files[0], 2);
}

#[test]
fn a_mutated_adapter_is_an_error_or_is_merged() {
    let base = small("llama");
    let folder = tempfile::tempdir().expect("folder");
    let (rank, name) = (2usize, "base_model.model.model.layers.0.self_attn.q_proj");
    let config =
        serde_json::json!({"peft_type": "LORA", "r": rank, "lora_alpha": 4.0, "target_modules": ["q_proj"], "task_type": "CAUSAL_LM"});
    fs::write(folder.path().join(ADAPTER_CONFIG_FILE), config.to_string()).expect("write");
    fs::write(folder.path().join(ADAPTER_TENSORS_FILE), adapter_file(name, rank, 8)).expect("write");
    let load = || {
        let mut weights = base.clone();
        weights.merge_adapter(folder.path()).map(|()| weights)
    };
    assert!(load().expect("a sound adapter").data != base.data);
    for file in [ADAPTER_CONFIG_FILE, ADAPTER_TENSORS_FILE] {
        let path = folder.path().join(file);
        let sound = fs::read(&path).expect("a file");
        fuzz(file, &sound, &mut |bytes| {
            fs::write(&path, bytes).expect("write");
            match load() {
                Ok(weights) => assert_eq!(weights.data.len(), base.data.len()),
                Err(e) => assert!(!e.to_string().is_empty()),
            }
        });
        fs::write(&path, sound).expect("mend");
    }
}

/// A safetensors file with the two matrices of one low-rank change, written by hand.
fn adapter_file(name: &str, rank: usize, width: usize) -> Vec<u8> {
    let bytes = 4 * rank * width;
    let header = serde_json::json!({
        format!("{name}.lora_A.weight"): {"dtype": "F32", "shape": [rank, width], "data_offsets": [0, bytes]},
        format!("{name}.lora_B.weight"): {"dtype": "F32", "shape": [width, rank], "data_offsets": [bytes, 2 * bytes]},
    })
    .to_string();
    let numbers = (0..2 * rank * width).flat_map(|i| (i as f32 / 64.0).to_le_bytes());
    (header.len() as u64).to_le_bytes().into_iter().chain(header.into_bytes()).chain(numbers).collect()
}
