//! `near_duplicates('schema.table' [, id, text, jaccard, bands, rows, ngram, keep])`: documents that nearly repeat others.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::error::{DataFusionError, Result};
use futures::{StreamExt, stream};
use polder_duplicates::{Duplicate, Found, NearDuplicates, banding};

use super::documents::{failed, granted, held, options, read, scan, table};
use super::{Call, Kind, LakeFunction, Parameter};

/// Rows in a batch of the answer.
const BATCH_ROWS: usize = 8192;

/// One row for each document that nearly repeats another, but not for the keeper of its cluster, in order of id.
pub(super) struct NearDuplicatesFunction;

#[async_trait]
impl LakeFunction for NearDuplicatesFunction {
    fn name(&self) -> &'static str {
        "near_duplicates"
    }

    fn parameters(&self) -> &'static [Parameter] {
        const {
            &[
                Parameter::required("documents", Kind::Table),
                Parameter::optional("id", Kind::Text),
                Parameter::optional("text", Kind::Text),
                Parameter::optional("jaccard", Kind::Number),
                Parameter::optional("bands", Kind::Integer),
                Parameter::optional("rows", Kind::Integer),
                Parameter::optional("ngram", Kind::Integer),
                Parameter::optional("keep", Kind::Text),
            ]
        }
    }

    async fn plan(&self, call: &Call) -> Result<Arc<dyn TableProvider>> {
        let mut options = options(call);
        if call.integer("bands").is_none() && call.integer("rows").is_none() {
            (options.bands, options.rows) = banding(options.jaccard_min);
        }
        // Refuses wrong options before anything is read.
        NearDuplicates::new(options.clone()).map_err(|e| DataFusionError::Plan(e.to_string()))?;
        let (input, folder) = (scan(call, "documents").await?, call.folder());
        let text = |name: &str| Field::new(name, DataType::Utf8, false);
        let number = |name: &str| Field::new(name, DataType::Float64, false);
        let fields = vec![text("doc_id"), text("dup_of"), text("cluster_id"), number("jaccard"), text("match_id"), number("match_jaccard")];
        let schema = Arc::new(Schema::new(fields));
        let of = schema.clone();
        table(
            schema,
            Box::new(move |context| {
                let (input, options, folder, schema) = (input.clone(), options.clone(), folder.clone(), of.clone());
                Box::pin(async move {
                    let (options, reservation) = granted("near_duplicates", &options, &folder, &context);
                    let search = NearDuplicates::new(options).map_err(failed)?;
                    read(&input, &context, || search.reader()).await?;
                    let reservation = (reservation, held("near_duplicates", search.held_bytes(), &context)?);
                    let found = tokio::task::spawn_blocking(|| search.finish());
                    let found = found.await.map_err(|e| DataFusionError::External(Box::new(e)))?.map_err(failed)?;
                    // The reservations live as long as the rows are read.
                    let rows = (0..found.len()).step_by(BATCH_ROWS).map(move |from| {
                        let _ = &reservation;
                        batch(&found, from, &schema)
                    });
                    Ok(stream::iter(rows).boxed())
                })
            }),
        )
    }
}

fn batch(found: &Found, from: usize, schema: &SchemaRef) -> Result<RecordBatch> {
    let rows: Result<Vec<Duplicate<'_>>, _> = (from..found.len().min(from + BATCH_ROWS)).map(|i| found.row(i)).collect();
    let rows = rows.map_err(failed)?;
    let text = |of: fn(&Duplicate<'_>) -> String| -> ArrayRef { Arc::new(StringArray::from_iter_values(rows.iter().map(of))) };
    let number = |of: fn(&Duplicate<'_>) -> f64| -> ArrayRef { Arc::new(Float64Array::from_iter_values(rows.iter().map(of))) };
    let columns = vec![
        text(|r| r.doc_id.to_owned()),
        text(|r| r.dup_of.to_owned()),
        text(|r| r.cluster_id.to_owned()),
        number(|r| r.jaccard),
        text(|r| r.match_id.to_owned()),
        number(|r| r.match_jaccard),
    ];
    Ok(RecordBatch::try_new(schema.clone(), columns)?)
}
