//! Texts held once. A batch of views keeps alive every buffer that one of its rows points into, and is accounted with all of them: a
//! few rows of a page of Parquet with the whole page, merged rows with the batches of all that were merged. Where memory is short,
//! sorts get and give batches that own their texts, and no batch holds much.

use std::sync::Arc;

use datafusion::arrow::array::{Array as _, ArrayRef, AsArray as _, RecordBatch};
use datafusion::arrow::datatypes::{BinaryViewType, ByteViewType, DataType, StringViewType};
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::error::Result;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ChildrenPropertiesMode, ExecutionPlan, ExecutionPlanProperties as _, ReplaceChildrenOptions};
use futures::{TryStreamExt as _, stream};

use super::passing::{Pass, PassingExec};

/// Marks a session's statement as one whose data is much for the memory that it may take.
pub(crate) struct Tight {
    /// A batch should hold no more.
    pub batch_bytes: usize,
    /// Rows of the widest table are so wide.
    pub row_bytes: u64,
}

/// The plan of a tight statement: its sorts are given owned texts and give them, and rows are dealt out to partitions by one task.
/// Several that deal and must spill may wait for each other: the reader of a partition waits for the oldest file to which any of
/// them writes, while they wait for room in its queue.
pub(crate) fn compacted(plan: Arc<dyn ExecutionPlan>, tight: &Tight) -> Result<Arc<dyn ExecutionPlan>> {
    let batch_bytes = tight.batch_bytes;
    // The same rows, in batches that own their texts.
    let pass: Arc<Pass> = Arc::new(move |_, rows, _| {
        let schema = rows.schema();
        let rows = rows.map_ok(move |batch| stream::iter(pieces(&batch, batch_bytes)));
        Box::pin(RecordBatchStreamAdapter::new(schema, rows.try_flatten()))
    });
    let over = |input| PassingExec::over("CompactExec", input, pass.clone());
    let compacted = plan.transform_up(|node| {
        if let Some(sort) = node.downcast_ref::<SortExec>() {
            let input = over(sort.input().clone());
            return Ok(Transformed::yes(over(with_input(node, input)?)));
        }
        match node.downcast_ref::<RepartitionExec>() {
            Some(dealt) if !dealt.preserve_order() && dealt.input().output_partitioning().partition_count() > 1 => {
                let input = Arc::new(CoalescePartitionsExec::new(dealt.input().clone()));
                Ok(Transformed::yes(with_input(node, input)?))
            }
            _ => Ok(Transformed::no(node)),
        }
    })?;
    Ok(compacted.data)
}

pub(super) fn with_input(node: Arc<dyn ExecutionPlan>, input: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    node.replace_children(vec![input], ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
}

/// A batch in batches of about so many bytes, each with texts of its own; one row is the least.
fn pieces(batch: &RecordBatch, batch_bytes: usize) -> Vec<Result<RecordBatch>> {
    let used: usize = batch.columns().iter().map(used_bytes).sum();
    let n_pieces = used.div_ceil(batch_bytes.max(1)).clamp(1, batch.num_rows().max(1));
    let n_rows = batch.num_rows().div_ceil(n_pieces);
    (0..n_pieces)
        .map(|i| i * n_rows)
        .filter(|from| *from < batch.num_rows())
        .map(|from| compact(&batch.slice(from, n_rows.min(batch.num_rows() - from))))
        .collect()
}

/// Bytes of texts in a column.
pub(super) fn used_bytes(column: &ArrayRef) -> usize {
    match column.data_type() {
        DataType::Utf8View => column.as_byte_view::<StringViewType>().total_buffer_bytes_used(),
        DataType::BinaryView => column.as_byte_view::<BinaryViewType>().total_buffer_bytes_used(),
        _ => column.to_data().get_slice_memory_size().unwrap_or_default(),
    }
}

fn compact(batch: &RecordBatch) -> Result<RecordBatch> {
    let columns = batch.columns().iter().map(|column| match column.data_type() {
        DataType::Utf8View => owned::<StringViewType>(column),
        DataType::BinaryView => owned::<BinaryViewType>(column),
        _ => column.clone(),
    });
    Ok(RecordBatch::try_new(batch.schema(), columns.collect())?)
}

/// The views with buffers of their own, unless nearly all that they hold is theirs.
fn owned<T: ByteViewType>(column: &ArrayRef) -> ArrayRef {
    let views = column.as_byte_view::<T>();
    let held: usize = views.data_buffers().iter().map(|buffer| buffer.capacity()).sum();
    let used = views.total_buffer_bytes_used();
    if held / 4 > used / 3 { Arc::new(views.gc()) } else { column.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::StringViewArray;
    use datafusion::arrow::datatypes::{Field, Schema};

    #[test]
    fn few_rows_of_a_large_buffer_get_one_of_their_own_and_many_keep_it() {
        let texts: Vec<String> = (0..1000).map(|i| format!("{i:0>100}")).collect();
        let column: ArrayRef = Arc::new(StringViewArray::from_iter_values(&texts));
        let schema = Arc::new(Schema::new(vec![Field::new("text", DataType::Utf8View, false)]));
        let batch = RecordBatch::try_new(schema, vec![column]).expect("a batch");
        let buffers = |batch: &RecordBatch| {
            let views = batch.column(0).as_string_view();
            views.data_buffers().iter().map(|buffer| buffer.capacity()).sum::<usize>()
        };
        let few = batch.slice(10, 20);
        let owned = compact(&few).expect("compacted");
        assert_eq!(owned, few);
        assert_eq!(buffers(&few), buffers(&batch));
        assert!(buffers(&owned) < 4000, "{}", buffers(&owned));
        let cut: Vec<RecordBatch> = pieces(&batch, 30_000).into_iter().map(|piece| piece.expect("a piece")).collect();
        assert_eq!(cut.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), [250; 4]);
        assert_eq!(datafusion::arrow::compute::concat_batches(&batch.schema(), &cut).expect("joined"), batch);
        assert_eq!(pieces(&batch, 1).len(), 1000);
        assert!(pieces(&batch.slice(0, 0), 1).is_empty());
        let many = compact(&batch.slice(0, 900)).expect("compacted");
        assert_eq!(many.column(0).as_string_view().data_buffers()[0].as_ptr(), batch.column(0).as_string_view().data_buffers()[0].as_ptr());
    }
}
