//! Low-rank adapters in PEFT's folder format: `adapter_config.json` and `adapter_model.safetensors`.

use std::fs;
use std::path::Path;

use polder_compute::{Gemm, cpu};
use safetensors::SafeTensors;
use serde_json::Value;

use crate::{Family, ModelConfig, ModelError, Weights, read_numbers};

/// The file of an adapter's settings.
pub const ADAPTER_CONFIG_FILE: &str = "adapter_config.json";
/// The file of an adapter's numbers.
pub const ADAPTER_TENSORS_FILE: &str = "adapter_model.safetensors";

/// Settings whose other values change what an adapter computes, with the values that change nothing.
const NEUTRAL: [(&str, &[&str]); 7] = [
    ("use_dora", &["false"]),
    ("bias", &["\"none\""]),
    ("modules_to_save", &["null", "[]"]),
    ("rank_pattern", &["{}", "null"]),
    ("alpha_pattern", &["{}", "null"]),
    ("layer_replication", &["null"]),
    ("trainable_token_indices", &["null"]),
];

impl Weights {
    /// Adds a LoRA adapter to the weights: W += (alpha / r) · B · A for every matrix it names.
    ///
    /// # Errors
    /// A folder that holds no adapter, one that asks for what this program does not compute, or one of another model.
    ///
    /// # Source
    /// Hu et al., LoRA: Low-Rank Adaptation of Large Language Models, 2021.
    pub fn merge_adapter(&mut self, dir: &Path) -> Result<(), ModelError> {
        let read = |name: &str| {
            let path = dir.join(name);
            fs::read(&path).map(|bytes| (path.clone(), bytes)).map_err(|source| ModelError::Read { path, source })
        };
        let (path, bytes) = read(ADAPTER_CONFIG_FILE)?;
        let config: Value = serde_json::from_slice(&bytes).map_err(|source| ModelError::Parse { path, source })?;
        let (rank, scale) = rank_and_scale(&config, &self.config)?;
        let (path, bytes) = read(ADAPTER_TENSORS_FILE)?;
        let tensors = SafeTensors::deserialize(&bytes).map_err(|source| ModelError::Safetensors { path, source })?;
        let wrong = |reason: String| ModelError::Tensors { reason };
        let mut names = tensors.names();
        names.sort_unstable();
        let mut found = Vec::new();
        for name in &names {
            let module = name
                .strip_prefix("base_model.model.")
                .and_then(|n| n.strip_suffix(".lora_A.weight").or_else(|| n.strip_suffix(".lora_B.weight")).map(|m| format!("{m}.weight")));
            let param = module.as_deref().and_then(|m| self.table.get(m)).filter(|p| p.is_matrix());
            let param = param.ok_or_else(|| wrong(format!("the adapter's `{name}` does not belong to this model")))?;
            if name.ends_with(".lora_A.weight") {
                found.push((param.clone(), *name, name.replace(".lora_A.", ".lora_B.")));
            } else if !names.contains(&name.replace(".lora_B.", ".lora_A.").as_str()) {
                return Err(wrong(format!("the adapter's `{name}` has no first half")));
            }
        }
        if found.is_empty() {
            return Err(wrong("the adapter holds no tensors".into()));
        }
        let numbers = |name: &str, shape: [usize; 2]| {
            let tensor = tensors.tensor(name).map_err(|_| wrong(format!("the adapter's `{name}` is missing")))?;
            if tensor.shape() != shape {
                return Err(wrong(format!("the adapter's `{name}` has shape {:?}, not {shape:?}", tensor.shape())));
            }
            let mut out = vec![0f32; shape[0] * shape[1]];
            read_numbers(&mut out, &tensor).ok_or_else(|| wrong(format!("the adapter's `{name}` holds {:?}", tensor.dtype())))?;
            Ok(out)
        };
        for (param, a_name, b_name) in found {
            let (rows, columns) = (param.shape[0], param.shape[1]);
            let (a, mut b) = (numbers(a_name, [rank, columns])?, numbers(&b_name, [rows, rank])?);
            b.iter_mut().for_each(|x| *x *= scale);
            let shape = Gemm { m: rows, n: columns, k: rank, transpose_a: false, transpose_b: false, accumulate: true };
            cpu::gemm(&mut self.data[param.offset..][..param.len()], &b, &a, None, shape);
        }
        Ok(())
    }
}

