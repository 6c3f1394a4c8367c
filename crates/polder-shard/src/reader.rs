//! Reads a set: samples of consecutive tokens, across documents and shards.

use std::path::{Path, PathBuf};

use polder_base::{Digest, Manifest};

use crate::error::ShardError;
use crate::index::{Dtype, Index};
use crate::mapped::MappedFile;
use crate::set_writer::TokenSetDetails;

/// A set of token shards.
#[derive(Clone, Debug)]
pub struct TokenSet {
    folder: PathBuf,
    manifest: Manifest,
    details: TokenSetDetails,
}

impl TokenSet {
    /// Opens a set by its manifest; digests are not checked here, see [`verify`](crate::verify()).
    ///
    /// # Errors
    /// No set there, or not a manifest of one.
    pub fn open(folder: &Path) -> Result<Self, ShardError> {
        let manifest = Manifest::read(folder)?;
        let details = serde_json::from_value(manifest.details.clone()).map_err(|e| ShardError::Broken {
            path: folder.join(Manifest::FILE),
            reason: format!("its details are not those of a token set: {e}"),
        })?;
        Ok(Self { folder: folder.to_owned(), manifest, details })
    }

    /// What it is and was made from.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Counts and settings.
    pub fn details(&self) -> &TokenSetDetails {
        &self.details
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Digest of its content: a run that continues refuses another one.
    pub fn fingerprint(&self) -> Digest {
        self.manifest.content_digest()
    }

    /// Opens one part. A part that is declared and has no documents is empty.
    ///
    /// # Errors
    /// No such part, or files that are not what the manifest says.
    pub fn split(&self, split: &str) -> Result<Split, ShardError> {
        let Some(n_tokens) = self.details.n_tokens.get(split) else {
            return Err(ShardError::Split { split: split.to_owned(), known: self.details.n_tokens.keys().cloned().collect() });
        };
        // By number; `train-100000` comes after `train-99999`.
        let mut files: Vec<(u32, &str, u64)> =
            self.manifest.files.iter().filter_map(|f| Some((shard_number(&f.path, split)?, f.path.as_str(), f.bytes))).collect();
        files.sort_unstable();
        let mut shards = Vec::new();
        let mut end = 0;
        for (_, path, bytes) in files {
            let stem = path.trim_end_matches(".bin");
            let shard = Shard::open(&self.folder, stem, end, &self.details)?;
            if shard.tokens.len() as u64 != bytes {
                let reason = format!("it has {} bytes, not {}", shard.tokens.len(), bytes);
                return Err(ShardError::Broken { path: shard.tokens.path().to_owned(), reason });
            }
            end = shard.end;
            shards.push(shard);
        }
        if end != *n_tokens {
            let reason = format!("the shards of {split} hold {end} tokens, not {n_tokens}");
            return Err(ShardError::Broken { path: self.folder.join(Manifest::FILE), reason });
        }
        Ok(Split { shards, n_tokens: end, vocab_size: self.details.vocab_size })
    }
}

/// The number in `SPLIT-NUMBER.bin`; `None` for other files.
fn shard_number(path: &str, split: &str) -> Option<u32> {
    let number = path.strip_prefix(split)?.strip_prefix('-')?.strip_suffix(".bin")?;
    if number.bytes().all(|b| b.is_ascii_digit()) { number.parse().ok() } else { None }
}

/// One part of a set, as one stream of tokens.
#[derive(Debug)]
pub struct Split {
    shards: Vec<Shard>,
    n_tokens: u64,
    vocab_size: usize,
}

#[derive(Debug)]
struct Shard {
    stem: String,
    index: Index,
    tokens: MappedFile,
    /// Place of its first token in the split, and of the one after its last.
    start: u64,
    end: u64,
}

impl Shard {
    fn open(folder: &Path, stem: &str, start: u64, details: &TokenSetDetails) -> Result<Self, ShardError> {
        let index = Index::open(&folder.join(format!("{stem}.idx")))?;
        let tokens = MappedFile::open(&folder.join(format!("{stem}.bin")))?;
        let broken = |reason: String| ShardError::Broken { path: tokens.path().to_owned(), reason };
        if index.dtype() != details.dtype {
            return Err(broken(format!("its tokens are stored as {:?}, not {:?}", index.dtype(), details.dtype)));
        }
        let bytes = u128::from(index.n_tokens()) * index.dtype().bytes() as u128;
        if bytes != tokens.len() as u128 {
            return Err(broken(format!("it has {} bytes, and its index describes {bytes}", tokens.len())));
        }
        let end = start + index.n_tokens();
        Ok(Self { stem: stem.to_owned(), index, tokens, start, end })
    }

