//! The columns of a document table, and the stream of batches that fills it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, StringBuilder, TimestampMicrosecondArray, new_null_array};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::streaming::PartitionStream;
use polder_base::{Digest, Hasher, Timestamp, digest_bytes};

use super::classify::{self, Judged, Verdict};
use super::media::media_type;
use super::{IngestError, error};
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

/// The texts of judged files, read again when the plan runs.
pub(super) struct Texts {
    schema: SchemaRef,
    files: Arc<Vec<Judged>>,
    at: Timestamp,
    /// Files and bytes read so far.
    done: Arc<(AtomicU64, AtomicU64)>,
}

impl Texts {
    pub(super) fn new(files: Vec<Judged>, at: Timestamp, done: Arc<(AtomicU64, AtomicU64)>) -> Self {
        Self { schema: schema(), files: Arc::new(files), at, done }
    }
}

impl fmt::Debug for Texts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Texts({} files)", self.files.len())
    }
}

impl PartitionStream for Texts {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _ctx: Arc<TaskContext>) -> SendableRecordBatchStream {
        // Two batches wait at most: the reader does not run ahead of the writer.
        let mut stream = RecordBatchReceiverStream::builder(self.schema.clone(), 2);
        let (sender, files, at, done) = (stream.tx(), self.files.clone(), self.at, self.done.clone());
        stream.spawn_blocking(move || {
            let mut batch = Batch::default();
            for judged in files.iter() {
                batch.add(judged).map_err(|e| LakeError::from(e).through_engine())?;
                done.0.fetch_add(1, Ordering::Relaxed);
                done.1.fetch_add(judged.bytes, Ordering::Relaxed);
                if batch.text_bytes >= BATCH_BYTES || batch.columns[0].len() >= BATCH_ROWS {
                    let full = std::mem::take(&mut batch).finish(at)?;
                    // The writer is gone: its own error is the one to tell.
                    if sender.blocking_send(Ok(full)).is_err() {
                        return Ok(());
                    }
                }
            }
            if !batch.columns[0].is_empty() {
                let _ = sender.blocking_send(Ok(batch.finish(at)?));
            }
            Ok(())
        });
        stream.build()
    }
}

/// Rows on their way into a batch: the eight text columns without `license`, and the sizes.
#[derive(Default)]
struct Batch {
    /// doc_id, source, uri, package, path, media_type, digest.
    columns: [Vec<String>; 7],
    texts: StringBuilder,
    bytes: Vec<i64>,
    text_bytes: usize,
}

impl Batch {
    fn add(&mut self, judged: &Judged) -> Result<(), IngestError> {
        let file = &judged.file;
        let changed = || error::IngestError::Changed { path: file.path.clone() };
        let text = classify::read(&file.path).map_err(|_| changed())?;
        let digest = digest_bytes(text.as_bytes());
        if judged.verdict != (Verdict::Text { digest }) {
            return Err(changed());
        }
        let row = [
            doc_id(&file.source, &file.relative, &digest),
            file.source.clone(),
            judged.uri(),
            file.package.clone(),
            file.relative.clone(),
            media_type(&file.relative).to_owned(),
            digest.to_string(),
        ];
        for (column, value) in self.columns.iter_mut().zip(row) {
            column.push(value);
        }
        self.text_bytes += text.len();
        self.bytes.push(i64::try_from(text.len()).unwrap_or(i64::MAX));
        self.texts.append_value(text);
        Ok(())
    }

    fn finish(mut self, at: Timestamp) -> Result<RecordBatch, DataFusionError> {
        let n = self.bytes.len();
        let [doc_id, source, uri, package, path, media, digest] =
            self.columns.map(|values| Arc::new(StringArray::from_iter_values(values)) as ArrayRef);
        let fetched = TimestampMicrosecondArray::from_value(at.0.saturating_mul(1000), n).with_timezone("UTC");
        let columns: Vec<ArrayRef> = vec![
            doc_id,
            source,
            uri,
            package,
            path,
            Arc::new(self.texts.finish()),
            media,
            new_null_array(&DataType::Utf8, n),
            Arc::new(fetched),
            digest,
            Arc::new(Int64Array::from(self.bytes)),
        ];
        Ok(RecordBatch::try_new(schema(), columns)?)
    }
}

/// Names a document by where it came from and what it holds: 32 hexadecimal digits, the same on every machine.
fn doc_id(source: &str, relative: &str, content: &Digest) -> String {
    let mut hasher = Hasher::new();
    hasher.field(source.as_bytes());
    hasher.field(relative.as_bytes());
    hasher.field(content.bytes());
    hasher.finish().hex()[..32].to_owned()
}
