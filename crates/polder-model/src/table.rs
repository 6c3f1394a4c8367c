//! Where each tensor stands in the flat buffer of parameters; also the map of checkpoints and safetensors files.
//!
//! Names are those of Hugging Face, and so are shapes, except that every matrix is (out, in) here; the one family that
//! stores them the other way round says so in [`Param::transposed`].

use std::collections::HashMap;

use crate::config::{AttentionBias, Family, Head, ModelConfig, Positions};

/// How a tensor begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Init {
    /// Zeros: biases.
    Zeros,
    /// Ones: normalisations.
    Ones,
    /// Normal with the configuration's deviation.
    Normal,
    /// The same divided by √(2L), where a product joins the residual stream.
    Residual,
}

/// How a tensor learns. Groups are contiguous in the buffer, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Tables of embeddings: decay; AdamW even beside Muon.
    Embedding,
    /// Matrices between hidden states: decay; Muon's.
    Hidden,
    /// The output's matrix: as embeddings.
    Output,
    /// Normalisations and biases: no decay.
    Vector,
}

/// A tensor's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Param {
    /// Its name in Hugging Face's files.
    pub name: String,
    /// First number in the flat buffer.
    pub offset: usize,
    /// Sizes, outermost first: (out, in) for matrices.
    pub shape: Vec<usize>,
    /// How it begins.
    pub init: Init,
    /// How it learns.
    pub group: Group,
    /// Matrices that it holds, one below the other, of the same size: a fused one of queries, keys and values holds three.
    pub n_blocks: usize,
    /// Files hold it as (in, out).
    pub transposed: bool,
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

    /// Tells whether it is a matrix: those decay, normalisations and biases do not.
    pub fn is_matrix(&self) -> bool {
        self.group != Group::Vector
    }

    /// The matrices that it holds: place in the buffer, rows and columns. Of a vector, none.
    pub fn blocks(&self) -> impl Iterator<Item = (usize, [usize; 2])> + '_ {
        let n = if self.is_matrix() { self.n_blocks } else { 0 };
        (0..n).map(|i| {
            let [rows, columns] = [self.shape[0] / self.n_blocks, self.shape[1]];
            (self.offset + i * rows * columns, [rows, columns])
        })
    }

    /// Sizes as files hold it.
    pub fn stored_shape(&self) -> Vec<usize> {
        if self.transposed { self.shape.iter().rev().copied().collect() } else { self.shape.clone() }
    }
}

/// All tensors of a model in order of place: embeddings, hidden matrices, the output's, then vectors, so that one range
/// decays and one is Muon's.
///
/// Query, key and value matrices of a layer are neighbours, and so are gate and up: each group is one matrix product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamTable {
    params: Vec<Param>,
    by_name: HashMap<String, usize>,
    places: Places,
    base: &'static str,
    len: usize,
}

/// A run of numbers in the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub offset: usize,
    pub len: usize,
}

/// A product's matrix and bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Linear {
    pub weight: Place,
    pub bias: Option<Place>,
    pub n_out: usize,
    pub n_in: usize,
}

/// A normalisation's weight and bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NormPlaces {
    pub weight: Place,
    pub bias: Option<Place>,
}

/// What one layer computes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LayerPlaces {
    pub attention_norm: Option<NormPlaces>,
    pub qkv: Linear,
    pub q_norm: Option<Place>,
    pub k_norm: Option<Place>,
    pub o: Linear,
    pub ffn_norm: NormPlaces,
    pub up: Linear,
    pub down: Linear,
}

/// What the head computes with: perhaps a product, bent and perhaps normalised, then perhaps the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HeadPlaces {
    pub dense: Option<Linear>,
    pub norm: Option<NormPlaces>,
    pub output: Option<Linear>,
}

/// What the whole model computes with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Places {
    pub word: Place,
    pub position: Option<Place>,
    pub token_type: Option<Place>,
    pub embedding_norm: Option<NormPlaces>,
    pub layers: Vec<LayerPlaces>,
    pub final_norm: Option<NormPlaces>,
    pub head: HeadPlaces,
}

/// A family's words; a layer's stand behind its number.
struct Names {
    base: &'static str,
    word: &'static str,
    position: &'static str,
    token_type: &'static str,
    embedding_norm: &'static str,
    layer: &'static str,
    attention_norm: &'static str,
    qkv: &'static [&'static str],
    o: &'static str,
    ffn_norm: &'static str,
    up: &'static [&'static str],
    down: &'static str,
    final_norm: &'static str,
}

