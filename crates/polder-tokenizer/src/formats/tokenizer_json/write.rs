//! A definition as the text of a `tokenizer.json`: keys in one order, the vocabulary in order of id, so that equal tokenizers give equal text.

use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::{around, splitting};
use crate::char_model::CharModel;
use crate::definition::{Definition, Merging, Normalizer};

impl Definition {
    /// A token as its file writes it.
    pub(super) fn written(&self, id: u32) -> Option<String> {
        match &self.merging {
            Merging::Characters(_) => {
                let bytes = self.tokens.get(id as usize).filter(|bytes| !bytes.is_empty())?;
                Some(String::from_utf8_lossy(bytes).into_owned())
            }
            _ => self.byte_level_text(id),
        }
    }
}

/// Texts with ids, added tokens too; for Unigram, texts with scores.
struct Vocab<'a>(&'a Definition);

impl Serialize for Vocab<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let definition = self.0;
        let ids = 0..definition.tokens.len() as u32;
        let model = match &definition.merging {
            Merging::Characters(model) => Some(model.parts()),
            _ => None,
        };
        if let Some(parts) = model.filter(|p| p.kind == "Unigram") {
            let mut seq = serializer.serialize_seq(Some(parts.scores.len()))?;
            for (id, score) in ids.zip(&parts.scores) {
                seq.serialize_element(&(definition.written(id).unwrap_or_default(), score))?;
            }
            return seq.end();
        }
        let mut map = serializer.serialize_map(None)?;
        for id in ids {
            if let Some(text) = definition.written(id) {
                map.serialize_entry(&text, &id)?;
            }
        }
        map.end()
    }
}

#[derive(Serialize)]
struct BpeOut<'a> {
    r#type: &'static str,
    dropout: Option<f64>,
    unk_token: Option<&'a str>,
    continuing_subword_prefix: Option<&'a str>,
    end_of_word_suffix: Option<&'a str>,
    fuse_unk: bool,
    byte_fallback: bool,
    ignore_merges: bool,
    vocab: Vocab<'a>,
    merges: Vec<Value>,
}

#[derive(Serialize)]
struct WordPieceOut<'a> {
    r#type: &'static str,
    unk_token: Option<&'a str>,
    continuing_subword_prefix: Option<&'a str>,
    max_input_chars_per_word: usize,
    vocab: Vocab<'a>,
}

#[derive(Serialize)]
struct UnigramOut<'a> {
    r#type: &'static str,
    unk_id: Option<u32>,
    vocab: Vocab<'a>,
    byte_fallback: bool,
}

#[derive(Serialize)]
#[serde(untagged)]
enum ModelOut<'a> {
    Bpe(BpeOut<'a>),
    WordPiece(WordPieceOut<'a>),
    Unigram(UnigramOut<'a>),
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

/// Writes a definition.
pub(crate) fn write(definition: &Definition) -> String {
    let (normalizer, pre_tokenizer, decoder, model) = match &definition.merging {
        Merging::Characters(model) => {
            let parts = model.parts();
            (parts.normalizer.clone(), parts.pre_tokenizer.clone(), parts.decoder.clone(), character_model(definition, model))
        }
        _ => {
            let normalizer = match definition.normalizer {
                Normalizer::None => Value::Null,
                Normalizer::Nfc => json!({"type": "NFC"}),
            };
            let pre_tokenizer = splitting::write(&definition.splitter, definition.add_prefix_space);
            let mut decoder = splitting::byte_level(false, true);
            if definition.merging == Merging::Ranks {
                decoder[super::RANKS] = true.into();
            }
            (normalizer, pre_tokenizer, decoder, byte_level_model(definition))
        }
    };
    let file = FileOut {
        version: "1.0",
        truncation: Value::Null,
        padding: Value::Null,
        added_tokens: definition.added.iter().map(|token| json!(token)).collect(),
        normalizer,
        pre_tokenizer,
        post_processor: around::write(definition),
        decoder,
        model,
    };
    // Texts and numbers always serialise; an empty text would be refused on reading.
    serde_json::to_string_pretty(&file).unwrap_or_default()
}

fn byte_level_model(definition: &Definition) -> ModelOut<'_> {
    let text = |id: u32| definition.byte_level_text(id).unwrap_or_default();
    ModelOut::Bpe(BpeOut {
        r#type: "BPE",
        dropout: None,
        unk_token: None,
        continuing_subword_prefix: None,
        end_of_word_suffix: None,
        fuse_unk: false,
        byte_fallback: false,
        ignore_merges: definition.whole_words_first,
        vocab: Vocab(definition),
        merges: definition.merge_pairs().iter().map(|(l, r)| Value::String(format!("{} {}", text(*l), text(*r)))).collect(),
    })
}

fn character_model<'a>(definition: &'a Definition, model: &'a CharModel) -> ModelOut<'a> {
    let parts = model.parts();
    match parts.kind.as_str() {
        "WordPiece" => ModelOut::WordPiece(WordPieceOut {
            r#type: "WordPiece",
            unk_token: parts.unk_token.as_deref(),
            continuing_subword_prefix: parts.continuing_subword_prefix.as_deref(),
            max_input_chars_per_word: parts.max_input_chars_per_word.unwrap_or(100),
            vocab: Vocab(definition),
        }),
        "Unigram" => ModelOut::Unigram(UnigramOut {
            r#type: "Unigram",
            unk_id: parts.unk_id,
            vocab: Vocab(definition),
            byte_fallback: parts.byte_fallback,
        }),
        _ => ModelOut::Bpe(BpeOut {
            r#type: "BPE",
            dropout: None,
            unk_token: parts.unk_token.as_deref(),
            continuing_subword_prefix: parts.continuing_subword_prefix.as_deref(),
            end_of_word_suffix: parts.end_of_word_suffix.as_deref(),
            fuse_unk: parts.fuse_unk,
            byte_fallback: parts.byte_fallback,
            ignore_merges: parts.ignore_merges,
            vocab: Vocab(definition),
            merges: parts
                .merges
                .iter()
                .map(|(l, r)| json!([definition.written(*l).unwrap_or_default(), definition.written(*r).unwrap_or_default()]))
                .collect(),
        }),
    }
}
