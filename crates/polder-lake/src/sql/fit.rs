//! How a statement is fitted to the memory there is, by the sizes of its tables: in how many partitions it works, and how many rows a
//! batch has.

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;

use crate::Lake;
use crate::catalog::{Opened, Size};
use crate::memory;

/// Lets a session's statement pass rows on in batches of which sorts can hold several, where its tables are large for that.
pub(super) fn choose(lake: &Lake, session: &SessionContext, opened: &Opened, plan: &LogicalPlan) {
    let mut sizes = Vec::new();
    scans(plan, &mut |size| sizes.push(size), opened);
    if lake.memory.is_tight(sizes.iter().map(|size| size.file_bytes).sum()) {
        let widest = sizes.iter().filter_map(|size| memory::held_bytes(size.file_bytes).checked_div(size.rows)).max();
        let state = session.state_ref();
        let mut state = state.write();
        *state.config_mut() = lake.memory.tightened(state.config().clone(), widest.unwrap_or_default(), 1);
    }
}

/// Every table that is read below a node, those of views too.
fn scans(plan: &LogicalPlan, look: &mut dyn FnMut(Size), opened: &Opened) {
    let visited = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            match scan.source.get_logical_plan() {
                Some(view) => scans(&view, look, opened),
                None => look(opened.size(&scan.table_name)),
            }
        }
        Ok(TreeNodeRecursion::Continue)
    });
    debug_assert!(visited.is_ok(), "looking fails nowhere");
}
