//! What the names under `tokenizer.ggml.pre` stand for.

use crate::error::TokenizerError;
use crate::split::{Behavior, Digits, Pattern, Splitter};

pub(super) const KNOWN: &str = "gpt-2, mpt, llama-bpe, dbrx, qwen2, starcoder, falcon, deepseek-coder, deepseek-v3, gpt-4o or their like";

const FALCON: &str = r"[\p{P}\$\+<=>\^~\|`]+";
const DEEPSEEK_CODER: [&str; 5] = [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-퟿]+", r"\p{N}"];
const DEEPSEEK_V3: [&str; 3] = [
    r"\p{N}{1,3}",
    "[一-龥぀-ゟ゠-ヿ]+",
    r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"##,
];

/// The splitter of a name, and whether whole words come before merges; `None` for a name that isn't known.
pub(super) fn splitter(name: &str) -> Result<Option<(Splitter, bool)>, TokenizerError> {
    let steps = |expressions: &[&str]| {
        let patterns: Result<Vec<Splitter>, TokenizerError> =
            expressions.iter().map(|e| Ok(Splitter::Pattern(Pattern::try_new(e, Behavior::Isolated, false)?))).collect();
        Ok::<_, TokenizerError>(Splitter::Sequence(patterns?))
    };
    let found = match name {
        "gpt-2" | "phi-2" | "jina-es" | "jina-de" | "jina-v1-en" | "jina-v2-es" | "jina-v2-de" | "gigachat" | "a.x-4.0" | "mellum"
        | "modern-bert" | "roberta-bpe" | "mpt" | "olmo" | "jais" | "trillion" | "granite-docling" | "exaone4" => (Splitter::Gpt2, false),
        "llama3" | "llama-v3" | "llama-bpe" | "falcon3" | "falcon-h1" | "pixtral" | "midm-2.0" | "lfm2" => {
            (Splitter::Llama3(Digits::UpToThree), true)
        }
        "dbrx" | "smaug-bpe" | "chatglm-bpe" | "glm4" => (Splitter::Llama3(Digits::UpToThree), false),
        "qwen2" | "stablelm2" | "deepseek-r1-qwen" | "megrez" | "hunyuan" => (Splitter::QWEN2, false),
        "gpt-4o" | "llama4" => (Splitter::O200k(Digits::UpToThree), false),
        "starcoder" | "refact" | "command-r" | "smollm" | "codeshell" | "exaone" | "minerva-7b" => {
            (Splitter::Sequence(vec![Splitter::Digits { individual: true }, Splitter::Gpt2]), false)
        }
        "falcon" => {
            let Splitter::Sequence(mut all) = steps(&[FALCON, "[0-9][0-9][0-9]"])? else { return Ok(None) };
            all.insert(1, Splitter::Gpt2);
            (Splitter::Sequence(all), false)
        }
        "deepseek-coder" => (steps(&DEEPSEEK_CODER)?, false),
        "deepseek-v3" | "hunyuan-dense" => (steps(&DEEPSEEK_V3)?, false),
        _ => return Ok(None),
    };
    Ok(Some(found))
}

/// The name of a splitter; `None` if llama.cpp has none for it.
pub(super) fn name(splitter: &Splitter, whole_words_first: bool) -> Option<&'static str> {
    const NAMES: [&str; 9] = ["gpt-2", "llama-bpe", "dbrx", "qwen2", "gpt-4o", "starcoder", "falcon", "deepseek-coder", "deepseek-v3"];
    NAMES.into_iter().find(|name| matches!(self::splitter(name), Ok(Some((s, whole))) if s == *splitter && whole == whole_words_first))
}
