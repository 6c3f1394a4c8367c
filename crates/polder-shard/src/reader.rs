//! Reads a set: samples of consecutive tokens, across documents and shards.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use polder_base::{Digest, Manifest};
use rayon::prelude::*;
use serde::Deserialize;

use crate::details::{TokenSetDetails, shard_number};
use crate::documents::DocumentLines;
use crate::error::ShardError;
use crate::index::{Dtype, Index};
use crate::mapped::MappedFile;

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
        let broken = |reason: String| ShardError::Broken { path: folder.join(Manifest::FILE), reason };
        let details = TokenSetDetails::deserialize(&manifest.details)
            .map_err(|e| broken(format!("its details are not those of a token set: {e}")))?;
        details.check().map_err(broken)?;
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

    /// The ids of some documents of a shard, by their numbers there; numbers it has not are left out.
    ///
    /// # Errors
    /// The shard's list cannot be read.
    pub fn doc_ids(&self, shard: &str, doc_idxs: &BTreeSet<u64>) -> Result<BTreeMap<u64, String>, ShardError> {
        let mut found = BTreeMap::new();
        let Some(last) = doc_idxs.last() else { return Ok(found) };
        if !self.details.shards.iter().any(|s| s.name == shard) {
            return Ok(found);
        }
        for (line, doc_idx) in DocumentLines::open(&self.folder, shard)?.zip(0..=*last) {
            let line = line?;
            if doc_idxs.contains(&doc_idx) {
                found.insert(doc_idx, line.doc_id);
            }
        }
        Ok(found)
    }

    /// Opens one part, without opening its shards: what the manifest says of their sizes is compared with the files', and each is
    /// mapped and its header checked when it is first read. A part that is declared and has no documents is empty.
    ///
    /// # Errors
    /// No such part, or files that have not the size the manifest says.
    pub fn split(&self, split: &str) -> Result<Split, ShardError> {
        let (Some(n_tokens), Some(n_documents)) = (self.details.n_tokens.get(split), self.details.n_documents.get(split)) else {
            return Err(ShardError::Split { split: split.to_owned(), known: self.details.n_tokens.keys().cloned().collect() });
        };
        let broken = |reason: String| ShardError::Broken { path: self.folder.join(Manifest::FILE), reason };
        let sizes: HashMap<&str, u64> = self.manifest.files.iter().map(|f| (f.path.as_str(), f.bytes)).collect();
        let width = self.details.dtype.bytes() as u64;
        let mut shards = Vec::new();
        let mut end = 0u64;
        for of_shard in self.details.shards.iter().filter(|s| s.split == split) {
            let name = &of_shard.name;
            if shard_number(name, split).is_none() {
                return Err(broken(format!("`{name}` is no name of a shard of {split}")));
            }
            let size = |ending: &str| {
                let file = format!("{name}.{ending}");
                sizes.get(file.as_str()).copied().ok_or_else(|| broken(format!("it does not list {file}")))
            };
            let (bytes, index_bytes) = (size("bin")?, size("idx")?);
            if of_shard.n_tokens.checked_mul(width) != Some(bytes) {
                return Err(broken(format!("{name} has {bytes} bytes, which are not its {} tokens", of_shard.n_tokens)));
            }
            let start = end;
            end = start.checked_add(of_shard.n_tokens).ok_or_else(|| broken("its shards hold more tokens than can be counted".into()))?;
            shards.push(Shard { stem: name.clone(), bytes, index_bytes, start, end, files: OnceLock::new() });
        }
        if end != *n_tokens {
            return Err(broken(format!("the shards of {split} hold {end} tokens, not {n_tokens}")));
        }
        shards.par_iter().try_for_each(|shard| shard.check_sizes(&self.folder))?;
        Ok(Split {
            folder: self.folder.clone(),
            dtype: self.details.dtype,
            shards,
            n_tokens: end,
            n_documents: *n_documents,
            vocab_size: self.details.vocab_size,
        })
    }
}

/// One part of a set, as one stream of tokens.
#[derive(Debug)]
pub struct Split {
    folder: PathBuf,
    dtype: Dtype,
    shards: Vec<Shard>,
    n_tokens: u64,
    n_documents: u64,
    vocab_size: usize,
}

#[derive(Debug)]
struct Shard {
    stem: String,
    bytes: u64,
    index_bytes: u64,
    /// Place of its first token in the split, and of the one after its last.
    start: u64,
    end: u64,
    files: OnceLock<ShardFiles>,
}

/// A shard's files, mapped.
#[derive(Debug)]
struct ShardFiles {
    index: Index,
    tokens: MappedFile,
}

