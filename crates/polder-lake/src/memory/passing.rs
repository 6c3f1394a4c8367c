//! An operator that passes the rows of another on: what is done to them on the way is a function of its maker.

use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};

/// What becomes of the rows of a partition: in the same order, of the same columns.
pub(super) type Pass = dyn Fn(usize, SendableRecordBatchStream, &TaskContext) -> SendableRecordBatchStream + Send + Sync;

pub(super) struct PassingExec {
    name: &'static str,
    input: Arc<dyn ExecutionPlan>,
    pass: Arc<Pass>,
}

impl PassingExec {
    /// An operator over another, by the name that plans show.
    pub(super) fn over(name: &'static str, input: Arc<dyn ExecutionPlan>, pass: Arc<Pass>) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self { name, input, pass })
    }
}

impl fmt::Debug for PassingExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(self.name).field("input", &self.input).finish_non_exhaustive()
    }
}

impl DisplayAs for PassingExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl ExecutionPlan for PassingExec {
    fn name(&self) -> &'static str {
        self.name
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

    fn apply_expressions(&self, _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let [input] = <[_; 1]>::try_from(children).map_err(|_| DataFusionError::Internal(format!("{} has one input", self.name)))?;
        Ok(Self::over(self.name, input, self.pass.clone()))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        Ok((self.pass)(partition, self.input.execute(partition, context.clone())?, &context))
    }
}
