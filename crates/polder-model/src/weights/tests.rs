//! Weights through files: ours read back bit for bit, foreign and damaged ones refused with what is wrong.

use std::fs;
use std::path::Path;

use safetensors::tensor::TensorView;
use serde_json::{Value, json};

use super::*;
use crate::config::tests::every_kind;
use crate::preset;

fn nano() -> Weights {
    Weights::init(&preset("nano", 300, 64).expect("preset"), 1).expect("init")
}

/// Small weights of every family, head and option, no two numbers alike.
fn every_weights() -> Vec<Weights> {
    let small =
        |config: ModelConfig| ModelConfig { vocab_size: 40, hidden_size: 16, intermediate_size: 24, num_attention_heads: 4, ..config };
    let heads = |c: ModelConfig| {
        let is_llama = matches!(c.family, crate::Family::Llama(_));
        ModelConfig { num_key_value_heads: if is_llama { 2 } else { 4 }, head_dim: 4, ..c }
    };
    let fill = |config: ModelConfig| {
        let mut weights = Weights::init(&config, 1).expect("init");
        weights.data.iter_mut().enumerate().for_each(|(i, x)| *x = i as f32 * 0.125 - 7.0);
        weights
    };
    every_kind().into_iter().map(small).map(heads).map(fill).collect()
}

/// Writes a file of tensors, to be read as foreign.
fn write_tensors(path: &Path, tensors: &[(String, Vec<usize>, Dtype, Vec<u8>)]) {
    let views = tensors.iter().map(|(name, shape, dtype, bytes)| (name, TensorView::new(*dtype, shape.clone(), bytes).expect("view")));
    fs::write(path, safetensors::serialize(views, None).expect("serialize")).expect("write");
}

fn read_tensors(path: &Path) -> Vec<(String, Vec<usize>, Dtype, Vec<u8>)> {
    let bytes = fs::read(path).expect("read");
    let tensors = safetensors::SafeTensors::deserialize(&bytes).expect("parse");
    let mut all: Vec<_> = tensors.iter().map(|(n, t)| (n.to_owned(), t.shape().to_vec(), t.dtype(), t.data().to_vec())).collect();
    all.sort();
    all
}

#[test]
fn weights_read_back_what_was_written_bit_for_bit() {
    for weights in every_weights() {
        let dir = tempfile::tempdir().expect("folder");
        let files = weights.save(dir.path()).expect("save");
        let mut there: Vec<String> =
            fs::read_dir(dir.path()).expect("list").map(|e| e.expect("entry").file_name().into_string().expect("name")).collect();
        there.sort();
        let mut files_sorted = files.clone();
        files_sorted.sort();
        assert_eq!(there, files_sorted);
        assert_eq!(Weights::load(dir.path()).expect("load"), weights);
    }
}

#[test]
fn large_weights_go_to_several_files_with_an_index_and_come_back() {
    for weights in every_weights() {
        let dir = tempfile::tempdir().expect("folder");
        weights.save(dir.path()).expect("save");
        let files = weights.save_split(dir.path(), 4096).expect("save");
        assert!(files.len() > 4 && !dir.path().join(Weights::TENSORS_FILE).exists());
        assert!(files.iter().all(|f| dir.path().join(f).exists()), "{files:?}");
        assert_eq!(Weights::load(dir.path()).expect("load"), weights);
        weights.save(dir.path()).expect("save");
        assert!(!dir.path().join(Weights::INDEX_FILE).exists());
    }
}

#[test]
fn a_folder_is_looked_at_and_checked_without_keeping_its_numbers() {
    for weights in every_weights() {
        let dir = tempfile::tempdir().expect("folder");
        weights.save_split(dir.path(), 4096).expect("save");
        let mut folder = ModelFolder::open(dir.path()).expect("open");
        assert_eq!((folder.config(), folder.dtypes()), (&weights.config, vec!["F32".to_owned()]));
        let needed = folder.files();
        for entry in fs::read_dir(dir.path()).expect("list") {
            let name = entry.expect("entry").file_name().into_string().expect("name");
            assert!(needed.contains(&name) || name == Weights::GENERATION_FILE, "{name} of {needed:?}");
        }
        let mut n = 0;
        folder
            .check(&mut |read| {
                n = read;
                true
            })
            .expect("sound");
        assert_eq!(n, weights.config.n_params());
        folder
            .check(&mut |read| {
                n = read;
                false
            })
            .expect("stopped");
        assert!(n < weights.config.n_params(), "it stops when it is told to");
    }
    let dir = tempfile::tempdir().expect("folder");
    nano().save(dir.path()).expect("save");
    let path = dir.path().join(Weights::TENSORS_FILE);
    let mut bytes = fs::read(&path).expect("read");
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&f32::INFINITY.to_le_bytes());
    fs::write(&path, bytes).expect("write");
    let error = ModelFolder::open(dir.path()).expect("headers are sound").check(&mut |_| true).expect_err("infinite").to_string();
    assert!(error.contains("holds a number that is not finite"), "{error}");
}