fn rank_and_scale(config: &Value, model: &ModelConfig) -> Result<(usize, f32), ModelError> {
    let unsupported = |key: &str, found: &Value, supported: &str| ModelError::Unsupported {
        key: key.into(),
        found: found.to_string(),
        supported: supported.into(),
    };
    let kind = config.get("peft_type").unwrap_or(&Value::Null);
    if kind != "LORA" {
        return Err(unsupported("peft_type", kind, "\"LORA\""));
    }
    for (key, neutral) in NEUTRAL {
        if let Some(found) = config.get(key)
            && !neutral.contains(&found.to_string().as_str())
        {
            return Err(unsupported(key, found, neutral[0]));
        }
    }
    // PEFT says so of matrices that files hold turned; their halves are the same.
    let turned = model.family == Family::Gpt2;
    if let Some(found) = config.get("fan_in_fan_out")
        && *found != Value::Bool(turned)
    {
        return Err(unsupported("fan_in_fan_out", found, if turned { "true" } else { "false" }));
    }
    let wrong = |what: &str| ModelError::Config { reason: format!("the adapter's {what}") };
    let rank = config.get("r").and_then(Value::as_u64).filter(|r| (1..=1 << 16).contains(r)).ok_or_else(|| wrong("`r` is no rank"))?;
    let alpha = config.get("lora_alpha").and_then(Value::as_f64).ok_or_else(|| wrong("`lora_alpha` is no number"))?;
    let divisor = if config.get("use_rslora") == Some(&Value::Bool(true)) { (rank as f64).sqrt() } else { rank as f64 };
    Ok((rank as usize, (alpha / divisor) as f32))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preset;
    use safetensors::Dtype;
    use safetensors::tensor::TensorView;
    use serde_json::json;

    fn write(dir: &Path, config: &Value, tensors: &[(&str, [usize; 2], Vec<f32>)]) {
        fs::write(dir.join(ADAPTER_CONFIG_FILE), config.to_string()).expect("config");
        let views = tensors
            .iter()
            .map(|(name, shape, data)| (*name, TensorView::new(Dtype::F32, shape.to_vec(), bytemuck::cast_slice(data)).expect("view")));
        fs::write(dir.join(ADAPTER_TENSORS_FILE), safetensors::serialize(views, None).expect("serialize")).expect("tensors");
    }

    const A: &str = "base_model.model.model.layers.1.self_attn.v_proj.lora_A.weight";
    const B: &str = "base_model.model.model.layers.1.self_attn.v_proj.lora_B.weight";

    #[test]
    fn a_merged_adapter_changes_the_matrices_it_names_and_no_other() {
        let dir = tempfile::tempdir().expect("folder");
        let before = Weights::init(&preset("nano", 300, 64).expect("preset"), 1).expect("init");
        let a: Vec<f32> = (0..2 * 96).map(|i| (i % 5) as f32).collect();
        let b: Vec<f32> = (0..96 * 2).map(|i| (i % 3) as f32).collect();
        let config = json!({"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["v_proj"], "bias": "none"});
        write(dir.path(), &config, &[(A, [2, 96], a.clone()), (B, [96, 2], b.clone())]);
        let mut after = before.clone();
        after.merge_adapter(dir.path()).expect("merge");
        for param in before.table.iter() {
            for i in 0..param.len() {
                let mut expected = before.data[param.offset + i];
                if param.name == "model.layers.1.self_attn.v_proj.weight" {
                    expected += 2.0 * (0..2).map(|r| b[i / 96 * 2 + r] * a[r * 96 + i % 96]).sum::<f32>();
                }
                assert!((after.data[param.offset + i] - expected).abs() < 1e-5, "{} {i}", param.name);
            }
        }
    }

    #[test]
    fn adapters_that_mean_something_else_are_refused_by_name() {
        let dir = tempfile::tempdir().expect("folder");
        let mut weights = Weights::init(&preset("nano", 300, 64).expect("preset"), 1).expect("init");
        let good = json!({"peft_type": "LORA", "r": 2, "lora_alpha": 4});
        let zeros = vec![0f32; 2 * 96];
        let both = [(A, [2, 96], zeros.clone()), (B, [96, 2], zeros.clone())];
        for (key, bad) in [("peft_type", json!("IA3")), ("use_dora", json!(true)), ("fan_in_fan_out", json!(true)), ("r", json!(0))] {
            let mut config = good.clone();
            config[key] = bad;
            write(dir.path(), &config, &both);
            let error = weights.merge_adapter(dir.path()).expect_err(key).to_string();
            assert!(error.contains(key), "{error}");
        }
        write(dir.path(), &good, &[(A, [2, 96], zeros.clone())]);
        assert!(weights.merge_adapter(dir.path()).is_err());
        write(dir.path(), &good, &[("base_model.model.lm_tail.lora_A.weight", [2, 96], zeros.clone())]);
        assert!(weights.merge_adapter(dir.path()).expect_err("foreign").to_string().contains("lm_tail"));
        write(dir.path(), &json!({"peft_type": "LORA", "r": 3, "lora_alpha": 4}), &both);
        assert!(weights.merge_adapter(dir.path()).is_err());
    }
}
