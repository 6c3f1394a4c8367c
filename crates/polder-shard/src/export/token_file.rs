//! A foreign file that is a stream of tokens behind a header, or without one.

use std::ops::Range;
use std::path::Path;

use crate::error::ShardError;
use crate::mapped::MappedFile;

/// A file of llm.c or nanoGPT, mapped.
#[derive(Debug)]
pub struct TokenFile {
    pub(super) file: MappedFile,
    pub(super) header_bytes: usize,
    /// Bytes a token: 2 or 4.
    pub(super) width: usize,
}

impl TokenFile {
    /// Where it stands.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Number of tokens.
    pub fn n_tokens(&self) -> u64 {
        ((self.file.len() - self.header_bytes) / self.width) as u64
    }

    /// Replaces `out` by the tokens of a range, cut at the file's end.
    pub fn read(&self, range: Range<u64>, out: &mut Vec<u32>) {
        out.clear();
        let end = range.end.min(self.n_tokens());
        let start = range.start.min(end);
        let bytes = &self.file[self.header_bytes + start as usize * self.width..self.header_bytes + end as usize * self.width];
        match self.width {
            2 => out.extend(bytes.as_chunks().0.iter().map(|b| u32::from(u16::from_le_bytes(*b)))),
            _ => out.extend(bytes.as_chunks().0.iter().map(|b| u32::from_le_bytes(*b))),
        }
    }

    pub(super) fn broken(file: &MappedFile, reason: String) -> ShardError {
        ShardError::Broken { path: file.path().to_owned(), reason }
    }
}
