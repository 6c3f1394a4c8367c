//! `duplicate_substrings('schema.table' [, id, text, words])`: runs of words that stood in an earlier document, or earlier in
//! the same one. Places count characters.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::error::{DataFusionError, Result};
use futures::{StreamExt, stream};
use polder_duplicates::{FoundRuns, NearOptions, RepeatedRun, RepeatedRuns};

use super::documents::{failed, granted, read, scan, table};
use super::{Call, Kind, LakeFunction, Parameter};

/// Words of a run at least.
const WORDS_MIN: i64 = 50;

/// One row for each run that stood earlier and lies in no other, in order of id and place.
pub(super) struct DuplicateSubstrings;

#[async_trait]
impl LakeFunction for DuplicateSubstrings {
    fn name(&self) -> &'static str {
        "duplicate_substrings"
    }

    fn parameters(&self) -> &'static [Parameter] {
        const {
            &[
                Parameter::required("documents", Kind::Table),
                Parameter::optional("id", Kind::Text),
                Parameter::optional("text", Kind::Text),
                Parameter::optional("words", Kind::Integer),
            ]
        }
    }

    async fn plan(&self, call: &Call) -> Result<Arc<dyn TableProvider>> {
        let words_min = usize::try_from(call.integer("words").unwrap_or(WORDS_MIN)).unwrap_or(0);
        if !(2..=100_000).contains(&words_min) {
            return Err(DataFusionError::Plan(format!("words is {words_min}: a run has 2 to 100000 words at least")));
        }
        let (input, folder) = (scan(call, "documents").await?, call.folder());
        let text = |name: &str| Field::new(name, DataType::Utf8, false);
        let number = |name: &str| Field::new(name, DataType::Int64, false);
        let schema = Arc::new(Schema::new(vec![
            text("doc_id"),
            number("start"),
            number("end"),
            number("n_words"),
            text("first_doc_id"),
            number("first_start"),
            number("first_end"),
        ]));
        let of = schema.clone();
        table(
            schema,
            Box::new(move |context| {
                let (input, folder, schema) = (input.clone(), folder.clone(), of.clone());
                Box::pin(async move {
                    let (options, reservation) = granted("duplicate_substrings", &NearOptions::default(), &folder, &context);
                    let search = RepeatedRuns::new(words_min, options.memory_bytes_max, &options.spill_folder);
                    read(&input, &context, || search.reader()).await?;
                    let found = tokio::task::spawn_blocking(|| search.finish());
                    let found = found.await.map_err(|e| DataFusionError::External(Box::new(e)))?.map_err(failed)?;
                    let parts = (0..FoundRuns::N_PARTS).map(move |part| {
                        // The reservation lives as long as the rows are read.
                        let _ = &reservation;
                        batch(&found.part(part).map_err(failed)?, &schema)
                    });
                    Ok(stream::iter(parts).boxed())
                })
            }),
        )
    }
}

fn batch(rows: &[RepeatedRun<'_>], schema: &SchemaRef) -> Result<RecordBatch> {
    let text = |of: fn(&RepeatedRun<'_>) -> String| -> ArrayRef { Arc::new(StringArray::from_iter_values(rows.iter().map(of))) };
    let number =
        |of: fn(&RepeatedRun<'_>) -> u32| -> ArrayRef { Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| i64::from(of(row))))) };
    let columns = vec![
        text(|r| r.doc_id.to_owned()),
        number(|r| r.start),
        number(|r| r.end),
        number(|r| r.n_words),
        text(|r| r.first_doc_id.to_owned()),
        number(|r| r.first_start),
        number(|r| r.first_end),
    ];
    Ok(RecordBatch::try_new(schema.clone(), columns)?)
}