#[test]
fn pickles_are_never_opened() {
    let dir = tempfile::tempdir().expect("folder");
    nano().save(dir.path()).expect("save");
    fs::write(dir.path().join("pytorch_model.bin"), b"\x80\x02").expect("write");
    assert!(Weights::load(dir.path()).is_ok(), "beside safetensors they are passed over");
    fs::remove_file(dir.path().join(Weights::TENSORS_FILE)).expect("remove");
    let error = Weights::load(dir.path()).expect_err("a pickle");
    assert!(matches!(&error, ModelError::Pickle { path } if path.ends_with("pytorch_model.bin")), "{error}");
}

#[test]
fn indices_that_lie_are_refused() {
    let dir = tempfile::tempdir().expect("folder");
    nano().save_split(dir.path(), 100_000).expect("save");
    let path = dir.path().join(Weights::INDEX_FILE);
    let good: Value = serde_json::from_slice(&fs::read(&path).expect("read")).expect("json");
    type Change<'a> = (&'a str, &'a dyn Fn(&mut Value));
    let cases: [Change<'_>; 5] = [
        ("weight_map", &|v| v["weight_map"] = json!([])),
        ("no file of this folder", &|v| v["weight_map"]["model.norm.weight"] = json!("../model.safetensors")),
        ("names no file", &|v| v["weight_map"]["model.norm.weight"] = json!(7)),
        ("which it does not", &|v| v["weight_map"]["model.other.weight"] = json!("model-00001-of-00005.safetensors")),
        ("does not name", &|v| drop(v["weight_map"].as_object_mut().expect("map").remove("model.norm.weight"))),
    ];
    for (says, change) in cases {
        let mut value = good.clone();
        change(&mut value);
        if says == "which it does not" {
            let first = good["weight_map"]["model.norm.weight"].clone();
            value["weight_map"]["model.other.weight"] = first;
        }
        fs::write(&path, value.to_string()).expect("write");
        let error = Weights::load(dir.path()).expect_err(says).to_string();
        assert!(error.contains(says), "{says}: {error}");
    }
}

#[test]
fn one_family_stores_its_matrices_turned() {
    let config = ModelConfig {
        intermediate_size: 24,
        hidden_size: 16,
        head_dim: 4,
        num_attention_heads: 4,
        num_key_value_heads: 4,
        ..preset("gpt2-nano", 40, 8).expect("preset")
    };
    let weights = Weights::init(&config, 1).expect("init");
    let dir = tempfile::tempdir().expect("folder");
    weights.save(dir.path()).expect("save");
    let stored = read_tensors(&dir.path().join(Weights::TENSORS_FILE));
    let (_, shape, _, bytes) = stored.iter().find(|(n, ..)| n == "transformer.h.1.mlp.c_fc.weight").expect("there");
    assert_eq!(shape, &[16, 24]);
    let theirs: &[f32] = &bytes.chunks(4).map(|b| f32::from_le_bytes(b.try_into().expect("four"))).collect::<Vec<_>>();
    let ours = weights.tensor("transformer.h.1.mlp.c_fc.weight").expect("there");
    assert!((0..24).all(|o| (0..16).all(|i| ours[o * 16 + i] == theirs[i * 24 + o])));
    let (_, shape, ..) = stored.iter().find(|(n, ..)| n == "transformer.wte.weight").expect("there");
    assert_eq!(shape, &[40, 16]);
}

