//! Configurations through JSON: our own read back, foreign ones read or refused by name.

use serde_json::{Value, json};

use super::*;
use crate::preset;

fn tiny() -> ModelConfig {
    preset("tiny", 4096, 256).expect("preset")
}

/// One configuration of each family and option.
pub(crate) fn every_kind() -> Vec<ModelConfig> {
    let llama = |f: &dyn Fn(&mut Llama)| {
        let mut own = Llama::plain();
        f(&mut own);
        ModelConfig { family: Family::Llama(own), ..tiny() }
    };
    let scaling = RopeScaling { factor: 8.0, low_frequency_factor: 1.0, high_frequency_factor: 4.0, original_context: 64.0 };
    let mut all = vec![
        ModelConfig { bos_token_id: Some(0), ..tiny() },
        llama(&|l| l.rope_scaling = Some(scaling)),
        llama(&|l| (l.attention_bias, l.mlp_bias) = (AttentionBias::All, true)),
        llama(&|l| l.attention_bias = AttentionBias::Qkv),
        ModelConfig { head_dim: 48, ..llama(&|l| (l.qk_norm, l.rope_theta) = (true, 1e6)) },
        preset("gpt2-tiny", 4096, 256).expect("preset"),
    ];
    for name in ["bert-tiny", "modernbert-tiny"] {
        let config = preset(name, 4096, 256).expect("preset");
        let labels = vec!["no".to_owned(), "yes".to_owned(), "perhaps".to_owned()];
        for head in [Head::MaskedLm, Head::Classifier { labels }, Head::Embedding] {
            all.push(ModelConfig { head, pad_token_id: Some(3), ..config.clone() });
        }
    }
    all
}

#[test]
fn a_configuration_reads_back_what_it_writes() {
    for config in every_kind() {
        let value = config.to_hugging_face();
        assert_eq!(ModelConfig::from_hugging_face(&value).expect("read"), config);
        let text = serde_json::to_string(&config).expect("write");
        assert_eq!(serde_json::from_str::<ModelConfig>(&text).expect("read"), config);
    }
}

#[test]
fn unknown_keys_are_passed_over_in_foreign_files_and_refused_in_our_own() {
    let mut value = tiny().to_hugging_face();
    value["some_future_key"] = json!("x");
    assert!(ModelConfig::from_hugging_face(&value).is_ok());
    assert!(serde_json::from_value::<ModelConfig>(value).expect_err("unknown").to_string().contains("some_future_key"));
}

#[test]
fn runs_written_before_there_were_families_are_read() {
    let old = json!({
        "vocab_size": 4096, "hidden_size": 128, "intermediate_size": 384, "num_hidden_layers": 4, "num_attention_heads": 4,
        "num_key_value_heads": 2, "head_dim": 32, "max_position_embeddings": 256, "rope_theta": 10000.0, "rms_norm_eps": 1e-5,
        "initializer_range": 0.02, "tie_word_embeddings": true, "bos_token_id": 0, "eos_token_id": 0,
    });
    let config: ModelConfig = serde_json::from_value(old).expect("old");
    assert_eq!(config, ModelConfig { bos_token_id: Some(0), eos_token_id: Some(0), ..tiny() });
}

