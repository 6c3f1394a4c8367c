//! Which way a statement joins: a hash join holds its smaller side in memory and cannot spill; a sort-merge join sorts both, and can.

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;

use crate::Lake;
use crate::catalog::Opened;

/// Lets a session's statement join by sorting where a hash table might not fit.
pub(super) fn choose(lake: &Lake, session: &SessionContext, opened: &Opened, plan: &LogicalPlan) {
    if lake.memory.is_filled_by(largest_held(plan, opened)) {
        session.state_ref().write().config_mut().options_mut().optimizer.prefer_hash_join = false;
    }
}

/// Bytes of the tables on the smaller side of a join, at most.
fn largest_held(plan: &LogicalPlan, opened: &Opened) -> u64 {
    let mut largest = 0;
    each(plan, &mut |node| {
        let held = match node {
            LogicalPlan::Join(join) => bytes(&join.left, opened).min(bytes(&join.right, opened)),
            // IN and EXISTS become joins later.
            LogicalPlan::Subquery(inner) => bytes(&inner.subquery, opened),
            _ => 0,
        };
        largest = largest.max(held);
    });
    largest
}

/// Bytes of all tables below a node.
fn bytes(plan: &LogicalPlan, opened: &Opened) -> u64 {
    let mut sum = 0u64;
    each(plan, &mut |node| {
        if let LogicalPlan::TableScan(scan) = node {
            sum = sum.saturating_add(match scan.source.get_logical_plan() {
                Some(view) => bytes(&view, opened),
                None => opened.bytes(&scan.table_name),
            });
        }
    });
    sum
}

fn each(plan: &LogicalPlan, look: &mut dyn FnMut(&LogicalPlan)) {
    let visited = plan.apply_with_subqueries(|node| {
        look(node);
        Ok(TreeNodeRecursion::Continue)
    });
    debug_assert!(visited.is_ok(), "looking fails nowhere");
}
