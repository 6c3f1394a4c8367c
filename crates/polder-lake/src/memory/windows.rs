//! Windows whose frame is all of a group hold every row that they read, which the engine accounts for nowhere: here they do.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::partition;
use datafusion::common::tree_node::{Transformed, TreeNode as _, TreeNodeRecursion};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::windows::WindowAggExec;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, ReplaceChildrenOptions,
};
use futures::TryStreamExt as _;

use super::compact::used_bytes;

/// What a group costs beside its rows, for each value that a window makes of it.
const GROUP_BYTES: usize = 4096;

/// The plan, its windows accounted for.
pub(crate) fn accounted(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let accounted = plan.transform_up(|node| {
        let Some(window) = node.downcast_ref::<WindowAggExec>() else { return Ok(Transformed::no(node)) };
        let keys = window.window_expr().first().map_or_else(Vec::new, |window| window.partition_by().to_vec());
        let group_bytes = GROUP_BYTES * window.window_expr().len();
        let input: Arc<dyn ExecutionPlan> = Arc::new(HeldExec { input: window.input().clone(), keys, group_bytes });
        let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        Ok(Transformed::yes(node.replace_children(vec![input], options)?))
    })?;
    Ok(accounted.data)
}

/// The same rows, of which each stays held.
#[derive(Debug)]
struct HeldExec {
    input: Arc<dyn ExecutionPlan>,
    /// What makes a group.
    keys: Vec<Arc<dyn PhysicalExpr>>,
    group_bytes: usize,
}

impl DisplayAs for HeldExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HeldExec")
    }
}

impl ExecutionPlan for HeldExec {
    fn name(&self) -> &'static str {
        "HeldExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(&self, look: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>) -> Result<TreeNodeRecursion> {
        for key in &self.keys {
            if look(key)? == TreeNodeRecursion::Stop {
                return Ok(TreeNodeRecursion::Stop);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let [input] = <[_; 1]>::try_from(children).map_err(|_| DataFusionError::Internal("HeldExec has one input".into()))?;
        Ok(Arc::new(Self { input, keys: self.keys.clone(), group_bytes: self.group_bytes }))
    }

    fn execute(&self, at: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let held = MemoryConsumer::new(format!("WindowAggExec[{at}]")).register(context.memory_pool());
        let (keys, group_bytes) = (self.keys.clone(), self.group_bytes);
        let rows = self.input.execute(at, context)?.and_then(move |batch| {
            let told = bytes(&batch, &keys, group_bytes).and_then(|bytes| held.try_grow(bytes));
            futures::future::ready(told.map(|()| batch))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)))
    }
}

/// What a batch takes: its rows twice, as they came and put together, and its groups.
fn bytes(batch: &RecordBatch, keys: &[Arc<dyn PhysicalExpr>], group_bytes: usize) -> Result<usize> {
    let keys = keys.iter().map(|key| key.evaluate(batch)?.into_array(batch.num_rows())).collect::<Result<Vec<_>>>()?;
    let groups = if keys.is_empty() || batch.num_rows() == 0 { 1 } else { partition(&keys)?.len() };
    Ok(2 * batch.columns().iter().map(used_bytes).sum::<usize>() + groups * group_bytes)
}
