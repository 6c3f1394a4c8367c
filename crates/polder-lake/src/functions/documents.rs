//! How table functions read documents: every partition of the input at once, in memory that the session's pool grants.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::compute::SortOptions;
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::arrow::row::{RowConverter, SortField};
use datafusion::catalog::TableProvider;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::Partitioning;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use datafusion::prelude::{cast, ident, lit};
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use polder_duplicates::{Document, DuplicatesError, NearOptions, PassageReader, Reader, RunReader};
use tokio::task::JoinSet;

use super::Call;

/// What is asked of the pool at a time, and at most: what is beyond it lies in files, which the system caches.
const MEMORY_STEP_BYTES: usize = 16 << 20;
const MEMORY_BYTES_MAX: usize = 256 << 20;

/// Options that several functions share, as a call gives them.
pub(super) fn options(call: &Call) -> NearOptions {
    let default = NearOptions::default();
    // A negative number is no better than none: the search refuses both.
    let size = |name: &str, default: usize| call.integer(name).map_or(default, |n| usize::try_from(n).unwrap_or(0));
    NearOptions {
        jaccard_min: call.number("jaccard").unwrap_or(default.jaccard_min),
        bands: size("bands", default.bands),
        rows: size("rows", default.rows),
        ngram: size("ngram", default.ngram),
        ..default
    }
}

/// An error of the search on its way through the engine.
pub(super) fn failed(error: DuplicatesError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// Plans the scan of documents: id, text, and what decides who is kept: `least` (id), `longest` (text), or a column.
pub(super) async fn scan(call: &Call, table: &str) -> Result<Arc<dyn ExecutionPlan>> {
    let id = call.column(table, call.text("id").unwrap_or("doc_id"), DataType::Utf8View)?;
    let text = call.column(table, call.text("text").unwrap_or("text"), DataType::Utf8View)?;
    let preference = match call.text("keep") {
        None | Some("least") => lit(0i64),
        Some("longest") => -cast(datafusion::functions::string::octet_length().call(vec![text.clone()]), DataType::Int64),
        Some(column) => {
            // Names the column where it is missing.
            call.column(table, column, DataType::Utf8View)?;
            ident(column)
        }
    };
    let frame = call.table(table)?.clone().select(vec![id.alias("id"), text.alias("text"), preference.alias("preference")])?;
    // A table may be one file of one row group, which is read by one: what costs is done to its batches.
    let n_threads = std::thread::available_parallelism().map_or(1, usize::from);
    frame.repartition(Partitioning::RoundRobinBatch(n_threads))?.create_physical_plan().await
}

/// What reads documents of one partition.
pub(super) trait Reads: Send + 'static {
    fn add(&mut self, document: &Document<'_>) -> Result<(), DuplicatesError>;
    fn finish(self) -> Result<(), DuplicatesError>;
}

macro_rules! reads {
    ($($reader:ty)*) => { $(impl Reads for $reader {
        fn add(&mut self, document: &Document<'_>) -> Result<(), DuplicatesError> {
            self.add(document)
        }
        fn finish(self) -> Result<(), DuplicatesError> {
            self.finish()
        }
    })* };
}

reads! { PassageReader Reader RunReader }

/// Reads every partition of a scan, each by a reader of its own.
pub(super) async fn read<R: Reads>(input: &Arc<dyn ExecutionPlan>, context: &Arc<TaskContext>, reader: impl Fn() -> R) -> Result<()> {
    let mut tasks = JoinSet::new();
    for partition in 0..input.output_partitioning().partition_count() {
        let mut batches = input.execute(partition, context.clone())?;
        let mut reader = reader();
        tasks.spawn(async move {
            while let Some(batch) = batches.next().await {
                add(&mut reader, &batch?)?;
            }
            reader.finish().map_err(failed)
        });
    }
    join(tasks).await
}

/// Waits for tasks; the first failure ends all.
pub(super) async fn join(mut tasks: JoinSet<Result<()>>) -> Result<()> {
    while let Some(done) = tasks.join_next().await {
        done.map_err(|e| DataFusionError::External(Box::new(e)))??;
    }
    Ok(())
}

fn add(reader: &mut impl Reads, batch: &RecordBatch) -> Result<()> {
    let (ids, texts) = (batch.column(0).as_string_view(), batch.column(1).as_string_view());
    let field = SortField::new_with_options(batch.column(2).data_type().clone(), SortOptions { descending: false, nulls_first: false });
    let preferences = RowConverter::new(vec![field])?.convert_columns(&[batch.column(2).clone()])?;
    for row in 0..batch.num_rows() {
        if ids.is_null(row) {
            return Err(DataFusionError::Execution("a document's id is NULL; ids tell documents apart".into()));
        }
        let text = if texts.is_null(row) { "" } else { texts.value(row) };
        reader.add(&Document { id: ids.value(row), text, preference: preferences.row(row).as_ref() }).map_err(failed)?;
    }
    Ok(())
}

/// Takes as much memory as the pool grants, up to a limit, and gives the options it.
pub(super) fn granted(name: &str, options: &NearOptions, folder: &Path, context: &TaskContext) -> (NearOptions, MemoryReservation) {
    let reservation = MemoryConsumer::new(name).with_can_spill(true).register(context.memory_pool());
    while reservation.size() < MEMORY_BYTES_MAX && reservation.try_grow(MEMORY_STEP_BYTES).is_ok() {}
    (NearOptions { memory_bytes_max: reservation.size(), spill_folder: folder.to_owned(), ..options.clone() }, reservation)
}

/// Memory for what a search holds besides, a few bytes for each document, which goes to no file.
pub(super) fn held(name: &str, bytes: usize, context: &TaskContext) -> Result<MemoryReservation> {
    let reservation = MemoryConsumer::new(name).register(context.memory_pool());
    reservation.try_grow(bytes)?;
    Ok(reservation)
}

/// The work of a table function, once its table is read.
pub(super) type Work = dyn Fn(Arc<TaskContext>) -> BoxFuture<'static, Result<BoxStream<'static, Result<RecordBatch>>>> + Send + Sync;

/// A table whose rows come from work that begins when they are read.
pub(super) fn table(schema: SchemaRef, work: Box<Work>) -> Result<Arc<dyn TableProvider>> {
    Ok(Arc::new(StreamingTable::try_new(schema.clone(), vec![Arc::new(Answer { schema, work })])?))
}

struct Answer {
    schema: SchemaRef,
    work: Box<Work>,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("schema", &self.schema).finish_non_exhaustive()
    }
}

impl PartitionStream for Answer {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let rows = stream::once((self.work)(context)).try_flatten();
        Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), rows))
    }
}
