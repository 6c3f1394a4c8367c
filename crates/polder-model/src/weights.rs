//! A model's numbers, and the Hugging Face folder they are read from and written to.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use polder_base::{Random, write_whole};
use rayon::prelude::*;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::json;

use crate::{ModelConfig, ModelError, ParamTable};

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
    /// The file of defaults for generation.
    pub const GENERATION_FILE: &'static str = "generation_config.json";

    /// Draws initial weights: normal with the configuration's deviation, smaller by 1/√(2L) where a product joins the
    /// residual stream; normalisations are 1. Each tensor's numbers depend on the seed and its name alone.
    ///
    /// # Errors
    /// A configuration that cannot be.
    pub fn init(config: &ModelConfig, seed: u64) -> Result<Self, ModelError> {
        config.check()?;
        let table = ParamTable::new(config);
        let mut data = vec![1f32; table.len()];
        let residual = 1.0 / (2.0 * config.num_hidden_layers as f64).sqrt();
        let mut parts = Vec::new();
        let mut rest = data.as_mut_slice();
        for param in table.iter() {
            let (part, behind) = rest.split_at_mut(param.len());
            parts.push((param, part));
            rest = behind;
        }
        parts.into_par_iter().filter(|(param, _)| param.is_matrix()).for_each(|(param, part)| {
            let deviation = config.initializer_range * if param.is_residual() { residual } else { 1.0 };
            let mut random = Random::new(seed, &param.name);
            part.iter_mut().for_each(|x| *x = (random.normal() * deviation) as f32);
        });
        Ok(Self { config: config.clone(), table, data })
    }

    /// Reads a Hugging Face folder: `config.json` and `model.safetensors` in f32, f16 or bf16.
    ///
    /// # Errors
    /// A file that is missing or not what it should be; a tensor that is missing, superfluous or of another shape.
    pub fn load(dir: &Path) -> Result<Self, ModelError> {
        let read = |name: &str| {
            let path = dir.join(name);
            fs::read(&path).map(|bytes| (path.clone(), bytes)).map_err(|source| ModelError::Read { path, source })
        };
        let (path, bytes) = read(Self::CONFIG_FILE)?;
        let value = serde_json::from_slice(&bytes).map_err(|source| ModelError::Parse { path, source })?;
        let config = ModelConfig::from_hugging_face(&value)?;
        let (path, bytes) = read(Self::TENSORS_FILE)?;
        let tensors = SafeTensors::deserialize(&bytes).map_err(|source| ModelError::Safetensors { path, source })?;
        Self::from_tensors(config, &tensors)
    }

    fn from_tensors(config: ModelConfig, tensors: &SafeTensors<'_>) -> Result<Self, ModelError> {
        let wrong = |reason: String| ModelError::Tensors { reason };
        let table = ParamTable::new(&config);
        // A tied model may carry a copy of its table, and old files carry the rotation's frequencies.
        let passed_over = |name: &str| name.ends_with("rotary_emb.inv_freq") || (config.tie_word_embeddings && name == "lm_head.weight");
        if let Some(name) = tensors.names().into_iter().find(|n| table.get(n).is_none() && !passed_over(n)) {
            return Err(wrong(format!("`{name}` does not belong to it")));
        }
        // Found before the buffer is made, so that a foreign file cannot ask for memory that it does not fill.
        for param in table.iter() {
            let found = tensors.tensor(&param.name).map_err(|_| wrong(format!("`{}` is missing", param.name)))?;
            if found.shape() != param.shape {
                return Err(wrong(format!("`{}` has shape {:?}, not {:?}", param.name, found.shape(), param.shape)));
            }
        }
        let mut data = vec![0f32; table.len()];
        for param in table.iter() {
            let found = tensors.tensor(&param.name).map_err(|_| wrong(format!("`{}` is missing", param.name)))?;
            read_numbers(&mut data[param.offset..][..param.len()], &found)
                .ok_or_else(|| wrong(format!("`{}` holds {:?}, not f32, f16 or bf16", param.name, found.dtype())))?;
        }
        Ok(Self { config, table, data })
    }

    /// Writes `config.json`, `generation_config.json` and `model.safetensors` (f32), each whole.
    ///
    /// # Errors
    /// Those of writing.
    pub fn save(&self, dir: &Path) -> Result<(), ModelError> {
        let views = self.table.iter().map(|param| {
            let numbers = &self.data[param.offset..][..param.len()];
            let bytes: &[u8] = bytemuck::cast_slice(numbers);
            (param.name.as_str(), TensorView::new(Dtype::F32, param.shape.clone(), bytes))
        });
        let views = views.map(|(name, view)| view.map(|v| (name, v))).collect::<Result<Vec<_>, _>>();
        let path = dir.join(Self::TENSORS_FILE);
        let bad = |source| ModelError::Safetensors { path: path.clone(), source };
        // transformers refuses files that do not say which framework's layout they follow.
        let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        let bytes = safetensors::serialize(views.map_err(bad)?, Some(metadata)).map_err(bad)?;
        write_whole(&path, &bytes)?;
        let generation = json!({"bos_token_id": self.config.bos_token_id, "eos_token_id": self.config.eos_token_id});
        write_whole(&dir.join(Self::GENERATION_FILE), pretty(&generation).as_bytes())?;
        write_whole(&dir.join(Self::CONFIG_FILE), pretty(&self.config.to_hugging_face()).as_bytes())?;
        Ok(())
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

    /// Returns the table that turns hidden states into logits: the output layer, or the embedding where they are one.
    pub fn head(&self) -> &[f32] {
        self.tensor("lm_head.weight").or_else(|| self.tensor("model.embed_tokens.weight")).unwrap_or(&[])
    }

    /// Returns the numbers of a layer's matrices and normalisations, in groups that one product each computes.
    pub fn layer(&self, layer: usize) -> Layer<'_> {
        let (c, f) = (self.config.hidden_size, self.config.intermediate_size);
        let (q, qkv) = (self.config.num_attention_heads * self.config.head_dim, self.config.qkv_row());
        let at = self.table.layer(&self.config, layer);
        let part = |offset: usize, len: usize| &self.data[offset..][..len];
        Layer {
            qkv: part(at.qkv, c * qkv),
            o: part(at.o, c * q),
            gate_up: part(at.gate_up, 2 * c * f),
            down: part(at.down, c * f),
            input_norm: part(at.input_norm, c),
            post_norm: part(at.post_norm, c),
        }
    }
}