const LLAMA: Names = Names {
    base: "model.",
    word: "embed_tokens",
    position: "",
    token_type: "",
    embedding_norm: "",
    layer: "layers",
    attention_norm: "input_layernorm",
    qkv: &["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
    o: "self_attn.o_proj",
    ffn_norm: "post_attention_layernorm",
    up: &["mlp.gate_proj", "mlp.up_proj"],
    down: "mlp.down_proj",
    final_norm: "norm",
};
const GPT2: Names = Names {
    base: "transformer.",
    word: "wte",
    position: "wpe",
    token_type: "",
    embedding_norm: "",
    layer: "h",
    attention_norm: "ln_1",
    qkv: &["attn.c_attn"],
    o: "attn.c_proj",
    ffn_norm: "ln_2",
    up: &["mlp.c_fc"],
    down: "mlp.c_proj",
    final_norm: "ln_f",
};
const BERT: Names = Names {
    base: "bert.",
    word: "embeddings.word_embeddings",
    position: "embeddings.position_embeddings",
    token_type: "embeddings.token_type_embeddings",
    embedding_norm: "embeddings.LayerNorm",
    layer: "encoder.layer",
    attention_norm: "attention.output.LayerNorm",
    qkv: &["attention.self.query", "attention.self.key", "attention.self.value"],
    o: "attention.output.dense",
    ffn_norm: "output.LayerNorm",
    up: &["intermediate.dense"],
    down: "output.dense",
    final_norm: "",
};
const MODERNBERT: Names = Names {
    base: "model.",
    word: "embeddings.tok_embeddings",
    position: "",
    token_type: "",
    embedding_norm: "embeddings.norm",
    layer: "layers",
    attention_norm: "attn_norm",
    qkv: &["attn.Wqkv"],
    o: "attn.Wo",
    ffn_norm: "mlp_norm",
    up: &["mlp.Wi"],
    down: "mlp.Wo",
    final_norm: "final_norm",
};

/// Collects tensors in the order of computation.
struct Builder {
    params: Vec<Param>,
    transposed: bool,
}

impl Builder {
    fn push(&mut self, name: String, shape: &[usize], init: Init, group: Group, n_blocks: usize) {
        let transposed = self.transposed && group == Group::Hidden;
        self.params.push(Param { name, offset: 0, shape: shape.to_vec(), init, group, n_blocks, transposed });
    }

    fn embedding(&mut self, name: &str, shape: [usize; 2]) {
        self.push(format!("{name}.weight"), &shape, Init::Normal, Group::Embedding, 1);
    }

    fn linear(&mut self, name: &str, shape: [usize; 2], bias: bool, init: Init, n_blocks: usize) {
        self.push(format!("{name}.weight"), &shape, init, Group::Hidden, n_blocks);
        if bias {
            self.push(format!("{name}.bias"), &shape[..1], Init::Zeros, Group::Vector, 1);
        }
    }

    fn norm(&mut self, name: &str, width: usize, bias: bool) {
        self.push(format!("{name}.weight"), &[width], Init::Ones, Group::Vector, 1);
        if bias {
            self.push(format!("{name}.bias"), &[width], Init::Zeros, Group::Vector, 1);
        }
    }
}

/// Words of a head: its first product, its normalisation, its output's matrix and bias; empty where there is none.
#[derive(Default)]
struct HeadNames {
    dense: String,
    dense_bias: bool,
    norm: &'static str,
    output: String,
    bias: String,
}

fn head_names(config: &ModelConfig) -> HeadNames {
    let own = |name: &str| name.to_owned();
    match (&config.family, &config.head) {
        (Family::Llama(_) | Family::Gpt2, _) => HeadNames { output: own("lm_head.weight"), ..HeadNames::default() },
        (Family::Bert { .. }, Head::Classifier { .. }) => HeadNames {
            dense: own("bert.pooler.dense"),
            dense_bias: true,
            output: own("classifier.weight"),
            bias: own("classifier.bias"),
            ..HeadNames::default()
        },
        (Family::Bert { .. }, Head::Embedding) => HeadNames { dense: own("pooler.dense"), dense_bias: true, ..HeadNames::default() },
        (Family::Bert { .. }, _) => HeadNames {
            dense: own("cls.predictions.transform.dense"),
            dense_bias: true,
            norm: "cls.predictions.transform.LayerNorm",
            output: own("cls.predictions.decoder.weight"),
            bias: own("cls.predictions.bias"),
        },
        (Family::ModernBert(_), Head::Embedding) => HeadNames::default(),
        (Family::ModernBert(m), head) => {
            let (output, has_bias) = if *head == Head::MaskedLm { ("decoder", m.decoder_bias) } else { ("classifier", true) };
            HeadNames {
                dense: own("head.dense"),
                dense_bias: m.classifier_bias,
                norm: "head.norm",
                output: format!("{output}.weight"),
                bias: if has_bias { format!("{output}.bias") } else { String::new() },
            }
        }
    }
}

impl ParamTable {
    /// Lays out a model.
    pub fn new(config: &ModelConfig) -> Self {
        let names = match config.family {
            Family::Llama(_) => LLAMA,
            Family::Gpt2 => GPT2,
            Family::Bert { .. } => BERT,
            Family::ModernBert(_) => MODERNBERT,
        };
        let bare = config.head == Head::Embedding;
        let base = if bare { "" } else { names.base };
        let head = head_names(config);
        let mut builder = Builder { params: Vec::new(), transposed: config.family == Family::Gpt2 };
        collect(&mut builder, config, &names, base, &head);
        let mut params = builder.params;
        // Stable, so that neighbours within a group stay neighbours.
        params.sort_by_key(|p| p.group);
        let (mut len, mut by_name) = (0, HashMap::with_capacity(params.len()));
        for (i, param) in params.iter_mut().enumerate() {
            param.offset = len;
            len += param.len();
            by_name.insert(param.name.clone(), i);
        }
        let places = Finder { params: &params, by_name: &by_name }.places(config, &names, base, &head);
        Self { params, by_name, places, base: names.base, len }
    }

    /// Iterates over the tensors in order of place.
    pub fn iter(&self) -> std::slice::Iter<'_, Param> {
        self.params.iter()
    }

    /// Finds a tensor.
    pub fn get(&self, name: &str) -> Option<&Param> {
        self.by_name.get(name).map(|i| &self.params[*i])
    }

    /// Counts all numbers.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Tells whether it holds nothing; a sound table never does.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Counts the leading numbers that weight decay applies to: those of matrices.
    pub fn n_decayed(&self) -> usize {
        self.range(Group::Vector).start
    }

    /// The numbers of a group.
    pub fn range(&self, group: Group) -> std::ops::Range<usize> {
        let first = self.params.iter().find(|p| p.group >= group).map_or(self.len, |p| p.offset);
        let end = self.params.iter().find(|p| p.group > group).map_or(self.len, |p| p.offset);
        first..end
    }

    /// Cuts the numbers into a part for each of `n_ranks`, as even as can be without cutting a hidden matrix.
    pub fn shares(&self, n_ranks: usize) -> Vec<std::ops::Range<usize>> {
        let hidden = self.range(Group::Hidden);
        let blocks: Vec<usize> =
            self.params.iter().filter(|p| p.group == Group::Hidden).flat_map(Param::blocks).map(|(at, _)| at).collect();
        let cut = |rank: usize| {
            let even = self.len * rank / n_ranks;
            let nearest = blocks.iter().copied().chain([hidden.end]).min_by_key(|at| at.abs_diff(even));
            nearest.filter(|_| hidden.contains(&even)).unwrap_or(even)
        };
        (0..n_ranks).map(|rank| cut(rank)..cut(rank + 1)).collect()
    }

    /// What stands before the names of all but the head, in files that have a head.
    pub(crate) fn base(&self) -> &'static str {
        self.base
    }

    pub(crate) fn places(&self) -> &Places {
        &self.places
    }
}

