//! What a model is: its family, its sizes, and the parts in which families differ.
//!
//! On disk it is Hugging Face's `config.json` (`hugging_face.rs`), in a model's folder as in a run's settings.

use polder_compute::{Activation, Norm, NormKind, RopeScaling};

use crate::{ModelError, ParamTable};

mod hugging_face;

/// The shape of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// What its layers are made of.
    pub family: Family,
    /// What its last hidden states are turned into.
    pub head: Head,
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
    /// Keeps normalisation away from division by zero.
    pub norm_eps: f64,
    /// Standard deviation of initial weights.
    pub initializer_range: f64,
    /// The output layer is the embedding table.
    pub tie_word_embeddings: bool,
    /// Token that begins a text.
    pub bos_token_id: Option<u32>,
    /// Token that ends a text.
    pub eos_token_id: Option<u32>,
    /// Token that fills a row up.
    pub pad_token_id: Option<u32>,
}

/// What a model's layers are made of, with the settings that only this family has.
#[derive(Clone, Debug, PartialEq)]
pub enum Family {
    /// Decoder: root-mean-square norms, rotation, SwiGLU; Qwen 2 and 3 by its options.
    Llama(Llama),
    /// Decoder: layer norms, learned positions, GELU, biases.
    Gpt2,
    /// Encoder: norms behind the blocks, learned positions, token types, GELU, biases.
    Bert {
        /// Kinds of segments that tokens belong to.
        type_vocab_size: usize,
    },
    /// Encoder: layer norms before the blocks, rotation, GeGLU, layers of two ranges.
    ModernBert(ModernBert),
}

/// What Llama-style decoders differ in.
#[derive(Clone, Debug, PartialEq)]
pub struct Llama {
    /// Base of the rotation's wavelengths.
    pub rope_theta: f64,
    /// Llama 3's longer wavelengths.
    pub rope_scaling: Option<RopeScaling>,
    /// Biases of attention; queries, keys and values alone have them in Qwen 2.
    pub attention_bias: AttentionBias,
    /// Biases of the feed-forward layer.
    pub mlp_bias: bool,
    /// Queries and keys are normalised a head, as in Qwen 3.
    pub qk_norm: bool,
}

/// What ModernBERT-style encoders differ in.
#[derive(Clone, Debug, PartialEq)]
pub struct ModernBert {
    /// Base of the rotation's wavelengths in layers that see all.
    pub global_rope_theta: f64,
    /// The same in layers that see a window.
    pub local_rope_theta: f64,
    /// Tokens of the window, half of them on each side.
    pub local_attention: usize,
    /// For each layer, whether it sees all.
    pub is_global: Vec<bool>,
    /// Biases of attention.
    pub attention_bias: bool,
    /// Biases of the feed-forward layer.
    pub mlp_bias: bool,
    /// Biases of normalisations.
    pub norm_bias: bool,
    /// Bias of the masked-LM head's output.
    pub decoder_bias: bool,
    /// Bias of the heads' first matrix.
    pub classifier_bias: bool,
    /// What a classifier sees of a text.
    pub classifier_pooling: Pooling,
}

/// Which matrices of attention have biases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttentionBias {
    /// None.
    None,
    /// Queries, keys and values.
    Qkv,
    /// These and the output.
    All,
}

/// What the last hidden states are turned into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Head {
    /// The next token.
    LanguageModel,
    /// The token that a mask hides.
    MaskedLm,
    /// A class of the whole text.
    Classifier {
        /// Names of the classes.
        labels: Vec<String>,
    },
    /// Nothing: hidden states are pooled to embeddings.
    Embedding,
}

/// How the rows of a text become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// The first row.
    Cls,
    /// The mean of all rows.
    Mean,
}

/// Where normalisations stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormPlace {
    /// Before each block; the residual stream is never normalised.
    Before,
    /// Behind each block and its residual.
    Behind,
}

/// How a row knows its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Positions {
    /// Queries and keys are rotated.
    Rotated,
    /// A learned row is added to the embedding.
    Learned,
}

/// The parts in which families differ, resolved: what forward and backward are written over.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parts {
    /// Formula of normalisations.
    pub norm: Norm,
    /// Where they stand.
    pub norm_place: NormPlace,
    /// They have biases.
    pub norm_bias: bool,
    /// The first attention is normalised too.
    pub first_norm: bool,
    /// Embeddings are normalised.
    pub embedding_norm: bool,
    /// The last hidden states are normalised.
    pub final_norm: bool,
    /// How a row knows its place.
    pub positions: Positions,
    /// Kinds of segments; 0 for none.
    pub n_token_types: usize,
    /// What bends the feed-forward layer.
    pub activation: Activation,
    /// Biases of attention.
    pub attention_bias: AttentionBias,
    /// Biases of the feed-forward layer.
    pub mlp_bias: bool,
    /// Queries and keys are normalised a head.
    pub qk_norm: bool,
    /// Rows see only what comes before them.
    pub causal: bool,
}