    /// Appends tokens `from..to`, counted from this shard's first.
    fn read(&self, from: u64, to: u64, vocab_size: usize, out: &mut Vec<u32>) -> Result<(), ShardError> {
        let width = self.index.dtype().bytes();
        let bytes = &self.tokens[from as usize * width..to as usize * width];
        let first = out.len();
        match self.index.dtype() {
            Dtype::U16 => out.extend(bytes.chunks_exact(2).map(|b| u32::from(u16::from_le_bytes([b[0], b[1]])))),
            // A negative number becomes a large one, which no vocabulary holds.
            Dtype::I32 => out.extend(bytes.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))),
        }
        match out[first..].iter().find(|t| **t as usize >= vocab_size) {
            None => Ok(()),
            Some(token) => Err(ShardError::Broken {
                path: self.tokens.path().to_owned(),
                reason: format!("token {token} is outside the vocabulary of {vocab_size}"),
            }),
        }
    }
}

impl Split {
    /// Number of tokens.
    pub fn n_tokens(&self) -> u64 {
        self.n_tokens
    }

    /// Number of documents.
    pub fn n_documents(&self) -> u64 {
        self.shards.iter().map(|s| s.index.n_documents() as u64).sum()
    }

    /// Number of samples of `ctx` inputs and one more target; what is left at the end is not used.
    pub fn n_samples(&self, ctx: usize) -> u64 {
        if ctx == 0 { 0 } else { self.n_tokens.saturating_sub(1) / ctx as u64 }
    }

    /// Replaces `out` by the `ctx` + 1 tokens of a sample; the next sample begins with its last token.
    ///
    /// # Errors
    /// No such sample, or a token outside the vocabulary.
    pub fn sample(&self, idx: u64, ctx: usize, out: &mut Vec<u32>) -> Result<(), ShardError> {
        let n_samples = self.n_samples(ctx);
        if idx >= n_samples {
            return Err(ShardError::Sample { idx, n_samples });
        }
        let from = idx * ctx as u64;
        self.read(from, from + ctx as u64 + 1, out)
    }

    /// Replaces `out` by the tokens `from..to` of the stream, cut at its end.
    ///
    /// # Errors
    /// A token outside the vocabulary.
    pub fn read(&self, from: u64, to: u64, out: &mut Vec<u32>) -> Result<(), ShardError> {
        out.clear();
        let to = to.min(self.n_tokens);
        let mut at = from;
        for shard in &self.shards[self.shards.partition_point(|s| s.end <= from)..] {
            if at >= to {
                break;
            }
            let end = to.min(shard.end);
            shard.read(at - shard.start, end - shard.start, self.vocab_size, out)?;
            at = end;
        }
        Ok(())
    }

    /// The documents that tokens `from..to` come from, as (shard, number in the shard).
    pub fn documents(&self, from: u64, to: u64) -> Vec<(String, u64)> {
        let mut out = Vec::new();
        for shard in self.shards.iter().filter(|s| s.start < to && from < s.end) {
            let first = shard.index.document_of(from.saturating_sub(shard.start));
            let last = shard.index.document_of(to.min(shard.end) - 1 - shard.start);
            if let (Some(first), Some(last)) = (first, last) {
                out.extend((first..=last).map(|i| (shard.stem.clone(), i as u64)));
            }
        }
        out
    }

    /// Shards with their documents' first and end places in the stream; for verification.
    pub(crate) fn shards(&self) -> impl Iterator<Item = (&str, u64, &Index)> {
        self.shards.iter().map(|s| (s.stem.as_str(), s.start, &s.index))
    }
}