fn collect(b: &mut Builder, config: &ModelConfig, names: &Names, base: &str, head: &HeadNames) {
    let parts = config.parts();
    let (c, f, d) = (config.hidden_size, config.intermediate_size, config.head_dim);
    let (q, kv) = (config.num_attention_heads * d, config.num_key_value_heads * d);
    b.embedding(&format!("{base}{}", names.word), [config.vocab_size, c]);
    if parts.positions == Positions::Learned {
        b.embedding(&format!("{base}{}", names.position), [config.max_position_embeddings, c]);
    }
    if parts.n_token_types > 0 {
        b.embedding(&format!("{base}{}", names.token_type), [parts.n_token_types, c]);
    }
    if parts.embedding_norm {
        b.norm(&format!("{base}{}", names.embedding_norm), c, parts.norm_bias);
    }
    for layer in 0..config.num_hidden_layers {
        let name = |n: &str| format!("{base}{}.{layer}.{n}", names.layer);
        if layer > 0 || parts.first_norm {
            b.norm(&name(names.attention_norm), c, parts.norm_bias);
        }
        let bias = parts.attention_bias != AttentionBias::None;
        match names.qkv {
            [fused] => b.linear(&name(fused), [q + 2 * kv, c], bias, Init::Normal, 3),
            split => split.iter().zip([q, kv, kv]).for_each(|(n, rows)| b.linear(&name(n), [rows, c], bias, Init::Normal, 1)),
        }
        if parts.qk_norm {
            b.norm(&name("self_attn.q_norm"), d, false);
            b.norm(&name("self_attn.k_norm"), d, false);
        }
        b.linear(&name(names.o), [c, q], parts.attention_bias == AttentionBias::All, Init::Residual, 1);
        b.norm(&name(names.ffn_norm), c, parts.norm_bias);
        match (names.up, parts.activation.n_inputs()) {
            ([fused], n) => b.linear(&name(fused), [n * f, c], parts.mlp_bias, Init::Normal, n),
            (split, _) => split.iter().for_each(|n| b.linear(&name(n), [f, c], parts.mlp_bias, Init::Normal, 1)),
        }
        b.linear(&name(names.down), [c, f], parts.mlp_bias, Init::Residual, 1);
    }
    if parts.final_norm {
        b.norm(&format!("{base}{}", names.final_norm), c, parts.norm_bias);
    }
    // Heads are plain products in every family.
    b.transposed = false;
    if !head.dense.is_empty() {
        b.linear(&head.dense, [c, c], head.dense_bias, Init::Normal, 1);
    }
    if !head.norm.is_empty() {
        b.norm(head.norm, c, parts.norm_bias);
    }
    if !head.output.is_empty() && (!config.tie_word_embeddings || matches!(config.head, Head::Classifier { .. })) {
        b.push(head.output.clone(), &[config.n_outputs(), c], Init::Normal, Group::Output, 1);
    }
    if !head.bias.is_empty() {
        b.push(head.bias.clone(), &[config.n_outputs()], Init::Zeros, Group::Vector, 1);
    }
}

