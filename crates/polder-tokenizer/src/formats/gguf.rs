//! The vocabulary in a GGUF file: read from its keys, and written as keys that llama.cpp understands.
//!
//! # Source
//! Keys and token types as in the Python package `gguf` 0.19; what a name under `tokenizer.ggml.pre` stands for as in llama.cpp's
//! `llama-vocab.cpp`.

mod metadata;
mod pre;
mod write;

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

use serde_json::{Value as Json, json};

use super::byte_level::{Vocabulary, place};
use super::within;
use crate::char_model::{CharModel, Parts};
use crate::definition::{AddedToken, Around, Definition, Merging, Normalizer};
use crate::error::TokenizerError;
use crate::fast_hash::FastMap;
use crate::split::Splitter;

pub use metadata::GgufValue;
use metadata::Metadata;
pub(super) use metadata::is_magic;
pub use write::{GgufRoles, write_gguf_metadata};

/// Why a GGUF file cannot be read: the system, or what it holds.
pub(super) enum GgufError {
    Io(std::io::Error),
    Held(TokenizerError),
}

impl GgufError {
    pub(super) fn into_error(self, path: &Path) -> TokenizerError {
        match self {
            Self::Io(source) => TokenizerError::Read { path: path.to_owned(), source },
            Self::Held(source) => within(path, source),
        }
    }
}

impl From<TokenizerError> for GgufError {
    fn from(e: TokenizerError) -> Self {
        Self::Held(e)
    }
}

/// What a token is, by its number in `tokenizer.ggml.token_type`.
const NORMAL: i64 = 1;
const UNKNOWN: i64 = 2;
const CONTROL: i64 = 3;
const USER_DEFINED: i64 = 4;
const UNUSED: i64 = 5;
const BYTE: i64 = 6;

/// Reads the vocabulary; the reader stands behind the magic number of a file of `bytes_total` bytes.
pub(super) fn read(reader: &mut dyn Read, bytes_total: u64) -> Result<Definition, GgufError> {
    let metadata = Metadata::read(reader, bytes_total)?;
    Ok(definition(&metadata)?)
}

fn definition(metadata: &Metadata) -> Result<Definition, TokenizerError> {
    let tokens = metadata.texts("tokenizer.ggml.tokens")?.ok_or(TokenizerError::Unsaid {
        what: "its vocabulary",
        remedy: "Take a GGUF file of a language model: it holds `tokenizer.ggml.tokens`.",
    })?;
    let types = metadata.integers("tokenizer.ggml.token_type")?.unwrap_or_default();
    if !types.is_empty() && types.len() != tokens.len() {
        return Err(TokenizerError::broken(format!("{} tokens have {} types", tokens.len(), types.len())));
    }
    let kind_of = |id: usize| types.get(id).copied().unwrap_or(NORMAL);
    let mut added = Vec::new();
    for (id, content) in tokens.iter().enumerate() {
        let token = AddedToken::special(id as u32, content);
        match kind_of(id) {
            NORMAL | BYTE => {}
            UNKNOWN | CONTROL | UNUSED => added.push(token),
            USER_DEFINED => added.push(AddedToken { special: false, ..token }),
            other => {
                let found = format!("{other} for token {id}");
                return Err(TokenizerError::unsupported("tokenizer.ggml.token_type", found, "1 to 6"));
            }
        }
    }
    let around = around(metadata, tokens.len())?;
    match metadata.text("tokenizer.ggml.model")? {
        Some("gpt2") => byte_level(metadata, tokens, added, around),
        Some("llama") => sentence_piece(metadata, tokens, added, around),
        Some("bert") => word_piece(metadata, tokens, added, around),
        other => Err(TokenizerError::unsupported("tokenizer.ggml.model", other.unwrap_or("absent"), "gpt2, llama or bert")),
    }
}

