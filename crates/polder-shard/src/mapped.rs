//! A file seen as bytes without reading it: the one place that maps memory.

use std::fs::File;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use memmap2::Mmap;

use crate::error::ShardError;

/// A read-only file as bytes; pages come from disk as they are touched.
#[derive(Debug)]
pub struct MappedFile {
    path: PathBuf,
    map: Option<Mmap>,
}

impl MappedFile {
    /// Maps a file.
    ///
    /// # Errors
    /// It cannot be opened or mapped.
    pub fn open(path: &Path) -> Result<Self, ShardError> {
        let read = |source| ShardError::Read { path: path.to_owned(), source };
        let file = File::open(path).map_err(read)?;
        // An empty file cannot be mapped everywhere, and needs no map.
        if file.metadata().map_err(read)?.len() == 0 {
            return Ok(Self { path: path.to_owned(), map: None });
        }
        // SAFETY: the map is read-only and private to this value. Polder writes such files under another name and renames
        // them into place, so that a file that has its name never changes; only another program that cuts or rewrites it
        // in place could break this, and every value read from it is checked before it is used as an index.
        let map = unsafe { Mmap::map(&file) }.map_err(read)?;
        Ok(Self { path: path.to_owned(), map: Some(map) })
    }

    /// Where it stands.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Deref for MappedFile {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.map.as_deref().unwrap_or(&[])
    }
}
