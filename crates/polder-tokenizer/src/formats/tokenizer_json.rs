//! `tokenizer.json`, the form that Hugging Face's `tokenizers` reads and writes.
//!
//! A byte-level BPE becomes a definition whose splitter is known here; WordPiece, Unigram and BPE over characters keep their steps as the file
//! says them, in a [`CharModel`]. Unknown keys are tolerated, those that change ids and are not understood are refused by their path.
//! Truncation and padding are settings of a call, and are not kept.

mod around;
mod splitting;
mod write;

use std::collections::HashMap;
use std::fmt;

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::byte_level::{Vocabulary, place};
use crate::char_model::{CharModel, Parts};
use crate::definition::{AddedToken, Definition, Merging, Normalizer};
use crate::error::TokenizerError;
use crate::split::Splitter;

pub(crate) use write::write;

/// Ours, beside the decoder's own keys: ranks decide, and the merges are for others. The reference tolerates it there, and not at the top.
const RANKS: &str = "polder_ranks";

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
    unk_token: Option<String>,
    #[serde(default)]
    unk_id: Option<u32>,
    #[serde(default)]
    continuing_subword_prefix: Option<String>,
    #[serde(default)]
    end_of_word_suffix: Option<String>,
    #[serde(default)]
    max_input_chars_per_word: Option<usize>,
    #[serde(default)]
    fuse_unk: bool,
    #[serde(default)]
    byte_fallback: bool,
    #[serde(default)]
    ignore_merges: bool,
    vocab: Texts,
    #[serde(default)]
    merges: Vec<Merge>,
}

/// A vocabulary: texts with ids, or, for Unigram, texts with scores in order of id.
enum Texts {
    Ids(HashMap<String, u32>),
    Scores(Vec<(String, f64)>),
}

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Texts;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a vocabulary")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Texts, A::Error> {
                let mut ids = HashMap::new();
                while let Some((text, id)) = map.next_entry()? {
                    ids.insert(text, id);
                }
                Ok(Texts::Ids(ids))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Texts, A::Error> {
                let mut scores = Vec::new();
                while let Some(entry) = seq.next_element()? {
                    scores.push(entry);
                }
                Ok(Texts::Scores(scores))
            }
        }
        deserializer.deserialize_any(Either)
    }
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

/// The type of a step; `null` where there is none.
fn kind(step: &Value) -> &str {
    step["type"].as_str().unwrap_or("null")
}

/// Reads a tokenizer.
pub(crate) fn read(text: &str) -> Result<Definition, TokenizerError> {
    let file: File = serde_json::from_str(text).map_err(|source| TokenizerError::Parse { source })?;
    let byte_level = splitting::is_byte_level(&file.pre_tokenizer);
    match file.model.kind.as_deref().unwrap_or("BPE") {
        "BPE" if byte_level || file.pre_tokenizer.is_null() && !file.model.byte_fallback && kind(&file.decoder) == "ByteLevel" => {
            read_byte_level(file)
        }
        "BPE" | "WordPiece" | "Unigram" => read_characters(file),
        other => Err(TokenizerError::unsupported("model.type", other, "BPE, WordPiece or Unigram")),
    }
}

fn refuse_model_settings(model: &Model) -> Result<(), TokenizerError> {
    if let Some(p) = model.dropout.filter(|p| *p != 0.0) {
        return Err(TokenizerError::unsupported("model.dropout", p.to_string(), "null"));
    }
    Ok(())
}

fn read_byte_level(file: File) -> Result<Definition, TokenizerError> {
    let model = file.model;
    refuse_model_settings(&model)?;
    for (key, value) in
        [("model.continuing_subword_prefix", &model.continuing_subword_prefix), ("model.end_of_word_suffix", &model.end_of_word_suffix)]
    {
        if let Some(text) = value.as_deref().filter(|t| !t.is_empty()) {
            return Err(TokenizerError::unsupported(key, format!("`{text}`"), "null"));
        }
    }
    let Texts::Ids(texts) = model.vocab else {
        return Err(TokenizerError::unsupported("model.vocab", "a list", "texts with ids"));
    };
    if !file.decoder.is_null() && kind(&file.decoder) != "ByteLevel" {
        return Err(TokenizerError::unsupported("decoder", kind(&file.decoder), "ByteLevel"));
    }
    let normalizer = read_normalizer(&file.normalizer, "normalizer")?;
    let (splitter, add_prefix_space) = splitting::read(&file.pre_tokenizer)?;
    let added = counted(file.added_tokens, |content| texts.get(content).copied(), texts.len())?;
    let vocabulary = Vocabulary::read(texts, added)?;
    let parts: Option<Vec<(&str, &str)>> = model.merges.iter().map(Merge::parts).collect();
    let parts = parts.ok_or_else(|| TokenizerError::broken("a merge holds no space"))?;
    let merging = vocabulary.merges(parts, |i, reason| TokenizerError::broken(format!("model.merges[{i}]: {reason}")))?;
    let around = around::read(&file.post_processor, "post_processor", vocabulary.tokens.len())?;
    let mut definition = Definition {
        tokens: vocabulary.tokens,
        merging,
        added: vocabulary.added,
        splitter,
        normalizer,
        add_prefix_space,
        whole_words_first: model.ignore_merges,
        around,
    };
    if file.decoder[RANKS] == true {
        let listed = std::mem::replace(&mut definition.merging, Merging::Ranks);
        if listed != Merging::Pairs(definition.merge_pairs()) {
            return Err(TokenizerError::unsupported(format!("decoder.{RANKS}"), "true", "merges that say the same as the ranks"));
        }
    }
    Ok(definition)
}