impl Shard {
    fn check_sizes(&self, folder: &Path) -> Result<(), ShardError> {
        for (ending, expected) in [("bin", self.bytes), ("idx", self.index_bytes)] {
            let path = folder.join(format!("{}.{ending}", self.stem));
            let found = fs::metadata(&path).map_err(|source| ShardError::Read { path: path.clone(), source })?.len();
            if found != expected {
                return Err(ShardError::Broken { path, reason: format!("it has {found} bytes, not {expected}") });
            }
        }
        Ok(())
    }

    fn open(&self, folder: &Path, dtype: Dtype) -> Result<ShardFiles, ShardError> {
        let index = Index::open(&folder.join(format!("{}.idx", self.stem)))?;
        let tokens = MappedFile::open(&folder.join(format!("{}.bin", self.stem)))?;
        let broken = |path: &Path, reason: String| Err(ShardError::Broken { path: path.to_owned(), reason });
        if index.dtype() != dtype {
            return broken(index.path(), format!("at byte 17: its tokens are stored as {:?}, not {dtype:?}", index.dtype()));
        }
        if tokens.len() as u64 != self.bytes {
            return broken(tokens.path(), format!("it has {} bytes, not {}", tokens.len(), self.bytes));
        }
        if index.n_tokens() != self.end - self.start {
            return broken(tokens.path(), format!("it has {} tokens, and its index describes {}", self.end - self.start, index.n_tokens()));
        }
        Ok(ShardFiles { index, tokens })
    }
}

impl Shard {
    /// Its files, mapped when they are first asked for.
    fn files(&self, split: &Split) -> Result<&ShardFiles, ShardError> {
        if let Some(files) = self.files.get() {
            return Ok(files);
        }
        let files = self.open(&split.folder, split.dtype)?;
        Ok(self.files.get_or_init(|| files))
    }

    /// Tokens of a range that lies within it.
    fn slice<'a>(&'a self, split: &'a Split, range: Range<u64>) -> Result<TokenSlice<'a>, ShardError> {
        let files = self.files(split)?;
        let width = split.dtype.bytes();
        let bytes = files.tokens.get(range.start as usize * width..range.end as usize * width);
        bytes.and_then(|b| TokenSlice::of(split.dtype, b)).ok_or_else(|| ShardError::Broken {
            path: files.tokens.path().to_owned(),
            reason: format!("tokens {}..{} are not in it", range.start, range.end),
        })
    }

    /// The error of the first token outside the vocabulary; the part begins at a token of this shard.
    fn outside(&self, split: &Split, start: u64, part: &[u32]) -> ShardError {
        let found = part.iter().enumerate().find(|(_, t)| **t as usize >= split.vocab_size);
        let (i, token) = found.map_or((0, 0), |(i, t)| (i as u64, *t));
        let at = (start + i) * split.dtype.bytes() as u64;
        ShardError::Broken {
            path: split.folder.join(format!("{}.bin", self.stem)),
            reason: format!("at byte {at}: token {token} is outside the vocabulary of {}", split.vocab_size),
        }
    }
}

/// The documents of a range of one shard.
struct Spans<'a> {
    split: &'a Split,
    shard: &'a Shard,
    range: Range<u64>,
    next: Option<usize>,
}

impl<'a> Spans<'a> {
    /// The document at the beginning of what is left, which is not empty.
    fn take(&mut self) -> Result<DocumentSpan<'a>, ShardError> {
        let index = &self.shard.files(self.split)?.index;
        let mut doc_idx = match self.next {
            Some(next) => next,
            None => index.document_of(self.range.start)?,
        };
        let mut document = index.document(doc_idx)?;
        while document.end <= self.range.start {
            doc_idx += 1;
            document = index.document(doc_idx)?;
        }
        if document.start > self.range.start {
            let reason = format!("no document holds token {}", self.range.start);
            return Err(ShardError::Broken { path: index.path().to_owned(), reason });
        }
        let end = document.end.min(self.range.end);
        let of_split = |r: Range<u64>| r.start + self.shard.start..r.end + self.shard.start;
        let tokens = of_split(self.range.start..end);
        self.next = Some(doc_idx + 1);
        self.range.start = end;
        Ok(DocumentSpan { shard: &self.shard.stem, doc_idx: doc_idx as u64, tokens, document: of_split(document) })
    }
}

impl<'a> Iterator for Spans<'a> {
    type Item = Result<DocumentSpan<'a>, ShardError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.range.is_empty() {
            return None;
        }
        let span = self.take();
        if span.is_err() {
            self.range.start = self.range.end;
        }
        Some(span)
    }
}

