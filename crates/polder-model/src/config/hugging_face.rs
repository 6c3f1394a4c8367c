//! Configurations in Hugging Face's words: read from anyone's `config.json`, written for transformers 4 and 5.
//!
//! Unknown keys are passed over in foreign files, except those that change what a model computes: these are refused by
//! name. In our own files (through serde) every key must be one that is written.

use polder_compute::RopeScaling;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::{Map, Value, json};

use super::{AttentionBias, Family, Head, Llama, ModelConfig, ModernBert, Pooling};
use crate::ModelError;

/// Keys of any family whose other values change what a model computes, with the values that change nothing.
const NEUTRAL: [(&str, &[&str]); 6] = [
    ("quantization_config", &["null"]),
    ("auto_map", &["null", "{}"]),
    ("add_cross_attention", &["false", "null"]),
    ("is_encoder_decoder", &["false", "null"]),
    ("is_decoder", &["false", "null"]),
    ("pruned_heads", &["{}", "null"]),
];
const NEUTRAL_LLAMA: [(&str, &[&str]); 8] = [
    ("hidden_act", &["\"silu\"", "\"swish\""]),
    ("pretraining_tp", &["1", "null"]),
    ("partial_rotary_factor", &["1.0", "1", "null"]),
    ("num_local_experts", &["null"]),
    ("attn_logit_softcapping", &["null"]),
    ("final_logit_softcapping", &["null"]),
    ("use_sliding_window", &["false", "null"]),
    ("alibi", &["false", "null"]),
];
const NEUTRAL_GPT2: [(&str, &[&str]); 3] = [
    ("activation_function", &["\"gelu_new\"", "\"gelu_pytorch_tanh\""]),
    ("scale_attn_weights", &["true"]),
    ("scale_attn_by_inverse_layer_idx", &["false", "null"]),
];
const NEUTRAL_BERT: [(&str, &[&str]); 3] =
    [("hidden_act", &["\"gelu\""]), ("position_embedding_type", &["\"absolute\"", "null"]), ("embedding_size", &["null"])];
const NEUTRAL_MODERNBERT: [(&str, &[&str]); 2] =
    [("hidden_activation", &["\"gelu\"", "null"]), ("classifier_activation", &["\"gelu\"", "null"])];

fn unsupported(key: &str, found: &Value, supported: &str) -> ModelError {
    ModelError::Unsupported { key: key.into(), found: found.to_string(), supported: supported.into() }
}

fn wrong(key: &str, what: &str) -> ModelError {
    ModelError::Config { reason: format!("`{key}` is {what}") }
}

/// A configuration's values by name, null as good as absent.
#[derive(Clone, Copy)]
struct Keys<'a>(&'a Value);

impl<'a> Keys<'a> {
    fn given(self, key: &str) -> Option<&'a Value> {
        self.0.get(key).filter(|v| !v.is_null())
    }

    fn size(self, key: &str) -> Result<usize, ModelError> {
        let found = self.given(key).ok_or_else(|| wrong(key, "missing"))?;
        found.as_u64().and_then(|n| usize::try_from(n).ok()).ok_or_else(|| wrong(key, "not a count"))
    }

    fn size_or(self, key: &str, other: usize) -> Result<usize, ModelError> {
        if self.given(key).is_some() { self.size(key) } else { Ok(other) }
    }

    fn number_or(self, key: &str, other: f64) -> Result<f64, ModelError> {
        self.given(key).map_or(Ok(other), |v| v.as_f64().ok_or_else(|| wrong(key, "not a number")))
    }

    fn flag_or(self, key: &str, other: bool) -> Result<bool, ModelError> {
        self.given(key).map_or(Ok(other), |v| v.as_bool().ok_or_else(|| wrong(key, "neither true nor false")))
    }

    fn token(self, key: &str) -> Result<Option<u32>, ModelError> {
        // Several end tokens come as a list; the first one is the model's own. Some files say −1 for none.
        let Some(found) = self.given(key).map(|v| v.as_array().and_then(|a| a.first()).unwrap_or(v)) else { return Ok(None) };
        if *found == -1 {
            return Ok(None);
        }
        found.as_u64().and_then(|n| u32::try_from(n).ok()).map(Some).ok_or_else(|| wrong(key, "not a token id"))
    }

    fn require_neutral(self, neutral: &[(&str, &[&str])]) -> Result<(), ModelError> {
        for (key, values) in neutral {
            if let Some(found) = self.0.get(key)
                && !values.contains(&found.to_string().as_str())
            {
                return Err(unsupported(key, found, values[0]));
            }
        }
        Ok(())
    }

    fn require_full_attention(self) -> Result<(), ModelError> {
        match self.given("layer_types") {
            Some(Value::Array(types)) if types.iter().all(|t| t == "full_attention") => Ok(()),
            Some(found) => Err(unsupported("layer_types", found, "\"full_attention\" in every layer")),
            None => Ok(()),
        }
    }
}