/// Layers that a configuration may have: a foreign file must not make the table of their names fill the memory.
const LAYERS_MAX: usize = 1 << 12;
/// Share of tokens that masked-LM training usually hides; only those pass the head.
const MASKED_SHARE: f64 = 0.15;

impl Llama {
    /// The plain decoder.
    pub fn plain() -> Self {
        Self { rope_theta: 10_000.0, rope_scaling: None, attention_bias: AttentionBias::None, mlp_bias: false, qk_norm: false }
    }
}

impl ModernBert {
    /// The usual encoder: every third layer sees all, the others 128 tokens.
    pub fn plain(n_layers: usize) -> Self {
        Self {
            global_rope_theta: 160_000.0,
            local_rope_theta: 10_000.0,
            local_attention: 128,
            is_global: (0..n_layers).map(|i| i % 3 == 0).collect(),
            attention_bias: false,
            mlp_bias: false,
            norm_bias: false,
            decoder_bias: true,
            classifier_bias: false,
            classifier_pooling: Pooling::Cls,
        }
    }
}

impl Family {
    /// What it is called: `llama`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Llama(_) => "llama",
            Self::Gpt2 => "gpt2",
            Self::Bert { .. } => "bert",
            Self::ModernBert(_) => "modernbert",
        }
    }
}

impl ModelConfig {
    /// The parts in which families differ.
    pub fn parts(&self) -> Parts {
        let eps = self.norm_eps as f32;
        let layer = Parts {
            norm: Norm { kind: NormKind::Layer, eps },
            norm_place: NormPlace::Before,
            norm_bias: true,
            first_norm: true,
            embedding_norm: false,
            final_norm: true,
            positions: Positions::Learned,
            n_token_types: 0,
            activation: Activation::GeluTanh,
            attention_bias: AttentionBias::All,
            mlp_bias: true,
            qk_norm: false,
            causal: true,
        };
        match &self.family {
            Family::Llama(l) => Parts {
                norm: Norm { kind: NormKind::Rms, eps },
                norm_bias: false,
                positions: Positions::Rotated,
                activation: Activation::SwiGlu,
                attention_bias: l.attention_bias,
                mlp_bias: l.mlp_bias,
                qk_norm: l.qk_norm,
                ..layer
            },
            Family::Gpt2 => layer,
            Family::Bert { type_vocab_size } => Parts {
                norm_place: NormPlace::Behind,
                embedding_norm: true,
                final_norm: false,
                n_token_types: *type_vocab_size,
                activation: Activation::Gelu,
                causal: false,
                ..layer
            },
            Family::ModernBert(m) => Parts {
                norm_bias: m.norm_bias,
                first_norm: false,
                embedding_norm: true,
                positions: Positions::Rotated,
                activation: Activation::GeGlu,
                attention_bias: if m.attention_bias { AttentionBias::All } else { AttentionBias::None },
                mlp_bias: m.mlp_bias,
                causal: false,
                ..layer
            },
        }
    }

    /// Bases of the rotations that layers use, with their scaling; none where positions are learned.
    pub fn rotations(&self) -> Vec<(f64, Option<RopeScaling>)> {
        match &self.family {
            Family::Llama(l) => vec![(l.rope_theta, l.rope_scaling)],
            Family::ModernBert(m) => vec![(m.global_rope_theta, None), (m.local_rope_theta, None)],
            Family::Gpt2 | Family::Bert { .. } => Vec::new(),
        }
    }

    /// How far a layer's rows see, and which of the rotations it uses.
    pub fn range(&self, layer: usize) -> (Option<usize>, usize) {
        match &self.family {
            Family::ModernBert(m) if !m.is_global[layer] => (Some(m.local_attention / 2), 1),
            _ => (None, 0),
        }
    }

    /// Tells whether it continues text.
    pub fn is_decoder(&self) -> bool {
        self.parts().causal
    }

    /// How a classifier pools.
    pub fn pooling(&self) -> Pooling {
        match &self.family {
            Family::ModernBert(m) => m.classifier_pooling,
            _ => Pooling::Cls,
        }
    }

