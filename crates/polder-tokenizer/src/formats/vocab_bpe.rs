//! GPT-2's own files: `encoder.json` maps texts to ids, `vocab.bpe` holds a merge a line. Later `vocab.json` and `merges.txt`.

use std::collections::HashMap;

use super::byte_level::Vocabulary;
use crate::definition::{AddedToken, Around, Definition, Normalizer};
use crate::error::TokenizerError;
use crate::split::Splitter;

/// Reads the merges of `vocab.bpe`: (line, left, right).
fn parse_merges(text: &str) -> Result<Vec<(usize, &str, &str)>, TokenizerError> {
    let mut out = Vec::new();
    for (i, line) in text.split('\n').enumerate() {
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.is_empty() || (i == 0 && line.starts_with("#version")) {
            continue;
        }
        match line.split_once(' ') {
            Some((left, right)) if !left.is_empty() && !right.is_empty() && !right.contains(' ') => out.push((i + 1, left, right)),
            _ => return Err(TokenizerError::line(i + 1, "a merge is two tokens with a space between")),
        }
    }
    Ok(out)
}

/// Reads both files. A token that is neither a byte nor made by a merge is a special one.
///
/// The error of the merges' file comes as `Err(Ok(_))`, that of the vocabulary's as `Err(Err(_))`.
pub(super) fn read(vocabulary: &str, merges: &str) -> Result<Definition, Result<TokenizerError, TokenizerError>> {
    let texts: HashMap<String, u32> = serde_json::from_str(vocabulary).map_err(|source| Err(TokenizerError::Parse { source }))?;
    let merges = parse_merges(merges).map_err(Ok)?;
    let made: std::collections::HashSet<String> = merges.iter().map(|(_, left, right)| format!("{left}{right}")).collect();
    let is_special = |text: &str| text.chars().nth(1).is_some() && !made.contains(text);
    let added = texts.iter().filter(|(text, _)| is_special(text)).map(|(text, id)| AddedToken::special(*id, text)).collect();
    let vocabulary = Vocabulary::read(texts, added).map_err(Err)?;
    let merging =
        vocabulary.merges(merges.iter().map(|(_, l, r)| (*l, *r)), |i, reason| TokenizerError::line(merges[i].0, reason)).map_err(Ok)?;
    Ok(Definition {
        tokens: vocabulary.tokens,
        merging,
        added: vocabulary.added,
        splitter: Splitter::Gpt2,
        normalizer: Normalizer::None,
        add_prefix_space: false,
        whole_words_first: false,
        around: Around::default(),
    })
}

/// Writes both files: the vocabulary, and the merges.
///
/// # Errors
/// It is no byte-level BPE with GPT-2's splitting, which is all that these files can mean.
pub(crate) fn write(definition: &Definition) -> Result<(String, String), TokenizerError> {
    let plain = definition.splitter == Splitter::Gpt2
        && definition.normalizer == Normalizer::None
        && !definition.add_prefix_space
        && !definition.whole_words_first
        && !matches!(definition.merging, crate::Merging::Characters(_));
    if !plain {
        let reason = "it cuts or merges text otherwise than GPT-2".to_owned();
        return Err(TokenizerError::Inexpressible { format: "vocab.bpe", reason });
    }
    let text = |id: u32| definition.byte_level_text(id);
    let vocabulary: serde_json::Map<String, serde_json::Value> =
        (0..definition.tokens.len() as u32).filter_map(|id| Some((text(id)?, id.into()))).collect();
    let mut merges = String::from("#version: 0.2\n");
    for (left, right) in definition.merge_pairs() {
        merges.extend(text(left).zip(text(right)).map(|(left, right)| format!("{left} {right}\n")));
    }
    Ok((serde_json::Value::Object(vocabulary).to_string(), merges))
}

#[cfg(test)]
mod tests;
