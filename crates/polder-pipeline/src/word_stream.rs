//! The table `words`: the words of a query's texts, counted in parts that fit into the memory that the session grants.
//!
//! A part is given on when the memory pool refuses more, so a word has several rows; `sql/queries/word_counts.sql` adds them
//! up and spills. What holds memory here: one table of different words a partition, reserved in the pool.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{Array, ArrayRef, AsArray, BinaryBuilder, Int64Builder, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::streaming::StreamingTable;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use datafusion::prelude::DataFrame;
use futures::{StreamExt, stream};
use polder_tokenizer::{Splitter, WordCounts};

/// Memory is asked for anew after so much text.
const TEXT_BYTES_BETWEEN: usize = 4 << 20;
/// Rows in a batch of words.
const WORDS_BATCH: usize = 8192;

/// How much was read so far; what reads the words looks at it.
#[derive(Debug, Default)]
pub(crate) struct Read {
    bytes: AtomicU64,
    parts: AtomicU64,
}

impl Read {
    /// Bytes of text.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Parts that were given on, one a partition where memory sufficed.
    pub(crate) fn n_parts(&self) -> u64 {
        self.parts.load(Ordering::Relaxed)
    }
}

/// Makes the table of the words in a frame's column `text`.
pub(crate) async fn table(frame: DataFrame, splitter: &Splitter, read: &Arc<Read>) -> Result<StreamingTable> {
    let plan = frame.create_physical_plan().await?;
    let schema: SchemaRef =
        Arc::new(Schema::new(vec![Field::new("word", DataType::Binary, false), Field::new("count", DataType::Int64, false)]));
    let partition = |i| {
        let (plan, schema, splitter, read) = (plan.clone(), schema.clone(), splitter.clone(), read.clone());
        Arc::new(Partition { plan, i, schema, splitter, read }) as Arc<dyn PartitionStream>
    };
    let partitions = (0..plan.output_partitioning().partition_count()).map(partition).collect();
    StreamingTable::try_new(schema, partitions)
}

struct Partition {
    plan: Arc<dyn ExecutionPlan>,
    i: usize,
    schema: SchemaRef,
    splitter: Splitter,
    read: Arc<Read>,
}

impl fmt::Debug for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Partition").field("i", &self.i).finish_non_exhaustive()
    }
}

impl PartitionStream for Partition {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let input = match self.plan.execute(self.i, context.clone()) {
            Ok(input) => input,
            Err(e) => return Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), stream::iter([Err(e)]))),
        };
        let consumer = MemoryConsumer::new(format!("words[{}]", self.i)).with_can_spill(true);
        let counting = Counting {
            input: Some(input),
            counts: WordCounts::with_splitter(self.splitter.clone()),
            reservation: consumer.register(context.memory_pool()),
            ready: VecDeque::new(),
            schema: self.schema.clone(),
            read: self.read.clone(),
        };
        let rows = stream::unfold(counting, |mut counting| async move { counting.next().await.map(|batch| (batch, counting)) });
        Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), rows))
    }
}

/// One partition under way.
struct Counting {
    /// `None` when all is read.
    input: Option<SendableRecordBatchStream>,
    counts: WordCounts,
    reservation: MemoryReservation,
    ready: VecDeque<RecordBatch>,
    schema: SchemaRef,
    read: Arc<Read>,
}

impl Counting {
    async fn next(&mut self) -> Option<Result<RecordBatch>> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Some(Ok(batch));
            }
            let step = match self.input.as_mut()?.next().await {
                Some(batch) => batch.and_then(|batch| self.count(&batch)),
                None => {
                    self.input = None;
                    self.give_on()
                }
            };
            if let Err(e) = step {
                self.input = None;
                return Some(Err(e));
            }
        }
    }

    fn count(&mut self, batch: &RecordBatch) -> Result<()> {
        let Some(column) = batch.column_by_name("text") else {
            return Err(DataFusionError::Internal("the frame has no column `text`".into()));
        };
        let mut since = 0;
        each_text(column, &mut |text| {
            self.counts.add(text);
            self.read.bytes.fetch_add(text.len() as u64, Ordering::Relaxed);
            since += text.len();
            if since < TEXT_BYTES_BETWEEN {
                return Ok(());
            }
            since = 0;
            self.reserve()
        })?;
        self.reserve()
    }

    /// Asks for the memory that the counts hold; gives them on where it is refused.
    fn reserve(&mut self) -> Result<()> {
        match self.reservation.try_resize(self.counts.memory_bytes()) {
            Ok(()) => Ok(()),
            Err(DataFusionError::ResourcesExhausted(_)) => self.give_on(),
            Err(e) => Err(e),
        }
    }

    fn give_on(&mut self) -> Result<()> {
        let fresh = WordCounts::with_splitter(self.counts.splitter().clone());
        let counts = std::mem::replace(&mut self.counts, fresh);
        if !counts.is_empty() {
            self.read.parts.fetch_add(1, Ordering::Relaxed);
        }
        let (mut words, mut numbers) = (BinaryBuilder::new(), Int64Builder::new());
        for (i, (word, count)) in counts.iter().enumerate() {
            words.append_value(word);
            numbers.append_value(i64::try_from(count).unwrap_or(i64::MAX));
            if (i + 1) % WORDS_BATCH == 0 || i + 1 == counts.len() {
                let columns: Vec<ArrayRef> = vec![Arc::new(words.finish()), Arc::new(numbers.finish())];
                self.ready.push_back(RecordBatch::try_new(self.schema.clone(), columns)?);
            }
        }
        drop(counts);
        self.reservation.free();
        Ok(())
    }
}

/// Gives the texts of a column of any string type; NULL is none.
pub(crate) fn each_text<'a, E>(column: &'a ArrayRef, each: &mut impl FnMut(&'a str) -> Result<(), E>) -> Result<(), E> {
    match column.data_type() {
        DataType::LargeUtf8 => column.as_string::<i64>().iter().flatten().try_for_each(each),
        DataType::Utf8View => column.as_string_view().iter().flatten().try_for_each(each),
        DataType::Utf8 => column.as_string::<i32>().iter().flatten().try_for_each(each),
        _ => Ok(()),
    }
}