/// The settings of one rotation: its base and its scaling.
fn rotation(rope: &Value, name: &str, theta: f64) -> Result<(f64, Option<RopeScaling>), ModelError> {
    let keys = Keys(rope);
    keys.require_neutral(&[("partial_rotary_factor", &["1.0", "1", "null"])])?;
    let theta = keys.number_or("rope_theta", theta)?;
    let kind = keys.given("rope_type").or_else(|| keys.given("type"));
    match kind.map(|k| k.as_str().unwrap_or_default()) {
        None | Some("default") => Ok((theta, None)),
        Some("llama3") => {
            let number = |key: &str| match keys.given(key) {
                Some(v) => v.as_f64().ok_or_else(|| wrong(&format!("{name}.{key}"), "not a number")),
                None => Err(wrong(&format!("{name}.{key}"), "missing")),
            };
            let scaling = RopeScaling {
                factor: number("factor")?,
                low_frequency_factor: number("low_freq_factor")?,
                high_frequency_factor: number("high_freq_factor")?,
                original_context: number("original_max_position_embeddings")?,
            };
            Ok((theta, Some(scaling)))
        }
        Some(_) => Err(unsupported(&format!("{name}.rope_type"), kind.unwrap_or(&Value::Null), "\"default\" or \"llama3\"")),
    }
}

fn rotation_json(theta: f64, scaling: Option<RopeScaling>) -> Value {
    match scaling {
        None => json!({"rope_theta": theta, "rope_type": "default"}),
        Some(s) => json!({
            "factor": s.factor,
            "high_freq_factor": s.high_frequency_factor,
            "low_freq_factor": s.low_frequency_factor,
            "original_max_position_embeddings": s.original_context as u64,
            "rope_theta": theta,
            "rope_type": "llama3",
        }),
    }
}

fn llama(keys: Keys<'_>, model_type: &str) -> Result<Family, ModelError> {
    keys.require_neutral(&NEUTRAL_LLAMA)?;
    keys.require_full_attention()?;
    if model_type == "llama" {
        keys.require_neutral(&[("sliding_window", &["null"])])?;
    }
    let theta = keys.number_or("rope_theta", 10_000.0)?;
    let name = if keys.given("rope_parameters").is_some() { "rope_parameters" } else { "rope_scaling" };
    let (rope_theta, rope_scaling) = match keys.given(name) {
        Some(rope @ Value::Object(_)) => rotation(rope, name, theta)?,
        Some(_) => return Err(wrong(name, "not an object")),
        None => (theta, None),
    };
    // A second table that contradicts the first would be passed over silently.
    if name == "rope_parameters"
        && let Some(rope) = keys.given("rope_scaling")
        && rotation(rope, "rope_scaling", theta)?.1 != rope_scaling
    {
        return Err(unsupported("rope_scaling", rope, "what `rope_parameters` says"));
    }
    let attention_bias = match model_type {
        "qwen2" => AttentionBias::Qkv,
        _ if keys.flag_or("attention_bias", false)? => AttentionBias::All,
        _ => AttentionBias::None,
    };
    // Only Llama's code reads this key.
    let mlp_bias = model_type == "llama" && keys.flag_or("mlp_bias", false)?;
    Ok(Family::Llama(Llama { rope_theta, rope_scaling, attention_bias, mlp_bias, qk_norm: model_type == "qwen3" }))
}

