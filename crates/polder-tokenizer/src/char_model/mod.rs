//! Models over characters: WordPiece, Unigram, and BPE that begins with characters, as `tokenizer.json` describes them.
//!
//! Text goes through the file's own steps: a normalizer, a pre-tokenizer, the model, and back through a decoder. Each step is a value
//! made from the file once; a step that isn't known here is refused by its path in the file. Control tokens take no part in
//! the model, so that text never gives one. This is not the byte-level BPE, which stands in `bpe` and is what tokenizers trained here are.
//!
//! # Source
//! Hugging Face's `tokenizers` 0.23: `tests/golden/make_tokenizer_vectors.py` makes what the tests compare with.

mod chars;
mod cut;
mod decode;
mod lookup;
mod merges;
mod normalize;
mod precompiled;
mod unigram;
mod word_piece;

use serde_json::Value;

use crate::definition::AddedToken;
use crate::error::TokenizerError;
use cut::Cut;
use decode::Decode;
use lookup::Lookup;
use merges::CharMerges;
use normalize::Normalize;
use unigram::Unigram;
use word_piece::WordPiece;

pub(crate) use chars::is_word;

/// What a file says about a model over characters, beside the texts of its tokens.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Parts {
    pub kind: String,
    pub normalizer: Value,
    pub pre_tokenizer: Value,
    pub decoder: Value,
    pub unk_token: Option<String>,
    pub unk_id: Option<u32>,
    pub continuing_subword_prefix: Option<String>,
    pub end_of_word_suffix: Option<String>,
    pub max_input_chars_per_word: Option<usize>,
    pub fuse_unk: bool,
    pub byte_fallback: bool,
    pub ignore_merges: bool,
    /// Unigram's scores by id; tokens beyond them stand beside the vocabulary.
    pub scores: Vec<f64>,
    pub merges: Vec<(u32, u32)>,
}

impl Parts {
    /// Keeps what its kind of model reads, and what it means where nothing is said, so that equal models have equal parts.
    fn settled(self) -> Self {
        let none = Self {
            kind: self.kind.clone(),
            unk_token: None,
            unk_id: None,
            continuing_subword_prefix: None,
            end_of_word_suffix: None,
            max_input_chars_per_word: None,
            fuse_unk: false,
            byte_fallback: false,
            ignore_merges: false,
            scores: Vec::new(),
            merges: Vec::new(),
            normalizer: self.normalizer,
            pre_tokenizer: self.pre_tokenizer,
            decoder: self.decoder,
        };
        match self.kind.as_str() {
            "WordPiece" => Self {
                unk_token: self.unk_token,
                continuing_subword_prefix: self.continuing_subword_prefix.or_else(|| Some("##".into())),
                max_input_chars_per_word: self.max_input_chars_per_word.or(Some(100)),
                ..none
            },
            "Unigram" => Self { unk_id: self.unk_id, byte_fallback: self.byte_fallback, scores: self.scores, ..none },
            _ => Self {
                unk_token: self.unk_token,
                continuing_subword_prefix: self.continuing_subword_prefix,
                end_of_word_suffix: self.end_of_word_suffix,
                fuse_unk: self.fuse_unk,
                byte_fallback: self.byte_fallback,
                ignore_merges: self.ignore_merges,
                merges: self.merges,
                ..none
            },
        }
    }
}

/// A model over characters, with the steps before and after it.
#[derive(Clone, Debug)]
pub struct CharModel {
    parts: Parts,
    normalize: Vec<Normalize>,
    cut: Vec<Cut>,
    decode: Vec<Decode>,
    has_decoder: bool,
    model: Model,
}

#[derive(Clone, Debug)]
enum Model {
    WordPiece(WordPiece),
    Unigram(Unigram),
    Merges(CharMerges),
}

impl PartialEq for CharModel {
    fn eq(&self, other: &Self) -> bool {
        self.parts == other.parts
    }
}

impl Eq for CharModel {}

