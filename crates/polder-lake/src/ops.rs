//! The lake's own books: what happened, which runs, which tags, what was removed, which documents
//! became tokens and in which shards they stand, which scores. Their tables are append-only and made at the first append.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::dataframe::DataFrame;
use datafusion::logical_expr::{cast as cast_to, ident, lit};
use datafusion::scalar::ScalarValue;
use polder_base::TableName;

use crate::LakeError;

/// The schema that holds them.
pub const SCHEMA: &str = "ops";
/// Their names.
pub const TABLES: [&str; 7] = ["evals", "facts", "removed", "runs", "tags", "token_documents", "token_shards"];

/// Milliseconds, UTC. Delta stores microseconds: that is what a read gives back.
pub fn time() -> DataType {
    DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))
}

fn schema_of(names: &[(&str, DataType)]) -> SchemaRef {
    Arc::new(Schema::new(names.iter().map(|(name, kind)| Field::new(*name, kind.clone(), true)).collect::<Vec<_>>()))
}

static SCHEMAS: LazyLock<[SchemaRef; 7]> = LazyLock::new(|| {
    use DataType::{Float64, Int64, Utf8};
    [
        schema_of(&[
            ("model", Utf8),
            ("task", Utf8),
            ("group", Utf8),
            ("metric", Utf8),
            ("value", Float64),
            ("stderr", Float64),
            ("n", Int64),
            ("n_contaminated", Int64),
            ("data_digest", Utf8),
            ("requests_digest", Utf8),
            ("at", time()),
        ]),
        schema_of(&[
            ("fact_id", Utf8),
            ("at", time()),
            ("actor", Utf8),
            ("verb", Utf8),
            ("subject", Utf8),
            ("inputs", Utf8),
            ("outputs", Utf8),
            ("run_id", Utf8),
            ("policy_digest", Utf8),
            ("details", Utf8),
            ("previous_digest", Utf8),
        ]),
        schema_of(&[("doc_id", Utf8), ("step", Utf8), ("reason", Utf8), ("detail", Utf8), ("run_id", Utf8)]),
        schema_of(&[
            ("run_id", Utf8),
            ("workflow", Utf8),
            ("step", Utf8),
            ("state", Utf8),
            ("started_at", time()),
            ("ended_at", time()),
            ("config_digest", Utf8),
            ("code_version", Utf8),
            ("input_versions", Utf8),
            ("counters", Utf8),
        ]),
        schema_of(&[
            ("table", Utf8),
            ("tag", Utf8),
            ("version", Int64),
            ("schema_digest", Utf8),
            ("files_digest", Utf8),
            ("n_rows", Int64),
            ("comment", Utf8),
            ("actor", Utf8),
            ("at", time()),
            ("state", Utf8),
            ("reason", Utf8),
            ("copy", Utf8),
            ("rows_digest", Utf8),
        ]),
        schema_of(&[
            ("token_set", Utf8),
            ("shard", Utf8),
            ("doc_idx", Int64),
            ("doc_id", Utf8),
            ("table", Utf8),
            ("version", Int64),
            ("n_tokens", Int64),
            ("shard_digest", Utf8),
        ]),
        schema_of(&[
            ("token_set", Utf8),
            ("build", Utf8),
            ("at", time()),
            ("shard", Utf8),
            ("shard_digest", Utf8),
            ("split", Utf8),
            ("n_documents", Int64),
            ("n_tokens", Int64),
            ("table", Utf8),
            ("version", Int64),
        ]),
    ]
});

/// Names one of the books' tables.
pub fn table(name: &str) -> TableName {
    TableName::new(SCHEMA, name)
}

/// Returns the columns that rows for an `ops` table have; `None` for other tables.
pub fn schema(table: &TableName) -> Option<SchemaRef> {
    let i = TABLES.iter().position(|name| table.schema == SCHEMA && table.name == *name)?;
    Some(SCHEMAS[i].clone())
}

/// The same for rows that a query makes.
pub(crate) fn fit_frame(table: &TableName, rows: DataFrame) -> Result<DataFrame, LakeError> {
    let columns = |reason: String| LakeError::Columns { table: table.clone(), reason };
    let Some(schema) = schema(table) else {
        return if table.schema == SCHEMA { Err(columns("there is no such book".into())) } else { Ok(rows) };
    };
    let names: Vec<String> = rows.schema().fields().iter().map(|f| f.name().clone()).collect();
    if let Some(stranger) = names.iter().find(|n| schema.index_of(n).is_err()) {
        return Err(columns(format!("it has no column `{stranger}`")));
    }
    let fitted = schema.fields().iter().map(|field| {
        let value = if names.contains(field.name()) { ident(field.name()) } else { lit(ScalarValue::Null) };
        cast_to(value, field.data_type().clone()).alias(field.name())
    });
    rows.select(fitted.collect::<Vec<_>>()).map_err(LakeError::query("fit rows for", table))
}

/// Brings rows for an `ops` table into its columns: any order, any type that casts without a choice, missing ones NULL.
pub(crate) fn fit(table: &TableName, rows: RecordBatch) -> Result<RecordBatch, LakeError> {
    let columns = |reason: String| LakeError::Columns { table: table.clone(), reason };
    let Some(schema) = schema(table) else {
        return if table.schema == SCHEMA { Err(columns("there is no such book".into())) } else { Ok(rows) };
    };
    if let Some(stranger) = rows.schema().fields().iter().find(|f| schema.index_of(f.name()).is_err()) {
        return Err(columns(format!("it has no column `{}`", stranger.name())));
    }
    let fitted = schema.fields().iter().map(|field| match rows.column_by_name(field.name()) {
        Some(column) => cast(column, field.data_type()),
        None => Ok(datafusion::arrow::array::new_null_array(field.data_type(), rows.num_rows())),
    });
    let fitted: Vec<ArrayRef> = fitted.collect::<Result<_, _>>().map_err(|e| columns(e.to_string()))?;
    RecordBatch::try_new(schema, fitted).map_err(|e| columns(e.to_string()))
}
