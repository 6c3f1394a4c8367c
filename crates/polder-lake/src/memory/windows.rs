//! Windows whose frame is all of a group hold every row that they read, which the engine accounts for nowhere: here they do.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::partition;
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::error::Result;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::windows::WindowAggExec;
use futures::TryStreamExt as _;

use super::compact::{used_bytes, with_input};
use super::passing::{Pass, PassingExec};

/// What a group costs beside its rows, for each value that a window makes of it.
const GROUP_BYTES: usize = 4096;

/// The plan, its windows accounted for.
pub(crate) fn accounted(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let accounted = plan.transform_up(|node| {
        let Some(window) = node.downcast_ref::<WindowAggExec>() else { return Ok(Transformed::no(node)) };
        let keys = window.window_expr().first().map_or_else(Vec::new, |window| window.partition_by().to_vec());
        let group_bytes = GROUP_BYTES * window.window_expr().len();
        // The same rows, of which each stays held.
        let pass: Arc<Pass> = Arc::new(move |partition, rows, context| {
            let held = MemoryConsumer::new(format!("WindowAggExec[{partition}]")).register(context.memory_pool());
            let (schema, keys) = (rows.schema(), keys.clone());
            let rows = rows.and_then(move |batch| {
                let told = bytes(&batch, &keys, group_bytes).and_then(|bytes| held.try_grow(bytes));
                futures::future::ready(told.map(|()| batch))
            });
            Box::pin(RecordBatchStreamAdapter::new(schema, rows))
        });
        let input = PassingExec::over("HeldExec", window.input().clone(), pass);
        Ok(Transformed::yes(with_input(node, input)?))
    })?;
    Ok(accounted.data)
}

/// What a batch takes: its rows twice, as they came and put together, and its groups.
fn bytes(batch: &RecordBatch, keys: &[Arc<dyn PhysicalExpr>], group_bytes: usize) -> Result<usize> {
    let keys = keys.iter().map(|key| key.evaluate(batch)?.into_array(batch.num_rows())).collect::<Result<Vec<_>>>()?;
    let groups = if keys.is_empty() || batch.num_rows() == 0 { 1 } else { partition(&keys)?.len() };
    Ok(2 * batch.columns().iter().map(used_bytes).sum::<usize>() + groups * group_bytes)
}
