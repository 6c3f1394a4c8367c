//! How the lake's statements are planned: as the engine and the table format do, fitted to the memory there is, and where somebody may
//! look how far they are.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::error::Result;
use datafusion::execution::context::QueryPlanner;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionConfig;
use deltalake::delta_datafusion::planner::DeltaPlanner;

use crate::memory::{QueryMemory, Tight, accounted, compacted, is_filled_by_joins};
use crate::watch::Watched;

/// The planner of every session.
#[derive(Debug)]
pub(crate) struct Planner {
    delta: Arc<DeltaPlanner>,
    memory: QueryMemory,
    watched: Watched,
}

/// The engine sorts for joins of several partitions only.
const SORTED_PARTITIONS: usize = 2;

impl Planner {
    pub(crate) fn new(memory: QueryMemory, watched: Watched) -> Self {
        Self { delta: DeltaPlanner::new(), memory, watched }
    }

    /// The settings for joins that sort both of their sides, and so can spill them, where a hash join holds one.
    fn sorting(&self, config: &SessionConfig) -> SessionConfig {
        let mut config = config.clone();
        config.options_mut().optimizer.prefer_hash_join = false;
        let row_bytes = config.get_extension::<Tight>().map_or(0, |tight| tight.row_bytes);
        self.memory.tightened(config, row_bytes, SORTED_PARTITIONS)
    }
}

#[async_trait]
impl QueryPlanner for Planner {
    async fn create_physical_plan(&self, plan: &LogicalPlan, session: &dyn Session) -> Result<Arc<dyn ExecutionPlan>> {
        let mut planned = self.delta.create_physical_plan(plan, session).await?;
        let mut config = session.config().clone();
        // What is explained is planned within, and shown as text.
        let shown = match plan {
            LogicalPlan::Explain(explain) => Some(self.delta.create_physical_plan(&explain.plan, session).await?),
            _ => None,
        };
        if is_filled_by_joins(&self.memory, shown.as_ref().unwrap_or(&planned), session).await?
            && let Some(state) = session.as_any().downcast_ref::<SessionState>()
        {
            config = self.sorting(&config);
            let state = SessionStateBuilder::new_from_existing(state.clone()).with_config(config.clone()).build();
            planned = self.delta.create_physical_plan(plan, &state).await?;
        }
        if let Some(tight) = config.get_extension::<Tight>() {
            planned = compacted(planned, &tight)?;
        }
        planned = accounted(planned)?;
        self.watched.set(&planned);
        Ok(planned)
    }
}