/// The ids that the file asks to put around a text.
fn around(metadata: &Metadata, n_tokens: usize) -> Result<Around, TokenizerError> {
    let is_bert = metadata.text("tokenizer.ggml.model")? == Some("bert");
    let id = |key: &str| match metadata.integer(key)? {
        Some(id) if (0..n_tokens as i64).contains(&id) => Ok(Some(id as u32)),
        Some(id) => Err(TokenizerError::unsupported(key, id.to_string(), "the id of a token")),
        None => Ok(None),
    };
    let asked = |key: &str, default: bool| Ok::<_, TokenizerError>(metadata.flag(key)?.unwrap_or(default));
    let mut out = Around::default();
    if asked("tokenizer.ggml.add_bos_token", is_bert)? {
        let bos = if is_bert { id("tokenizer.ggml.cls_token_id")? } else { None };
        out.before.extend(bos.or(id("tokenizer.ggml.bos_token_id")?));
    }
    if asked("tokenizer.ggml.add_eos_token", is_bert)? {
        // The key is spelled as the format spells it.
        let eos = if is_bert { id("tokenizer.ggml.seperator_token_id")? } else { None };
        out.after.extend(eos.or(id("tokenizer.ggml.eos_token_id")?));
    }
    Ok(out)
}

fn byte_level(metadata: &Metadata, tokens: &[String], added: Vec<AddedToken>, around: Around) -> Result<Definition, TokenizerError> {
    let name = metadata.text("tokenizer.ggml.pre")?.unwrap_or("absent");
    let (splitter, whole_words_first) =
        pre::splitter(name)?.ok_or_else(|| TokenizerError::unsupported("tokenizer.ggml.pre", name, pre::KNOWN))?;
    if metadata.flag("tokenizer.ggml.add_space_prefix")? == Some(true) {
        return Err(TokenizerError::unsupported("tokenizer.ggml.add_space_prefix", "true", "false"));
    }
    let mut texts: HashMap<String, u32> = HashMap::with_capacity(tokens.len());
    for (id, token) in (0u32..).zip(tokens) {
        if let Some(other) = texts.insert(token.clone(), id) {
            return Err(TokenizerError::broken(format!("tokens {other} and {id} are both `{token}`")));
        }
    }
    let vocabulary = Vocabulary::read(texts, added)?;
    let merges = metadata.texts("tokenizer.ggml.merges")?.unwrap_or_default();
    let wrong = |i: usize, reason: String| TokenizerError::broken(format!("tokenizer.ggml.merges[{i}]: {reason}"));
    let mut pairs = Vec::with_capacity(merges.len());
    for (i, merge) in merges.iter().enumerate() {
        pairs.push(merge.split_once(' ').ok_or_else(|| wrong(i, "it holds no space".into()))?);
    }
    let merging = vocabulary.merges(pairs, wrong)?;
    let definition = Definition {
        tokens: vocabulary.tokens,
        merging,
        added: vocabulary.added,
        splitter,
        normalizer: Normalizer::None,
        add_prefix_space: false,
        whole_words_first,
        around,
    };
    definition.check_texts()?;
    Ok(definition)
}

