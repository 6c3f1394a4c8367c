//! The columns of a document table, and records laid out as its rows.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use polder_base::{Digest, Hasher, Timestamp};
use polder_ingest::Record;

use super::kept::Types;
use crate::LakeError;

/// A batch is closed at this much text or this many rows.
const BATCH_BYTES: usize = 8 << 20;
const BATCH_ROWS: usize = 1024;

/// The columns of `raw.docs`. Delta stores times in microseconds, so they are made like that.
pub(super) fn schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    Arc::new(Schema::new(vec![
        text("doc_id"),
        text("source"),
        text("uri"),
        text("package"),
        text("path"),
        text("text"),
        text("media_type"),
        text("license"),
        Field::new("fetched_at", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true),
        text("digest"),
        Field::new("bytes", DataType::Int64, true),
    ]))
}

/// Lays records out, in their order.
pub(super) fn batches(records: &[Box<Record>], at: Timestamp, types: &Types) -> Result<Vec<RecordBatch>, LakeError> {
    let mut batches = Vec::new();
    let mut rest = records;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fitting = rest.iter().take(BATCH_ROWS).take_while(|r| {
            bytes += r.text.len();
            bytes <= BATCH_BYTES
        });
        let (these, further) = rest.split_at(fitting.count().max(1));
        batches.push(batch(these, at, types)?);
        rest = further;
    }
    Ok(batches)
}

fn batch(records: &[Box<Record>], at: Timestamp, types: &Types) -> Result<RecordBatch, LakeError> {
    let text = |get: &dyn Fn(&Record) -> &str| -> ArrayRef { Arc::new(StringArray::from_iter_values(records.iter().map(|r| get(r)))) };
    let ids = records.iter().map(|r| doc_id(&r.origin.source, &r.path, &r.digest));
    let licenses: StringArray = records.iter().map(|r| r.license.as_deref()).collect();
    let fetched = records.iter().map(|r| r.fetched_at.unwrap_or(at).0.saturating_mul(1000));
    let sizes = records.iter().map(|r| i64::try_from(r.text.len()).unwrap_or(i64::MAX));
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(ids)),
        text(&|r| &r.origin.source),
        text(&|r| &r.uri),
        text(&|r| &r.origin.package),
        text(&|r| &r.path),
        text(&|r| &r.text),
        text(&|r| &r.media_type),
        Arc::new(licenses),
        Arc::new(TimestampMicrosecondArray::from_iter_values(fetched).with_timezone("UTC")),
        Arc::new(StringArray::from_iter_values(records.iter().map(|r| r.digest.to_string()))),
        Arc::new(Int64Array::from_iter_values(sizes)),
    ];
    let mut fields: Vec<Arc<Field>> = schema().fields().iter().cloned().collect();
    for (field, column) in types.arrays(records) {
        fields.push(Arc::new(field));
        columns.push(column);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(|source| LakeError::Arrow { step: "lay out documents", source })
}

/// Names a document by where it came from and what it holds: 32 hexadecimal digits, the same on every machine.
fn doc_id(source: &str, relative: &str, content: &Digest) -> String {
    let mut hasher = Hasher::new();
    hasher.field(source.as_bytes());
    hasher.field(relative.as_bytes());
    hasher.field(content.bytes());
    hasher.finish().hex()[..32].to_owned()
}