#[test]
fn initial_weights_depend_on_seed_and_name_alone() {
    let a = nano();
    let b = Weights::init(&ModelConfig { tie_word_embeddings: false, ..a.config.clone() }, 1).expect("init");
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
    let weights = nano();
    weights.save(dir.path()).expect("save");
    let path = dir.path().join(Weights::TENSORS_FILE);
    let bytes = fs::read(&path).expect("read");
    for damaged in [&bytes[..bytes.len() - 1], &bytes[..100], &bytes[..5], &[&bytes[..], &[0]].concat()] {
        fs::write(&path, damaged).expect("cut");
        assert!(matches!(Weights::load(dir.path()), Err(ModelError::TensorFile { .. })));
    }
    for header_bytes in [u64::MAX, 1 << 40, 99_999_999, 1 << 63] {
        let mut hostile = bytes.clone();
        hostile[..8].copy_from_slice(&header_bytes.to_le_bytes());
        fs::write(&path, hostile).expect("write");
        assert!(Weights::load(dir.path()).expect_err("hostile").to_string().contains(&header_bytes.to_string()));
    }
    fs::write(&path, &bytes).expect("mend");
    let other = ModelConfig { num_hidden_layers: 5, ..weights.config.clone() };
    fs::write(dir.path().join("config.json"), other.to_hugging_face().to_string()).expect("write");
    let error = Weights::load(dir.path()).expect_err("a layer is missing").to_string();
    assert!(error.contains("model.layers.4"), "{error}");
    // A configuration that asks for far more than the file holds is refused before memory is asked for.
    let huge = ModelConfig {
        vocab_size: 1 << 24,
        hidden_size: 1 << 23,
        num_attention_heads: 1 << 10,
        num_key_value_heads: 1 << 10,
        ..weights.config.clone()
    };
    fs::write(dir.path().join("config.json"), huge.to_hugging_face().to_string()).expect("write");
    assert!(matches!(Weights::load(dir.path()), Err(ModelError::Tensors { .. })));
    fs::write(dir.path().join("config.json"), "[").expect("write");
    assert!(matches!(Weights::load(dir.path()), Err(ModelError::Parse { .. })));
}

