//! What queries may hold in memory together, and where they put what is beyond it: files without a name in the lake's folder, which
//! are gone when their user is, however it ends.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use datafusion::error::{DataFusionError, Result};
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation};
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
        let runtime =
            RuntimeEnvBuilder::new().with_memory_pool(Arc::new(Pool { bytes_max, used: Mutex::default() })).with_disk_manager_builder(disk);
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

/// A limit with room for both kinds of operators. The engine's own pools give what spills all but what the others hold, or the other way
/// round: a merge of spilled files then takes all that the sorts beside it need to go on, and sorts take all that a merge needs to begin.
#[derive(Debug)]
struct Pool {
    bytes_max: usize,
    used: Mutex<Used>,
}

#[derive(Debug, Default)]
struct Used {
    n_spillers: usize,
    n_mergers: usize,
    by_spillers: usize,
    by_others: usize,
}

impl Pool {
    fn used(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} bytes", self.reserved(), self.bytes_max)
    }
}

impl MemoryPool for Pool {
    fn name(&self) -> &str {
        "queries"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        let mut used = self.used();
        used.n_spillers += usize::from(consumer.can_spill());
        used.n_mergers += usize::from(is_merger(consumer));
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        let mut used = self.used();
        used.n_spillers = used.n_spillers.saturating_sub(usize::from(consumer.can_spill()));
        used.n_mergers = used.n_mergers.saturating_sub(usize::from(is_merger(consumer)));
    }

    fn grow(&self, reservation: &MemoryReservation, bytes: usize) {
        let mut used = self.used();
        let of = if reservation.consumer().can_spill() { &mut used.by_spillers } else { &mut used.by_others };
        *of = of.saturating_add(bytes);
    }

    fn shrink(&self, reservation: &MemoryReservation, bytes: usize) {
        let mut used = self.used();
        let of = if reservation.consumer().can_spill() { &mut used.by_spillers } else { &mut used.by_others };
        *of = of.saturating_sub(bytes);
    }

    /// What spills shares at least half of the limit and at most three quarters, each of them an equal part. Of the rest, merges have equal
    /// parts too: each would take all that there is, to merge as many files at once as it can, and none needs more than a few.
    fn try_grow(&self, reservation: &MemoryReservation, bytes: usize) -> Result<()> {
        let mut used = self.used();
        let can_spill = reservation.consumer().can_spill();
        let (held, allowed) = if can_spill {
            let all = self.bytes_max.saturating_sub(used.by_others).min(self.bytes_max / 4 * 3).max(self.bytes_max / 2);
            (reservation.size(), all / used.n_spillers.max(1))
        } else {
            let kept = if used.n_spillers > 0 { self.bytes_max / 2 } else { 0 };
            let all = self.bytes_max.saturating_sub(kept.max(used.by_spillers));
            if is_merger(reservation.consumer()) {
                let others = used.by_others.saturating_sub(reservation.size());
                (reservation.size(), (all / used.n_mergers.max(1)).min(all.saturating_sub(others)))
            } else {
                (used.by_others, all)
            }
        };
        if held.saturating_add(bytes) > allowed {
            let name = reservation.consumer().name();
            return Err(DataFusionError::ResourcesExhausted(format!("{held} bytes and {bytes} more are over {allowed} for {name}")));
        }
        if can_spill {
            used.by_spillers += bytes;
        } else {
            used.by_others += bytes;
        }
        Ok(())
    }

    fn reserved(&self) -> usize {
        let used = self.used();
        used.by_spillers + used.by_others
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.bytes_max)
    }
}

/// Whether a consumer is the merge of a sort's files, by the name that the engine gives it.
fn is_merger(consumer: &MemoryConsumer) -> bool {
    consumer.name().starts_with("ExternalSorterMerge")
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
