//! A model's numbers: drawn, or read from the folder that `folder.rs` describes.

use polder_base::Random;
use rayon::prelude::*;
use safetensors::Dtype;
use safetensors::tensor::TensorView;

use crate::table::{self, Init, Place};
use crate::{ModelConfig, ModelError, ParamTable};

mod folder;
mod tensor_file;

pub use folder::ModelFolder;

/// A model: its configuration, the places of its tensors, and their numbers in one flat buffer.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// The shape.
    pub config: ModelConfig,
    /// Where each tensor stands.
    pub table: ParamTable,
    /// All numbers.
    pub data: Vec<f32>,
}

impl Weights {
    /// The file of the configuration.
    pub const CONFIG_FILE: &'static str = "config.json";
    /// The file of the numbers.
    pub const TENSORS_FILE: &'static str = "model.safetensors";
    /// Where each tensor stands when there are several such files.
    pub const INDEX_FILE: &'static str = "model.safetensors.index.json";
    /// The file of defaults for generation.
    pub const GENERATION_FILE: &'static str = "generation_config.json";

    /// Draws initial weights: normal with the configuration's deviation, smaller by 1/√(2L) where a product joins the
    /// residual stream; normalisations are 1, biases 0. Each tensor's numbers depend on the seed and its name alone.
    ///
    /// # Errors
    /// A configuration that cannot be.
    pub fn init(config: &ModelConfig, seed: u64) -> Result<Self, ModelError> {
        config.check()?;
        let table = ParamTable::new(config);
        let mut data = vec![0f32; table.len()];
        let residual = 1.0 / (2.0 * config.num_hidden_layers as f64).sqrt();
        let mut parts = Vec::new();
        let mut rest = data.as_mut_slice();
        for param in table.iter() {
            let (part, behind) = rest.split_at_mut(param.len());
            parts.push((param, part));
            rest = behind;
        }
        parts.into_par_iter().for_each(|(param, part)| {
            let deviation = match param.init {
                Init::Zeros => return,
                Init::Ones => return part.fill(1.0),
                Init::Normal => config.initializer_range,
                Init::Residual => config.initializer_range * residual,
            };
            let mut random = Random::new(seed, &param.name);
            part.iter_mut().for_each(|x| *x = (random.normal() * deviation) as f32);
        });
        Ok(Self { config: config.clone(), table, data })
    }

    /// Returns a tensor's numbers.
    pub fn tensor(&self, name: &str) -> Option<&[f32]> {
        self.table.get(name).map(|p| &self.data[p.offset..][..p.len()])
    }

    /// Returns a tensor's numbers for writing.
    pub fn tensor_mut(&mut self, name: &str) -> Option<&mut [f32]> {
        let (offset, len) = self.table.get(name).map(|p| (p.offset, p.len()))?;
        Some(&mut self.data[offset..][..len])
    }

    fn part(&self, place: Place) -> &[f32] {
        &self.data[place.offset..][..place.len]
    }

    fn linear(&self, l: table::Linear) -> Linear<'_> {
        Linear { weight: self.part(l.weight), bias: l.bias.map(|b| self.part(b)) }
    }

    fn norm(&self, n: table::NormPlaces) -> Normalisation<'_> {
        Normalisation { weight: self.part(n.weight), bias: n.bias.map(|b| self.part(b)) }
    }

    /// Returns the table that turns hidden states into logits: the output layer, or the embedding where they are one.
    pub fn head(&self) -> &[f32] {
        self.table.places().head.output.map_or(&[], |o| self.part(o.weight))
    }

    /// Returns the table of embeddings, and that of positions where they are learned.
    pub fn embeddings(&self) -> (&[f32], Option<&[f32]>) {
        let places = self.table.places();
        (self.part(places.word), places.position.map(|p| self.part(p)))
    }

    /// Returns the normalisation of the last hidden states.
    pub fn final_norm(&self) -> Option<Normalisation<'_>> {
        self.table.places().final_norm.map(|n| self.norm(n))
    }

    /// Returns the numbers of a layer's matrices and normalisations, in groups that one product each computes.
    pub fn layer(&self, layer: usize) -> Layer<'_> {
        let l = &self.table.places().layers[layer];
        Layer {
            attention_norm: l.attention_norm.map(|n| self.norm(n)),
            qkv: self.linear(l.qkv),
            q_norm: l.q_norm.map(|p| self.part(p)),
            k_norm: l.k_norm.map(|p| self.part(p)),
            o: self.linear(l.o),
            ffn_norm: self.norm(l.ffn_norm),
            up: self.linear(l.up),
            down: self.linear(l.down),
        }
    }
}

/// A product's numbers: (out, in), and perhaps (out).
#[derive(Clone, Copy, Debug)]
pub struct Linear<'a> {
    /// The matrix.
    pub weight: &'a [f32],
    /// What is added.
    pub bias: Option<&'a [f32]>,
}

/// A normalisation's numbers.
#[derive(Clone, Copy, Debug)]
pub struct Normalisation<'a> {
    /// What normalised numbers are multiplied by.
    pub weight: &'a [f32],
    /// What is added then.
    pub bias: Option<&'a [f32]>,
}

/// The numbers of one layer.
#[derive(Clone, Copy, Debug)]
pub struct Layer<'a> {
    /// Normalisation before attention, or behind it.
    pub attention_norm: Option<Normalisation<'a>>,
    /// Queries, keys and values, one below the other: (row of [`ModelConfig::qkv_row`], C).
    pub qkv: Linear<'a>,
    /// Normalisation of each query head.
    pub q_norm: Option<&'a [f32]>,
    /// Normalisation of each key head.
    pub k_norm: Option<&'a [f32]>,
    /// Attention's output: (C, H·D).
    pub o: Linear<'a>,
    /// Normalisation before the feed-forward layer, or behind it.
    pub ffn_norm: Normalisation<'a>,
    /// Into the feed-forward layer: gate then up (2F, C), or (F, C).
    pub up: Linear<'a>,
    /// The feed-forward layer's output: (C, F).
    pub down: Linear<'a>,
}

/// Reads a tensor's numbers as f32; `None` for a kind of number that is not read.
pub fn read_numbers(out: &mut [f32], tensor: &TensorView<'_>) -> Option<()> {
    matches!(tensor.dtype(), Dtype::F32 | Dtype::F16 | Dtype::BF16).then(|| numbers_from(out, tensor.dtype(), tensor.data()))
}

/// Turns bytes of f32, f16 or bf16 into numbers.
fn numbers_from(out: &mut [f32], dtype: Dtype, bytes: &[u8]) {
    let halves = || bytes.as_chunks::<2>().0.iter().map(|b| u16::from_le_bytes(*b));
    match dtype {
        Dtype::F16 => out.iter_mut().zip(halves()).for_each(|(o, bits)| *o = half_to_f32(bits)),
        Dtype::BF16 => out.iter_mut().zip(halves()).for_each(|(o, bits)| *o = f32::from_bits(u32::from(bits) << 16)),
        _ => out.iter_mut().zip(bytes.as_chunks::<4>().0).for_each(|(o, b)| *o = f32::from_le_bytes(*b)),
    }
}

fn half_to_f32(bits: u16) -> f32 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f32::from(bits & 0x3ff));
    sign * match exponent {
        0 => fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1.0 + fraction / 1024.0) * 2f32.powi(exponent - 15),
    }
}

#[cfg(test)]
mod tests;
