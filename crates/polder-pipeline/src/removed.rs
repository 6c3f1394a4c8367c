//! Rows that a step leaves out, each with its one reason, in `ops.removed`.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray};
use arrow::datatypes::Int64Type;
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::prelude::{DataFrame, cast, col, lit};
use polder_base::TableName;
use polder_lake::{Lake, WriteMode, WriteOptions, ops};

use crate::PipelineError;

/// Appends the rows of `frame` that have a reason, once per (table, work).
pub(crate) async fn append_removed(
    lake: &Lake,
    table: &TableName,
    work_id: &str,
    frame: &DataFrame,
    columns: &(String, String),
) -> Result<(), PipelineError> {
    let text = |name: &str| cast(col(name), arrow::datatypes::DataType::Utf8);
    let rows = frame.clone().filter(col(&columns.0).is_not_null())?.select(vec![
        text("doc_id").alias("doc_id"),
        lit(table.to_string()).alias("step"),
        text(&columns.0).alias("reason"),
        text(&columns.1).alias("detail"),
        lit(work_id).alias("run_id"),
    ])?;
    let options =
        WriteOptions { mode: WriteMode::Append, transaction: Some((format!("removed/{table}/{work_id}"), 1)), ..WriteOptions::default() };
    lake.write(&ops::table("removed"), rows, &options).await?;
    Ok(())
}

/// Counts the rows that (table, work) left out, by reason.
pub(crate) async fn count_removed(lake: &Lake, table: &TableName, work_id: &str) -> Result<BTreeMap<String, u64>, PipelineError> {
    let frame = lake.table(&ops::table("removed").to_string()).await?;
    let mine = frame.filter(col("step").eq(lit(table.to_string())).and(col("run_id").eq(lit(work_id))))?;
    let batches = mine
        .aggregate(vec![col("reason")], vec![count(lit(1i64)).alias("n")])?
        .select(vec![cast(col("reason"), arrow::datatypes::DataType::Utf8).alias("reason"), col("n")])?
        .collect()
        .await?;
    let mut counts = BTreeMap::new();
    for batch in &batches {
        let reasons = batch.column(0).as_string::<i32>();
        let ns = batch.column(1).as_primitive::<Int64Type>();
        counts.extend(
            (0..batch.num_rows()).filter(|i| reasons.is_valid(*i)).map(|i| (reasons.value(i).to_owned(), ns.value(i).unsigned_abs())),
        );
    }
    Ok(counts)
}
