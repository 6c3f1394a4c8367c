//! How the lake's statements are planned: as the engine and the table format do, fitted to the memory there is, and where somebody may
//! look how far they are.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::error::Result;
use datafusion::execution::context::QueryPlanner;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use deltalake::delta_datafusion::planner::DeltaPlanner;

use crate::memory::{Tight, compacted};
use crate::watch::Watched;

/// The planner of every session.
#[derive(Debug)]
pub(crate) struct Planner {
    delta: Arc<DeltaPlanner>,
    watched: Watched,
}

impl Planner {
    pub(crate) fn new(watched: Watched) -> Self {
        Self { delta: DeltaPlanner::new(), watched }
    }
}

#[async_trait]
impl QueryPlanner for Planner {
    async fn create_physical_plan(&self, plan: &LogicalPlan, session: &dyn Session) -> Result<Arc<dyn ExecutionPlan>> {
        let mut planned = self.delta.create_physical_plan(plan, session).await?;
        if let Some(tight) = session.config().get_extension::<Tight>() {
            planned = compacted(planned, &tight)?;
        }
        self.watched.set(&planned);
        Ok(planned)
    }
}
