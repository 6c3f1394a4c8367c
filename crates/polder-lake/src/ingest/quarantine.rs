//! The table of what could not be read as text.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use polder_base::{TableName, Timestamp};

use super::classify::{Judged, Verdict};
use crate::LakeError;

/// Names it.
pub(super) fn table() -> TableName {
    TableName::new("raw", "quarantine")
}

/// Lays files out as its rows.
pub(super) fn batch(files: &[Judged], at: Timestamp) -> Result<RecordBatch, LakeError> {
    let why = |j: &Judged| match &j.verdict {
        Verdict::Quarantine { reason, detail } => ((*reason).to_owned(), detail.clone()),
        Verdict::Text { .. } => Default::default(),
    };
    let text = |get: &dyn Fn(&Judged) -> String| -> ArrayRef { Arc::new(StringArray::from_iter_values(files.iter().map(get))) };
    let sizes = Int64Array::from_iter_values(files.iter().map(|j| i64::try_from(j.bytes).unwrap_or(i64::MAX)));
    let fetched = TimestampMicrosecondArray::from_value(at.0.saturating_mul(1000), files.len()).with_timezone("UTC");
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("source", text(&|j| j.file.source.clone())),
        ("uri", text(&Judged::uri)),
        ("reason", text(&|j| why(j).0)),
        ("detail", text(&|j| why(j).1)),
        ("bytes", Arc::new(sizes)),
        ("fetched_at", Arc::new(fetched)),
    ];
    let kind = |name: &str| match name {
        "bytes" => DataType::Int64,
        "fetched_at" => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        _ => DataType::Utf8,
    };
    let schema = Schema::new(columns.iter().map(|(name, _)| Field::new(*name, kind(name), true)).collect::<Vec<_>>());
    RecordBatch::try_new(Arc::new(schema), columns.into_iter().map(|(_, column)| column).collect())
        .map_err(|source| LakeError::Arrow { step: "lay out quarantined files", source })
}
