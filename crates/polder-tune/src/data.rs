//! Examples, read and encoded.

use std::fs;
use std::path::Path;

use polder_tokenizer::{END_OF_TEXT, Tokenizer};
use serde::{Deserialize, Serialize};

use crate::error::TuneError;

/// One example as it is written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// Its name.
    pub id: String,
    /// What the model is given.
    pub prompt: String,
    /// What it should answer.
    pub completion: String,
}

/// What to learn from and what to judge by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TuningData {
    /// Learned from.
    pub train: Vec<Example>,
    /// Never learned from.
    pub held_out: Vec<Example>,
}

impl TuningData {
    /// Reads `train.jsonl` and `heldout.jsonl` of a folder.
    ///
    /// # Errors
    /// A file that is missing, a line that is no example, an example that teaches nothing.
    pub fn read(folder: &Path) -> Result<Self, TuneError> {
        Ok(Self { train: read_examples(&folder.join("train.jsonl"))?, held_out: read_examples(&folder.join("heldout.jsonl"))? })
    }
}

fn read_examples(path: &Path) -> Result<Vec<Example>, TuneError> {
    let text = fs::read_to_string(path).map_err(|source| TuneError::Read { path: path.to_owned(), source })?;
    let mut examples = Vec::new();
    for (i, line) in text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
        let example: Example =
            serde_json::from_str(line).map_err(|source| TuneError::Parse { path: path.to_owned(), line: i + 1, source })?;
        if example.completion.is_empty() {
            return Err(TuneError::Example { id: example.id, reason: "its completion is empty, so nothing could be learned" });
        }
        examples.push(example);
    }
    Ok(examples)
}

/// An example as tokens: end-of-text, prompt, completion, end-of-text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Encoded {
    pub(crate) tokens: Vec<u32>,
    /// First token of the completion.
    pub(crate) completion: usize,
    pub(crate) completion_bytes: usize,
}

/// Encoded examples, and what did not fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct EncodedSet {
    pub(crate) examples: Vec<Encoded>,
    /// Prompts that lost their beginning.
    pub(crate) n_cut: u64,
    /// Examples whose completion alone is too long.
    pub(crate) n_dropped: u64,
}

/// Encodes examples for a context. Prompt and completion are encoded apart, as they are when the model is used.
pub(crate) fn encode(examples: &[Example], tokenizer: &Tokenizer, context: usize) -> Result<EncodedSet, TuneError> {
    let end = tokenizer.special_id(END_OF_TEXT).ok_or(TuneError::Tokenizer)?;
    let mut set = EncodedSet::default();
    for example in examples {
        let mut prompt = tokenizer.encode(&example.prompt);
        let completion = tokenizer.encode(&example.completion);
        // Every token but the last is an input; end-of-text stands before and after.
        let Some(room) = context.checked_sub(completion.len() + 1) else {
            set.n_dropped += 1;
            continue;
        };
        if prompt.len() > room {
            set.n_cut += 1;
            prompt.drain(..prompt.len() - room);
        }
        let mut tokens = vec![end];
        tokens.append(&mut prompt);
        let start = tokens.len();
        tokens.extend(completion);
        tokens.push(end);
        set.examples.push(Encoded { tokens, completion: start, completion_bytes: example.completion.len() });
    }
    Ok(set)
}

/// Inputs and targets of `examples` in rows of `time`; everything but completions has the target −1.
pub(crate) fn batch(examples: &[&Encoded], time: usize) -> (Vec<u32>, Vec<i32>) {
    let mut tokens = vec![0u32; examples.len() * time];
    let mut targets = vec![-1i32; examples.len() * time];
    for (row, example) in examples.iter().enumerate() {
        let n = example.tokens.len() - 1;
        tokens[row * time..][..n].copy_from_slice(&example.tokens[..n]);
        for i in example.completion - 1..n {
            targets[row * time + i] = example.tokens[i + 1] as i32;
        }
    }
    (tokens, targets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use polder_tokenizer::{TrainOptions, WordCounts, train};

    fn tokenizer() -> Tokenizer {
        let mut counts = WordCounts::new();
        counts.add("some words");
        let options = TrainOptions { vocab_size: 257, special_tokens: vec![END_OF_TEXT.into()], min_count: 1, ..TrainOptions::default() };
        train(&counts, &options, &mut |_, _| {}).expect("train")
    }

    fn example(prompt: &str, completion: &str) -> Example {
        Example { id: "x".into(), prompt: prompt.into(), completion: completion.into() }
    }

    #[test]
    fn the_loss_stands_on_the_completion_and_its_end_only() {
        let set = encode(&[example("ab", "cd"), example("", "e")], &tokenizer(), 16).expect("encode");
        let (tokens, targets) = batch(&set.examples.iter().collect::<Vec<_>>(), 6);
        assert_eq!(tokens, [256, 97, 98, 99, 100, 0, 256, 101, 0, 0, 0, 0]);
        assert_eq!(targets, [-1, -1, 99, 100, 256, -1, 101, 256, -1, -1, -1, -1]);
    }

    #[test]
    fn long_prompts_lose_their_beginning_and_long_completions_are_dropped_and_counted() {
        let set = encode(&[example("abcdef", "gh"), example("a", "bcdefgh")], &tokenizer(), 5).expect("encode");
        assert_eq!((set.n_cut, set.n_dropped, set.examples.len()), (1, 1, 1));
        assert_eq!(set.examples[0].tokens, [256, 101, 102, 103, 104, 256]);
        assert_eq!(set.examples[0].completion, 3);
    }

    #[test]
    fn bad_files_are_named() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let write = |text: &str| fs::write(dir.path().join("train.jsonl"), text).expect("write");
        assert!(matches!(TuningData::read(dir.path()), Err(TuneError::Read { .. })));
        write("{\"id\":\"a\",\"prompt\":\"p\",\"completion\":\"c\"}\nno\n");
        assert!(matches!(TuningData::read(dir.path()), Err(TuneError::Parse { line: 2, .. })));
        write("{\"id\":\"a\",\"prompt\":\"p\",\"completion\":\"\"}\n");
        assert!(matches!(TuningData::read(dir.path()), Err(TuneError::Example { id, .. }) if id == "a"));
    }
}
