//! Post-processors: the ids that the reference puts around a text when it is asked to.

use serde_json::{Value, json};

use super::kind;
use crate::definition::{Around, Definition};
use crate::error::TokenizerError;

/// Reads what stands around a single text; ids beyond `n_tokens` are refused.
pub(super) fn read(step: &Value, path: &str, n_tokens: usize) -> Result<Around, TokenizerError> {
    let refuse = |key: &str, found: String, known| Err(TokenizerError::unsupported(format!("{path}{key}"), found, known));
    let id = |value: &Value, key: &str| match value.as_u64().filter(|id| (*id as usize) < n_tokens) {
        Some(id) => Ok(id as u32),
        None => Err(TokenizerError::unsupported(format!("{path}{key}"), value.to_string(), "the id of a token")),
    };
    match kind(step) {
        "null" if step.is_null() => Ok(Around::default()),
        "ByteLevel" => Ok(Around::default()),
        "BertProcessing" | "RobertaProcessing" => {
            Ok(Around { before: vec![id(&step["cls"][1], ".cls")?], after: vec![id(&step["sep"][1], ".sep")?] })
        }
        "Sequence" => {
            let mut out = Around::default();
            for (i, inner) in step["processors"].as_array().into_iter().flatten().enumerate() {
                if kind(inner) == "Sequence" {
                    return refuse(&format!(".processors[{i}]"), "a sequence within a sequence".into(), "one sequence");
                }
                let inner = read(inner, &format!("{path}.processors[{i}]"), n_tokens)?;
                // What comes later stands outside of what came earlier.
                out.before.splice(0..0, inner.before);
                out.after.extend(inner.after);
            }
            Ok(out)
        }
        "TemplateProcessing" => {
            let mut out = Around::default();
            let mut behind = false;
            for (i, piece) in step["single"].as_array().into_iter().flatten().enumerate() {
                if piece.get("Sequence").is_some() {
                    if behind {
                        return refuse(&format!(".single[{i}]"), "the text a second time".into(), "the text once");
                    }
                    behind = true;
                    continue;
                }
                let name = piece["SpecialToken"]["id"].as_str().unwrap_or_default();
                let ids = step["special_tokens"][name]["ids"].as_array();
                let Some(ids) = ids else {
                    return refuse(&format!(".single[{i}]"), piece.to_string(), "a special token that is listed, or the text");
                };
                for value in ids {
                    let id = id(value, &format!(".special_tokens.{name}"))?;
                    if behind { out.after.push(id) } else { out.before.push(id) }
                }
            }
            Ok(out)
        }
        other => refuse("", other.to_owned(), "TemplateProcessing, ByteLevel, BertProcessing, RobertaProcessing or null"),
    }
}

/// Writes a template that puts the same ids around a text, and around each of two.
pub(super) fn write(definition: &Definition) -> Value {
    let around = &definition.around;
    if around.before.is_empty() && around.after.is_empty() {
        return Value::Null;
    }
    let text = |id: u32| definition.written(id).unwrap_or_default();
    let special = |id: &u32, type_id: u32| json!({"SpecialToken": {"id": text(*id), "type_id": type_id}});
    let sequence = |name: &str, type_id: u32| {
        let before = around.before.iter().map(|id| special(id, type_id));
        let after = around.after.iter().map(|id| special(id, type_id));
        before.chain([json!({"Sequence": {"id": name, "type_id": type_id}})]).chain(after).collect::<Vec<_>>()
    };
    let all = around.before.iter().chain(&around.after);
    let specials: serde_json::Map<String, Value> =
        all.map(|id| (text(*id), json!({"id": text(*id), "ids": [id], "tokens": [text(*id)]}))).collect();
    let (single, second) = (sequence("A", 0), sequence("B", 1));
    let pair: Vec<Value> = single.iter().cloned().chain(second).collect();
    json!({"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": specials})
}
