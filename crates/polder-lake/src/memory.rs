//! What queries may hold in memory together, and where they put what is beyond it: files without a name in the lake's folder, which
//! are gone when their user is, however it ends.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::error::{DataFusionError, Result};
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::{SpillFile, SpillWriter, TempFileFactory};
use deltalake::logstore::object_store::PutPayload;
use futures::stream::{self, Stream};
use polder_base::Memory;

use crate::LakeError;

/// Percent of the machine's memory; the rest is for what no query accounts for.
const MACHINE_PERCENT: u64 = 60;
/// The memory of a machine that does not say.
const MACHINE_BYTES: u64 = 8_000_000_000;
/// A spilled file is read in pieces of this size.
const READ_BYTES: usize = 1 << 17;
/// Rows take so many times the bytes of their files.
const EXPANSION: u64 = 4;

/// The crate that this type is of is named by its users alone.
type Bytes = <PutPayload as IntoIterator>::Item;

/// What the queries of one lake's handle share.
#[derive(Clone)]
pub(crate) struct QueryMemory {
    bytes_max: usize,
    runtime: Arc<RuntimeEnv>,
}

impl QueryMemory {
    /// As much as a machine can well give.
    pub(crate) fn of_machine(folder: &Path) -> std::result::Result<Self, LakeError> {
        let machine = Some(Memory::look().total_bytes).filter(|n| *n > 0).unwrap_or(MACHINE_BYTES);
        Self::try_new(usize::try_from(machine / 100 * MACHINE_PERCENT).unwrap_or(usize::MAX), folder)
    }

    pub(crate) fn try_new(bytes_max: usize, folder: &Path) -> std::result::Result<Self, LakeError> {
        let disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Custom(Arc::new(Folder(folder.to_owned()))));
        let runtime = RuntimeEnvBuilder::new().with_memory_pool(Arc::new(FairSpillPool::new(bytes_max))).with_disk_manager_builder(disk);
        Ok(Self { bytes_max, runtime: runtime.build_arc().map_err(LakeError::statement)? })
    }

    pub(crate) fn runtime(&self) -> Arc<RuntimeEnv> {
        self.runtime.clone()
    }

    /// What a sort keeps back for merging what it has spilled.
    pub(crate) fn merge_bytes(&self) -> usize {
        (self.bytes_max / 16).min(10 << 20)
    }

    /// Whether rows of so many bytes of files leave no room for anything beside them.
    pub(crate) fn is_filled_by(&self, file_bytes: u64) -> bool {
        file_bytes.saturating_mul(EXPANSION) > self.bytes_max as u64 / 2
    }
}

/// Where spilled files are made.
struct Folder(PathBuf);

impl TempFileFactory for Folder {
    fn create_temp_file(&self, _what_for: &str) -> Result<Arc<dyn SpillFile>> {
        // A lake that cannot be written can be asked all the same.
        let file = tempfile::tempfile_in(&self.0).or_else(|_| tempfile::tempfile()).map_err(DataFusionError::IoError)?;
        Ok(Arc::new(Spilled { file: Arc::new(file), bytes: Arc::default() }))
    }
}

#[derive(Clone)]
struct Spilled {
    file: Arc<File>,
    bytes: Arc<AtomicU64>,
}

impl Write for Spilled {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.file.as_ref().write(bytes)?;
        self.bytes.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl SpillWriter for Spilled {
    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}

impl SpillFile for Spilled {
    fn size(&self) -> Option<u64> {
        Some(self.bytes.load(Ordering::Relaxed))
    }

    fn read_stream(&self) -> Result<Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>> {
        let pieces = stream::try_unfold((self.file.clone(), 0u64), |(file, at)| async move {
            let read = tokio::task::spawn_blocking(move || {
                let mut piece = vec![0; READ_BYTES];
                let n = file.read_at(&mut piece, at)?;
                piece.truncate(n);
                io::Result::Ok((file, piece))
            });
            let (file, piece) = read.await.map_err(|e| DataFusionError::External(Box::new(e)))?.map_err(DataFusionError::IoError)?;
            let next = at + piece.len() as u64;
            Ok((!piece.is_empty()).then(|| (Bytes::from(piece), (file, next))))
        });
        Ok(Box::pin(pieces))
    }

    fn open_writer(&self) -> Result<Box<dyn SpillWriter>> {
        Ok(Box::new(self.clone()))
    }
}