fn modernbert(keys: Keys<'_>, n_layers: usize) -> Result<ModernBert, ModelError> {
    keys.require_neutral(&NEUTRAL_MODERNBERT)?;
    let every = keys.size_or("global_attn_every_n_layers", 3)?.max(1);
    let is_global = match keys.given("layer_types") {
        None => (0..n_layers.min(super::LAYERS_MAX)).map(|i| i % every == 0).collect(),
        Some(Value::Array(types)) => {
            let one = |t: &Value| match t.as_str() {
                Some("full_attention") => Ok(true),
                Some("sliding_attention") => Ok(false),
                _ => Err(unsupported("layer_types", t, "\"full_attention\" or \"sliding_attention\"")),
            };
            types.iter().map(one).collect::<Result<Vec<_>, _>>()?
        }
        Some(_) => return Err(wrong("layer_types", "not a list")),
    };
    let theta = |kind: &str, old: &str, other: f64| -> Result<f64, ModelError> {
        let other = keys.number_or(old, other)?;
        let Some(rope) = keys.given("rope_parameters").and_then(|r| r.get(kind)).filter(|r| !r.is_null()) else { return Ok(other) };
        let name = format!("rope_parameters.{kind}");
        let (theta, scaling) = rotation(rope, &name, other)?;
        if scaling.is_some() { Err(unsupported(&format!("{name}.rope_type"), &json!("llama3"), "\"default\"")) } else { Ok(theta) }
    };
    let classifier_pooling = match keys.given("classifier_pooling").map(|v| v.as_str().unwrap_or_default()) {
        None | Some("cls") => Pooling::Cls,
        Some("mean") => Pooling::Mean,
        Some(_) => return Err(wrong("classifier_pooling", "neither \"cls\" nor \"mean\"")),
    };
    Ok(ModernBert {
        global_rope_theta: theta("full_attention", "global_rope_theta", 160_000.0)?,
        local_rope_theta: theta("sliding_attention", "local_rope_theta", 10_000.0)?,
        local_attention: keys.size_or("local_attention", 128)?,
        is_global,
        attention_bias: keys.flag_or("attention_bias", false)?,
        mlp_bias: keys.flag_or("mlp_bias", false)?,
        norm_bias: keys.flag_or("norm_bias", false)?,
        decoder_bias: keys.flag_or("decoder_bias", true)?,
        classifier_bias: keys.flag_or("classifier_bias", false)?,
        classifier_pooling,
    })
}

/// The class of transformers that computes the same: `LlamaForCausalLM`.
fn architecture(config: &ModelConfig) -> String {
    let family = match &config.family {
        Family::Llama(_) => match model_type(config) {
            "qwen2" => "Qwen2",
            "qwen3" => "Qwen3",
            _ => "Llama",
        },
        Family::Gpt2 => return "GPT2LMHeadModel".into(),
        Family::Bert { .. } => "Bert",
        Family::ModernBert(_) => "ModernBert",
    };
    let head = match &config.head {
        Head::LanguageModel => "ForCausalLM",
        Head::MaskedLm => "ForMaskedLM",
        Head::Classifier { .. } => "ForSequenceClassification",
        Head::Embedding => "Model",
    };
    format!("{family}{head}")
}

fn model_type(config: &ModelConfig) -> &'static str {
    match &config.family {
        Family::Llama(l) if l.qk_norm => "qwen3",
        Family::Llama(l) if l.attention_bias == AttentionBias::Qkv => "qwen2",
        family => family.name(),
    }
}

fn head(keys: Keys<'_>, is_decoder: bool) -> Result<Head, ModelError> {
    let named = keys.given("architectures").and_then(|a| a.get(0));
    let Some(named) = named else { return Ok(if is_decoder { Head::LanguageModel } else { Head::MaskedLm }) };
    let name = named.as_str().unwrap_or_default();
    let known = |suffixes: &[&str]| suffixes.iter().any(|s| name.ends_with(s));
    if is_decoder {
        // The bare model has all that a tied language model needs.
        return match known(&["ForCausalLM", "LMHeadModel", "LlamaModel", "GPT2Model", "Qwen2Model", "Qwen3Model"]) {
            true => Ok(Head::LanguageModel),
            false => Err(unsupported("architectures", named, "a language model, such as \"LlamaForCausalLM\"")),
        };
    }
    if known(&["ForMaskedLM", "ForPreTraining"]) {
        Ok(Head::MaskedLm)
    } else if known(&["ForSequenceClassification"]) {
        keys.require_neutral(&[("problem_type", &["null", "\"single_label_classification\""])])?;
        Ok(Head::Classifier { labels: labels(keys)? })
    } else if known(&["BertModel"]) {
        Ok(Head::Embedding)
    } else {
        Err(unsupported("architectures", named, "a masked language model, a sequence classifier or a bare encoder"))
    }
}

fn labels(keys: Keys<'_>) -> Result<Vec<String>, ModelError> {
    match keys.given("id2label") {
        Some(Value::Object(names)) => (0..names.len())
            .map(|i| {
                let name = names.get(&i.to_string()).and_then(Value::as_str);
                name.map(str::to_owned).ok_or_else(|| wrong("id2label", &format!("without a name for class {i}")))
            })
            .collect(),
        Some(_) => Err(wrong("id2label", "not an object")),
        None => {
            let n = keys.size_or("num_labels", 2)?;
            if n > 1 << 20 { Err(wrong("num_labels", "too large")) } else { Ok((0..n).map(|i| format!("LABEL_{i}")).collect()) }
        }
    }
}