/// Checks that each added token has the id that the reference counts for it: its own in the vocabulary, or the next behind all.
fn counted(added: Vec<AddedToken>, id_of: impl Fn(&str) -> Option<u32>, n_vocabulary: usize) -> Result<Vec<AddedToken>, TokenizerError> {
    let mut most: Option<u32> = None;
    for (i, token) in added.iter().enumerate() {
        if token.content.is_empty() {
            return Err(TokenizerError::broken(format!("added_tokens[{i}] is empty")));
        }
        let n = n_vocabulary as u32;
        let next = most.map_or(n, |most| if most >= n { most.saturating_add(1) } else { n });
        let expected = id_of(&token.content).unwrap_or(next);
        if token.id != expected {
            let reason = format!("added_tokens[{i}] `{}` has id {}, where the reference counts {expected}", token.content, token.id);
            return Err(TokenizerError::broken(reason));
        }
        most = most.max(Some(token.id));
    }
    Ok(added)
}

fn read_normalizer(step: &Value, path: &str) -> Result<Normalizer, TokenizerError> {
    match kind(step) {
        "null" if step.is_null() => Ok(Normalizer::None),
        "NFC" => Ok(Normalizer::Nfc),
        "Sequence" => {
            let mut out = Normalizer::None;
            for (i, inner) in step["normalizers"].as_array().into_iter().flatten().enumerate() {
                if read_normalizer(inner, &format!("{path}.normalizers[{i}]"))? == Normalizer::Nfc {
                    out = Normalizer::Nfc;
                }
            }
            Ok(out)
        }
        other => Err(TokenizerError::unsupported(path, other, "NFC or null before bytes")),
    }
}

fn read_characters(file: File) -> Result<Definition, TokenizerError> {
    let model = file.model;
    refuse_model_settings(&model)?;
    let kind = model.kind.as_deref().unwrap_or("BPE");
    let (texts, scores): (Vec<(u32, String)>, Option<Vec<f64>>) = match (model.vocab, kind) {
        (Texts::Scores(entries), "Unigram") => {
            let (texts, scores): (Vec<String>, Vec<f64>) = entries.into_iter().unzip();
            ((0u32..).zip(texts).collect(), Some(scores))
        }
        (Texts::Ids(ids), "WordPiece" | "BPE") => (ids.into_iter().map(|(text, id)| (id, text)).collect(), None),
        _ => return Err(TokenizerError::unsupported("model.vocab", "of another shape", "texts with ids; with scores for Unigram")),
    };
    let ids: HashMap<&str, u32> = texts.iter().map(|(id, text)| (text.as_str(), *id)).collect();
    let mut added = counted(file.added_tokens, |content| ids.get(content).copied(), texts.len())?;
    let merges: Option<Vec<(u32, u32)>> =
        model.merges.iter().map(|m| m.parts().and_then(|(l, r)| Some((*ids.get(l)?, *ids.get(r)?)))).collect();
    let merges = merges.ok_or_else(|| TokenizerError::broken("model.merges: a merge names a token that is not there"))?;
    let beside = added.iter().filter(|t| !ids.contains_key(t.content.as_str())).map(|t| (t.id, t.content.as_bytes().into()));
    let tokens = place(texts.iter().map(|(id, text)| (*id, text.as_bytes().into())).chain(beside))?;
    let around = around::read(&file.post_processor, "post_processor", tokens.len())?;
    added.sort_by_key(|t| t.id);
    let parts = Parts {
        kind: kind.to_owned(),
        normalizer: file.normalizer,
        pre_tokenizer: file.pre_tokenizer,
        decoder: file.decoder,
        unk_token: model.unk_token,
        unk_id: model.unk_id,
        continuing_subword_prefix: model.continuing_subword_prefix,
        end_of_word_suffix: model.end_of_word_suffix,
        max_input_chars_per_word: model.max_input_chars_per_word,
        fuse_unk: model.fuse_unk,
        byte_fallback: model.byte_fallback,
        ignore_merges: model.ignore_merges,
        scores: scores.unwrap_or_default(),
        merges,
    };
    let model = CharModel::try_new(parts, &tokens, &added)?;
    Ok(Definition {
        tokens,
        merging: Merging::Characters(Box::new(model)),
        added,
        splitter: Splitter::default(),
        normalizer: Normalizer::None,
        add_prefix_space: false,
        whole_words_first: false,
        around,
    })
}

#[cfg(test)]
mod tests;
