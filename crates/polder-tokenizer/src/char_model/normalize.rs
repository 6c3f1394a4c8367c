//! Normalizers: what is done to text before it is cut.

use serde_json::Value;
use unicode_normalization::UnicodeNormalization;
use unicode_segmentation::UnicodeSegmentation;

use super::chars::{is_chinese, is_control, is_mark, is_mark_nonspacing};
use super::precompiled::Precompiled;
use super::{expression, for_each_step, kind};
use crate::error::TokenizerError;

/// A step.
#[derive(Clone, Debug)]
pub(super) enum Normalize {
    Bert { clean: bool, chinese: bool, strip_accents: bool, lowercase: bool },
    Nfc,
    Nfd,
    Nfkc,
    Nfkd,
    Lowercase,
    StripAccents,
    Strip { left: bool, right: bool },
    Replace { expression: fancy_regex::Regex, content: String },
    Prepend(String),
    Nmt,
    Precompiled(Precompiled),
}

pub(super) fn read(step: &Value) -> Result<Vec<Normalize>, TokenizerError> {
    let mut steps = Vec::new();
    for_each_step(step, "normalizer", "normalizers", 0, &mut |step, path| {
        steps.push(read_one(step, path)?);
        Ok(())
    })?;
    Ok(steps)
}

fn read_one(step: &Value, path: &str) -> Result<Normalize, TokenizerError> {
    let flag = |key: &str, default: bool| step[key].as_bool().unwrap_or(default);
    let text = |key: &str| match step[key].as_str() {
        Some(text) => Ok(text.to_owned()),
        None => Err(TokenizerError::unsupported(format!("{path}.{key}"), step[key].to_string(), "a text")),
    };
    Ok(match kind(step) {
        "BertNormalizer" => Normalize::Bert {
            clean: flag("clean_text", true),
            chinese: flag("handle_chinese_chars", true),
            strip_accents: flag("strip_accents", flag("lowercase", true)),
            lowercase: flag("lowercase", true),
        },
        "NFC" => Normalize::Nfc,
        "NFD" => Normalize::Nfd,
        "NFKC" => Normalize::Nfkc,
        "NFKD" => Normalize::Nfkd,
        "Lowercase" => Normalize::Lowercase,
        "StripAccents" => Normalize::StripAccents,
        "Strip" => Normalize::Strip { left: flag("strip_left", true), right: flag("strip_right", true) },
        "Replace" => {
            let expression = expression(step, path)?;
            let compiled = fancy_regex::Regex::new(&expression)
                .map_err(|_| TokenizerError::unsupported(format!("{path}.pattern"), format!("`{expression}`"), "a regular expression"))?;
            Normalize::Replace { expression: compiled, content: text("content")? }
        }
        "Prepend" => Normalize::Prepend(text("prepend")?),
        "Nmt" => Normalize::Nmt,
        "Precompiled" => Normalize::Precompiled(Precompiled::read(&text("precompiled_charsmap")?, path)?),
        other => return Err(TokenizerError::unsupported(path, other, "a normalizer of WordPiece, Unigram and SentencePiece files")),
    })
}

impl Normalize {
    /// Whether something of the first character is left.
    pub(super) fn keeps_front(&self, text: &str) -> bool {
        let first = match self {
            Self::Precompiled(_) => text.graphemes(true).next(),
            _ => text.chars().next().map(|c| &text[..c.len_utf8()]),
        };
        first.is_none_or(|first| !self.apply(first.to_owned()).is_empty())
    }

    pub(super) fn apply(&self, text: String) -> String {
        match self {
            Self::Bert { clean, chinese, strip_accents, lowercase } => {
                let mut text = text;
                if *clean {
                    let kept =
                        text.chars().filter(|c| !matches!(c, '\0' | '\u{fffd}') && (matches!(c, '\t' | '\n' | '\r') || !is_control(*c)));
                    text = kept.map(|c| if c.is_whitespace() { ' ' } else { c }).collect();
                }
                if *chinese {
                    let spaced = |c: char| if is_chinese(c) { [Some(' '), Some(c), Some(' ')] } else { [Some(c), None, None] };
                    text = text.chars().flat_map(spaced).flatten().collect();
                }
                if *strip_accents {
                    text = text.nfd().filter(|c| !is_mark_nonspacing(*c)).collect();
                }
                if *lowercase { lower(&text) } else { text }
            }
            Self::Nfc => text.nfc().collect(),
            Self::Nfd => text.nfd().collect(),
            Self::Nfkc => text.nfkc().collect(),
            Self::Nfkd => text.nfkd().collect(),
            Self::Lowercase => lower(&text),
            Self::StripAccents => text.chars().filter(|c| !is_mark(*c)).collect(),
            Self::Strip { left, right } => {
                let text = if *left { text.trim_start() } else { &text };
                (if *right { text.trim_end() } else { text }).to_owned()
            }
            Self::Replace { expression, content } => replace(expression, &text, content),
            Self::Prepend(front) => {
                if text.is_empty() {
                    text
                } else {
                    format!("{front}{text}")
                }
            }
            Self::Nmt => nmt(&text),
            Self::Precompiled(map) => map.apply(&text),
        }
    }
}

/// Each character by itself, as the reference does: a sigma at the end of a word is no exception.
fn lower(text: &str) -> String {
    text.chars().flat_map(char::to_lowercase).collect()
}

/// Replaces all that is found; where the engine gives up the rest stays as it is.
pub(super) fn replace(expression: &fancy_regex::Regex, text: &str, content: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for found in expression.find_iter(text).map_while(Result::ok) {
        out.push_str(&text[done..found.start()]);
        out.push_str(content);
        done = found.end();
    }
    out.push_str(&text[done..]);
    out
}

fn nmt(text: &str) -> String {
    let kept = text.chars().filter(|c| !matches!(u32::from(*c), 1..=8 | 0xb | 0xe..=0x1f | 0x7f | 0x8f | 0x9f));
    kept.map(|c| match u32::from(c) {
        0x9 | 0xa | 0xc | 0xd | 0x1680 | 0x200b..=0x200f | 0x2028 | 0x2029 | 0x2581 | 0xfeff | 0xfffd => ' ',
        _ => c,
    })
    .collect()
}
