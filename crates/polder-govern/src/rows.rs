//! Query results as Rust values, and Rust values as rows of the lake's books.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::json::{ArrayWriter, ReaderBuilder};
use datafusion::prelude::{DataFrame, SessionContext};
use polder_base::TableName;
use polder_lake::{Lake, ops};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{GovernError, queries};

/// Runs a query of the list in the lake; an absent table has no rows.
pub(crate) async fn of_table<T: DeserializeOwned>(lake: &Lake, table: &TableName, stem: &'static str) -> Result<Vec<T>, GovernError> {
    if lake.snapshot_opt(table).await?.is_none() {
        return Ok(Vec::new());
    }
    of_frame(lake.sql(queries::query(stem).unwrap_or_default()).await?, stem).await
}

/// Makes a session of the lake in which a frame goes by a name.
pub(crate) fn session_with(lake: &Lake, name: &'static str, frame: DataFrame) -> Result<SessionContext, GovernError> {
    let session = lake.session();
    session.register_table(name, frame.into_view()).map_err(|source| GovernError::Rows { what: name, source })?;
    Ok(session)
}

/// Runs a query of the list over the views of a session.
pub(crate) async fn of_session<T: DeserializeOwned>(session: &SessionContext, stem: &'static str) -> Result<Vec<T>, GovernError> {
    let frame = session.sql(queries::query(stem).unwrap_or_default()).await.map_err(|source| GovernError::Rows { what: stem, source })?;
    of_frame(frame, stem).await
}

/// Takes all rows of a small result.
async fn of_frame<T: DeserializeOwned>(frame: DataFrame, what: &'static str) -> Result<Vec<T>, GovernError> {
    let batches = frame.collect().await.map_err(|source| GovernError::Rows { what, source })?;
    let text = json(&batches).map_err(|source| GovernError::Shape { what, source })?;
    serde_json::from_slice(&text).map_err(|source| GovernError::Json { what: format!("a row of {what}"), source })
}

/// Writes rows as one JSON list.
pub(crate) fn json(batches: &[RecordBatch]) -> Result<Vec<u8>, arrow::error::ArrowError> {
    let mut writer = ArrayWriter::new(Vec::new());
    writer.write_batches(&batches.iter().filter(|b| b.num_rows() > 0).collect::<Vec<_>>())?;
    writer.finish()?;
    let text = writer.into_inner();
    // The writer opens its list with the first row.
    Ok(if text.is_empty() { b"[]".to_vec() } else { text })
}

/// The columns of one of the lake's books.
pub(crate) fn schema_of(book: &'static str) -> Result<SchemaRef, GovernError> {
    ops::schema(&ops::table(book)).ok_or_else(|| GovernError::Shape {
        what: book,
        source: arrow::error::ArrowError::SchemaError("the lake keeps no such book".into()),
    })
}

/// Makes one batch of rows with a table's columns.
pub(crate) fn batch<T: Serialize>(schema: SchemaRef, rows: &[T], what: &'static str) -> Result<RecordBatch, GovernError> {
    let shape = |source| GovernError::Shape { what, source };
    let mut decoder = ReaderBuilder::new(Arc::clone(&schema)).with_batch_size(rows.len().max(1)).build_decoder().map_err(shape)?;
    decoder.serialize(rows).map_err(shape)?;
    Ok(decoder.flush().map_err(shape)?.unwrap_or_else(|| RecordBatch::new_empty(schema)))
}
