//! A shard's documents with their tokens, read once in order; it holds one document.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::PathBuf;

use polder_base::{Digest, Hasher};

use crate::details::ShardDetails;
use crate::documents::{DocumentLine, DocumentLines};
use crate::error::ShardError;
use crate::index::Index;
use crate::reader::TokenSet;

pub(crate) struct StoredDocuments {
    path: PathBuf,
    index: Index,
    lines: DocumentLines,
    file: BufReader<File>,
    hasher: Hasher,
    digest: Option<Digest>,
    bytes: Vec<u8>,
    vocab_size: usize,
}

impl StoredDocuments {
    pub fn open(set: &TokenSet, shard: &ShardDetails) -> Result<Self, ShardError> {
        let bin = format!("{}.bin", shard.name);
        let path = set.folder().join(&bin);
        let index = Index::open(&path.with_extension("idx"))?;
        let read = |source| ShardError::Read { path: path.clone(), source };
        let file = File::open(&path).map_err(read)?;
        let (found, described) = (file.metadata().map_err(read)?.len(), u128::from(index.n_tokens()) * index.dtype().bytes() as u128);
        // So that no length of the index asks for more memory than the file has bytes.
        if u128::from(found) != described {
            return Err(ShardError::Broken { path, reason: format!("it has {found} bytes, and its index describes {described}") });
        }
        let lines = DocumentLines::open(set.folder(), &shard.name)?;
        let digest = set.manifest().files.iter().find(|f| f.path == bin).map(|f| f.digest);
        let (hasher, vocab_size) = (Hasher::new(), set.details().vocab_size);
        let file = BufReader::with_capacity(1 << 20, file);
        Ok(Self { path, index, lines, file, hasher, digest, bytes: Vec::new(), vocab_size })
    }

    /// Replaces `tokens` by those of the next document. After the last one the digest of all is compared: what is copied out of a
    /// damaged shard must not get a good one.
    pub fn next(&mut self, tokens: &mut Vec<u32>) -> Result<Option<DocumentLine>, ShardError> {
        let broken = |reason| Err(ShardError::Broken { path: self.path.clone(), reason });
        let doc_idx = self.lines.n_lines as usize;
        let Some(line) = self.lines.next().transpose()? else {
            let same = self.digest.is_some_and(|d| d == std::mem::take(&mut self.hasher).finish());
            return if same { Ok(None) } else { broken("its digest is not the one in its manifest".into()) };
        };
        let document = self.index.document(doc_idx)?;
        let n_tokens = document.end - document.start;
        if n_tokens != line.n_tokens {
            return broken(format!("document {doc_idx} has {n_tokens} tokens by its index and {} by its list", line.n_tokens));
        }
        self.bytes.resize(n_tokens as usize * self.index.dtype().bytes(), 0);
        self.file.read_exact(&mut self.bytes).map_err(|source| ShardError::Read { path: self.path.clone(), source })?;
        self.hasher.update(&self.bytes);
        tokens.clear();
        self.index.dtype().decode(&self.bytes, tokens);
        match tokens.iter().copied().max().filter(|t| *t as usize >= self.vocab_size) {
            Some(token) => broken(format!("document {doc_idx} has token {token}, outside the vocabulary of {}", self.vocab_size)),
            None => Ok(Some(line)),
        }
    }
}
