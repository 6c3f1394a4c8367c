//! How much of a plan's tables its hash joins hold: by the columns that they read, and how wide those are in a file.

use std::sync::Arc;

use datafusion::catalog::Session;
use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::physical_plan::parquet::metadata::DFParquetMetadata;
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::Result;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::HashJoinExec;

use super::{QueryMemory, held_bytes};

/// Files that would fit however well they were compressed are not asked how wide their columns are.
const COMPRESSION_MAX: u64 = 256;
/// Bytes that a value takes beside its own.
const VALUE_BYTES: u64 = 16;

/// Whether some hash join of a plan might hold more than there is room for. What filters and groups take away nobody can tell; so the
/// rows of all tables on the side that is held count.
pub(crate) async fn is_filled_by_joins(memory: &QueryMemory, plan: &Arc<dyn ExecutionPlan>, session: &dyn Session) -> Result<bool> {
    let mut sides = Vec::new();
    plan.apply(|node| {
        if let Some(join) = node.downcast_ref::<HashJoinExec>() {
            sides.push(scans(join.left())?);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    for side in sides {
        let files: u64 = side.iter().map(|(scan, _)| file_bytes(scan)).sum();
        if memory.is_filled_by(files.saturating_mul(COMPRESSION_MAX)) && memory.is_filled_by(column_bytes(&side, session).await) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A reader of files, and the columns that it gives.
type Scan = (FileScanConfig, Vec<String>);

fn scans(plan: &Arc<dyn ExecutionPlan>) -> Result<Vec<Scan>> {
    let mut scans = Vec::new();
    plan.apply(|node| {
        let source = node.downcast_ref::<DataSourceExec>();
        if let Some(scan) = source.and_then(|source| source.data_source().downcast_ref::<FileScanConfig>()) {
            scans.push((scan.clone(), node.schema().fields().iter().map(|field| field.name().clone()).collect()));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(scans)
}

fn file_bytes(scan: &FileScanConfig) -> u64 {
    scan.file_groups.iter().flat_map(|group| group.iter()).map(|file| file.object_meta.size).sum()
}

/// Bytes that rows of all files would take.
async fn column_bytes(side: &[Scan], session: &dyn Session) -> u64 {
    let mut bytes = 0u64;
    for (scan, columns) in side {
        let files = file_bytes(scan);
        let widened = expansion(scan, columns, session).await.map(|times| (times * files as f64) as u64);
        bytes = bytes.saturating_add(widened.unwrap_or_else(|| held_bytes(files)));
    }
    bytes
}

/// How many times the bytes of the largest file these columns of it take as rows; none where it does not say.
async fn expansion(scan: &FileScanConfig, columns: &[String], session: &dyn Session) -> Option<f64> {
    let largest = scan.file_groups.iter().flat_map(|group| group.iter()).map(|file| &file.object_meta).max_by_key(|file| file.size)?;
    let store = session.runtime_env().object_store(&scan.object_store_url).ok()?;
    let metadata = DFParquetMetadata::new(store.as_ref(), largest).fetch_metadata().await.ok()?;
    let mut bytes = 0;
    for group in metadata.row_groups() {
        let rows = u64::try_from(group.num_rows()).ok()?;
        for chunk in group.columns().iter().filter(|c| c.column_path().parts().first().is_some_and(|name| columns.contains(name))) {
            bytes += rows * VALUE_BYTES + u64::try_from(chunk.uncompressed_size()).ok()?;
        }
    }
    Some(bytes as f64 / largest.size.max(1) as f64)
}