/// Tokens where they lie in the mapped file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenSlice<'a> {
    /// Two bytes each.
    U16(&'a [u16]),
    /// Four bytes each; a sound set has no negative ones.
    I32(&'a [i32]),
}

/// Numbers are read as the machine holds them; other byte orders would need a swap here.
const _: () = assert!(cfg!(target_endian = "little"));

impl<'a> TokenSlice<'a> {
    /// `None` for bytes that are not aligned as tokens are: never so in a mapped shard, which begins with a page.
    fn of(dtype: Dtype, bytes: &'a [u8]) -> Option<Self> {
        match dtype {
            Dtype::U16 => bytemuck::try_cast_slice(bytes).ok().map(Self::U16),
            Dtype::I32 => bytemuck::try_cast_slice(bytes).ok().map(Self::I32),
        }
    }

    /// Number of tokens.
    pub fn len(&self) -> usize {
        match self {
            Self::U16(t) => t.len(),
            Self::I32(t) => t.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A token; `None` beyond the last.
    pub fn get(&self, i: usize) -> Option<u32> {
        match self {
            Self::U16(t) => t.get(i).map(|t| u32::from(*t)),
            Self::I32(t) => t.get(i).map(|t| *t as u32),
        }
    }

    /// Copies to a place of the same length and returns the largest token; a negative one counts as a large one.
    ///
    /// Both loops are simple enough for the compiler to make vectors of them.
    fn copy_to(&self, out: &mut [u32]) -> u32 {
        let mut largest = 0;
        match self {
            Self::U16(tokens) => {
                let mut narrow = 0u16;
                for (o, t) in out.iter_mut().zip(*tokens) {
                    *o = u32::from(*t);
                    narrow = narrow.max(*t);
                }
                largest = u32::from(narrow);
            }
            Self::I32(tokens) => {
                for (o, t) in out.iter_mut().zip(*tokens) {
                    *o = *t as u32;
                    largest = largest.max(*t as u32);
                }
            }
        }
        largest
    }
}

/// A part of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentSpan<'a> {
    /// The shard's files without their endings: `train-00000`.
    pub shard: &'a str,
    /// The document's number within the shard.
    pub doc_idx: u64,
    /// Which tokens of the split are meant.
    pub tokens: Range<u64>,
    /// Which tokens of the split the whole document has.
    pub document: Range<u64>,
}

impl Split {
    /// Number of tokens.
    pub fn n_tokens(&self) -> u64 {
        self.n_tokens
    }

    /// Number of documents, as the manifest says.
    pub fn n_documents(&self) -> u64 {
        self.n_documents
    }

    /// How its tokens are stored.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// Number of ids.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
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
    /// A token outside the vocabulary, or a shard that cannot be read.
    pub fn read(&self, from: u64, to: u64, out: &mut Vec<u32>) -> Result<(), ShardError> {
        let from = from.min(self.n_tokens);
        out.clear();
        out.resize((to.min(self.n_tokens).max(from) - from) as usize, 0);
        self.read_to(from, out)
    }

    /// Fills `out` with the tokens of the stream that begin at `from`.
    ///
    /// # Errors
    /// The stream ends before; a token outside the vocabulary; a shard that cannot be read.
    pub fn read_to(&self, from: u64, out: &mut [u32]) -> Result<(), ShardError> {
        let to = from.saturating_add(out.len() as u64);
        if to > self.n_tokens {
            let reason = format!("tokens {from}..{to} were asked for, and there are {}", self.n_tokens);
            return Err(ShardError::Broken { path: self.folder.clone(), reason });
        }
        let mut filled = 0;
        for (shard, range) in self.shards_of(from..to) {
            let slice = shard.slice(self, range.clone())?;
            let part = &mut out[filled..filled + slice.len()];
            if slice.copy_to(part) as usize >= self.vocab_size {
                return Err(shard.outside(self, range.start, part));
            }
            filled += slice.len();
        }
        Ok(())
    }

    /// The tokens `from..to` of the stream where they lie, a slice for each shard, cut at the stream's end. They are not checked
    /// against the vocabulary.
    pub fn slices(&self, from: u64, to: u64) -> impl Iterator<Item = Result<TokenSlice<'_>, ShardError>> {
        self.shards_of(from..to).map(|(shard, range)| shard.slice(self, range))
    }

    /// The documents that tokens `from..to` come from; empty ones are passed over.
    pub fn documents(&self, from: u64, to: u64) -> impl Iterator<Item = Result<DocumentSpan<'_>, ShardError>> {
        self.shards_of(from..to).flat_map(move |(shard, range)| Spans { split: self, shard, range, next: None })
    }

    /// Shards and what part of each a range of the stream has, counted from the shard's first token.
    fn shards_of(&self, range: Range<u64>) -> impl Iterator<Item = (&Shard, Range<u64>)> {
        let first = self.shards.partition_point(|s| s.end <= range.start);
        self.shards[first..].iter().take_while(move |s| s.start < range.end).filter(|s| s.start < s.end).map(move |s| {
            let (from, to) = (range.start.max(s.start), range.end.min(s.end));
            (s, from - s.start..to - s.start)
        })
    }
}