impl ModelConfig {
    /// Reads a `config.json` of Hugging Face. Unknown keys are passed over, except those that change meaning.
    ///
    /// # Errors
    /// A missing or impossible size; a key that asks for what this program does not compute.
    pub fn from_hugging_face(value: &Value) -> Result<Self, ModelError> {
        let keys = Keys(value);
        let supported = "\"llama\", \"qwen2\", \"qwen3\", \"gpt2\", \"bert\" or \"modernbert\"";
        let model_type = value.get("model_type").cloned().unwrap_or(Value::Null);
        let Some(name @ ("llama" | "qwen2" | "qwen3" | "gpt2" | "bert" | "modernbert")) = model_type.as_str() else {
            return Err(unsupported("model_type", &model_type, supported));
        };
        keys.require_neutral(&NEUTRAL)?;
        // GPT-2 has its own words for the sizes.
        let [hidden, layers, heads, context] = match name {
            "gpt2" => ["n_embd", "n_layer", "n_head", "n_positions"],
            _ => ["hidden_size", "num_hidden_layers", "num_attention_heads", "max_position_embeddings"],
        };
        let (hidden_size, num_hidden_layers, num_attention_heads) = (keys.size(hidden)?, keys.size(layers)?, keys.size(heads)?);
        let family = match name {
            "gpt2" => {
                keys.require_neutral(&NEUTRAL_GPT2)?;
                Family::Gpt2
            }
            "bert" => {
                keys.require_neutral(&NEUTRAL_BERT)?;
                Family::Bert { type_vocab_size: keys.size_or("type_vocab_size", 2)? }
            }
            "modernbert" => Family::ModernBert(modernbert(keys, num_hidden_layers)?),
            _ => llama(keys, name)?,
        };
        let is_llama = matches!(family, Family::Llama(_));
        let (eps, eps_default) = match family {
            Family::Llama(_) => ("rms_norm_eps", 1e-6),
            Family::Gpt2 => ("layer_norm_epsilon", 1e-5),
            Family::Bert { .. } => ("layer_norm_eps", 1e-12),
            Family::ModernBert(_) => ("norm_eps", 1e-5),
        };
        let per_head = hidden_size / num_attention_heads.max(1);
        let config = Self {
            head: head(keys, matches!(family, Family::Llama(_) | Family::Gpt2))?,
            vocab_size: keys.size("vocab_size")?,
            hidden_size,
            intermediate_size: match name {
                "gpt2" => keys.size_or("n_inner", 4 * hidden_size.min(1 << 24))?,
                _ => keys.size("intermediate_size")?,
            },
            num_hidden_layers,
            num_attention_heads,
            num_key_value_heads: if is_llama { keys.size_or("num_key_value_heads", num_attention_heads)? } else { num_attention_heads },
            // Qwen 3's code has a default of its own.
            head_dim: if is_llama { keys.size_or("head_dim", if name == "qwen3" { 128 } else { per_head })? } else { per_head },
            max_position_embeddings: keys.size_or(context, 2048)?,
            norm_eps: keys.number_or(eps, eps_default)?,
            initializer_range: keys.number_or("initializer_range", 0.02)?,
            tie_word_embeddings: keys.flag_or("tie_word_embeddings", !is_llama)?,
            bos_token_id: keys.token("bos_token_id")?,
            eos_token_id: keys.token("eos_token_id")?,
            pad_token_id: keys.token("pad_token_id")?,
            family,
        };
        config.check()?;
        Ok(config)
    }