#[test]
fn tensors_that_do_not_fit_are_named() {
    let dir = tempfile::tempdir().expect("folder");
    nano().save(dir.path()).expect("save");
    let path = dir.path().join(Weights::TENSORS_FILE);
    let good = read_tensors(&path);
    let norm = |all: &mut Vec<(String, Vec<usize>, Dtype, Vec<u8>)>| all.iter().position(|t| t.0 == "model.norm.weight").expect("there");
    type Tensors = Vec<(String, Vec<usize>, Dtype, Vec<u8>)>;
    type Change<'a> = (&'a str, &'a dyn Fn(&mut Tensors, usize));
    let cases: [Change<'_>; 5] = [
        ("`model.norm.weight` is missing", &|t, i| drop(t.remove(i))),
        ("`model.norm.weight` has shape [48, 2], not [96]", &|t, i| t[i].1 = vec![48, 2]),
        ("`model.norm.weight` holds I32", &|t, i| t[i].2 = Dtype::I32),
        ("`model.norm.weight` holds a number that is not finite", &|t, i| t[i].3[..4].copy_from_slice(&f32::NAN.to_le_bytes())),
        ("`model.extra.weight` does not belong", &|t, i| t.push(("model.extra.weight".into(), t[i].1.clone(), t[i].2, t[i].3.clone()))),
    ];
    for (says, change) in cases {
        let mut tensors = good.clone();
        let i = norm(&mut tensors);
        change(&mut tensors, i);
        write_tensors(&path, &tensors);
        let error = Weights::load(dir.path()).expect_err(says).to_string();
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn other_peoples_names_and_needless_tensors_are_understood() {
    for weights in every_weights() {
        let dir = tempfile::tempdir().expect("folder");
        weights.save(dir.path()).expect("save");
        let path = dir.path().join(Weights::TENSORS_FILE);
        let mut tensors = read_tensors(&path);
        let base = weights.table.base();
        for tensor in &mut tensors {
            tensor.0 = match tensor.0.strip_prefix(base) {
                Some(bare) => bare.to_owned(),
                None => tensor.0.clone(),
            };
            if matches!(weights.config.family, crate::Family::Bert { .. }) {
                tensor.0 = tensor.0.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta");
            }
        }
        let needless = match weights.config.family {
            crate::Family::Llama(_) => "model.layers.0.self_attn.rotary_emb.inv_freq",
            crate::Family::Gpt2 => "h.0.attn.masked_bias",
            crate::Family::Bert { .. } => "bert.embeddings.position_ids",
            crate::Family::ModernBert(_) if weights.config.head == crate::Head::MaskedLm => "decoder.weight",
            crate::Family::ModernBert(_) => "decoder.bias",
        };
        tensors.push((needless.into(), vec![1], Dtype::I64, vec![0; 8]));
        write_tensors(&path, &tensors);
        assert_eq!(Weights::load(dir.path()).expect("load"), weights);
    }
}

#[test]
fn weights_in_half_precision_are_read() {
    let weights = nano();
    for dtype in [Dtype::BF16, Dtype::F16] {
        let dir = tempfile::tempdir().expect("folder");
        weights.save(dir.path()).expect("save");
        let path = dir.path().join(Weights::TENSORS_FILE);
        let mut tensors = read_tensors(&path);
        for tensor in &mut tensors {
            // Ones and zeros alone are the same in every kind of number.
            let one = if dtype == Dtype::BF16 { 0x3f80u16 } else { 0x3c00 };
            let n: usize = tensor.1.iter().product();
            (tensor.2, tensor.3) = (dtype, (0..n).flat_map(|i| if i % 3 == 0 { one.to_le_bytes() } else { [0, 0] }).collect());
        }
        write_tensors(&path, &tensors);
        let read = Weights::load(dir.path()).expect("load");
        let norm = read.tensor("model.norm.weight").expect("there");
        assert!(norm.iter().enumerate().all(|(i, x)| *x == if i % 3 == 0 { 1.0 } else { 0.0 }));
    }
}

#[test]
fn half_precision_numbers_are_read_exactly() {
    for (bits, value) in [(0x3c00, 1.0), (0xc000, -2.0), (0x0001, 5.960_464_5e-8), (0x7bff, 65504.0), (0x3555, 0.333_251_95)] {
        assert_eq!(half_to_f32(bits), value);
    }
    assert!(half_to_f32(0x7e00).is_nan() && half_to_f32(0xfc00) == f32::NEG_INFINITY);
}

/// Damages a file in one of several ways; the same seed gives the same damage.
fn damage(bytes: &mut Vec<u8>, random: &mut Random) {
    let at = |random: &mut Random, n: usize| random.below(n.max(1) as u64) as usize;
    // Most damage goes where the parser reads.
    let head = bytes.len().min(600);
    match random.below(6) {
        0 => bytes.truncate(at(random, bytes.len())),
        1 => (0..1 + at(random, 8)).for_each(|_| {
            let i = at(random, head);
            bytes[i] = random.next_u64() as u8;
        }),
        2 => {
            let i = at(random, head);
            bytes[i] ^= 1 << random.below(8);
        }
        3 => {
            let (i, n) = (at(random, head), at(random, 20));
            bytes.drain(i..(i + n).min(bytes.len()));
        }
        4 => {
            let i = at(random, head);
            let words: [&[u8]; 7] = [b"18446744073709551615", b"-1", b"[]", b"{", b"\"F32\"", b"\xff\xfe", b"[[[[[[[["];
            let word = words[at(random, words.len())];
            bytes.splice(i..i, word.iter().copied());
        }
        _ => {
            let (i, n) = (at(random, head), 1 + at(random, 40));
            let copy = bytes[i..(i + n).min(bytes.len())].to_vec();
            let to = at(random, head);
            bytes.splice(to..to, copy);
        }
    }
}

#[test]
fn damaged_folders_never_panic_and_never_give_other_weights_silently() {
    let dir = tempfile::tempdir().expect("folder");
    let mut n_refused = 0;
    for (round, weights) in every_weights().into_iter().enumerate() {
        weights.save(dir.path()).expect("save");
        for name in [Weights::CONFIG_FILE, Weights::TENSORS_FILE] {
            let path = dir.path().join(name);
            let good = fs::read(&path).expect("read");
            for seed in 0..150 {
                let mut bytes = good.clone();
                let mut random = Random::new(seed, &format!("{round} {name}"));
                damage(&mut bytes, &mut random);
                fs::write(&path, &bytes).expect("write");
                match Weights::load(dir.path()) {
                    Ok(read) => assert_eq!(read.data.len(), read.table.len()),
                    Err(e) => {
                        assert!(!e.to_string().is_empty());
                        n_refused += 1;
                    }
                }
            }
            fs::write(&path, &good).expect("mend");
        }
        assert_eq!(Weights::load(dir.path()).expect("whole again"), weights);
    }
    assert!(n_refused > 1000, "{n_refused}");
}