impl CharModel {
    /// Makes the steps and the model. `tokens` are the texts by id.
    pub(crate) fn try_new(parts: Parts, tokens: &[Box<[u8]>], added: &[AddedToken]) -> Result<Self, TokenizerError> {
        let parts = parts.settled();
        let lookup = Lookup::new(&parts, tokens, added)?;
        let model = match parts.kind.as_str() {
            "WordPiece" => Model::WordPiece(WordPiece::try_new(&parts, lookup)?),
            "Unigram" => Model::Unigram(Unigram::try_new(&parts, tokens, lookup)?),
            _ => Model::Merges(CharMerges::try_new(&parts, tokens, lookup)?),
        };
        Ok(Self {
            normalize: normalize::read(&parts.normalizer)?,
            cut: cut::read(&parts.pre_tokenizer)?,
            decode: decode::read(&parts.decoder)?,
            has_decoder: !parts.decoder.is_null(),
            model,
            parts,
        })
    }

    /// What it is called: WordPiece, Unigram, or BPE over characters.
    pub fn kind(&self) -> &'static str {
        match &self.model {
            Model::WordPiece(_) => "WordPiece",
            Model::Unigram(_) => "Unigram",
            Model::Merges(_) => "BPE over characters",
        }
    }

    pub(crate) fn parts(&self) -> &Parts {
        &self.parts
    }

    /// What the steps before the model make of a text, and whether it still begins with what the text began with.
    pub(crate) fn normalize(&self, text: &str) -> (String, bool) {
        let mut front = true;
        let step = |text: String, step: &Normalize| {
            front &= step.keeps_front(&text);
            step.apply(text)
        };
        let text = self.normalize.iter().fold(text.to_owned(), step);
        (text, front)
    }

    /// Encodes normalised text; `first` says whether it begins with what the whole text began with.
    pub(crate) fn encode(&self, text: &str, first: bool, out: &mut Vec<u32>) {
        for piece in cut::apply(&self.cut, text, first) {
            match &self.model {
                Model::WordPiece(model) => model.encode(&piece, out),
                Model::Unigram(model) => model.encode(&piece, out),
                Model::Merges(model) => model.encode(&piece, out),
            }
        }
    }

    /// Puts the texts of tokens together as the decoder says.
    pub(crate) fn decode(&self, tokens: Vec<String>) -> String {
        if !self.has_decoder {
            return tokens.join(" ");
        }
        self.decode.iter().fold(tokens, |tokens, step| step.apply(tokens)).concat()
    }
}

/// The type of a step; `null` where there is none.
fn kind(step: &Value) -> &str {
    step["type"].as_str().unwrap_or("null")
}

/// Steps within steps that a file may have.
const DEPTH_MAX: usize = 8;

/// Calls `each` for the steps of a sequence, or for the one step; each with its path.
fn for_each_step(
    step: &Value,
    path: &str,
    inner: &str,
    depth: usize,
    each: &mut dyn FnMut(&Value, &str) -> Result<(), TokenizerError>,
) -> Result<(), TokenizerError> {
    if step.is_null() {
        return Ok(());
    }
    if kind(step) != "Sequence" || depth == DEPTH_MAX {
        return each(step, path);
    }
    for (i, one) in step[inner].as_array().into_iter().flatten().enumerate() {
        for_each_step(one, &format!("{path}.{inner}[{i}]"), inner, depth + 1, each)?;
    }
    Ok(())
}

/// A pattern of a step: an expression, or a text.
fn expression(step: &Value, path: &str) -> Result<String, TokenizerError> {
    match (&step["pattern"]["Regex"], &step["pattern"]["String"]) {
        (Value::String(expression), _) => Ok(expression.clone()),
        (_, Value::String(text)) => Ok(fancy_regex::escape(text).into_owned()),
        _ => Err(TokenizerError::unsupported(format!("{path}.pattern"), step["pattern"].to_string(), "Regex or String")),
    }
}

/// A single character of a step.
fn character(step: &Value, key: &str, path: &str) -> Result<char, TokenizerError> {
    let text = step[key].as_str().unwrap_or_default();
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(c), None) => Ok(c),
        _ => Err(TokenizerError::unsupported(format!("{path}.{key}"), step[key].to_string(), "one character")),
    }
}

#[cfg(test)]
mod tests;
