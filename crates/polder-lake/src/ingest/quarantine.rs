//! The table of what is no document.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, BinaryArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use datafusion::arrow::datatypes::{Field, Schema};
use polder_base::{TableName, Timestamp};
use polder_ingest::{Bad, EXCERPT_BYTES, Fault, Offset, Record};

use crate::LakeError;

/// Names it.
pub(super) fn table() -> TableName {
    TableName::new("raw", "quarantine")
}

/// A document whose values do not fit the table.
pub(super) fn unfit(record: Record, fault: Fault) -> Bad {
    let excerpt = record.text.as_bytes();
    Bad {
        excerpt: excerpt[..excerpt.len().min(EXCERPT_BYTES)].to_vec(),
        bytes: record.text.len() as u64,
        origin: record.origin,
        uri: record.uri,
        reason: fault.reason,
        detail: fault.detail,
        offset: None,
    }
}

/// Lays out what is no document as its rows.
pub(super) fn batch(bad: &[Box<Bad>], at: Timestamp) -> Result<RecordBatch, LakeError> {
    let text = |get: &dyn Fn(&Bad) -> &str| -> ArrayRef { Arc::new(StringArray::from_iter_values(bad.iter().map(|b| get(b)))) };
    let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let sizes = Int64Array::from_iter_values(bad.iter().map(|b| number(b.bytes)));
    let fetched = TimestampMicrosecondArray::from_value(at.0.saturating_mul(1000), bad.len()).with_timezone("UTC");
    let place = |b: &Bad| match b.offset? {
        Offset::Byte(n) => Some((number(n), "byte")),
        Offset::Line(n) => Some((number(n), "line")),
        Offset::Row(n) => Some((number(n), "row")),
    };
    let offsets: Int64Array = bad.iter().map(|b| place(b).map(|p| p.0)).collect();
    let units: StringArray = bad.iter().map(|b| place(b).map(|p| p.1)).collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("source", text(&|b| &b.origin.source)),
        ("uri", text(&|b| &b.uri)),
        ("reason", text(&|b| b.reason)),
        ("detail", text(&|b| &b.detail)),
        ("bytes", Arc::new(sizes)),
        ("fetched_at", Arc::new(fetched)),
        ("offset_in_file", Arc::new(offsets)),
        ("offset_unit", Arc::new(units)),
        ("excerpt", Arc::new(BinaryArray::from_iter_values(bad.iter().map(|b| &b.excerpt)))),
    ];
    let fields: Vec<Field> = columns.iter().map(|(name, column)| Field::new(*name, column.data_type().clone(), true)).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.into_iter().map(|(_, column)| column).collect())
        .map_err(|source| LakeError::Arrow { step: "lay out quarantined files", source })
}
