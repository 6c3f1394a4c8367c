//! Decoders: the texts of tokens put together again.

use serde_json::Value;

use super::cut::{Prepend, prepend};
use super::normalize::replace;
use super::{character, expression, for_each_step, kind};
use crate::error::TokenizerError;

/// A step over the texts of tokens.
#[derive(Clone, Debug)]
pub(super) enum Decode {
    WordPiece { prefix: String, cleanup: bool },
    Metaspace { replacement: char, prepend: Prepend },
    ByteFallback,
    Fuse,
    Strip { content: char, start: usize, stop: usize },
    Replace { expression: fancy_regex::Regex, content: String },
    Suffix(String),
}

pub(super) fn read(step: &Value) -> Result<Vec<Decode>, TokenizerError> {
    let mut steps = Vec::new();
    for_each_step(step, "decoder", "decoders", 0, &mut |step, path| {
        steps.push(read_one(step, path)?);
        Ok(())
    })?;
    Ok(steps)
}

fn read_one(step: &Value, path: &str) -> Result<Decode, TokenizerError> {
    let text = |key: &str, default: &str| step[key].as_str().unwrap_or(default).to_owned();
    let number = |key: &str| step[key].as_u64().unwrap_or(0) as usize;
    Ok(match kind(step) {
        "WordPiece" => Decode::WordPiece { prefix: text("prefix", "##"), cleanup: step["cleanup"].as_bool().unwrap_or(true) },
        "Metaspace" => Decode::Metaspace { replacement: character(step, "replacement", path)?, prepend: prepend(step, path)? },
        "ByteFallback" => Decode::ByteFallback,
        "Fuse" => Decode::Fuse,
        "Strip" => Decode::Strip { content: character(step, "content", path)?, start: number("start"), stop: number("stop") },
        "Replace" => {
            let expression = expression(step, path)?;
            let compiled = fancy_regex::Regex::new(&expression)
                .map_err(|_| TokenizerError::unsupported(format!("{path}.pattern"), format!("`{expression}`"), "a regular expression"))?;
            Decode::Replace { expression: compiled, content: text("content", "") }
        }
        "BPEDecoder" => Decode::Suffix(text("suffix", "</w>")),
        other => return Err(TokenizerError::unsupported(path, other, "a decoder of WordPiece, Unigram and SentencePiece files")),
    })
}

impl Decode {
    pub(super) fn apply(&self, tokens: Vec<String>) -> Vec<String> {
        let n = tokens.len();
        match self {
            Self::WordPiece { prefix, cleanup } => {
                let join = |(i, token): (usize, String)| {
                    let joined = match token.strip_prefix(prefix.as_str()) {
                        _ if i == 0 => token,
                        Some(rest) => rest.to_owned(),
                        None => format!(" {token}"),
                    };
                    if *cleanup { clean(&joined) } else { joined }
                };
                tokens.into_iter().enumerate().map(join).collect()
            }
            Self::Metaspace { replacement, prepend } => {
                let spaced = |(i, token): (usize, String)| {
                    let space = if i == 0 && *prepend != Prepend::Never { "" } else { " " };
                    token.replace(*replacement, space)
                };
                tokens.into_iter().enumerate().map(spaced).collect()
            }
            Self::ByteFallback => bytes(tokens),
            Self::Fuse => vec![tokens.concat()],
            Self::Strip { content, start, stop } => tokens.iter().map(|t| strip(t, *content, *start, *stop).to_owned()).collect(),
            Self::Replace { expression, content } => tokens.iter().map(|t| replace(expression, t, content)).collect(),
            Self::Suffix(suffix) if suffix.is_empty() => tokens,
            Self::Suffix(suffix) => {
                let space = |(i, token): (usize, String)| token.replace(suffix.as_str(), if i + 1 == n { "" } else { " " });
                tokens.into_iter().enumerate().map(space).collect()
            }
        }
    }
}

fn strip(mut text: &str, content: char, start: usize, stop: usize) -> &str {
    for _ in 0..start {
        text = text.strip_prefix(content).unwrap_or(text);
    }
    for _ in 0..stop {
        text = text.strip_suffix(content).unwrap_or(text);
    }
    text
}

/// `<0xE2>` and its like as bytes; those that are no UTF-8 together become one U+FFFD each.
fn bytes(tokens: Vec<String>) -> Vec<String> {
    let byte = |token: &str| {
        let digits = token.strip_prefix("<0x")?.strip_suffix('>').filter(|digits| digits.len() == 2)?;
        u8::from_str_radix(digits, 16).ok()
    };
    let mut out = Vec::with_capacity(tokens.len());
    let mut run: Vec<u8> = Vec::new();
    let flush = |run: &mut Vec<u8>, out: &mut Vec<String>| {
        if !run.is_empty() {
            let n = run.len();
            out.push(String::from_utf8(std::mem::take(run)).unwrap_or_else(|_| "\u{fffd}".repeat(n)));
        }
    };
    for token in tokens {
        match byte(&token) {
            Some(byte) => run.push(byte),
            None => {
                flush(&mut run, &mut out);
                out.push(token);
            }
        }
    }
    flush(&mut run, &mut out);
    out
}

/// Takes back the spaces that English never has.
fn clean(text: &str) -> String {
    let pairs = [
        (" .", "."),
        (" ?", "?"),
        (" !", "!"),
        (" ,", ","),
        (" ' ", "'"),
        (" n't", "n't"),
        (" 'm", "'m"),
        (" do not", " don't"),
        (" 's", "'s"),
        (" 've", "'ve"),
        (" 're", "'re"),
    ];
    pairs.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}
