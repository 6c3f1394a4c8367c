//! A file that is digested and summed while it is written, and has its name only when it is whole.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use polder_base::{Hasher, ManifestFile};

use crate::block_sums::{BLOCK_BYTES, BlockSums};
use crate::error::{ShardError, wrong};
use crate::index::Dtype;

/// A file being written under a temporary name. It holds one block.
pub(crate) struct SummedFile {
    temporary: PathBuf,
    target: PathBuf,
    file: File,
    hasher: Hasher,
    block: Vec<u8>,
    sums: Vec<BlockSums>,
    bytes: u64,
}

/// A file that is in its place.
pub(crate) struct WrittenFile {
    pub file: ManifestFile,
    pub sums: Vec<BlockSums>,
}

impl SummedFile {
    /// Starts `folder/name`; what an earlier attempt left under the temporary name is overwritten.
    pub fn create(folder: &Path, name: &str) -> Result<Self, ShardError> {
        let temporary = folder.join(format!(".{name}.tmp"));
        let file = File::create(&temporary).map_err(wrong("create", &temporary))?;
        let block = Vec::with_capacity(BLOCK_BYTES);
        Ok(Self { temporary, target: folder.join(name), file, hasher: Hasher::new(), block, sums: Vec::new(), bytes: 0 })
    }

    pub fn write(&mut self, mut bytes: &[u8]) -> Result<(), ShardError> {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(BLOCK_BYTES - self.block.len()));
            self.block.extend_from_slice(now);
            self.flush_full()?;
            bytes = later;
        }
        Ok(())
    }

    /// Writes ids that are known to fit.
    pub fn write_tokens(&mut self, dtype: Dtype, mut tokens: &[u32]) -> Result<(), ShardError> {
        let width = dtype.bytes();
        while !tokens.is_empty() {
            let from = self.block.len();
            let (now, later) = tokens.split_at(tokens.len().min((BLOCK_BYTES - from) / width));
            self.block.resize(from + now.len() * width, 0);
            match dtype {
                Dtype::U16 => {
                    let (out, _) = self.block[from..].as_chunks_mut::<2>();
                    out.iter_mut().zip(now).for_each(|(o, t)| *o = (*t as u16).to_le_bytes());
                }
                Dtype::I32 => {
                    let (out, _) = self.block[from..].as_chunks_mut::<4>();
                    out.iter_mut().zip(now).for_each(|(o, t)| *o = t.to_le_bytes());
                }
            }
            self.flush_full()?;
            tokens = later;
        }
        Ok(())
    }

    fn flush_full(&mut self) -> Result<(), ShardError> {
        if self.block.len() < BLOCK_BYTES { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> Result<(), ShardError> {
        self.file.write_all(&self.block).map_err(wrong("write", &self.target))?;
        self.hasher.update(&self.block);
        self.sums.push(BlockSums::of(&self.block));
        self.bytes += self.block.len() as u64;
        self.block.clear();
        Ok(())
    }

    /// Syncs it and gives it its name; the folder is not synced.
    pub fn close(mut self) -> Result<WrittenFile, ShardError> {
        if !self.block.is_empty() {
            self.flush()?;
        }
        self.file.sync_all().map_err(wrong("sync", &self.target))?;
        fs::rename(&self.temporary, &self.target).map_err(wrong("rename into place", &self.target))?;
        let path = self.target.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let file = ManifestFile { path, bytes: self.bytes, digest: self.hasher.finish() };
        Ok(WrittenFile { file, sums: self.sums })
    }
}
