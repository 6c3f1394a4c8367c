//! Weights as a Hugging Face folder: `config.json` and `model.safetensors`, or several such files and their index.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use polder_base::write_whole;
use safetensors::Dtype;
use safetensors::tensor::View;
use serde_json::{Value, json};

use super::Weights;
use super::tensor_file::TensorFile;
use crate::config::{Family, Head};
use crate::{ModelConfig, ModelError, Param, ParamTable};

/// Bytes of a weights file above which they are split, as transformers does.
const FILE_BYTES_MAX: u64 = 5_000_000_000;

fn read_json(path: &Path) -> Result<Value, ModelError> {
    let bytes = fs::read(path).map_err(|source| ModelError::Read { path: path.to_owned(), source })?;
    serde_json::from_slice(&bytes).map_err(|source| ModelError::Parse { path: path.to_owned(), source })
}

fn tensors(reason: String) -> ModelError {
    ModelError::Tensors { reason }
}

impl ModelConfig {
    /// Reads the configuration of a model's folder.
    ///
    /// # Errors
    /// A file that is missing or no configuration; one that asks for what this program does not compute.
    pub fn load(dir: &Path) -> Result<Self, ModelError> {
        Self::from_hugging_face(&read_json(&dir.join(Weights::CONFIG_FILE))?)
    }
}

/// A model's folder whose configuration and headers were read, and fit each other; its numbers were not looked at.
#[derive(Debug)]
pub struct ModelFolder {
    config: ModelConfig,
    table: ParamTable,
    /// Names of the files that hold the numbers, and of their index.
    names: Vec<String>,
    files: Vec<TensorFile>,
    /// For each tensor of the table, the file that holds it and its name there.
    sources: Vec<(usize, String)>,
}

impl ModelFolder {
    /// Looks at a folder.
    ///
    /// # Errors
    /// A file that is missing or not what it should be; a tensor that is missing, superfluous, of another shape or of a
    /// kind of number that is not read.
    pub fn open(dir: &Path) -> Result<Self, ModelError> {
        let config = ModelConfig::load(dir)?;
        let (names, files) = open(dir)?;
        let table = ParamTable::new(&config);
        let sources = sources(&config, &table, &files)?;
        Ok(Self { config, table, names, files, sources })
    }

    /// The shape.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Names of the files that hold the model: its configuration, its numbers, and their index.
    pub fn files(&self) -> Vec<String> {
        std::iter::once(Weights::CONFIG_FILE.to_owned()).chain(self.names.iter().cloned()).collect()
    }

    /// How the numbers are stored, in order: `BF16`, or several kinds.
    pub fn dtypes(&self) -> Vec<String> {
        let of = |(file, name): &(usize, String)| self.files[*file].tensors().get(name).map(|t| format!("{:?}", t.dtype));
        self.sources.iter().filter_map(of).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Reads every number without keeping any. `on_numbers` gets how many were read so far, and stops the work with `false`.
    ///
    /// # Errors
    /// A file that cannot be read, or a number that is not finite.
    pub fn check(&mut self, on_numbers: &mut dyn FnMut(u64) -> bool) -> Result<(), ModelError> {
        let mut n = 0;
        for (param, (file, name)) in self.table.iter().zip(&self.sources) {
            self.files[*file].check(name)?;
            n += param.len() as u64;
            if !on_numbers(n) {
                break;
            }
        }
        Ok(())
    }

    fn read(mut self) -> Result<Weights, ModelError> {
        // The shapes fit, so this asks for no more numbers than the files hold.
        let mut data = vec![0f32; self.table.len()];
        for (param, (file, name)) in self.table.iter().zip(&self.sources) {
            let part = &mut data[param.offset..][..param.len()];
            self.files[*file].read(name, part)?;
            if param.transposed {
                let stored = part.to_vec();
                transpose(part, &stored, param.shape[1], param.shape[0]);
            }
        }
        Ok(Weights { config: self.config, table: self.table, data })
    }
}

impl Weights {
    /// Reads a Hugging Face folder: `config.json` and weights in f32, f16 or bf16, in one file or several with an index.
    ///
    /// # Errors
    /// Those of [`ModelFolder::open`] and [`ModelFolder::check`].
    pub fn load(dir: &Path) -> Result<Self, ModelError> {
        ModelFolder::open(dir)?.read()
    }

    /// Writes `config.json` and the weights (f32), each file whole; for decoders `generation_config.json` too. Returns the
    /// names of the files.
    ///
    /// # Errors
    /// Those of writing.
    pub fn save(&self, dir: &Path) -> Result<Vec<String>, ModelError> {
        self.save_split(dir, FILE_BYTES_MAX)
    }

