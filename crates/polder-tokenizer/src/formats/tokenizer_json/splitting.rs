//! Pre-tokenizers of byte-level files: from the file's steps to a [`Splitter`], and back.

use serde_json::{Value, json};

use super::kind;
use crate::error::TokenizerError;
use crate::split::{Behavior, Pattern, Splitter};

/// Steps within steps that a file may have.
const DEPTH_MAX: usize = 8;

/// Whether some step makes bytes of characters.
pub(super) fn is_byte_level(step: &Value) -> bool {
    match kind(step) {
        "ByteLevel" => true,
        "Sequence" => step["pretokenizers"].as_array().is_some_and(|steps| steps.iter().any(|s| kind(s) == "ByteLevel" || is_nested(s))),
        _ => false,
    }
}

fn is_nested(step: &Value) -> bool {
    kind(step) == "Sequence" && step["pretokenizers"].as_array().is_some_and(|s| s.iter().any(|s| kind(s) == "ByteLevel"))
}

struct Steps {
    splitters: Vec<Splitter>,
    add_prefix_space: bool,
}

/// Reads how text is cut, and whether a space is put in front.
pub(super) fn read(step: &Value) -> Result<(Splitter, bool), TokenizerError> {
    let mut steps = Steps { splitters: Vec::new(), add_prefix_space: false };
    if !step.is_null() {
        steps.read(step, "pre_tokenizer", 0)?;
    }
    // Bytes at the end are what the merges see anyway.
    if let Some(Splitter::ByteLevel { use_regex }) = steps.splitters.last().cloned() {
        steps.splitters.pop();
        if use_regex {
            steps.splitters.push(Splitter::Gpt2);
        }
    }
    let splitter = match steps.splitters.len() {
        1 => steps.splitters.remove(0),
        _ => Splitter::Sequence(steps.splitters),
    };
    Ok((splitter, steps.add_prefix_space))
}

impl Steps {
    fn read(&mut self, step: &Value, path: &str, depth: usize) -> Result<(), TokenizerError> {
        let refuse = |key: &str, found: String, known| Err(TokenizerError::unsupported(format!("{path}{key}"), found, known));
        let flag = |key: &str, default: bool| step[key].as_bool().unwrap_or(default);
        let behavior = |default: Behavior| match &step["behavior"] {
            Value::Null => Ok(default),
            other => serde_json::from_value(other.clone())
                .map_err(|_| TokenizerError::unsupported(format!("{path}.behavior"), other.to_string(), "one of the five behaviours")),
        };
        match kind(step) {
            "Sequence" if depth < DEPTH_MAX => {
                for (i, inner) in step["pretokenizers"].as_array().into_iter().flatten().enumerate() {
                    self.read(inner, &format!("{path}.pretokenizers[{i}]"), depth + 1)?;
                }
                return Ok(());
            }
            "ByteLevel" => {
                // A step further back would put a space before each piece.
                if flag("add_prefix_space", true) {
                    if !self.splitters.is_empty() {
                        return refuse(".add_prefix_space", "true".into(), "false, but for the first step");
                    }
                    self.add_prefix_space = true;
                }
                self.splitters.push(Splitter::ByteLevel { use_regex: flag("use_regex", true) });
            }
            "Split" => {
                let invert = flag("invert", false);
                let behavior = behavior(Behavior::Isolated)?;
                let expression = match (&step["pattern"]["Regex"], &step["pattern"]["String"]) {
                    (Value::String(expression), _) => expression.clone(),
                    (_, Value::String(text)) => fancy_regex::escape(text).into_owned(),
                    _ => return refuse(".pattern", step["pattern"].to_string(), "Regex or String"),
                };
                // Those written by hand leave no text between what they find.
                let covers = matches!((behavior, invert), (Behavior::Isolated, false) | (Behavior::Removed, true));
                let known = Splitter::from_pattern(&expression).filter(|_| covers);
                self.splitters.push(match known {
                    Some(splitter) => splitter,
                    None => Splitter::Pattern(Pattern::try_new(&expression, behavior, invert)?),
                });
            }
            "Digits" => self.splitters.push(Splitter::Digits { individual: flag("individual_digits", false) }),
            "Punctuation" => self.splitters.push(Splitter::Punctuation(behavior(Behavior::Isolated)?)),
            "Whitespace" => {
                self.splitters.push(Splitter::Pattern(Pattern::try_new(r"\w+|[^\w\s]+", Behavior::Removed, true)?));
            }
            "WhitespaceSplit" => self.splitters.push(Splitter::Pattern(Pattern::try_new(r"\s+", Behavior::Removed, false)?)),
            other => return refuse("", other.to_owned(), "ByteLevel, Split, Digits, Punctuation, Whitespace or a sequence of them"),
        }
        Ok(())
    }
}

/// Writes the steps that cut text as a splitter does.
pub(super) fn write(splitter: &Splitter, add_prefix_space: bool) -> Value {
    if *splitter == Splitter::Gpt2 {
        return byte_level(add_prefix_space, true);
    }
    let mut steps = Vec::new();
    push(splitter, &mut steps);
    if !steps.iter().any(|s| kind(s) == "ByteLevel") || add_prefix_space {
        steps.push(byte_level(add_prefix_space, false));
    }
    match steps.len() {
        1 => steps.remove(0),
        _ => json!({"type": "Sequence", "pretokenizers": steps}),
    }
}

/// The step, and the decoder, of bytes.
pub(super) fn byte_level(add_prefix_space: bool, use_regex: bool) -> Value {
    json!({"type": "ByteLevel", "add_prefix_space": add_prefix_space, "trim_offsets": true, "use_regex": use_regex})
}

fn push(splitter: &Splitter, steps: &mut Vec<Value>) {
    let split = |expression: &str, behavior: Behavior, invert: bool| json!({"type": "Split", "pattern": {"Regex": expression}, "behavior": behavior, "invert": invert});
    match splitter {
        Splitter::Sequence(inner) => inner.iter().for_each(|s| push(s, steps)),
        Splitter::Gpt2 => steps.push(byte_level(false, true)),
        Splitter::ByteLevel { use_regex } => steps.push(byte_level(false, *use_regex)),
        Splitter::Digits { individual } => steps.push(json!({"type": "Digits", "individual_digits": individual})),
        Splitter::Punctuation(behavior) => steps.push(json!({"type": "Punctuation", "behavior": behavior})),
        Splitter::Pattern(pattern) => steps.push(split(pattern.expression(), pattern.behavior(), pattern.invert())),
        by_hand => {
            let expression = by_hand.pattern().unwrap_or_default();
            steps.push(split(&expression, Behavior::Isolated, false));
        }
    }
}
