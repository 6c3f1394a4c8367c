//! A decoder's configuration, in the names of Hugging Face's `LlamaConfig`.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::ModelError;

/// The shape of a Llama-style decoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// V: tokens in the vocabulary.
    pub vocab_size: usize,
    /// C: numbers a token carries between layers.
    pub hidden_size: usize,
    /// F: width of the feed-forward layer.
    pub intermediate_size: usize,
    /// L: layers.
    pub num_hidden_layers: usize,
    /// H: query heads.
    pub num_attention_heads: usize,
    /// Key and value heads; divides the query heads.
    pub num_key_value_heads: usize,
    /// D: size of a head.
    pub head_dim: usize,
    /// T: tokens of context.
    pub max_position_embeddings: usize,
    /// Base of the rotation's wavelengths.
    pub rope_theta: f64,
    /// Keeps normalisation away from division by zero.
    pub rms_norm_eps: f64,
    /// Standard deviation of initial weights.
    pub initializer_range: f64,
    /// The output layer is the embedding table.
    pub tie_word_embeddings: bool,
    /// Token that begins a text.
    pub bos_token_id: Option<u32>,
    /// Token that ends a text.
    pub eos_token_id: Option<u32>,
}

fn unsupported(key: &str, found: &Value, supported: &str) -> ModelError {
    ModelError::Unsupported { key: key.into(), found: found.to_string(), supported: supported.into() }
}

/// Keys whose other values change what a model computes, with the value that changes nothing.
const NEUTRAL: [(&str, &[&str]); 9] = [
    ("hidden_act", &["\"silu\"", "\"swish\""]),
    ("attention_bias", &["false"]),
    ("mlp_bias", &["false"]),
    ("pretraining_tp", &["1"]),
    ("sliding_window", &["null"]),
    ("quantization_config", &["null"]),
    ("partial_rotary_factor", &["1.0", "1", "null"]),
    ("num_local_experts", &["null"]),
    ("layer_types", &["null"]),
];

impl ModelConfig {
    /// Reads a `config.json` of Hugging Face. Unknown keys are passed over, except those that change meaning.
    ///
    /// # Errors
    /// A missing or impossible size; a key that asks for what this program does not compute.
    pub fn from_hugging_face(value: &Value) -> Result<Self, ModelError> {
        let model_type = value.get("model_type").cloned().unwrap_or(Value::Null);
        if model_type != "llama" {
            return Err(unsupported("model_type", &model_type, "\"llama\""));
        }
        for (key, neutral) in NEUTRAL {
            if let Some(found) = value.get(key)
                && !neutral.contains(&found.to_string().as_str())
            {
                return Err(unsupported(key, found, neutral[0]));
            }
        }
        for key in ["rope_scaling", "rope_parameters"] {
            let Some(Value::Object(rope)) = value.get(key) else { continue };
            let kind = rope.get("rope_type").or_else(|| rope.get("type"));
            if let Some(found) = kind
                && found != "default"
            {
                return Err(unsupported(&format!("{key}.rope_type"), found, "\"default\""));
            }
            if let Some(found) = rope.get("partial_rotary_factor")
                && found.as_f64() != Some(1.0)
            {
                return Err(unsupported(&format!("{key}.partial_rotary_factor"), found, "1.0"));
            }
        }
        let given = |key: &str| value.get(key).filter(|v| !v.is_null());
        let wrong = |key: &str, what: &str| ModelError::Config { reason: format!("`{key}` is {what}") };
        let size = |key: &str| -> Result<usize, ModelError> {
            let found = given(key).ok_or_else(|| wrong(key, "missing"))?;
            found.as_u64().and_then(|n| usize::try_from(n).ok()).ok_or_else(|| wrong(key, "not a count"))
        };
        let size_or = |key: &str, other: usize| if given(key).is_some() { size(key) } else { Ok(other) };
        let number_or = |key: &str, other: f64| given(key).map_or(Ok(other), |v| v.as_f64().ok_or_else(|| wrong(key, "not a number")));
        let token = |key: &str| -> Result<Option<u32>, ModelError> {
            // Several end tokens come as a list; the first one is the model's own.
            let Some(found) = given(key).map(|v| v.as_array().and_then(|a| a.first()).unwrap_or(v)) else { return Ok(None) };
            found.as_u64().and_then(|n| u32::try_from(n).ok()).map(Some).ok_or_else(|| wrong(key, "not a token id"))
        };
        let (hidden_size, num_attention_heads) = (size("hidden_size")?, size("num_attention_heads")?);
        let rope_theta = match value.pointer("/rope_parameters/rope_theta") {
            Some(theta) => theta.as_f64().ok_or_else(|| wrong("rope_parameters.rope_theta", "not a number"))?,
            None => number_or("rope_theta", 10_000.0)?,
        };
        let config = Self {
            vocab_size: size("vocab_size")?,
            hidden_size,
            intermediate_size: size("intermediate_size")?,
            num_hidden_layers: size("num_hidden_layers")?,
            num_attention_heads,
            num_key_value_heads: size_or("num_key_value_heads", num_attention_heads)?,
            head_dim: size_or("head_dim", hidden_size / num_attention_heads.max(1))?,
            max_position_embeddings: size_or("max_position_embeddings", 2048)?,
            rope_theta,
            rms_norm_eps: number_or("rms_norm_eps", 1e-6)?,
            initializer_range: number_or("initializer_range", 0.02)?,
            tie_word_embeddings: given("tie_word_embeddings").is_some_and(|v| v == &Value::Bool(true)),
            bos_token_id: token("bos_token_id")?,
            eos_token_id: token("eos_token_id")?,
        };
        config.check()?;
        Ok(config)
    }