fn character_model(tokens: &[String], added: Vec<AddedToken>, around: Around, parts: Parts) -> Result<Definition, TokenizerError> {
    let tokens = place((0u32..).zip(tokens).map(|(id, text)| (id, text.as_bytes().into())))?;
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

fn unknown(metadata: &Metadata, tokens: &[String]) -> Result<String, TokenizerError> {
    let id = metadata.integer("tokenizer.ggml.unknown_token_id")?;
    let token = id.and_then(|id| tokens.get(usize::try_from(id).ok()?));
    let found = || id.map_or("absent".to_owned(), |id| id.to_string());
    token.cloned().ok_or_else(|| TokenizerError::unsupported("tokenizer.ggml.unknown_token_id", found(), "the id of a token"))
}

/// SentencePiece's BPE: of two neighbours that are a token together, those with the best score are merged first.
fn sentence_piece(metadata: &Metadata, tokens: &[String], added: Vec<AddedToken>, around: Around) -> Result<Definition, TokenizerError> {
    let scores = metadata.floats("tokenizer.ggml.scores")?.unwrap_or_default();
    if scores.len() != tokens.len() || scores.iter().any(|s| s.is_nan()) {
        return Err(TokenizerError::broken(format!("{} tokens have {} scores", tokens.len(), scores.len())));
    }
    let is_control = |id: u32| added.binary_search_by_key(&id, |t| t.id).is_ok_and(|i| added[i].special);
    let ids: FastMap<&str, u32> = (0u32..).zip(tokens).map(|(id, t)| (t.as_str(), id)).filter(|(_, id)| !is_control(*id)).collect();
    let mut merges: Vec<(f32, u32, (u32, u32))> = Vec::new();
    for (text, id) in (0u32..).zip(tokens).filter_map(|(id, text)| Some((text, id)).filter(|_| ids.get(text.as_str()) == Some(&id))) {
        for (at, _) in text.char_indices().skip(1) {
            if let (Some(left), Some(right)) = (ids.get(&text[..at]), ids.get(&text[at..])) {
                merges.push((scores[id as usize], id, (*left, *right)));
            }
        }
    }
    merges.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2)));
    let spaced = metadata.flag("tokenizer.ggml.add_space_prefix")?.unwrap_or(true);
    let space = json!({"type": "Replace", "pattern": {"String": " "}, "content": "\u{2581}"});
    let front = json!({"type": "Prepend", "prepend": "\u{2581}"});
    let normalizers: Vec<Json> = if spaced { vec![front, space] } else { vec![space] };
    let mut decoders = vec![
        json!({"type": "Replace", "pattern": {"String": "\u{2581}"}, "content": " "}),
        json!({"type": "ByteFallback"}),
        json!({"type": "Fuse"}),
    ];
    decoders.extend(spaced.then(|| json!({"type": "Strip", "content": " ", "start": 1, "stop": 0})));
    let parts = Parts {
        kind: "BPE".into(),
        normalizer: json!({"type": "Sequence", "normalizers": normalizers}),
        pre_tokenizer: Json::Null,
        decoder: json!({"type": "Sequence", "decoders": decoders}),
        unk_token: Some(unknown(metadata, tokens)?),
        unk_id: None,
        continuing_subword_prefix: None,
        end_of_word_suffix: None,
        max_input_chars_per_word: None,
        fuse_unk: true,
        byte_fallback: true,
        ignore_merges: false,
        scores: Vec::new(),
        merges: merges.into_iter().map(|(.., pair)| pair).collect(),
    };
    character_model(tokens, added, around, parts)
}

/// WordPiece. GGUF marks the beginnings of words where BERT's own files mark what goes on.
fn word_piece(metadata: &Metadata, tokens: &[String], mut added: Vec<AddedToken>, around: Around) -> Result<Definition, TokenizerError> {
    let is_added = |id: u32| added.binary_search_by_key(&id, |t| t.id).is_ok();
    let own = |(id, token): (u32, &String)| match token.strip_prefix('\u{2581}') {
        Some(begin) if !begin.is_empty() => begin.to_owned(),
        _ if is_added(id) || (token.starts_with('[') && token.ends_with(']')) => token.clone(),
        _ => format!("##{token}"),
    };
    let texts: Vec<String> = (0u32..).zip(tokens).map(own).collect();
    let unk_token = unknown(metadata, &texts)?;
    // The types tell control tokens from others only in part; the keys name the rest.
    for role in ["unknown", "padding", "cls", "seperator", "mask", "bos", "eos"] {
        let id = metadata.integer(&format!("tokenizer.ggml.{role}_token_id"))?.and_then(|id| u32::try_from(id).ok());
        if let Some((id, text)) = id.and_then(|id| Some((id, texts.get(id as usize)?)))
            && !added.iter().any(|t| t.id == id)
        {
            added.push(AddedToken::special(id, text));
        }
    }
    added.sort_by_key(|t| t.id);
    let parts = Parts {
        kind: "WordPiece".into(),
        normalizer: json!({"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true}),
        pre_tokenizer: json!({"type": "BertPreTokenizer"}),
        decoder: json!({"type": "WordPiece", "prefix": "##", "cleanup": true}),
        unk_token: Some(unk_token),
        unk_id: None,
        continuing_subword_prefix: Some("##".into()),
        end_of_word_suffix: None,
        max_input_chars_per_word: Some(100),
        fuse_unk: false,
        byte_fallback: false,
        ignore_merges: false,
        scores: Vec::new(),
        merges: Vec::new(),
    };
    character_model(&texts, added, around, parts)
}

#[cfg(test)]
mod tests;