#[test]
fn keys_that_change_meaning_are_refused_by_name() {
    let of = |name: &str| preset(name, 4096, 256).expect("preset").to_hugging_face();
    let cases: [(&str, &str, Value); 22] = [
        ("tiny", "model_type", json!("mixtral")),
        ("tiny", "hidden_act", json!("gelu")),
        ("tiny", "sliding_window", json!(4096)),
        ("tiny", "rope_scaling", json!({"rope_type": "yarn", "factor": 4.0})),
        ("tiny", "rope_parameters", json!({"rope_type": "llama3"})),
        ("tiny", "rope_parameters", json!({"rope_type": "dynamic", "factor": 2.0})),
        ("tiny", "quantization_config", json!({"bits": 4})),
        ("tiny", "auto_map", json!({"AutoModel": "modeling.Other"})),
        ("tiny", "layer_types", json!(["sliding_attention"])),
        ("tiny", "architectures", json!(["LlamaForSequenceClassification"])),
        ("gpt2-tiny", "activation_function", json!("relu")),
        ("gpt2-tiny", "scale_attn_weights", json!(false)),
        ("gpt2-tiny", "scale_attn_by_inverse_layer_idx", json!(true)),
        ("gpt2-tiny", "add_cross_attention", json!(true)),
        ("bert-tiny", "position_embedding_type", json!("relative_key")),
        ("bert-tiny", "hidden_act", json!("gelu_new")),
        ("bert-tiny", "is_decoder", json!(true)),
        ("bert-tiny", "architectures", json!(["BertForQuestionAnswering"])),
        ("modernbert-tiny", "hidden_activation", json!("silu")),
        ("modernbert-tiny", "classifier_pooling", json!("max")),
        ("modernbert-tiny", "layer_types", json!(["full_attention", "chunked_attention"])),
        ("modernbert-tiny", "rope_parameters", json!({"full_attention": {"rope_type": "yarn"}})),
    ];
    for (name, key, bad) in cases {
        let mut value = of(name);
        value[key] = bad;
        let error = ModelConfig::from_hugging_face(&value).expect_err(key).to_string();
        assert!(error.contains(key), "{key}: {error}");
    }
}

#[test]
fn impossible_sizes_are_refused() {
    for (name, key, bad) in [
        ("tiny", "hidden_size", json!(0)),
        ("tiny", "vocab_size", json!(-5)),
        ("tiny", "num_key_value_heads", json!(3)),
        ("tiny", "head_dim", json!(7)),
        ("tiny", "num_hidden_layers", json!("four")),
        ("tiny", "num_hidden_layers", json!(1 << 20)),
        ("tiny", "eos_token_id", json!(4096)),
        ("tiny", "hidden_size", json!(1u64 << 40)),
        ("tiny", "rms_norm_eps", json!(-1.0)),
        ("tiny", "rope_parameters", json!({"rope_theta": 0.0})),
        ("tiny", "tie_word_embeddings", json!("yes")),
        ("gpt2-tiny", "n_head", json!(3)),
        ("gpt2-tiny", "n_embd", json!(u64::MAX)),
        ("bert-tiny", "type_vocab_size", json!(0)),
        ("modernbert-tiny", "num_hidden_layers", json!(7)),
        ("modernbert-tiny", "local_attention", json!(0)),
    ] {
        let mut value = preset(name, 4096, 256).expect("preset").to_hugging_face();
        value[key] = bad;
        assert!(ModelConfig::from_hugging_face(&value).is_err(), "{name} {key}");
    }
}

#[test]
fn a_decoder_has_no_classes_and_an_encoder_no_next_token() {
    let classifier = ModelConfig { head: Head::Classifier { labels: vec!["a".into()] }, ..tiny() };
    assert!(classifier.check().is_err());
    let encoder = ModelConfig { head: Head::LanguageModel, ..preset("bert-tiny", 64, 16).expect("preset") };
    assert!(encoder.check().is_err());
}

#[test]
fn operations_are_counted_as_the_formula_says() {
    let c = tiny();
    let matmul = 4 * (128 * (32 * 8 + 128) + 3 * 128 * 384) + 4096 * 128;
    assert_eq!(c.flops_per_token(256), 6 * matmul + 12 * 128 * 4 * 256 / 2);
    let m = preset("modernbert-tiny", 4096, 1024).expect("preset");
    let layer = 128 * 4 * 128 + 3 * 128 * 384;
    let head = (0.15 * f64::from(4096 * 128 + 128 * 128)) as u64;
    // Layers 0 and 3 see all, 1 and 2 their 129 neighbours.
    assert_eq!(m.flops_per_token(1024), 6 * (4 * layer + head) + 12 * 128 * (2 * 1024 + 2 * 129));
}
