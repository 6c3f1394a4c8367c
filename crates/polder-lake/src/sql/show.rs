//! What statements of the lake's own show: tags, schemas, a table's history and details.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::dataframe::DataFrame;
use polder_base::TableName;

use super::own::Own;
use super::write;
use crate::tables::SCHEMAS;
use crate::{Lake, LakeError, ops, tags, views};

/// Answers a statement of the lake's own as rows; `None` for one that writes.
pub(super) async fn frame(lake: &Lake, own: &Own) -> Result<Option<DataFrame>, LakeError> {
    let (batch, table) = match own {
        Own::ShowTags(table) => {
            if let Some(table) = table
                && !lake.tables.store().exists(table).await?
            {
                return Err(lake.tables.missing(&table.to_string()).await);
            }
            (tags::batch(&lake.tags(table.as_ref()).await?)?, ops::table("tags"))
        }
        Own::ShowSchemas => (schemas(lake).await?, ops::table("tags")),
        Own::History(table, limit) => (history(lake, table, *limit).await?, table.clone()),
        Own::Detail(table) => (write::detail(lake, table).await?, table.clone()),
        _ => return Ok(None),
    };
    lake.session().read_batch(batch).map(Some).map_err(LakeError::query("describe", &table))
}

async fn schemas(lake: &Lake) -> Result<RecordBatch, LakeError> {
    let tables = lake.tables.all().await?;
    let names: ArrayRef = Arc::new(StringArray::from_iter_values(SCHEMAS));
    let layout = lake.layout();
    let count = |of: &dyn Fn(&str) -> usize| -> ArrayRef { Arc::new(Int64Array::from_iter_values(SCHEMAS.iter().map(|s| of(s) as i64))) };
    let columns = [
        ("schema", names),
        ("n_tables", count(&|s| tables.iter().filter(|t| t.schema == s).count())),
        ("n_views", count(&|s| views::names(layout, s).len())),
    ];
    RecordBatch::try_from_iter(columns).map_err(|source| LakeError::Arrow { step: "list schemas", source })
}

async fn history(lake: &Lake, table: &TableName, limit: Option<usize>) -> Result<RecordBatch, LakeError> {
    let commits = lake.history(table, limit).await?;
    let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let columns: Vec<(&str, DataType, ArrayRef)> = vec![
        ("version", DataType::Int64, Arc::new(Int64Array::from_iter_values(commits.iter().map(|c| number(c.version))))),
        (
            "timestamp",
            ops::time(),
            Arc::new(TimestampMillisecondArray::from_iter_values(commits.iter().map(|c| c.at.0)).with_timezone("UTC")),
        ),
        ("operation", DataType::Utf8, Arc::new(StringArray::from_iter_values(commits.iter().map(|c| c.operation.as_str())))),
        ("n_rows_added", DataType::Int64, Arc::new(Int64Array::from_iter(commits.iter().map(|c| c.n_rows_added.map(number))))),
        ("n_files_added", DataType::Int64, Arc::new(Int64Array::from_iter_values(commits.iter().map(|c| number(c.n_files.0))))),
        ("n_files_removed", DataType::Int64, Arc::new(Int64Array::from_iter_values(commits.iter().map(|c| number(c.n_files.1))))),
        (
            "metadata",
            DataType::Utf8,
            Arc::new(StringArray::from_iter_values(
                commits.iter().map(|c| serde_json::to_string(&c.metadata).unwrap_or_else(|e| e.to_string())),
            )),
        ),
    ];
    let fields: Vec<Field> = columns.iter().map(|(name, kind, _)| Field::new(*name, kind.clone(), true)).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.into_iter().map(|c| c.2).collect())
        .map_err(|source| LakeError::Arrow { step: "lay out a history", source })
}
