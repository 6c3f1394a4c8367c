//! How a statement is fitted to the memory there is, by the sizes of its tables: which way it joins (a hash join holds its smaller side and
//! cannot spill; a sort-merge join sorts both, and can), in how many partitions it works, and how many rows a batch has.

use std::sync::Arc;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::{Join, LogicalPlan};
use datafusion::prelude::SessionContext;

use crate::Lake;
use crate::catalog::{Opened, Size};
use crate::memory::{self, Tight};

/// The engine sorts for joins of several partitions only.
const SORTED_PARTITIONS: usize = 2;

/// Lets a session's statement join by sorting where a hash table might not fit, and pass rows on in batches of which sorts can hold
/// several.
pub(super) fn choose(lake: &Lake, session: &SessionContext, opened: &Opened, plan: &LogicalPlan) {
    let state = session.state_ref();
    let mut state = state.write();
    let config = state.config_mut();
    let is_sorted = lake.memory.is_filled_by(largest_held(plan, opened));
    if is_sorted {
        config.options_mut().optimizer.prefer_hash_join = false;
    }
    let mut sizes = Vec::new();
    scans(plan, &mut |size| sizes.push(size), opened);
    if lake.memory.is_tight(sizes.iter().map(|size| size.file_bytes).sum()) {
        let widest = sizes.iter().filter_map(|size| memory::held_bytes(size.file_bytes).checked_div(size.rows)).max();
        let partitions = lake.memory.partitions(config.target_partitions()).max(if is_sorted { SORTED_PARTITIONS } else { 1 });
        let rows = lake.memory.batch_rows(widest.unwrap_or_default(), partitions);
        *config = config
            .clone()
            .with_target_partitions(partitions)
            .with_batch_size(rows)
            .with_extension(Arc::new(Tight { batch_bytes: lake.memory.batch_bytes(partitions) }));
        // Batches put together share their texts, which each piece of the sorted whole would be accounted with.
        config.options_mut().execution.sort_in_place_threshold_bytes = 0;
    }
}

/// Bytes of the tables on the smaller side of a join, at most.
fn largest_held(plan: &LogicalPlan, opened: &Opened) -> u64 {
    let mut largest = 0;
    each(plan, &mut |node| {
        let held = match node {
            LogicalPlan::Join(join) => held(join, opened),
            // IN and EXISTS become joins later.
            LogicalPlan::Subquery(inner) => bytes(&inner.subquery, opened),
            _ => 0,
        };
        largest = largest.max(held);
    });
    largest
}

/// Bytes of the tables of the side that a hash join holds: the smaller one where the engine can tell, else the first.
fn held(join: &Join, opened: &Opened) -> u64 {
    let (first, second) = (bytes(&join.left, opened), bytes(&join.right, opened));
    if is_counted(&join.left, opened) && is_counted(&join.right, opened) { first.min(second) } else { first }
}

/// Whether the engine can tell how many rows a node gives, roughly: not of lists that become rows, nor of a function's.
fn is_counted(plan: &LogicalPlan, opened: &Opened) -> bool {
    let mut is_counted = true;
    each(plan, &mut |node| is_counted &= !matches!(node, LogicalPlan::Unnest(_)));
    scans(plan, &mut |size| is_counted &= size.rows > 0, opened);
    is_counted
}

/// Bytes of all tables below a node.
fn bytes(plan: &LogicalPlan, opened: &Opened) -> u64 {
    let mut sum = 0u64;
    scans(plan, &mut |size| sum = sum.saturating_add(size.file_bytes), opened);
    sum
}

/// Every table that is read below a node, those of views too.
fn scans(plan: &LogicalPlan, look: &mut dyn FnMut(Size), opened: &Opened) {
    each(plan, &mut |node| {
        if let LogicalPlan::TableScan(scan) = node {
            match scan.source.get_logical_plan() {
                Some(view) => scans(&view, look, opened),
                None => look(opened.size(&scan.table_name)),
            }
        }
    });
}

fn each(plan: &LogicalPlan, look: &mut dyn FnMut(&LogicalPlan)) {
    let visited = plan.apply_with_subqueries(|node| {
        look(node);
        Ok(TreeNodeRecursion::Continue)
    });
    debug_assert!(visited.is_ok(), "looking fails nowhere");
}
