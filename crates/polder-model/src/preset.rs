//! Named sizes of models, from about one million to seven thousand million parameters, in each family.

use crate::ModelConfig;
use crate::config::{Family, Head, Llama, ModernBert};

/// A size of model without its vocabulary and context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preset {
    /// Its name.
    pub name: &'static str,
    /// C.
    pub hidden_size: usize,
    /// F, where feed-forward layers have gates; without them, it is 4·C.
    pub intermediate_size: usize,
    /// L.
    pub num_hidden_layers: usize,
    /// H.
    pub num_attention_heads: usize,
    /// Key and value heads, where they are shared.
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

/// Families that sizes come in; the first one's sizes need no prefix.
pub const FAMILIES: [&str; 4] = ["llama", "gpt2", "bert", "modernbert"];

impl Preset {
    /// Gives it a vocabulary and a context, as a Llama-style decoder.
    pub fn config(&self, vocab_size: usize, context: usize) -> ModelConfig {
        ModelConfig {
            family: Family::Llama(Llama::plain()),
            head: Head::LanguageModel,
            vocab_size,
            hidden_size: self.hidden_size,
            intermediate_size: self.intermediate_size,
            num_hidden_layers: self.num_hidden_layers,
            num_attention_heads: self.num_attention_heads,
            num_key_value_heads: self.num_key_value_heads,
            head_dim: self.hidden_size / self.num_attention_heads,
            max_position_embeddings: context,
            norm_eps: 1e-5,
            initializer_range: 0.02,
            tie_word_embeddings: self.tie_word_embeddings,
            bos_token_id: None,
            eos_token_id: None,
            pad_token_id: None,
        }
    }

    /// The same as a model of any family, by name; encoders with their masked-LM head.
    pub fn config_of(&self, family: &str, vocab_size: usize, context: usize) -> Option<ModelConfig> {
        let llama = self.config(vocab_size, context);
        let plain = ModelConfig { num_key_value_heads: self.num_attention_heads, tie_word_embeddings: true, ..llama.clone() };
        let intermediate_size = 4 * self.hidden_size;
        Some(match family {
            "llama" => llama,
            "gpt2" => ModelConfig { family: Family::Gpt2, intermediate_size, ..plain },
            "bert" => ModelConfig {
                family: Family::Bert { type_vocab_size: 2 },
                head: Head::MaskedLm,
                intermediate_size,
                norm_eps: 1e-12,
                ..plain
            },
            "modernbert" => {
                ModelConfig { family: Family::ModernBert(ModernBert::plain(self.num_hidden_layers)), head: Head::MaskedLm, ..plain }
            }
            _ => return None,
        })
    }
}

/// Finds a size by name: `tiny` for a Llama-style decoder, `gpt2-tiny`, `bert-tiny`, `modernbert-tiny` for the others.
pub fn preset(name: &str, vocab_size: usize, context: usize) -> Option<ModelConfig> {
    let (family, size) = name.split_once('-').unwrap_or((FAMILIES[0], name));
    PRESETS.iter().find(|p| p.name == size).and_then(|p| p.config_of(family, vocab_size, context))
}

/// The names of a family's sizes as [`preset`] takes them, smallest first; none of a family that is not there.
pub fn sizes(family: &str) -> Vec<String> {
    let named = |p: &Preset| if family == FAMILIES[0] { p.name.to_owned() } else { format!("{family}-{}", p.name) };
    if FAMILIES.contains(&family) { PRESETS.iter().map(named).collect() } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_sound_and_grow_from_one_million_to_seven_thousand_million() {
        for family in FAMILIES {
            let counts: Vec<u64> = PRESETS.iter().filter_map(|p| p.config_of(family, 4096, 256)).map(|c| c.n_params()).collect();
            assert!(counts.len() == 10 && counts.is_sorted(), "{family} {counts:?}");
            assert!(
                (700_000..1_500_000).contains(&counts[0]) && (6_000_000_000..7_500_000_000).contains(&counts[9]),
                "{family} {counts:?}"
            );
            assert!(PRESETS.iter().filter_map(|p| p.config_of(family, 4096, 256)).all(|c| c.check().is_ok()));
        }
    }

    #[test]
    fn every_size_is_found_by_its_name() {
        for family in FAMILIES {
            let names = sizes(family);
            assert_eq!(names.len(), PRESETS.len());
            for name in names {
                assert_eq!(preset(&name, 64, 16).expect("found").family.name(), family, "{name}");
            }
        }
        assert!(sizes("t5").is_empty() && preset("bert", 64, 16).is_none() && preset("t5-tiny", 64, 16).is_none());
    }
}
