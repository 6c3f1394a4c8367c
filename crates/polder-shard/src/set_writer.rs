//! Writes a whole set: shards of every split, the list of documents, the manifest last.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use polder_base::{Clearance, Digest, Input, Manifest, Reference, Timestamp, publish_dir};
use serde::{Deserialize, Serialize};

use crate::documents::{DOCUMENTS_FILE, TokenDocument};
use crate::error::ShardError;
use crate::index::Dtype;
use crate::shard_writer::{ShardOptions, ShardWriter, WrittenSplit, wrong};

/// What a set's manifest says besides its files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenSetDetails {
    /// Tokens of each split, closing ones included.
    pub n_tokens: BTreeMap<String, u64>,
    /// Documents of each split.
    pub n_documents: BTreeMap<String, u64>,
    /// How tokens are stored.
    pub dtype: Dtype,
    /// Number of ids.
    pub vocab_size: usize,
    /// The token that closes every document.
    pub eos_id: u32,
    /// Bytes of text of each split.
    pub bytes: BTreeMap<String, u64>,
    /// Entropy of single tokens of the first split, in nats: what a model that knows frequencies only would lose.
    pub unigram_entropy_nats: f64,
    /// The tokenizer's digest.
    pub tokenizer_digest: Digest,
}

/// How a set is written.
#[derive(Clone, Debug)]
pub struct SetOptions {
    /// The parts there will be, also if they stay empty; the first is what training reads.
    pub splits: Vec<String>,
    /// How shards are written.
    pub shards: ShardOptions,
    /// The tokenizer's digest.
    pub tokenizer_digest: Digest,
}

/// A set being written, in a hidden folder beside its place until it is finished.
#[derive(Debug)]
pub struct TokenSetWriter {
    target: PathBuf,
    temporary: PathBuf,
    options: SetOptions,
    writers: BTreeMap<String, ShardWriter>,
    bytes: BTreeMap<String, u64>,
    documents: BufWriter<File>,
    line: Vec<u8>,
}

impl TokenSetWriter {
    /// Starts a set that will stand at `target`; what an earlier, broken-off attempt left is removed.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn create(target: &Path, options: SetOptions) -> Result<Self, ShardError> {
        let name = target.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let temporary = target.with_file_name(format!(".{name}.tmp"));
        if temporary.exists() {
            fs::remove_dir_all(&temporary).map_err(wrong("remove", &temporary))?;
        }
        fs::create_dir_all(&temporary).map_err(wrong("create folder", &temporary))?;
        let mut writers = BTreeMap::new();
        for split in &options.splits {
            writers.insert(split.clone(), ShardWriter::try_new(&temporary, split, options.shards)?);
        }
        let path = temporary.join(DOCUMENTS_FILE);
        let documents = BufWriter::new(File::create(&path).map_err(wrong("create", &path))?);
        let bytes = options.splits.iter().map(|s| (s.clone(), 0)).collect();
        Ok(Self { target: target.to_owned(), temporary, options, writers, bytes, documents, line: Vec::new() })
    }

    /// Writes a document; the token that closes it is added here. `text_bytes` is the size of its text.
    ///
    /// # Errors
    /// A split that was not declared, a document that does not fit, or a file that takes no more.
    pub fn push(&mut self, split: &str, doc_id: &str, tokens: &[u32], text_bytes: u64) -> Result<(), ShardError> {
        let unknown = || ShardError::Split { split: split.to_owned(), known: self.options.splits.clone() };
        let writer = self.writers.get_mut(split).ok_or_else(unknown)?;
        let (shard, doc_idx) = writer.push(doc_id, tokens)?;
        let document = TokenDocument {
            split: split.to_owned(),
            shard: shard.to_owned(),
            doc_idx,
            doc_id: doc_id.to_owned(),
            n_tokens: tokens.len() as u64 + 1,
        };
        self.line.clear();
        let path = self.temporary.join(DOCUMENTS_FILE);
        serde_json::to_writer(&mut self.line, &document).map_err(|e| wrong("write", &path)(e.into()))?;
        self.line.push(b'\n');
        self.documents.write_all(&self.line).map_err(wrong("write", &path))?;
        if let Some(bytes) = self.bytes.get_mut(split) {
            *bytes += text_bytes;
        }
        Ok(())
    }

    /// Closes the shards, writes the manifest and puts the folder in its place.
    ///
    /// # Errors
    /// A file cannot be written or the folder not put in place; what stood there before is then still there.
    pub fn finish(
        mut self,
        reference: Reference,
        created_at: Timestamp,
        inputs: Vec<Input>,
        config_digest: Digest,
        clearance: Option<Clearance>,
    ) -> Result<Manifest, ShardError> {
        let path = self.temporary.join(DOCUMENTS_FILE);
        self.documents.flush().map_err(wrong("write", &path))?;
        let mut written: BTreeMap<String, WrittenSplit> = BTreeMap::new();
        for (split, writer) in self.writers {
            written.insert(split, writer.finish()?);
        }
        let first = self.options.splits.first().and_then(|s| written.get(s));
        let details = TokenSetDetails {
            n_tokens: written.iter().map(|(s, w)| (s.clone(), w.n_tokens)).collect(),
            n_documents: written.iter().map(|(s, w)| (s.clone(), w.n_documents)).collect(),
            dtype: Dtype::of_vocab(self.options.shards.vocab_size),
            vocab_size: self.options.shards.vocab_size,
            eos_id: self.options.shards.end_id,
            bytes: self.bytes,
            unigram_entropy_nats: first.map_or(0.0, |w| entropy_nats(&w.token_counts)),
            tokenizer_digest: self.options.tokenizer_digest,
        };
        // Plain numbers and texts always become a value.
        let details = serde_json::to_value(&details).unwrap_or_default();
        let mut manifest = Manifest::new(reference, created_at, inputs, config_digest, details);
        manifest.clearance = clearance;
        let mut files: Vec<&str> = written.values().flat_map(|w| &w.files).map(String::as_str).collect();
        files.push(DOCUMENTS_FILE);
        manifest.describe(&self.temporary, &files)?;
        manifest.write(&self.temporary)?;
        publish_dir(&self.temporary, &self.target)?;
        Ok(manifest)
    }
}

/// −Σ p ln p over counts; 0 for none.
fn entropy_nats(counts: &[u64]) -> f64 {
    let total: u64 = counts.iter().sum();
    counts.iter().filter(|n| **n > 0).map(|n| *n as f64 / total as f64).map(|p| -p * p.ln()).sum()
}