    /// Checks that the sizes fit each other.
    ///
    /// # Errors
    /// The first one that does not.
    pub fn check(&self) -> Result<(), ModelError> {
        let sizes = [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("num_key_value_heads", self.num_key_value_heads),
            ("head_dim", self.head_dim),
            ("max_position_embeddings", self.max_position_embeddings),
        ];
        let wrong = |reason: String| Err(ModelError::Config { reason });
        // The bound keeps products of sizes far from overflow, whatever a foreign file says.
        if let Some((name, value)) = sizes.iter().find(|(_, value)| *value == 0 || *value > 1 << 24) {
            return wrong(format!("`{name}` is {value}"));
        }
        if !self.num_attention_heads.is_multiple_of(self.num_key_value_heads) {
            return wrong(format!("{} query heads cannot share {} key heads", self.num_attention_heads, self.num_key_value_heads));
        }
        if !self.head_dim.is_multiple_of(2) {
            return wrong(format!("a head of {} numbers cannot be rotated in pairs", self.head_dim));
        }
        for (name, token) in [("bos_token_id", self.bos_token_id), ("eos_token_id", self.eos_token_id)] {
            if let Some(token) = token
                && token as usize >= self.vocab_size
            {
                return wrong(format!("`{name}` {token} is outside the vocabulary of {}", self.vocab_size));
            }
        }
        Ok(())
    }

    /// Writes it as Hugging Face's `config.json`, for transformers 4 and 5.
    pub fn to_hugging_face(&self) -> Value {
        json!({
            "architectures": ["LlamaForCausalLM"],
            "attention_bias": false,
            "attention_dropout": 0.0,
            "bos_token_id": self.bos_token_id,
            "dtype": "float32",
            "eos_token_id": self.eos_token_id,
            "head_dim": self.head_dim,
            "hidden_act": "silu",
            "hidden_size": self.hidden_size,
            "initializer_range": self.initializer_range,
            "intermediate_size": self.intermediate_size,
            "max_position_embeddings": self.max_position_embeddings,
            "mlp_bias": false,
            "model_type": "llama",
            "num_attention_heads": self.num_attention_heads,
            "num_hidden_layers": self.num_hidden_layers,
            "num_key_value_heads": self.num_key_value_heads,
            "pretraining_tp": 1,
            "rms_norm_eps": self.rms_norm_eps,
            "rope_parameters": {"rope_theta": self.rope_theta, "rope_type": "default"},
            "rope_theta": self.rope_theta,
            "tie_word_embeddings": self.tie_word_embeddings,
            "use_cache": true,
            "vocab_size": self.vocab_size,
        })
    }

