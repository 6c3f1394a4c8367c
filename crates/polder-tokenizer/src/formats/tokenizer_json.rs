//! `tokenizer.json`, the form that Hugging Face's `tokenizers` reads.
//!
//! Reading tolerates unknown keys, and refuses by name those known to change the ids.

use std::collections::HashMap;

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};

use super::alphabet::{FromText, to_text};
use crate::definition::{AddedToken, Definition, Merging, Normalizer, VOCAB_SIZE_MAX};
use crate::error::TokenizerError;
use crate::split::Splitter;

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    added_tokens: Vec<AddedToken>,
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    pre_tokenizer: Value,
    #[serde(default)]
    post_processor: Value,
    #[serde(default)]
    decoder: Value,
    model: Model,
}

#[derive(Deserialize)]
struct Model {
    #[serde(rename = "type", default)]
    kind: Option<String>,
    #[serde(default)]
    dropout: Option<f64>,
    #[serde(default)]
    continuing_subword_prefix: Option<String>,
    #[serde(default)]
    end_of_word_suffix: Option<String>,
    #[serde(default)]
    byte_fallback: bool,
    #[serde(default)]
    ignore_merges: bool,
    vocab: HashMap<String, u32>,
    merges: Vec<Merge>,
}

/// Older files write a merge as one text, newer ones as two.
#[derive(Deserialize)]
#[serde(untagged)]
enum Merge {
    Text(String),
    Pair(String, String),
}

impl Merge {
    fn parts(&self) -> Option<(&str, &str)> {
        match self {
            Self::Text(text) => text.split_once(' '),
            Self::Pair(left, right) => Some((left, right)),
        }
    }
}

fn refuse_what_changes_ids(file: &File) -> Result<(), TokenizerError> {
    let refuse = |key, found: String, known| Err(TokenizerError::Unsupported { key, found, known });
    let kind = |v: &Value| v["type"].as_str().unwrap_or("null").to_owned();
    let model = &file.model;
    if let Some(other) = model.kind.as_deref().filter(|k| *k != "BPE") {
        return refuse("model.type", other.to_owned(), "BPE");
    }
    if !file.normalizer.is_null() {
        return refuse("normalizer", kind(&file.normalizer), "null");
    }
    let pre = &file.pre_tokenizer;
    if kind(pre) != "ByteLevel" {
        return refuse("pre_tokenizer", kind(pre), "ByteLevel");
    }
    if pre["add_prefix_space"].as_bool() != Some(false) {
        return refuse("pre_tokenizer.add_prefix_space", pre["add_prefix_space"].to_string(), "false");
    }
    if pre["use_regex"].as_bool() == Some(false) {
        return refuse("pre_tokenizer.use_regex", "false".into(), "true");
    }
    if !file.post_processor.is_null() && kind(&file.post_processor) != "ByteLevel" {
        return refuse("post_processor", kind(&file.post_processor), "ByteLevel or null");
    }
    if !file.decoder.is_null() && kind(&file.decoder) != "ByteLevel" {
        return refuse("decoder", kind(&file.decoder), "ByteLevel");
    }
    if let Some(p) = model.dropout.filter(|p| *p != 0.0) {
        return refuse("model.dropout", p.to_string(), "null");
    }
    for (key, value) in
        [("model.continuing_subword_prefix", &model.continuing_subword_prefix), ("model.end_of_word_suffix", &model.end_of_word_suffix)]
    {
        if let Some(text) = value.as_deref().filter(|t| !t.is_empty()) {
            return refuse(key, format!("`{text}`"), "null");
        }
    }
    if model.byte_fallback {
        return refuse("model.byte_fallback", "true".into(), "false");
    }
    if model.ignore_merges {
        return refuse("model.ignore_merges", "true".into(), "false");
    }
    match file.added_tokens.iter().find(|t| !t.special) {
        Some(token) => refuse("added_tokens", format!("an ordinary token `{}`", token.content), "special tokens"),
        None => Ok(()),
    }
}

