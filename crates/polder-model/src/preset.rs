//! Named sizes of models, from about one million to seven thousand million parameters.

use crate::ModelConfig;

/// A size of model without its vocabulary and context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preset {
    /// Its name.
    pub name: &'static str,
    /// C.
    pub hidden_size: usize,
    /// F.
    pub intermediate_size: usize,
    /// L.
    pub num_hidden_layers: usize,
    /// H.
    pub num_attention_heads: usize,
    /// Key and value heads.
    pub num_key_value_heads: usize,
    /// One table for input and output; pays where the vocabulary is most of the model.
    pub tie_word_embeddings: bool,
}

const fn size(
    name: &'static str,
    (hidden_size, intermediate_size): (usize, usize),
    num_hidden_layers: usize,
    (num_attention_heads, num_key_value_heads): (usize, usize),
    tie_word_embeddings: bool,
) -> Preset {
    Preset { name, hidden_size, intermediate_size, num_hidden_layers, num_attention_heads, num_key_value_heads, tie_word_embeddings }
}

/// All sizes, smallest first.
pub const PRESETS: [Preset; 10] = [
    size("nano", (96, 256), 4, (3, 3), true),
    size("tiny", (128, 384), 4, (4, 2), true),
    size("mini", (192, 512), 5, (6, 3), true),
    size("small", (320, 896), 8, (10, 5), true),
    size("base", (512, 1408), 12, (8, 4), true),
    size("medium", (768, 2048), 16, (12, 4), true),
    size("large", (1024, 2816), 24, (16, 8), false),
    size("xl", (2048, 5632), 22, (32, 8), false),
    size("3b", (3072, 8192), 28, (24, 8), false),
    size("7b", (4096, 11008), 32, (32, 32), false),
];

impl Preset {
    /// Gives it a vocabulary and a context.
    pub fn config(&self, vocab_size: usize, context: usize) -> ModelConfig {
        ModelConfig {
            vocab_size,
            hidden_size: self.hidden_size,
            intermediate_size: self.intermediate_size,
            num_hidden_layers: self.num_hidden_layers,
            num_attention_heads: self.num_attention_heads,
            num_key_value_heads: self.num_key_value_heads,
            head_dim: self.hidden_size / self.num_attention_heads,
            max_position_embeddings: context,
            rope_theta: 10_000.0,
            rms_norm_eps: 1e-5,
            initializer_range: 0.02,
            tie_word_embeddings: self.tie_word_embeddings,
            bos_token_id: None,
            eos_token_id: None,
        }
    }
}

/// Finds a size by name.
pub fn preset(name: &str, vocab_size: usize, context: usize) -> Option<ModelConfig> {
    PRESETS.iter().find(|p| p.name == name).map(|p| p.config(vocab_size, context))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_sound_and_grow_from_one_million_to_seven_thousand_million() {
        let counts: Vec<u64> = PRESETS.iter().map(|p| p.config(4096, 256).n_params()).collect();
        assert!(counts.is_sorted(), "{counts:?}");
        assert!((700_000..1_500_000).contains(&counts[0]) && (6_000_000_000..7_500_000_000).contains(&counts[9]), "{counts:?}");
        assert!(PRESETS.iter().all(|p| p.config(4096, 256).check().is_ok()));
    }
}
