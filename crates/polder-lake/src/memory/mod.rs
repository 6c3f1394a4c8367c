//! What queries may hold in memory together, and where they put what is beyond it: files in the lake's folder.

mod compact;
mod shares;
mod spilled;

use std::path::Path;
use std::sync::Arc;

use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use polder_base::Memory;

use crate::LakeError;
pub(crate) use compact::{Tight, compacted};
use shares::Shares;
use spilled::Folder;

/// Percent of the machine's memory; the rest is for what no query accounts for.
const MACHINE_PERCENT: u64 = 60;
/// The memory of a machine that does not say.
const MACHINE_BYTES: u64 = 8_000_000_000;
/// Rows take so many times the bytes of their files.
const EXPANSION: u64 = 4;

/// Rows a batch, at most: with long texts a batch stays in the megabytes.
pub(crate) const BATCH_ROWS: usize = 1024;
/// And at least: each row of a smaller batch costs more than its text.
const BATCH_ROWS_MIN: usize = 16;
/// Memory that a partition of a plan needs: several long documents for each of its operators.
const PARTITION_BYTES: usize = 64_000_000;
/// Of the memory, a batch is so small a part of a partition's: a merge holds four of each of its runs.
const BATCHES: usize = 256;
/// So many spilled files are merged at once.
const MERGE_FILES: usize = 8;

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
        let disk = disk.with_max_spill_merge_fan_in(MERGE_FILES);
        let runtime = RuntimeEnvBuilder::new().with_memory_pool(Arc::new(Shares::new(bytes_max))).with_disk_manager_builder(disk);
        Ok(Self { bytes_max, runtime: runtime.build_arc().map_err(LakeError::statement)? })
    }

    pub(crate) fn runtime(&self) -> Arc<RuntimeEnv> {
        self.runtime.clone()
    }

    /// What each partition of a sort keeps back for merging what it has spilled: four batches of each of two runs.
    pub(crate) fn merge_bytes(&self, partitions: usize) -> usize {
        self.batch_bytes(partitions).saturating_mul(8).min(10 << 20)
    }

    /// How many partitions of a plan can work side by side.
    pub(crate) fn partitions(&self, wished: usize) -> usize {
        (self.bytes_max / PARTITION_BYTES).clamp(1, wished.max(1))
    }

    /// Rows of so many bytes each that make a batch of which merges hold several.
    pub(crate) fn batch_rows(&self, row_bytes: u64, partitions: usize) -> usize {
        let bytes = self.batch_bytes(partitions) as u64;
        usize::try_from(bytes / row_bytes.max(1)).unwrap_or(usize::MAX).clamp(BATCH_ROWS_MIN, BATCH_ROWS)
    }

    /// Bytes of such a batch.
    pub(crate) fn batch_bytes(&self, partitions: usize) -> usize {
        self.bytes_max / BATCHES / partitions.max(1)
    }

    /// Whether rows of so many bytes of files leave no room for anything beside them.
    pub(crate) fn is_filled_by(&self, file_bytes: u64) -> bool {
        held_bytes(file_bytes) > self.bytes_max as u64 / 2
    }

    /// Whether operators that hold rows of so many bytes of files may have to spill them.
    pub(crate) fn is_tight(&self, file_bytes: u64) -> bool {
        held_bytes(file_bytes) > self.bytes_max as u64 / 16
    }
}

/// What rows take that are so many bytes in files.
pub(crate) fn held_bytes(file_bytes: u64) -> u64 {
    file_bytes.saturating_mul(EXPANSION)
}
