//! A vocabulary as GGUF keys, and keys as the front of a file.

use super::metadata::{ARRAY, BOOL, FLOAT32, GgufValue, INT32, INT64, MAGIC, STRING, UINT32};
use super::{CONTROL, NORMAL, UNUSED, USER_DEFINED, pre};
use crate::definition::{Definition, Merging, Normalizer};
use crate::error::TokenizerError;
use crate::tokenizer::Tokenizer;

/// Which ids play which part: what `tokenizer.json` has no place for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GgufRoles {
    /// Begins a text.
    pub bos: Option<u32>,
    /// Ends a text.
    pub eos: Option<u32>,
    /// Fills a batch.
    pub padding: Option<u32>,
}

impl Tokenizer {
    /// The keys that say this vocabulary in a GGUF file, in the order in which they are usual.
    ///
    /// # Errors
    /// It is no byte-level BPE, or cuts text as llama.cpp has no name for.
    pub fn gguf_vocabulary(&self, roles: &GgufRoles) -> Result<Vec<(String, GgufValue)>, TokenizerError> {
        vocabulary(self.definition(), roles)
    }
}

fn vocabulary(definition: &Definition, roles: &GgufRoles) -> Result<Vec<(String, GgufValue)>, TokenizerError> {
    let refuse = |reason: &str| TokenizerError::Inexpressible { format: "GGUF", reason: reason.into() };
    if matches!(definition.merging, Merging::Characters(_)) {
        return Err(refuse("only byte-level BPE is written"));
    }
    if definition.normalizer != Normalizer::None || definition.add_prefix_space {
        return Err(refuse("llama.cpp has no place for what is done to text before it is cut"));
    }
    let pre = pre::name(&definition.splitter, definition.whole_words_first)
        .ok_or_else(|| refuse(&format!("llama.cpp has no name for the splitter `{}`", definition.splitter)))?;
    let ids = 0..definition.tokens.len() as u32;
    let text = |id: u32| definition.byte_level_text(id);
    let kind = |id: u32| match definition.added.binary_search_by_key(&id, |t| t.id) {
        Ok(i) if definition.added[i].special => CONTROL,
        Ok(_) => USER_DEFINED,
        Err(_) if text(id).is_none() => UNUSED,
        Err(_) => NORMAL,
    };
    let merge = |(left, right): &(u32, u32)| format!("{} {}", text(*left).unwrap_or_default(), text(*right).unwrap_or_default());
    let mut out: Vec<(&str, GgufValue)> = vec![
        ("model", GgufValue::Text("gpt2".into())),
        ("pre", GgufValue::Text(pre.into())),
        ("tokens", GgufValue::Texts(ids.clone().map(|id| text(id).unwrap_or_else(|| format!("[PAD{id}]"))).collect())),
        ("token_type", GgufValue::Integers(ids.map(kind).collect())),
        ("merges", GgufValue::Texts(definition.merge_pairs().iter().map(merge).collect())),
    ];
    for (key, id) in [("bos_token_id", roles.bos), ("eos_token_id", roles.eos), ("padding_token_id", roles.padding)] {
        out.extend(id.map(|id| (key, GgufValue::Uint32(id))));
    }
    let around = &definition.around;
    for (key, ids, role, name) in
        [("add_bos_token", &around.before, roles.bos, "begins"), ("add_eos_token", &around.after, roles.eos, "ends")]
    {
        match (ids.as_slice(), role) {
            ([], _) => out.push((key, GgufValue::Bool(false))),
            ([id], Some(role)) if *id == role => out.push((key, GgufValue::Bool(true))),
            _ => return Err(refuse(&format!("what {name} a text is not the one token that plays this part"))),
        }
    }
    Ok(out.into_iter().map(|(key, value)| (format!("tokenizer.ggml.{key}"), value)).collect())
}

/// Writes keys as the front of a GGUF file of version 3 without tensors.
///
/// Integers that were read are written as 64 bits; everything else keeps its type.
pub fn write_gguf_metadata(values: &[(String, GgufValue)]) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend(3u32.to_le_bytes());
    out.extend(0u64.to_le_bytes());
    out.extend((values.len() as u64).to_le_bytes());
    for (key, value) in values {
        text(key, &mut out);
        write_value(value, &mut out);
    }
    out
}

fn text(text: &str, out: &mut Vec<u8>) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn write_value(value: &GgufValue, out: &mut Vec<u8>) {
    let mut head = |kind: u32, of: Option<(u32, usize)>| {
        out.extend(kind.to_le_bytes());
        if let Some((kind, n)) = of {
            out.extend(kind.to_le_bytes());
            out.extend((n as u64).to_le_bytes());
        }
    };
    match value {
        GgufValue::Uint32(n) => {
            head(UINT32, None);
            out.extend(n.to_le_bytes());
        }
        GgufValue::Integer(n) => {
            head(INT64, None);
            out.extend(n.to_le_bytes());
        }
        GgufValue::Float(x) => {
            head(FLOAT32, None);
            out.extend((*x as f32).to_le_bytes());
        }
        GgufValue::Bool(b) => {
            head(BOOL, None);
            out.push(u8::from(*b));
        }
        GgufValue::Text(value) => {
            head(STRING, None);
            text(value, out);
        }
        GgufValue::Texts(all) => {
            head(ARRAY, Some((STRING, all.len())));
            all.iter().for_each(|value| text(value, out));
        }
        GgufValue::Integers(all) => {
            head(ARRAY, Some((INT32, all.len())));
            all.iter().for_each(|n| out.extend((*n as i32).to_le_bytes()));
        }
        GgufValue::Floats(all) => {
            head(ARRAY, Some((FLOAT32, all.len())));
            all.iter().for_each(|x| out.extend(x.to_le_bytes()));
        }
    }
}