    /// Writes it as Hugging Face's `config.json`, for transformers 4 and 5.
    pub fn to_hugging_face(&self) -> Value {
        let mut value = json!({
            "architectures": [architecture(self)],
            "bos_token_id": self.bos_token_id,
            "dtype": "float32",
            "eos_token_id": self.eos_token_id,
            "initializer_range": self.initializer_range,
            "model_type": model_type(self),
            "pad_token_id": self.pad_token_id,
            "tie_word_embeddings": self.tie_word_embeddings,
            "vocab_size": self.vocab_size,
        });
        let sizes = json!({
            "hidden_size": self.hidden_size,
            "intermediate_size": self.intermediate_size,
            "max_position_embeddings": self.max_position_embeddings,
            "num_attention_heads": self.num_attention_heads,
            "num_hidden_layers": self.num_hidden_layers,
        });
        let own = match &self.family {
            Family::Llama(l) => {
                let (attention_bias, rope) = (l.attention_bias == AttentionBias::All, rotation_json(l.rope_theta, l.rope_scaling));
                let mut own = json!({
                    "attention_bias": attention_bias,
                    "attention_dropout": 0.0,
                    "head_dim": self.head_dim,
                    "hidden_act": "silu",
                    "num_key_value_heads": self.num_key_value_heads,
                    "rms_norm_eps": self.norm_eps,
                    "rope_parameters": rope,
                    "rope_theta": l.rope_theta,
                    "use_cache": true,
                });
                let more = match model_type(self) {
                    "llama" => json!({"mlp_bias": l.mlp_bias, "pretraining_tp": 1}),
                    _ => json!({"use_sliding_window": false}),
                };
                extend(&mut own, more);
                // transformers 4 reads the scaling here.
                if l.rope_scaling.is_some() {
                    extend(&mut own, json!({"rope_scaling": rotation_json(l.rope_theta, l.rope_scaling)}));
                }
                extend(&mut own, sizes);
                own
            }
            Family::Gpt2 => json!({
                "activation_function": "gelu_new",
                "attn_pdrop": 0.0,
                "embd_pdrop": 0.0,
                "layer_norm_epsilon": self.norm_eps,
                "n_ctx": self.max_position_embeddings,
                "n_embd": self.hidden_size,
                "n_head": self.num_attention_heads,
                "n_inner": self.intermediate_size,
                "n_layer": self.num_hidden_layers,
                "n_positions": self.max_position_embeddings,
                "resid_pdrop": 0.0,
                "scale_attn_by_inverse_layer_idx": false,
                "scale_attn_weights": true,
                "use_cache": true,
            }),
            Family::Bert { type_vocab_size } => {
                let mut own = json!({
                    "attention_probs_dropout_prob": 0.0,
                    "hidden_act": "gelu",
                    "hidden_dropout_prob": 0.0,
                    "layer_norm_eps": self.norm_eps,
                    "position_embedding_type": "absolute",
                    "type_vocab_size": type_vocab_size,
                });
                extend(&mut own, sizes);
                own
            }
            Family::ModernBert(m) => {
                let kinds: Vec<&str> = m.is_global.iter().map(|g| if *g { "full_attention" } else { "sliding_attention" }).collect();
                let mut own = json!({
                    "attention_bias": m.attention_bias,
                    "attention_dropout": 0.0,
                    "classifier_activation": "gelu",
                    "classifier_bias": m.classifier_bias,
                    "classifier_dropout": 0.0,
                    "classifier_pooling": if m.classifier_pooling == Pooling::Cls { "cls" } else { "mean" },
                    "cls_token_id": self.bos_token_id,
                    "decoder_bias": m.decoder_bias,
                    "embedding_dropout": 0.0,
                    "global_rope_theta": m.global_rope_theta,
                    "hidden_activation": "gelu",
                    "layer_types": kinds,
                    "local_attention": m.local_attention,
                    "local_rope_theta": m.local_rope_theta,
                    "mlp_bias": m.mlp_bias,
                    "mlp_dropout": 0.0,
                    "norm_bias": m.norm_bias,
                    "norm_eps": self.norm_eps,
                    "rope_parameters": {
                        "full_attention": rotation_json(m.global_rope_theta, None),
                        "sliding_attention": rotation_json(m.local_rope_theta, None),
                    },
                    "sep_token_id": self.eos_token_id,
                });
                extend(&mut own, sizes);
                own
            }
        };
        extend(&mut value, own);
        if let Head::Classifier { labels } = &self.head {
            let names: Map<String, Value> = labels.iter().enumerate().map(|(i, l)| (i.to_string(), json!(l))).collect();
            let ids: Map<String, Value> = labels.iter().enumerate().map(|(i, l)| (l.clone(), json!(i))).collect();
            extend(&mut value, json!({"id2label": names, "label2id": ids, "problem_type": "single_label_classification"}));
        }
        value
    }
}

fn extend(value: &mut Value, more: Value) {
    if let (Value::Object(value), Value::Object(more)) = (value, more) {
        value.extend(more);
    }
}

impl Serialize for ModelConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_hugging_face().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ModelConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut value = Value::deserialize(deserializer)?;
        let Some(object) = value.as_object_mut() else { return Err(D::Error::custom("a model's configuration is an object")) };
        // Runs that were written when there was one family do not name it.
        if !object.contains_key("model_type") {
            object.insert("model_type".into(), json!("llama"));
        }
        let config = Self::from_hugging_face(&value).map_err(D::Error::custom)?;
        let known = config.to_hugging_face();
        match value.as_object().and_then(|o| o.keys().find(|k| known.get(k).is_none())) {
            Some(unknown) => Err(D::Error::custom(format!("unknown key `{unknown}` in a model's configuration"))),
            None => Ok(config),
        }
    }
}
