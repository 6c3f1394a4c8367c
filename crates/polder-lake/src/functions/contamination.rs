//! `contamination('pile.base@v1', 'eval.items' [, ngram, id, text, item_id, item_text])`: which items of a benchmark stand in which documents.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{Array, AsArray, Int64Builder, RecordBatch, StringBuilder};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::common::plan_err;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use futures::StreamExt;
use polder_text::{BenchmarkIndex, CONTAMINATION_NGRAM};

use super::documents::table;
use super::{Call, Kind, LakeFunction, Parameter};

/// Runs of fewer words are what everybody writes.
const NGRAM_MIN: i64 = 8;
/// Batches of rows that may wait to be read.
const BATCHES_WAITING: usize = 4;

/// One row for each run of words that a document shares with an item, with its place in both, in characters.
pub(super) struct ContaminationFunction;

#[async_trait]
impl LakeFunction for ContaminationFunction {
    fn name(&self) -> &'static str {
        "contamination"
    }

    fn parameters(&self) -> &'static [Parameter] {
        const {
            &[
                Parameter::required("documents", Kind::Table),
                Parameter::required("items", Kind::Table),
                Parameter::optional("ngram", Kind::Integer),
                Parameter::optional("id", Kind::Text),
                Parameter::optional("text", Kind::Text),
                Parameter::optional("item_id", Kind::Text),
                Parameter::optional("item_text", Kind::Text),
            ]
        }
    }

    async fn plan(&self, call: &Call) -> Result<Arc<dyn TableProvider>> {
        let ngram = call.integer("ngram").unwrap_or(CONTAMINATION_NGRAM as i64);
        if ngram < NGRAM_MIN {
            return plan_err!(
                "argument `ngram` of `contamination` is {ngram}: runs of fewer than {NGRAM_MIN} words stand in many texts by chance"
            );
        }
        let ngram = usize::try_from(ngram).unwrap_or(usize::MAX);
        let documents = scan(call, "documents", call.text("id").unwrap_or("doc_id"), call.text("text").unwrap_or("text")).await?;
        let items = scan(call, "items", call.text("item_id").unwrap_or("id"), call.text("item_text").unwrap_or("text")).await?;
        let (text, number) = (|name: &str| Field::new(name, DataType::Utf8, false), |name: &str| Field::new(name, DataType::Int64, false));
        let schema = Arc::new(Schema::new(vec![
            text("doc_id"),
            number("doc_start"),
            number("doc_end"),
            text("item_id"),
            number("item_start"),
            number("item_end"),
            number("n_words"),
            text("matched"),
        ]));
        let of = schema.clone();
        table(
            schema,
            Box::new(move |context| {
                let (documents, items, schema) = (documents.clone(), items.clone(), of.clone());
                Box::pin(async move {
                    let benchmark = Arc::new(Benchmark::read(&items, ngram, &context).await?);
                    let mut found = RecordBatchReceiverStream::builder(schema.clone(), BATCHES_WAITING);
                    for partition in 0..documents.output_partitioning().partition_count() {
                        let mut batches = documents.execute(partition, context.clone())?;
                        let (benchmark, schema, rows) = (benchmark.clone(), schema.clone(), found.tx());
                        found.spawn(async move {
                            while let Some(batch) = batches.next().await {
                                let shared = benchmark.shared(&batch?, &schema)?;
                                // Whoever reads may have enough.
                                if shared.num_rows() > 0 && rows.send(Ok(shared)).await.is_err() {
                                    break;
                                }
                            }
                            Ok(())
                        });
                    }
                    Ok(found.build().boxed())
                })
            }),
        )
    }
}

async fn scan(call: &Call, table: &str, id: &str, text: &str) -> Result<Arc<dyn ExecutionPlan>> {
    let columns =
        vec![call.column(table, id, DataType::Utf8View)?.alias("id"), call.column(table, text, DataType::Utf8View)?.alias("text")];
    call.table(table)?.clone().select(columns)?.create_physical_plan().await
}

/// The items of a benchmark.
struct Benchmark {
    index: BenchmarkIndex,
    ids: Vec<String>,
    _memory: MemoryReservation,
}

impl Benchmark {
    async fn read(items: &Arc<dyn ExecutionPlan>, ngram: usize, context: &Arc<TaskContext>) -> Result<Self> {
        let memory = MemoryConsumer::new("contamination").register(context.memory_pool());
        let mut rows: Vec<(String, String)> = Vec::new();
        for partition in 0..items.output_partitioning().partition_count() {
            let mut batches = items.execute(partition, context.clone())?;
            while let Some(batch) = batches.next().await {
                let batch = batch?;
                let (ids, texts) = (batch.column(0).as_string_view(), batch.column(1).as_string_view());
                for row in (0..batch.num_rows()).filter(|row| texts.is_valid(*row)) {
                    if ids.is_null(row) {
                        return Err(DataFusionError::Execution("an item's id is NULL; ids tell items apart".into()));
                    }
                    memory.try_grow(ids.value(row).len() + texts.value(row).len())?;
                    rows.push((ids.value(row).to_owned(), texts.value(row).to_owned()));
                }
            }
        }
        // Which items share too much depends on none of this order, but rows that tie do.
        rows.sort_unstable();
        let (mut index, mut ids) = (BenchmarkIndex::new(ngram), Vec::with_capacity(rows.len()));
        for (id, text) in rows {
            index.add(&text);
            ids.push(id);
        }
        memory.try_resize(index.held_bytes())?;
        Ok(Self { index, ids, _memory: memory })
    }

    fn shared(&self, batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
        let (ids, texts) = (batch.column(0).as_string_view(), batch.column(1).as_string_view());
        let (mut doc_ids, mut item_ids, mut matched) = (StringBuilder::new(), StringBuilder::new(), StringBuilder::new());
        let mut numbers: [Int64Builder; 5] = Default::default();
        for row in (0..batch.num_rows()).filter(|row| texts.is_valid(*row)) {
            let overlaps = self.index.overlaps(texts.value(row));
            if !overlaps.is_empty() && ids.is_null(row) {
                return Err(DataFusionError::Execution("a document's id is NULL; ids tell documents apart".into()));
            }
            for overlap in overlaps {
                doc_ids.append_value(ids.value(row));
                item_ids.append_value(&self.ids[overlap.item]);
                let places = [overlap.start, overlap.end, overlap.item_start, overlap.item_end, overlap.n_words];
                numbers.iter_mut().zip(places).for_each(|(column, n)| column.append_value(n as i64));
                matched.append_value(texts.value(row).get(overlap.bytes.0..overlap.bytes.1).unwrap_or_default());
            }
        }
        let [mut start, mut end, mut item_start, mut item_end, mut n_words] = numbers;
        let columns: Vec<Arc<dyn Array>> = vec![
            Arc::new(doc_ids.finish()),
            Arc::new(start.finish()),
            Arc::new(end.finish()),
            Arc::new(item_ids.finish()),
            Arc::new(item_start.finish()),
            Arc::new(item_end.finish()),
            Arc::new(n_words.finish()),
            Arc::new(matched.finish()),
        ];
        Ok(RecordBatch::try_new(schema.clone(), columns)?)
    }
}
