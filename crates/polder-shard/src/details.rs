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

/// The number in `SPLIT-NUMBER`; `None` for what is not the name of a shard of this split.
pub(crate) fn shard_number(name: &str, split: &str) -> Option<u32> {
    let number = name.strip_prefix(split)?.strip_prefix('-')?;
    if number.len() >= 5 && number.bytes().all(|b| b.is_ascii_digit()) { number.parse().ok() } else { None }
}

/// −Σ p ln p over counts; 0 for none.
pub(crate) fn entropy_nats(counts: &[u64]) -> f64 {
    let total: u64 = counts.iter().sum();
    counts.iter().filter(|n| **n > 0).map(|n| *n as f64 / total as f64).map(|p| -p * p.ln()).sum()
}
