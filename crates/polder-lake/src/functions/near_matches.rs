//! `near_matches('new', 'signatures' [, id, text, jaccard, bands, rows])`: which earlier document each new one nearly repeats.
//!
//! Of the earlier documents only the table of signatures is read: `doc_id`, `signature` (from `minhash`) and `shingles`
//! (from `shingle_set`). It may be any version: `'clean.docs_signatures@7'`.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, Float64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Int64Type, Schema};
use datafusion::catalog::TableProvider;
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_plan::ExecutionPlanProperties;
use futures::{StreamExt, stream};
use polder_duplicates::{Match, Matcher};
use tokio::task::JoinSet;

use super::documents::{failed, granted, held, join, options, read, scan, table};
use super::{Call, Kind, LakeFunction, Parameter};

/// One row for each new document that nearly repeats an earlier one, in order of id.
pub(super) struct NearMatchesFunction;

#[async_trait]
impl LakeFunction for NearMatchesFunction {
    fn name(&self) -> &'static str {
        "near_matches"
    }

    fn parameters(&self) -> &'static [Parameter] {
        const {
            &[
                Parameter::required("documents", Kind::Table),
                Parameter::required("signatures", Kind::Table),
                Parameter::optional("id", Kind::Text),
                Parameter::optional("text", Kind::Text),
                Parameter::optional("jaccard", Kind::Number),
                Parameter::optional("bands", Kind::Integer),
                Parameter::optional("rows", Kind::Integer),
            ]
        }
    }

    async fn plan(&self, call: &Call) -> Result<Arc<dyn TableProvider>> {
        let options = options(call);
        Matcher::arrivals(options.clone()).map_err(|e| DataFusionError::Plan(e.to_string()))?;
        let (input, folder) = (scan(call, "documents").await?, call.folder());
        let list = DataType::new_list(DataType::Int64, true);
        let columns = [("doc_id", DataType::Utf8View), ("signature", list), ("shingles", DataType::Binary)];
        let columns: Result<Vec<_>> =
            columns.into_iter().map(|(name, data_type)| Ok(call.column("signatures", name, data_type)?.alias(name))).collect();
        let earlier = call.table("signatures")?.clone().select(columns?)?.create_physical_plan().await?;
        let text = |name: &str| Field::new(name, DataType::Utf8, false);
        let schema = Arc::new(Schema::new(vec![text("doc_id"), text("dup_of"), Field::new("jaccard", DataType::Float64, false)]));
        let of = schema.clone();
        table(
            schema,
            Box::new(move |context| {
                let (input, earlier, options, folder, schema) =
                    (input.clone(), earlier.clone(), options.clone(), folder.clone(), of.clone());
                Box::pin(async move {
                    let (options, reservation) = granted("near_matches", &options, &folder, &context);
                    let arrivals = Matcher::arrivals(options).map_err(failed)?;
                    read(&input, &context, || arrivals.reader()).await?;
                    let reservation = (reservation, held("near_matches", arrivals.held_bytes(), &context)?);
                    let matcher = Arc::new(arrivals.finish().map_err(failed)?);
                    let mut tasks = JoinSet::new();
                    for partition in 0..earlier.output_partitioning().partition_count() {
                        let mut batches = earlier.execute(partition, context.clone())?;
                        let matcher = matcher.clone();
                        tasks.spawn(async move {
                            while let Some(batch) = batches.next().await {
                                compare(&matcher, &batch?)?;
                            }
                            Ok(())
                        });
                    }
                    join(tasks).await?;
                    let matches = matcher.matches();
                    drop(reservation);
                    let text = |of: fn(&Match) -> &str| -> ArrayRef { Arc::new(StringArray::from_iter_values(matches.iter().map(of))) };
                    let jaccards = Arc::new(Float64Array::from_iter_values(matches.iter().map(|m| m.jaccard)));
                    let batch = RecordBatch::try_new(schema, vec![text(|m| &m.doc_id), text(|m| &m.dup_of), jaccards])?;
                    Ok(stream::iter([Ok(batch)]).boxed())
                })
            }),
        )
    }
}

fn compare(matcher: &Matcher, batch: &RecordBatch) -> Result<()> {
    let (ids, signatures) = (batch.column(0).as_string_view(), batch.column(1).as_list::<i32>());
    let sets = batch.column(2).as_binary::<i32>();
    // A document of fewer words than a shingle has no set: nothing is nearly like it.
    for row in (0..batch.num_rows()).filter(|row| signatures.is_valid(*row) && sets.is_valid(*row)) {
        let values = signatures.value(row);
        let signature: Vec<u64> = values.as_primitive::<Int64Type>().values().iter().map(|v| v.cast_unsigned()).collect();
        let (hashes, rest) = sets.value(row).as_chunks::<4>();
        if ids.is_null(row) || !rest.is_empty() {
            return Err(DataFusionError::Execution("a row of signatures has no id, or a set that `shingle_set` did not make".into()));
        }
        let hashes: Vec<u32> = hashes.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect();
        matcher.compare(ids.value(row), &signature, &hashes).map_err(failed)?;
    }
    Ok(())
}
