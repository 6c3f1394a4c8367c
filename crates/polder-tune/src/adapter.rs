//! A low-rank adapter: for each chosen matrix W two small ones, so that W + (alpha / rank)·B·A takes its place.
//!
//! These are its numbers, as they begin and as files hold them; how it learns stands in `adapted.rs`.
//!
//! # Source
//! Hu et al., LoRA, 2021; names, initial values and files as in Hugging Face's PEFT.

use std::collections::HashMap;
use std::path::Path;

use polder_base::{Random, write_whole};
use polder_compute::{Gemm, cpu};
use polder_model::Weights;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::json;

use crate::error::TuneError;
use crate::options::{Target, TuneOptions};

/// A low-rank adapter of one model.
#[derive(Clone, Debug, PartialEq)]
pub struct Adapter {
    pub(crate) rank: usize,
    alpha: f64,
    targets: Vec<Target>,
    pub(crate) parts: Vec<Part>,
    /// A (rank, in), then B (out, rank), of every part.
    pub(crate) data: Vec<f32>,
}

/// One adapted matrix.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Part {
    /// `model.layers.0.self_attn.q_proj`.
    module: String,
    /// First number of W among the model's.
    pub(crate) place: usize,
    pub(crate) n_out: usize,
    pub(crate) n_in: usize,
    /// First number of A; B follows.
    pub(crate) a: usize,
}

impl Adapter {
    /// Makes one that changes nothing yet: A is drawn, B is 0.
    pub fn init(base: &Weights, options: &TuneOptions) -> Self {
        let mut targets = options.targets.clone();
        targets.sort_unstable();
        targets.dedup();
        let mut adapter = Self { rank: options.rank, alpha: options.alpha, targets, parts: Vec::new(), data: Vec::new() };
        for param in base.table.iter().filter(|p| p.is_matrix()) {
            let Some(module) = param.name.strip_suffix(".weight") else { continue };
            if !adapter.targets.iter().any(|t| module.ends_with(&format!(".{}", t.module()))) {
                continue;
            }
            let (n_out, n_in) = (param.shape[0], param.shape[1]);
            let a = adapter.data.len();
            // Kaiming's uniform with a = √5, as PEFT draws it: ±1/√in.
            let bound = 1.0 / (n_in as f64).sqrt();
            let mut random = Random::new(options.seed, module);
            adapter.data.extend((0..options.rank * n_in).map(|_| ((2.0 * random.next_f64() - 1.0) * bound) as f32));
            adapter.data.resize(a + options.rank * (n_in + n_out), 0.0);
            adapter.parts.push(Part { module: module.to_owned(), place: param.offset, n_out, n_in, a });
        }
        adapter
    }

    /// Number of its parameters.
    pub fn n_params(&self) -> usize {
        self.data.len()
    }

    /// The modules it adapts, by kind.
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// What B·A is added times.
    pub(crate) fn scale(&self) -> f32 {
        (self.alpha / self.rank as f64) as f32
    }

    fn a(&self, part: &Part) -> &[f32] {
        &self.data[part.a..][..self.rank * part.n_in]
    }

    fn b(&self, part: &Part) -> &[f32] {
        &self.data[part.a + self.rank * part.n_in..][..part.n_out * self.rank]
    }

    /// Returns the model with the adapter added for good.
    pub fn merged(&self, base: &Weights) -> Weights {
        let mut weights = base.clone();
        for part in &self.parts {
            let w = &mut weights.data[part.place..][..part.n_out * part.n_in];
            let scaled: Vec<f32> = self.b(part).iter().map(|x| x * self.scale()).collect();
            let shape = Gemm { m: part.n_out, n: part.n_in, k: self.rank, transpose_a: false, transpose_b: false, accumulate: true };
            cpu::gemm(w, &scaled, self.a(part), None, shape);
        }
        weights
    }

    /// The files of a PEFT folder.
    pub const FILES: [&'static str; 2] = ["adapter_config.json", "adapter_model.safetensors"];

    /// Writes the files that PEFT reads.
    ///
    /// # Errors
    /// Those of writing.
    pub fn save(&self, folder: &Path, base_name: &str) -> Result<(), TuneError> {
        let name = |part: &Part, which: &str| format!("base_model.model.{}.lora_{which}.weight", part.module);
        let views = self.parts.iter().flat_map(|part| {
            [(name(part, "A"), vec![self.rank, part.n_in], self.a(part)), (name(part, "B"), vec![part.n_out, self.rank], self.b(part))]
        });
        let views =
            views.map(|(name, shape, numbers)| TensorView::new(Dtype::F32, shape, bytemuck::cast_slice(numbers)).map(|view| (name, view)));
        let tensors = |source| TuneError::Tensors { source };
        let views = views.collect::<Result<Vec<_>, _>>().map_err(tensors)?;
        let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        let bytes = safetensors::serialize(views, Some(metadata)).map_err(tensors)?;
        write_whole(&folder.join(Self::FILES[1]), &bytes)?;
        let config = json!({
            "base_model_name_or_path": base_name,
            "bias": "none",
            "fan_in_fan_out": false,
            "inference_mode": true,
            "init_lora_weights": true,
            "lora_alpha": self.alpha,
            "lora_dropout": 0.0,
            "modules_to_save": null,
            "peft_type": "LORA",
            "r": self.rank,
            "target_modules": self.targets.iter().map(|t| t.module()).collect::<Vec<_>>(),
            "task_type": "CAUSAL_LM",
            "use_dora": false,
            "use_rslora": false,
        });
        let text = serde_json::to_string_pretty(&config).unwrap_or_default() + "\n";
        Ok(write_whole(&folder.join(Self::FILES[0]), text.as_bytes())?)
    }
}
