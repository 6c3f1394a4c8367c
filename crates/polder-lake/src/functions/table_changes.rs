//! `table_changes('t', 3, 7)`: which rows came and went between two versions, both included.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::dataframe::DataFrame;
use datafusion::datasource::TableType;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, cast, ident, lit};
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties as _};
use datafusion::scalar::ScalarValue;
use deltalake::delta_datafusion::DeltaCdfTableProvider;
use polder_base::{At, TableName};

use super::LakeFunction;
use super::call::{Call, Kind, Parameter};
use crate::tables::State;
use crate::{LakeError, catalog, commits};

pub(super) struct TableChanges;

#[async_trait]
impl LakeFunction for TableChanges {
    fn name(&self) -> &'static str {
        "table_changes"
    }

    fn parameters(&self) -> &'static [Parameter] {
        const ALL: [Parameter; 3] = [
            Parameter::required("table", Kind::Text),
            Parameter::required("from", Kind::Integer),
            Parameter::optional("to", Kind::Integer),
        ];
        &ALL
    }

    async fn plan(&self, call: &Call) -> Result<Arc<dyn TableProvider>> {
        let table: TableName = call.text("table").unwrap_or_default().parse().map_err(|e| LakeError::from(e).through_engine())?;
        let opened = call.lake().known.open(&table, &State::At(At::Latest)).await.map_err(LakeError::through_engine)?;
        let latest = opened.version().unwrap_or_default();
        let version = |parameter, otherwise: u64| match call.integer(parameter) {
            None => Ok(otherwise),
            Some(n) => match u64::try_from(n) {
                Ok(n) if n <= latest => Ok(n),
                _ => Err(LakeError::NoVersion { table: table.clone(), version: n.unsigned_abs(), latest }.through_engine()),
            },
        };
        let (from, to) = (version("from", 0)?, version("to", latest)?);
        if from > to {
            return Err(DataFusionError::Plan(format!("changes of `{table}` are asked from version {from} back to {to}")));
        }
        let wrong = |e| LakeError::delta("read the changes of", &table)(e).through_engine();
        let session = call.lake().session();
        let mut changes = None;
        if to > 0 {
            let feed = opened.clone().scan_cdf().with_starting_version(from.max(1)).with_ending_version(to);
            changes = Some(session.read_table(Arc::new(Feed(DeltaCdfTableProvider::try_new(feed).map_err(wrong)?)))?);
        }
        if from == 0 {
            // The version that makes a table has no feed: its rows are what it brought.
            let first = call.lake().known.open(&table, &State::At(At::Version(0))).await.map_err(LakeError::through_engine)?;
            let at = commits::read(&first, &table, 0).await.map_err(LakeError::through_engine)?.map_or(0, |c| c.at.0);
            let rows = session.read_table(catalog::provider(&first).await?)?;
            let like = match &changes {
                Some(changes) => changes.schema().as_arrow().clone(),
                None => with_change(rows.schema().as_arrow()),
            };
            let rows = brought(rows, &like, at)?;
            changes = Some(match changes {
                Some(changes) => rows.union(changes)?,
                None => rows,
            });
        }
        let changes = changes.ok_or_else(|| DataFusionError::Plan(format!("`{table}` has no changes to show")))?;
        Ok(changes.into_view())
    }
}

/// The library's feed. Where it has no file of one kind, that scan has no partition at all, which no sort can stand on.
#[derive(Debug)]
struct Feed(DeltaCdfTableProvider);

#[async_trait]
impl TableProvider for Feed {
    fn schema(&self) -> SchemaRef {
        self.0.schema()
    }

    fn table_type(&self) -> TableType {
        self.0.table_type()
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = self.0.scan(session, projection, filters, limit).await?;
        let whole = plan.transform_up(|node| match node.output_partitioning().partition_count() {
            0 if node.children().is_empty() => Ok(Transformed::yes(Arc::new(EmptyExec::new(node.schema())) as _)),
            _ => Ok(Transformed::no(node)),
        })?;
        Ok(whole.data)
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        self.0.supports_filters_pushdown(filters)
    }
}

fn with_change(schema: &Schema) -> Schema {
    let change = [
        Field::new("_change_type", DataType::Utf8, true),
        Field::new("_commit_version", DataType::Int64, true),
        Field::new("_commit_timestamp", DataType::Timestamp(TimeUnit::Millisecond, None), true),
    ];
    Schema::new(schema.fields().iter().cloned().chain(change.map(Arc::new)).collect::<Vec<_>>())
}

/// Rows of version 0 as the feed would tell them.
fn brought(rows: DataFrame, like: &Schema, at_ms: i64) -> Result<DataFrame> {
    let known = rows.schema().clone();
    let columns = like.fields().iter().map(|field| {
        let value = match field.name().as_str() {
            "_change_type" => lit("insert"),
            "_commit_version" => lit(0i64),
            "_commit_timestamp" => lit(ScalarValue::TimestampMillisecond(Some(at_ms), None)),
            name if known.has_column_with_unqualified_name(name) => ident(name),
            _ => lit(ScalarValue::Null),
        };
        cast(value, field.data_type().clone()).alias(field.name())
    });
    rows.select(columns.collect::<Vec<_>>())
}