/// Finds places by the names that [`collect`] gave.
struct Finder<'a> {
    params: &'a [Param],
    by_name: &'a HashMap<String, usize>,
}

impl Finder<'_> {
    fn place(&self, name: &str) -> Option<Place> {
        self.by_name.get(name).map(|i| Place { offset: self.params[*i].offset, len: self.params[*i].len() })
    }

    /// Places of neighbours as one; the first one's must exist.
    #[allow(clippy::expect_used)]
    fn joined(&self, names: &[String]) -> Place {
        let first = self.place(&names[0]).expect("the table holds what its configuration names");
        let len = names.iter().filter_map(|n| self.place(n)).map(|p| p.len).sum();
        Place { len, ..first }
    }

    fn linear(&self, names: &[String], n_in: usize) -> Linear {
        let of = |what: &str| names.iter().map(|n| format!("{n}.{what}")).collect::<Vec<_>>();
        let weight = self.joined(&of("weight"));
        let bias = self.place(&of("bias")[0]).map(|_| self.joined(&of("bias")));
        Linear { weight, bias, n_out: weight.len / n_in, n_in }
    }

    fn norm(&self, name: &str) -> Option<NormPlaces> {
        self.place(&format!("{name}.weight")).map(|weight| NormPlaces { weight, bias: self.place(&format!("{name}.bias")) })
    }

    #[allow(clippy::expect_used)]
    fn places(&self, config: &ModelConfig, names: &Names, base: &str, head: &HeadNames) -> Places {
        let (c, q) = (config.hidden_size, config.num_attention_heads * config.head_dim);
        let word = self.joined(&[format!("{base}{}.weight", names.word)]);
        let layer = |layer: usize| {
            let name = |n: &str| format!("{base}{}.{layer}.{n}", names.layer);
            let all = |n: &[&str]| n.iter().map(|n| name(n)).collect::<Vec<_>>();
            LayerPlaces {
                attention_norm: self.norm(&name(names.attention_norm)),
                qkv: self.linear(&all(names.qkv), c),
                q_norm: self.place(&name("self_attn.q_norm.weight")),
                k_norm: self.place(&name("self_attn.k_norm.weight")),
                o: self.linear(&[name(names.o)], q),
                ffn_norm: self.norm(&name(names.ffn_norm)).expect("every layer has this normalisation"),
                up: self.linear(&all(names.up), c),
                down: self.linear(&[name(names.down)], config.intermediate_size),
            }
        };
        let output = (!head.output.is_empty()).then(|| {
            let weight = self.place(&head.output).unwrap_or(word);
            Linear { weight, bias: self.place(&head.bias), n_out: config.n_outputs(), n_in: c }
        });
        Places {
            word,
            position: self.place(&format!("{base}{}.weight", names.position)),
            token_type: self.place(&format!("{base}{}.weight", names.token_type)),
            embedding_norm: self.norm(&format!("{base}{}", names.embedding_norm)),
            layers: (0..config.num_hidden_layers).map(layer).collect(),
            final_norm: self.norm(&format!("{base}{}", names.final_norm)),
            head: HeadPlaces {
                dense: (!head.dense.is_empty()).then(|| self.linear(std::slice::from_ref(&head.dense), c)),
                norm: self.norm(head.norm),
                output,
            },
        }
    }
}

#[cfg(test)]
mod tests;
