//! How far the statement is that runs, by what its plan counts.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use datafusion::physical_plan::{ExecutionPlan, StatisticsArgs, StatisticsContext};

use crate::Lake;

/// The plan that was made last, while somebody looks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watched(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    watchers: usize,
    plan: Option<Arc<dyn ExecutionPlan>>,
}

impl Watched {
    pub(crate) fn set(&self, plan: &Arc<dyn ExecutionPlan>) {
        let mut state = self.state();
        if state.watchers > 0 {
            state.plan = Some(plan.clone());
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lake {
    /// Looks at the statements that this handle and its clones run, for as long as the answer lives.
    #[must_use]
    pub fn watch(&self) -> Watch {
        self.watched.state().watchers += 1;
        Watch(self.watched.clone())
    }
}

/// A look at what runs.
#[derive(Debug)]
pub struct Watch(Watched);

impl Watch {
    /// How far the plan is that was made last: a statement may run several, one after the other.
    pub fn reading(&self) -> Reading {
        let plan = self.0.state().plan.clone();
        let mut reading = Reading::default();
        if let Some(plan) = plan {
            reading.add(&plan);
        }
        reading
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.watchers = state.watchers.saturating_sub(1);
        if state.watchers == 0 {
            state.plan = None;
        }
    }
}

/// How much of its input a statement has read.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Reading {
    /// Rows read from tables so far.
    pub rows_read: u64,
    /// Rows that those tables have, where their statistics say it.
    pub rows: u64,
    /// Bytes that were written to disk for want of memory.
    pub spilled_bytes: u64,
}

impl Reading {
    fn add(&mut self, plan: &Arc<dyn ExecutionPlan>) {
        let count = |n: Option<usize>| n.unwrap_or_default() as u64;
        let metrics = plan.metrics();
        self.spilled_bytes += count(metrics.as_ref().and_then(|counted| counted.spilled_bytes()));
        let children = plan.children();
        if children.is_empty() {
            let statistics = StatisticsContext::new().compute(plan.as_ref(), &StatisticsArgs::new());
            let rows_read = count(metrics.and_then(|counted| counted.output_rows()));
            self.rows_read += rows_read;
            self.rows += count(statistics.ok().and_then(|s| s.num_rows.get_value().copied())).max(rows_read);
        }
        for child in children {
            self.add(child);
        }
    }
}