    /// What the head's output is as wide as: tokens or classes; 0 without one.
    pub fn n_outputs(&self) -> usize {
        match &self.head {
            Head::LanguageModel | Head::MaskedLm => self.vocab_size,
            Head::Classifier { labels } => labels.len(),
            Head::Embedding => 0,
        }
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
        if self.num_hidden_layers > LAYERS_MAX {
            return wrong(format!("`num_hidden_layers` is {}, more than {LAYERS_MAX}", self.num_hidden_layers));
        }
        let numbers = [("the norms' epsilon", self.norm_eps), ("`initializer_range`", self.initializer_range)];
        if let Some((name, value)) = numbers.iter().find(|(_, x)| !(x.is_finite() && (0.0..=1.0).contains(x))) {
            return wrong(format!("{name} is {value}"));
        }
        if !self.num_attention_heads.is_multiple_of(self.num_key_value_heads) {
            return wrong(format!("{} query heads cannot share {} key heads", self.num_attention_heads, self.num_key_value_heads));
        }
        let is_llama = matches!(self.family, Family::Llama(_));
        if !is_llama && self.num_attention_heads * self.head_dim != self.hidden_size {
            return wrong(format!("{} heads of {} are not `hidden_size` {}", self.num_attention_heads, self.head_dim, self.hidden_size));
        }
        if !is_llama && self.num_key_value_heads != self.num_attention_heads {
            return wrong(format!("{} has as many key heads as query heads", self.family.name()));
        }
        if self.parts().positions == Positions::Rotated && !self.head_dim.is_multiple_of(2) {
            return wrong(format!("a head of {} numbers cannot be rotated in pairs", self.head_dim));
        }
        if let Some((theta, _)) = self.rotations().iter().find(|(theta, _)| !(theta.is_finite() && *theta >= 1.0)) {
            return wrong(format!("`rope_theta` is {theta}"));
        }
        self.check_family()?;
        for (name, token) in [("bos_token_id", self.bos_token_id), ("eos_token_id", self.eos_token_id), ("pad_token_id", self.pad_token_id)]
        {
            if let Some(token) = token
                && token as usize >= self.vocab_size
            {
                return wrong(format!("`{name}` {token} is outside the vocabulary of {}", self.vocab_size));
            }
        }
        Ok(())
    }

    fn check_family(&self) -> Result<(), ModelError> {
        let wrong = |reason: String| Err(ModelError::Config { reason });
        match (&self.family, &self.head) {
            (Family::Llama(_) | Family::Gpt2, head) if *head != Head::LanguageModel => {
                return wrong(format!("{} is run with its language-model head only", self.family.name()));
            }
            (Family::Bert { .. } | Family::ModernBert(_), Head::LanguageModel) => {
                return wrong(format!("{} is an encoder and does not continue text", self.family.name()));
            }
            (_, Head::Classifier { labels }) if labels.is_empty() || labels.len() > 1 << 20 => {
                return wrong(format!("{} classes", labels.len()));
            }
            _ => {}
        }
        match &self.family {
            Family::Llama(l) => {
                if l.qk_norm && (l.attention_bias == AttentionBias::Qkv || l.mlp_bias) {
                    return wrong("no known model has normalised heads with these biases".into());
                }
                if l.attention_bias == AttentionBias::Qkv && l.mlp_bias {
                    return wrong("no known model has biases in queries and feed-forward layers alone".into());
                }
                if let Some(s) = l.rope_scaling {
                    let numbers = [s.factor, s.low_frequency_factor, s.high_frequency_factor, s.original_context];
                    if numbers.iter().any(|x| !(x.is_finite() && *x > 0.0)) || s.low_frequency_factor >= s.high_frequency_factor {
                        return wrong(format!("a rotation cannot be stretched by {s:?}"));
                    }
                }
            }
            Family::Bert { type_vocab_size } if !(1..=1 << 16).contains(type_vocab_size) => {
                return wrong(format!("`type_vocab_size` is {type_vocab_size}"));
            }
            Family::ModernBert(m) => {
                if m.is_global.len() != self.num_hidden_layers {
                    return wrong(format!("`layer_types` names {} layers of {}", m.is_global.len(), self.num_hidden_layers));
                }
                if m.local_attention < 2 || m.local_attention > 1 << 24 {
                    return wrong(format!("`local_attention` is {}", m.local_attention));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Numbers in a packed row of queries, keys and values.
    pub fn qkv_row(&self) -> usize {
        (self.num_attention_heads + 2 * self.num_key_value_heads) * self.head_dim
    }

    /// Counts all parameters.
    pub fn n_params(&self) -> u64 {
        ParamTable::new(self).len() as u64
    }

    /// Floating-point operations of forward and backward for one token in a context of `time` tokens: six for each
    /// parameter of a matrix product, and those of attention over what a row sees on average. Of a masked-LM head, the
    /// 15 % of tokens that are usually hidden; of a classifier's, nothing, since it runs once a text.
    pub fn flops_per_token(&self, time: usize) -> u64 {
        let (c, q) = (self.hidden_size, self.num_attention_heads * self.head_dim);
        let layer = c * (self.qkv_row() + q) + (self.parts().activation.n_inputs() + 1) * c * self.intermediate_size;
        let head = match self.head {
            Head::LanguageModel => (self.vocab_size * c) as f64,
            Head::MaskedLm => (self.vocab_size * c + c * c) as f64 * MASKED_SHARE,
            Head::Classifier { .. } | Head::Embedding => 0.0,
        };
        // Scores and mixing, 2 FLOP each, three times for forward and backward.
        let seen: usize = (0..self.num_hidden_layers).map(|i| self.range(i).0.map_or(time, |w| time.min(2 * w + 1))).sum();
        let seen = if self.parts().causal { seen / 2 } else { seen };
        6 * ((layer * self.num_hidden_layers) as u64 + head as u64) + (3 * 2 * 2 * q * seen) as u64
    }
}

#[cfg(test)]
pub(crate) mod tests;
