//! Blocks of 64-bit words: in memory as long as the budget lasts, in one file without a name after that.
//!
//! The system removes the file with the process, however that ends.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::DuplicatesError;

const WORD_BYTES: usize = size_of::<u64>();

/// Where blocks are kept.
#[derive(Debug)]
pub(crate) struct Spill {
    folder: PathBuf,
    words_left: AtomicUsize,
    file: Mutex<Option<Arc<File>>>,
    end_bytes: AtomicU64,
}

/// One block, until it is taken back.
#[derive(Debug)]
pub(crate) enum Block {
    Held(Vec<u64>),
    Stored { at_bytes: u64, n_words: usize },
}

impl Spill {
    pub(crate) fn new(folder: &Path, memory_bytes_max: usize) -> Self {
        Self {
            folder: folder.to_owned(),
            words_left: AtomicUsize::new(memory_bytes_max / WORD_BYTES),
            file: Mutex::new(None),
            end_bytes: AtomicU64::new(0),
        }
    }

    /// Bytes that went to disk so far.
    pub(crate) fn stored_bytes(&self) -> u64 {
        self.end_bytes.load(Ordering::Relaxed)
    }

    fn file(&self) -> Result<Arc<File>, DuplicatesError> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = &*file {
            return Ok(file.clone());
        }
        Ok(file.insert(Arc::new(tempfile::tempfile_in(&self.folder).map_err(self.wrong())?)).clone())
    }

    fn wrong(&self) -> impl Fn(std::io::Error) -> DuplicatesError + '_ {
        |source| DuplicatesError::Spill { folder: self.folder.clone(), source }
    }

    /// Keeps a block.
    pub(crate) fn put(&self, words: &[u64]) -> Result<Block, DuplicatesError> {
        let n_words = words.len();
        if self.words_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(n_words)).is_ok() {
            return Ok(Block::Held(words.to_vec()));
        }
        let bytes: &[u8] = bytemuck::cast_slice(words);
        let at_bytes = self.end_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.file()?.write_all_at(bytes, at_bytes).map_err(self.wrong())?;
        Ok(Block::Stored { at_bytes, n_words })
    }

    /// Appends a part of a block to `to`.
    pub(crate) fn read(&self, block: &Block, part: Range<usize>, to: &mut Vec<u64>) -> Result<(), DuplicatesError> {
        match block {
            Block::Held(words) => to.extend_from_slice(&words[part]),
            Block::Stored { at_bytes, .. } => {
                let before = to.len();
                to.resize(before + part.len(), 0);
                let at_bytes = at_bytes + (part.start * WORD_BYTES) as u64;
                self.file()?.read_exact_at(bytemuck::cast_slice_mut(&mut to[before..]), at_bytes).map_err(self.wrong())?;
            }
        }
        Ok(())
    }

    /// Appends a whole block to `to` and frees its memory.
    pub(crate) fn take(&self, block: Block, to: &mut Vec<u64>) -> Result<(), DuplicatesError> {
        match block {
            Block::Held(words) => {
                to.extend_from_slice(&words);
                self.words_left.fetch_add(words.len(), Ordering::Relaxed);
                Ok(())
            }
            Block::Stored { n_words, .. } => self.read(&block, 0..n_words, to),
        }
    }
}