    /// Numbers in a packed row of queries, keys and values.
    pub fn qkv_row(&self) -> usize {
        (self.num_attention_heads + 2 * self.num_key_value_heads) * self.head_dim
    }

    /// Counts all parameters.
    pub fn n_params(&self) -> u64 {
        let table = if self.tie_word_embeddings { 1 } else { 2 };
        let norms = (2 * self.num_hidden_layers + 1) * self.hidden_size;
        self.layer_matmul_params() * self.num_hidden_layers as u64 + (table * self.vocab_size * self.hidden_size + norms) as u64
    }

    fn layer_matmul_params(&self) -> u64 {
        let attention = self.hidden_size * (self.qkv_row() + self.num_attention_heads * self.head_dim);
        (attention + 3 * self.hidden_size * self.intermediate_size) as u64
    }

    /// Floating-point operations of forward and backward for one token in a context of `time` tokens: six for each
    /// parameter of a matrix product, and those of causal attention.
    pub fn flops_per_token(&self, time: usize) -> u64 {
        let matmul = self.layer_matmul_params() * self.num_hidden_layers as u64 + (self.vocab_size * self.hidden_size) as u64;
        // Scores and mixing, 2 FLOP each, over half the context on average, three times for forward and backward.
        let attention = 3 * 2 * 2 * self.num_hidden_layers * self.num_attention_heads * self.head_dim * time / 2;
        6 * matmul + attention as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preset;

    #[test]
    fn a_configuration_reads_back_what_it_writes() {
        let config = ModelConfig { bos_token_id: Some(0), ..preset("tiny", 4096, 256).expect("preset") };
        assert_eq!(ModelConfig::from_hugging_face(&config.to_hugging_face()).expect("read"), config);
    }

    #[test]
    fn unknown_keys_are_passed_over_and_those_that_change_meaning_are_refused_by_name() {
        let mut value = preset("tiny", 4096, 256).expect("preset").to_hugging_face();
        value["some_future_key"] = json!("x");
        assert!(ModelConfig::from_hugging_face(&value).is_ok());
        for (key, bad) in [
            ("model_type", json!("mixtral")),
            ("hidden_act", json!("gelu")),
            ("attention_bias", json!(true)),
            ("sliding_window", json!(4096)),
            ("rope_scaling", json!({"rope_type": "yarn", "factor": 4.0})),
            ("rope_parameters", json!({"rope_type": "llama3"})),
            ("quantization_config", json!({"bits": 4})),
        ] {
            let mut other = value.clone();
            other[key] = bad;
            let error = ModelConfig::from_hugging_face(&other).expect_err(key).to_string();
            assert!(error.contains(key), "{error}");
        }
    }

    #[test]
    fn impossible_sizes_are_refused() {
        let good = preset("tiny", 4096, 256).expect("preset").to_hugging_face();
        for (key, bad) in [
            ("hidden_size", json!(0)),
            ("vocab_size", json!(-5)),
            ("num_key_value_heads", json!(3)),
            ("head_dim", json!(7)),
            ("num_hidden_layers", json!("four")),
            ("eos_token_id", json!(4096)),
            ("hidden_size", json!(1u64 << 40)),
        ] {
            let mut value = good.clone();
            value[key] = bad;
            assert!(ModelConfig::from_hugging_face(&value).is_err(), "{key}");
        }
    }

    #[test]
    fn counts_of_parameters_agree_with_the_table() {
        for tie in [false, true] {
            let config = ModelConfig { tie_word_embeddings: tie, ..preset("small", 4096, 256).expect("preset") };
            assert_eq!(crate::ParamTable::new(&config).len() as u64, config.n_params());
        }
    }
}
