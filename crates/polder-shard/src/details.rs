//! What a set's manifest says about shards, besides the digests of their files.

use std::collections::BTreeMap;

use polder_base::Digest;
use serde::{Deserialize, Serialize};

use crate::index::Dtype;

/// A shard of a set: what its four files hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardDetails {
    /// Its files' name without their endings: `train-00000`.
    pub name: String,
    /// The part it belongs to.
    pub split: String,
    /// Tokens, opening and closing ones included.
    pub n_tokens: u64,
    /// Documents; a shard without any is not kept.
    pub n_documents: u64,
    /// Bytes of the documents' text.
    pub text_bytes: u64,
    /// Its first document.
    pub first_doc_id: String,
    /// Its last document.
    pub last_doc_id: String,
}

/// What a set's manifest says besides its files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenSetDetails {
    /// The parts there are, also if they are empty; the first is what training reads.
    pub splits: Vec<String>,
    /// Tokens of each split, opening and closing ones included.
    pub n_tokens: BTreeMap<String, u64>,
    /// Documents of each split.
    pub n_documents: BTreeMap<String, u64>,
    /// How tokens are stored.
    pub dtype: Dtype,
    /// Number of ids.
    pub vocab_size: usize,
    /// The token that opens every document, if one does.
    pub bos_id: Option<u32>,
    /// The token that closes every document, if one does.
    pub eos_id: Option<u32>,
    /// Bytes of text of each split.
    pub bytes: BTreeMap<String, u64>,
    /// Entropy of single tokens of the first split, in nats: what a model that knows frequencies only would lose.
    pub unigram_entropy_nats: f64,
    /// The tokenizer's digest.
    pub tokenizer_digest: Digest,
    /// Every shard, split by split in the order of their numbers.
    pub shards: Vec<ShardDetails>,
}

impl TokenSetDetails {
    /// Whether names are names: what is read from a manifest must not lead out of its folder.
    pub(crate) fn check(&self) -> Result<(), String> {
        if let Some(split) = self.n_tokens.keys().find(|s| !is_split(s)) {
            return Err(format!("`{split}` names no split"));
        }
        let is_named = |s: &&ShardDetails| self.n_tokens.contains_key(&s.split) && shard_number(&s.name, &s.split).is_some();
        match self.shards.iter().find(|s| !is_named(s)) {
            Some(s) => Err(format!("`{}` names no shard of the split `{}`", s.name, s.split)),
            None => Ok(()),
        }
    }
}

/// Whether a split may be called that.
pub(crate) fn is_split(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// The number in `SPLIT-NUMBER`; `None` for what is not the name of a shard of this split.
pub(crate) fn shard_number(name: &str, split: &str) -> Option<u32> {
    let number = name.strip_prefix(split)?.strip_prefix('-')?;
    if number.len() >= 5 && number.bytes().all(|b| b.is_ascii_digit()) { number.parse().ok() } else { None }
}

/// −Σ p ln p over counts; 0 for none.
pub(crate) fn entropy_nats(counts: &[u64]) -> f64 {
    let total: u64 = counts.iter().sum();
    // The sum of no numbers is −0, which reads badly.
    counts.iter().filter(|n| **n > 0).map(|n| *n as f64 / total as f64).fold(0.0, |sum, p| sum - p * p.ln())
}
