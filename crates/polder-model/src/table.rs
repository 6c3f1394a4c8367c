//! Where each tensor stands in the flat buffer of parameters; also the map of checkpoints and safetensors files.

use crate::ModelConfig;

/// A tensor's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Param {
    /// Its name in Hugging Face's Llama.
    pub name: String,
    /// First number in the flat buffer.
    pub offset: usize,
    /// Sizes, outermost first: (out, in) for matrices.
    pub shape: Vec<usize>,
}

impl Param {
    /// Counts its numbers.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Tells whether it holds nothing; a sound table has none such.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Tells whether it is a matrix: those decay, normalisations do not.
    pub fn is_matrix(&self) -> bool {
        self.shape.len() == 2
    }

    /// Tells whether its product is added to the residual stream.
    pub fn is_residual(&self) -> bool {
        self.name.ends_with("o_proj.weight") || self.name.ends_with("down_proj.weight")
    }
}

/// All tensors of a model in order of place: matrices first, then normalisations, so that one range decays.
///
/// Query, key and value matrices of a layer are neighbours, and so are gate and up: each group is one matrix product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamTable {
    params: Vec<Param>,
    len: usize,
    n_decayed: usize,
}

impl ParamTable {
    /// Lays out a model.
    pub fn new(config: &ModelConfig) -> Self {
        let mut table = Self { params: Vec::new(), len: 0, n_decayed: 0 };
        let (c, f, d) = (config.hidden_size, config.intermediate_size, config.head_dim);
        let (q, kv) = (config.num_attention_heads * d, config.num_key_value_heads * d);
        table.push("model.embed_tokens.weight".into(), &[config.vocab_size, c]);
        for layer in 0..config.num_hidden_layers {
            for (name, rows, columns) in [
                ("self_attn.q_proj", q, c),
                ("self_attn.k_proj", kv, c),
                ("self_attn.v_proj", kv, c),
                ("self_attn.o_proj", c, q),
                ("mlp.gate_proj", f, c),
                ("mlp.up_proj", f, c),
                ("mlp.down_proj", c, f),
            ] {
                table.push(format!("model.layers.{layer}.{name}.weight"), &[rows, columns]);
            }
        }
        if !config.tie_word_embeddings {
            table.push("lm_head.weight".into(), &[config.vocab_size, c]);
        }
        table.n_decayed = table.len;
        for layer in 0..config.num_hidden_layers {
            for name in ["input_layernorm", "post_attention_layernorm"] {
                table.push(format!("model.layers.{layer}.{name}.weight"), &[c]);
            }
        }
        table.push("model.norm.weight".into(), &[c]);
        table
    }

    fn push(&mut self, name: String, shape: &[usize]) {
        let param = Param { name, offset: self.len, shape: shape.to_vec() };
        self.len += param.len();
        self.params.push(param);
    }

    /// Iterates over the tensors in order of place.
    pub fn iter(&self) -> std::slice::Iter<'_, Param> {
        self.params.iter()
    }

    /// Finds a tensor.
    pub fn get(&self, name: &str) -> Option<&Param> {
        self.params.iter().find(|p| p.name == name)
    }

    /// Counts all numbers.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Tells whether it holds nothing; a sound table never does.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Counts the leading numbers that weight decay applies to.
    pub fn n_decayed(&self) -> usize {
        self.n_decayed
    }

    /// First numbers of a layer's groups.
    pub(crate) fn layer(&self, config: &ModelConfig, layer: usize) -> LayerPlaces {
        let (c, f, d) = (config.hidden_size, config.intermediate_size, config.head_dim);
        let (q, qkv) = (config.num_attention_heads * d, config.qkv_row());
        let matrices = config.vocab_size * c + layer * (c * (qkv + q) + 3 * c * f);
        let norms = self.n_decayed + layer * 2 * c;
        LayerPlaces {
            qkv: matrices,
            o: matrices + c * qkv,
            gate_up: matrices + c * (qkv + q),
            down: matrices + c * (qkv + q) + 2 * c * f,
            input_norm: norms,
            post_norm: norms + c,
        }
    }
}

/// Where the groups of one layer begin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LayerPlaces {
    pub qkv: usize,
    pub o: usize,
    pub gate_up: usize,
    pub down: usize,
    pub input_norm: usize,
    pub post_norm: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preset;

    #[test]
    fn places_of_layers_agree_with_the_names() {
        let config = preset("tiny", 300, 64).expect("preset");
        let table = ParamTable::new(&config);
        for layer in 0..config.num_hidden_layers {
            let at = |name: &str| table.get(&format!("model.layers.{layer}.{name}.weight")).expect(name).offset;
            let places = table.layer(&config, layer);
            assert_eq!(places.qkv, at("self_attn.q_proj"));
            assert_eq!(places.o, at("self_attn.o_proj"));
            assert_eq!(places.gate_up, at("mlp.gate_proj"));
            assert_eq!(places.down, at("mlp.down_proj"));
            assert_eq!((places.input_norm, places.post_norm), (at("input_layernorm"), at("post_attention_layernorm")));
        }
        assert!(table.iter().all(|p| p.is_matrix() == (p.offset < table.n_decayed())));
    }
}