/// The numbers of one layer.
#[derive(Clone, Copy, Debug)]
pub struct Layer<'a> {
    /// Queries, keys and values, one below the other: (row of [`ModelConfig::qkv_row`], C).
    pub qkv: &'a [f32],
    /// Attention's output: (C, H·D).
    pub o: &'a [f32],
    /// Gate, then up: (2F, C).
    pub gate_up: &'a [f32],
    /// The feed-forward layer's output: (C, F).
    pub down: &'a [f32],
    /// Normalisation before attention.
    pub input_norm: &'a [f32],
    /// Normalisation before the feed-forward layer.
    pub post_norm: &'a [f32],
}

fn pretty(value: &serde_json::Value) -> String {
    format!("{value:#}\n")
}

/// Reads a tensor's numbers as f32; `None` for a kind of number that is not read.
pub fn read_numbers(out: &mut [f32], tensor: &TensorView<'_>) -> Option<()> {
    let bytes = tensor.data();
    match tensor.dtype() {
        Dtype::F32 => out.iter_mut().zip(bytes.as_chunks::<4>().0).for_each(|(o, b)| *o = f32::from_le_bytes(*b)),
        Dtype::BF16 => {
            out.iter_mut().zip(bytes.as_chunks::<2>().0).for_each(|(o, b)| *o = f32::from_bits(u32::from(u16::from_le_bytes(*b)) << 16));
        }
        Dtype::F16 => out.iter_mut().zip(bytes.as_chunks::<2>().0).for_each(|(o, b)| *o = half_to_f32(u16::from_le_bytes(*b))),
        _ => return None,
    }
    Some(())
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
mod tests {
    use super::*;
    use crate::preset;

    fn small(tie: bool) -> Weights {
        let config = ModelConfig { tie_word_embeddings: tie, ..preset("nano", 300, 64).expect("preset") };
        Weights::init(&config, 1).expect("init")
    }

    #[test]
    fn weights_read_back_what_was_written_bit_for_bit() {
        for tie in [true, false] {
            let dir = tempfile::tempdir().expect("folder");
            let weights = small(tie);
            weights.save(dir.path()).expect("save");
            assert_eq!(Weights::load(dir.path()).expect("load"), weights);
        }
    }

    #[test]
    fn initial_weights_depend_on_seed_and_name_alone() {
        let (a, b) = (small(true), small(false));
        assert_eq!(a.tensor("model.layers.2.mlp.up_proj.weight"), b.tensor("model.layers.2.mlp.up_proj.weight"));
        assert_ne!(a.tensor("model.layers.2.mlp.up_proj.weight"), a.tensor("model.layers.1.mlp.up_proj.weight"));
        let deviation = |name: &str| {
            let x = a.tensor(name).expect(name);
            (x.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / x.len() as f64).sqrt()
        };
        assert!((deviation("model.embed_tokens.weight") - 0.02).abs() < 0.001);
        assert!((deviation("model.layers.0.mlp.down_proj.weight") - 0.02 / 8f64.sqrt()).abs() < 0.001);
        assert!(a.tensor("model.norm.weight").expect("norm").iter().all(|x| *x == 1.0));
    }

    #[test]
    fn folders_that_are_no_models_are_refused_with_what_is_wrong() {
        let dir = tempfile::tempdir().expect("folder");
        assert!(matches!(Weights::load(dir.path()), Err(ModelError::Read { .. })));
        let weights = small(true);
        weights.save(dir.path()).expect("save");
        let path = dir.path().join(Weights::TENSORS_FILE);
        let bytes = fs::read(&path).expect("read");
        fs::write(&path, &bytes[..bytes.len() - 1]).expect("cut");
        assert!(matches!(Weights::load(dir.path()), Err(ModelError::Safetensors { .. })));
        fs::write(&path, &bytes).expect("mend");
        let other = ModelConfig { num_hidden_layers: 5, ..weights.config.clone() };
        fs::write(dir.path().join("config.json"), pretty(&other.to_hugging_face())).expect("write");
        let error = Weights::load(dir.path()).expect_err("a layer is missing").to_string();
        assert!(error.contains("model.layers.4"), "{error}");
        fs::write(dir.path().join("config.json"), "[").expect("write");
        assert!(matches!(Weights::load(dir.path()), Err(ModelError::Parse { .. })));
    }

    #[test]
    fn half_precision_numbers_are_read_exactly() {
        for (bits, value) in [(0x3c00, 1.0), (0xc000, -2.0), (0x0001, 5.960_464_5e-8), (0x7bff, 65504.0), (0x3555, 0.333_251_95)] {
            assert_eq!(half_to_f32(bits), value);
        }
        assert!(half_to_f32(0x7e00).is_nan() && half_to_f32(0xfc00) == f32::NEG_INFINITY);
    }
}
