//! What queries may hold in memory together, and where they put what is beyond it: files in the lake's folder.

mod compact;
mod held;
mod passing;
mod shares;
mod spilled;
mod windows;

use std::path::Path;
use std::sync::Arc;

use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::prelude::SessionConfig;
use polder_base::Memory;

use crate::LakeError;
pub(crate) use compact::{Tight, compacted};
pub(crate) use held::is_filled_by_joins;
use shares::Shares;
use spilled::Folder;
pub(crate) use windows::accounted;

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
#[derive(Clone, Debug)]
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
        (self.bytes_max / BATCHES / partitions.max(1)).saturating_mul(8).min(10 << 20)
    }

    /// The settings of a statement whose data is much for this memory: so many partitions work side by side, on batches of rows of so
    /// many bytes each of which merges hold several.
    pub(crate) fn tightened(&self, config: SessionConfig, row_bytes: u64, partitions_min: usize) -> SessionConfig {
        let partitions = (self.bytes_max / PARTITION_BYTES).min(config.target_partitions()).max(partitions_min);
        let batch_bytes = self.bytes_max / BATCHES / partitions;
        let rows = usize::try_from(batch_bytes as u64 / row_bytes.max(1)).unwrap_or(usize::MAX).clamp(BATCH_ROWS_MIN, BATCH_ROWS);
        let mut config =
            config.with_target_partitions(partitions).with_batch_size(rows).with_extension(Arc::new(Tight { batch_bytes, row_bytes }));
        // Batches put together share their texts, which each piece of the sorted whole would be accounted with.
        config.options_mut().execution.sort_in_place_threshold_bytes = 0;
        config
    }

    /// Whether so many bytes leave no room for anything beside them.
    fn is_filled_by(&self, bytes: u64) -> bool {
        bytes > self.bytes_max as u64 / 2
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
