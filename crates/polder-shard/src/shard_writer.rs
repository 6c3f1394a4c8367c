//! Writes one split's documents into shards, one document at a time.
//!
//! A document is never cut: one longer than a shard stands alone in its own. A split without documents has no shards.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use polder_base::write_whole;

use crate::error::ShardError;
use crate::index::{Dtype, index_bytes};

/// How shards are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardOptions {
    /// Ids are below this; it decides how wide tokens are stored.
    pub vocab_size: usize,
    /// The token that closes every document.
    pub end_id: u32,
    /// A shard with documents takes no further one that would bring it above this.
    pub tokens_per_shard_max: u64,
}

/// What a split came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WrittenSplit {
    /// Files below the folder, in order of shards.
    pub files: Vec<String>,
    /// Tokens, closing ones included.
    pub n_tokens: u64,
    /// Documents.
    pub n_documents: u64,
    /// How often each id occurs.
    pub token_counts: Vec<u64>,
}

/// A split being written. Files appear under their names when their shard is full.
#[derive(Debug)]
pub struct ShardWriter {
    folder: PathBuf,
    split: String,
    options: ShardOptions,
    dtype: Dtype,
    open: Option<OpenShard>,
    done: WrittenSplit,
    n_shards: u32,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct OpenShard {
    stem: String,
    temporary: PathBuf,
    file: BufWriter<File>,
    lengths: Vec<i32>,
    n_tokens: u64,
}

impl OpenShard {
    fn create(folder: &Path, stem: String) -> Result<Self, ShardError> {
        let temporary = folder.join(format!(".{stem}.bin.tmp"));
        let file = File::create(&temporary).map_err(wrong("create", &temporary))?;
        Ok(Self { stem, temporary, file: BufWriter::with_capacity(1 << 20, file), lengths: Vec::new(), n_tokens: 0 })
    }
}

impl ShardWriter {
    /// Starts a split in a folder that is there.
    ///
    /// # Errors
    /// The split's name or the closing token cannot be used.
    pub fn try_new(folder: &Path, split: &str, options: ShardOptions) -> Result<Self, ShardError> {
        let refuse = |reason: String| Err(ShardError::Broken { path: folder.join(split), reason });
        if split.is_empty() || !split.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_') {
            return refuse("a split's name has lower-case letters, digits and _ only".into());
        }
        if options.end_id as usize >= options.vocab_size || options.vocab_size > i32::MAX as usize {
            return refuse(format!("token {} does not close documents of a vocabulary of {}", options.end_id, options.vocab_size));
        }
        Ok(Self {
            folder: folder.to_owned(),
            split: split.to_owned(),
            dtype: Dtype::of_vocab(options.vocab_size),
            options,
            open: None,
            done: WrittenSplit { token_counts: vec![0; options.vocab_size], ..WrittenSplit::default() },
            n_shards: 0,
            buffer: Vec::new(),
        })
    }

    /// Writes a document and the token that closes it; returns its shard and its number there.
    ///
    /// # Errors
    /// A token outside the vocabulary, a document too long for the format, or a file that takes no more.
    pub fn push(&mut self, doc_id: &str, tokens: &[u32]) -> Result<(&str, u64), ShardError> {
        let refuse = |reason| ShardError::Document { doc_id: doc_id.to_owned(), reason };
        let length = i32::try_from(tokens.len() + 1).map_err(|_| refuse(format!("its {} tokens are too many", tokens.len())))?;
        if let Some(token) = tokens.iter().find(|t| **t as usize >= self.options.vocab_size) {
            return Err(refuse(format!("token {token} is outside the vocabulary of {}", self.options.vocab_size)));
        }
        let n = length as u64;
        if self.open.as_ref().is_some_and(|s| s.n_tokens + n > self.options.tokens_per_shard_max) {
            self.close_shard()?;
        }
        self.buffer.clear();
        for token in tokens.iter().chain([&self.options.end_id]) {
            self.done.token_counts[*token as usize] += 1;
            match self.dtype {
                Dtype::U16 => self.buffer.extend_from_slice(&(*token as u16).to_le_bytes()),
                Dtype::I32 => self.buffer.extend_from_slice(&token.to_le_bytes()),
            }
        }
        let shard = match self.open.take() {
            Some(shard) => shard,
            None => OpenShard::create(&self.folder, format!("{}-{:05}", self.split, self.n_shards))?,
        };
        let shard = self.open.insert(shard);
        shard.file.write_all(&self.buffer).map_err(wrong("write", &shard.temporary))?;
        shard.lengths.push(length);
        shard.n_tokens += n;
        self.done.n_tokens += n;
        self.done.n_documents += 1;
        Ok((&shard.stem, shard.lengths.len() as u64 - 1))
    }

    fn close_shard(&mut self) -> Result<(), ShardError> {
        let Some(shard) = self.open.take() else { return Ok(()) };
        let file = shard.file.into_inner().map_err(|e| wrong("write", &shard.temporary)(e.into_error()))?;
        file.sync_all().map_err(wrong("sync", &shard.temporary))?;
        let (bin, idx) = (format!("{}.bin", shard.stem), format!("{}.idx", shard.stem));
        fs::rename(&shard.temporary, self.folder.join(&bin)).map_err(wrong("rename", &shard.temporary))?;
        write_whole(&self.folder.join(&idx), &index_bytes(self.dtype, &shard.lengths))?;
        self.done.files.extend([bin, idx]);
        self.n_shards += 1;
        Ok(())
    }

    /// Closes the last shard and says what was written.
    ///
    /// # Errors
    /// The last shard cannot be put in place.
    pub fn finish(mut self) -> Result<WrittenSplit, ShardError> {
        self.close_shard()?;
        Ok(self.done)
    }
}

pub(crate) fn wrong<'a>(step: &'static str, path: &'a Path) -> impl FnOnce(std::io::Error) -> ShardError + 'a {
    move |source| ShardError::Write { step, path: path.to_owned(), source }
}