/// Reads the parts of a tokenizer.
pub(crate) fn read(text: &str) -> Result<Definition, TokenizerError> {
    let file: File = serde_json::from_str(text).map_err(|source| TokenizerError::Parse { source })?;
    refuse_what_changes_ids(&file)?;
    let broken = |reason: String| TokenizerError::Vocabulary { reason };
    let special: HashMap<u32, &str> = file.added_tokens.iter().map(|t| (t.id, t.content.as_str())).collect();
    let vocab = &file.model.vocab;
    let n = vocab.values().chain(special.keys()).map(|id| *id as usize + 1).max().unwrap_or(0);
    // Every id needs its own token, so a hostile id cannot ask for more memory than the file has entries.
    if n > VOCAB_SIZE_MAX || n > vocab.len() + special.len() {
        return Err(broken(format!("{} tokens do not fill {n} ids", vocab.len() + special.len())));
    }
    let from_text = FromText::new();
    let mut tokens: Vec<Option<Box<[u8]>>> = vec![None; n];
    for (content, id) in vocab {
        let bytes = match special.get(id) {
            Some(text) if text == content => content.as_bytes().into(),
            Some(text) => return Err(broken(format!("id {id} is `{content}` and the special token `{text}`"))),
            None => from_text.read(content).ok_or_else(|| broken(format!("token `{content}` is not byte-level text")))?.into(),
        };
        if tokens[*id as usize].replace(bytes).is_some() {
            return Err(broken(format!("id {id} has two tokens")));
        }
    }
    for (id, content) in &special {
        tokens[*id as usize] = Some(content.as_bytes().into());
    }
    let tokens: Option<Vec<Box<[u8]>>> = tokens.into_iter().collect();
    let tokens = tokens.ok_or_else(|| broken("some id has no token".into()))?;
    let id_of = |text: &str| vocab.get(text).copied().filter(|id| !special.contains_key(id));
    let merges: Option<Vec<(u32, u32)>> = file
        .model
        .merges
        .iter()
        .map(|m| {
            let (left, right) = m.parts()?;
            Some((id_of(left)?, id_of(right)?))
        })
        .collect();
    let merges = merges.ok_or_else(|| broken("a merge names a token that is not there".into()))?;
    let mut added = file.added_tokens;
    added.sort_by_key(|a| a.id);
    Ok(Definition {
        tokens,
        merging: Merging::Pairs(merges),
        added,
        splitter: Splitter::Gpt2,
        normalizer: Normalizer::None,
        add_prefix_space: false,
        whole_words_first: false,
    })
}

struct Vocab<'a>(&'a Definition);

impl Definition {
    fn text(&self, id: u32) -> String {
        let bytes = self.tokens.get(id as usize).map_or(&[][..], |t| t);
        if self.added.binary_search_by_key(&id, |a| a.id).is_ok() { String::from_utf8_lossy(bytes).into_owned() } else { to_text(bytes) }
    }
}

impl Serialize for Vocab<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.tokens.len()))?;
        for id in 0..self.0.tokens.len() as u32 {
            map.serialize_entry(&self.0.text(id), &id)?;
        }
        map.end()
    }
}

#[derive(Serialize)]
struct ModelOut<'a> {
    r#type: &'static str,
    dropout: Option<f64>,
    unk_token: Option<String>,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
    fuse_unk: bool,
    byte_fallback: bool,
    ignore_merges: bool,
    vocab: Vocab<'a>,
    merges: Vec<String>,
}

#[derive(Serialize)]
struct FileOut<'a> {
    version: &'static str,
    truncation: Value,
    padding: Value,
    added_tokens: Vec<Value>,
    normalizer: Value,
    pre_tokenizer: Value,
    post_processor: Value,
    decoder: Value,
    model: ModelOut<'a>,
}

/// Writes the parts of a tokenizer, the vocabulary in order of id.
pub(crate) fn write(parts: &Definition) -> String {
    let byte_level = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
    let added = parts.added.iter().map(|token| json!(token));
    let merges = match &parts.merging {
        Merging::Pairs(pairs) => pairs.as_slice(),
        Merging::Ranks => &[],
    };
    let file = FileOut {
        version: "1.0",
        truncation: Value::Null,
        padding: Value::Null,
        added_tokens: added.collect(),
        normalizer: Value::Null,
        pre_tokenizer: byte_level.clone(),
        post_processor: Value::Null,
        decoder: byte_level,
        model: ModelOut {
            r#type: "BPE",
            dropout: None,
            unk_token: None,
            continuing_subword_prefix: None,
            end_of_word_suffix: None,
            fuse_unk: false,
            byte_fallback: false,
            ignore_merges: false,
            vocab: Vocab(parts),
            merges: merges.iter().map(|(l, r)| format!("{} {}", parts.text(*l), parts.text(*r))).collect(),
        },
    };
    // Texts and numbers always serialise; an empty text would be refused on reading.
    serde_json::to_string_pretty(&file).unwrap_or_default()
}