    /// The same with files of at most so many bytes of numbers, unless a single tensor has more.
    ///
    /// # Errors
    /// Those of writing.
    pub fn save_split(&self, dir: &Path, file_bytes_max: u64) -> Result<Vec<String>, ModelError> {
        let mut groups: Vec<Vec<&Param>> = vec![Vec::new()];
        let mut bytes = 0;
        for param in self.table.iter() {
            let more = 4 * param.len() as u64;
            if bytes > 0 && bytes + more > file_bytes_max {
                groups.push(Vec::new());
                bytes = 0;
            }
            bytes += more;
            if let Some(group) = groups.last_mut() {
                group.push(param);
            }
        }
        fs::create_dir_all(dir).map_err(|source| ModelError::WriteTensors { path: dir.to_owned(), source })?;
        let mut names = Vec::new();
        if let [only] = &groups[..] {
            self.write_file(&dir.join(Self::TENSORS_FILE), only)?;
            names.push(Self::TENSORS_FILE.to_owned());
            remove(&dir.join(Self::INDEX_FILE))?;
        } else {
            let mut places = BTreeMap::new();
            for (i, group) in groups.iter().enumerate() {
                let name = format!("model-{:05}-of-{:05}.safetensors", i + 1, groups.len());
                self.write_file(&dir.join(&name), group)?;
                group.iter().for_each(|p| drop(places.insert(p.name.clone(), name.clone())));
                names.push(name);
            }
            let index = json!({"metadata": {"total_parameters": self.data.len(), "total_size": 4 * self.data.len()}, "weight_map": places});
            write_whole(&dir.join(Self::INDEX_FILE), pretty(&index).as_bytes())?;
            names.push(Self::INDEX_FILE.to_owned());
            // Readers take the single file where there is one.
            remove(&dir.join(Self::TENSORS_FILE))?;
        }
        if self.config.is_decoder() {
            let generation = json!({"bos_token_id": self.config.bos_token_id, "eos_token_id": self.config.eos_token_id});
            write_whole(&dir.join(Self::GENERATION_FILE), pretty(&generation).as_bytes())?;
            names.push(Self::GENERATION_FILE.to_owned());
        }
        write_whole(&dir.join(Self::CONFIG_FILE), pretty(&self.config.to_hugging_face()).as_bytes())?;
        names.push(Self::CONFIG_FILE.to_owned());
        Ok(names)
    }

    fn write_file(&self, path: &Path, params: &[&Param]) -> Result<(), ModelError> {
        let views = params.iter().map(|param| {
            let numbers = &self.data[param.offset..][..param.len()];
            (param.name.as_str(), Stored { param, shape: param.stored_shape(), numbers })
        });
        // transformers refuses files that do not say which framework's layout they follow.
        let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let temporary = path.with_file_name(format!(".{name}.tmp"));
        safetensors::serialize_to_file(views, Some(metadata), &temporary)
            .map_err(|source| ModelError::Safetensors { path: path.to_owned(), source })?;
        let put = || {
            File::open(&temporary)?.sync_all()?;
            fs::rename(&temporary, path)
        };
        put().map_err(|source: io::Error| ModelError::WriteTensors { path: path.to_owned(), source })
    }
}

/// A tensor as files hold it.
struct Stored<'a> {
    param: &'a Param,
    shape: Vec<usize>,
    numbers: &'a [f32],
}

impl View for Stored<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        if !self.param.transposed {
            return bytemuck::cast_slice(self.numbers).into();
        }
        let mut turned = vec![0f32; self.numbers.len()];
        transpose(&mut turned, self.numbers, self.param.shape[0], self.param.shape[1]);
        bytemuck::cast_slice::<f32, u8>(&turned).to_vec().into()
    }

    fn data_len(&self) -> usize {
        4 * self.numbers.len()
    }
}

/// `out (columns, rows) = xᵀ`, x (rows, columns).
fn transpose(out: &mut [f32], x: &[f32], rows: usize, columns: usize) {
    for r in 0..rows {
        for c in 0..columns {
            out[c * rows + r] = x[r * columns + c];
        }
    }
}

fn remove(path: &Path) -> Result<(), ModelError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(ModelError::WriteTensors { path: path.to_owned(), source }),
        _ => Ok(()),
    }
}

/// Opens the single file of a folder, or all that its index names; with their names, the index's included.
fn open(dir: &Path) -> Result<(Vec<String>, Vec<TensorFile>), ModelError> {
    let single = dir.join(Weights::TENSORS_FILE);
    let index_path = dir.join(Weights::INDEX_FILE);
    if single.exists() || !index_path.exists() {
        return match pickle(dir) {
            Some(path) if !single.exists() => Err(ModelError::Pickle { path }),
            _ => Ok((vec![Weights::TENSORS_FILE.to_owned()], vec![TensorFile::open(&single)?])),
        };
    }
    let index = read_json(&index_path)?;
    let wrong = |reason: &str| tensors(format!("the index {reason}"));
    let map = index.get("weight_map").and_then(Value::as_object).ok_or_else(|| wrong("has no `weight_map`"))?;
    let mut files: BTreeMap<&str, Option<TensorFile>> = BTreeMap::new();
    for (tensor, file) in map {
        let name = file.as_str().ok_or_else(|| wrong(&format!("names no file for `{tensor}`")))?;
        // A name is not a path: what lies outside the folder is not the model's.
        if name.is_empty() || name.starts_with('.') || name.contains(['/', '\\']) {
            return Err(wrong(&format!("names `{name}`, which is no file of this folder")));
        }
        let slot = files.entry(name).or_default();
        let opened = match slot {
            Some(opened) => opened,
            None => slot.insert(TensorFile::open(&dir.join(name))?),
        };
        if !opened.tensors().contains_key(tensor) {
            return Err(wrong(&format!("says that `{name}` holds `{tensor}`, which it does not")));
        }
    }
    let names = files.keys().map(|n| (*n).to_owned()).chain([Weights::INDEX_FILE.to_owned()]).collect();
    let files: Vec<TensorFile> = files.into_values().flatten().collect();
    match files.iter().flat_map(|f| f.tensors().keys()).find(|name| !map.contains_key(*name)) {
        Some(name) => Err(wrong(&format!("does not name `{name}`, which a file holds"))),
        None if files.is_empty() => Err(wrong("names no file")),
        None => Ok((names, files)),
    }
}

/// The first file, by name, that holds weights as others' programs pickle them.
fn pickle(dir: &Path) -> Option<PathBuf> {
    let is_pickle = |p: &PathBuf| p.extension().is_some_and(|e| ["bin", "pt", "pth", "ckpt", "pkl"].iter().any(|k| e == *k));
    fs::read_dir(dir).into_iter().flatten().flatten().map(|e| e.path()).filter(is_pickle).min()
}

/// For each tensor of the table, the file that holds it and its name there; every shape is checked, and every tensor of
/// the files must be wanted or known to be needless.
fn sources(config: &ModelConfig, table: &ParamTable, files: &[TensorFile]) -> Result<Vec<(usize, String)>, ModelError> {
    let mut found = Vec::new();
    let mut used: Vec<&str> = Vec::new();
    let find = |name: &str| files.iter().position(|f| f.tensors().contains_key(name));
    for param in table.iter() {
        let source = other_names(&param.name, table.base()).into_iter().find_map(|name| find(&name).map(|file| (file, name)));
        let (file, name) = source.ok_or_else(|| tensors(format!("`{}` is missing", param.name)))?;
        let Some((name, entry)) = files[file].tensors().get_key_value(&name) else { continue };
        let wanted = param.stored_shape();
        if entry.shape != wanted {
            return Err(tensors(format!("`{name}` has shape {:?}, not {wanted:?}", entry.shape)));
        }
        if !matches!(entry.dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16) {
            return Err(tensors(format!("`{name}` holds {:?}, not f32, f16 or bf16", entry.dtype)));
        }
        used.push(name);
        found.push((file, name.clone()));
    }
    used.sort_unstable();
    let strange = |name: &&String| used.binary_search(&name.as_str()).is_err() && !is_needless(config, table.base(), name);
    match files.iter().flat_map(|f| f.tensors().keys()).find(strange) {
        Some(name) => Err(tensors(format!("`{name}` does not belong to it"))),
        None => Ok(found),
    }
}

/// Names under which files hold a tensor: bare models leave out what stands before the body's names, and BERT's first
/// files call the numbers of normalisations after Greek letters.
fn other_names(name: &str, base: &str) -> Vec<String> {
    let mut names = vec![name.to_owned()];
    names.push(name.strip_prefix(base).map_or_else(|| format!("{base}{name}"), str::to_owned));
    for i in 0..names.len() {
        for (ours, theirs) in [("LayerNorm.weight", "LayerNorm.gamma"), ("LayerNorm.bias", "LayerNorm.beta")] {
            if let Some(stem) = names[i].strip_suffix(ours) {
                names.push(format!("{stem}{theirs}"));
            }
        }
    }
    names
}

/// Tells whether a tensor of a file changes nothing: tables that are computed, copies of tied tensors, heads that this
/// model does not use.
fn is_needless(config: &ModelConfig, base: &str, name: &str) -> bool {
    let tied = config.tie_word_embeddings;
    let bare = name.strip_prefix(base).unwrap_or(name);
    match config.family {
        Family::Llama(_) => name.ends_with("rotary_emb.inv_freq") || (tied && name == "lm_head.weight"),
        Family::Gpt2 => bare.ends_with(".attn.bias") || bare.ends_with(".attn.masked_bias") || (tied && name == "lm_head.weight"),
        Family::Bert { .. } => {
            bare == "embeddings.position_ids"
                || match config.head {
                    Head::MaskedLm => {
                        bare.starts_with("pooler.")
                            || name.starts_with("cls.seq_relationship.")
                            || name == "cls.predictions.decoder.bias"
                            || (tied && name == "cls.predictions.decoder.weight")
                    }
                    _ => name.starts_with("cls."),
                }
        }
        Family::ModernBert(_) => match config.head {
            Head::MaskedLm => tied && name == "decoder.weight",
            Head::Embedding => name.starts_with("head.") || name.starts_with("decoder."),
            _ => name.starts_with("decoder."),
        },
    }
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}
