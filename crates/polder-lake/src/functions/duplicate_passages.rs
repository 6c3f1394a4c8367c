//! `duplicate_lines('schema.table' [, id, text, chars])` and `duplicate_paragraphs(…)`: what stood in an earlier document,
//! or earlier in the same one. Places count characters; numbers count from 0.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::error::{DataFusionError, Result};
use futures::{StreamExt, stream};
use polder_duplicates::{FoundPassages, NearOptions, Passage, RepeatedPassage, RepeatedPassages};

use super::documents::{failed, granted, read, scan, table};
use super::{Call, Kind, LakeFunction, Parameter};

/// Characters of a passage at least: shorter ones, such as headings and brackets, repeat without being copied.
const CHARS_MIN: i64 = 30;

/// One row for each passage that stood earlier, in order of id and place.
pub(super) struct DuplicatePassages {
    name: &'static str,
    passage: Passage,
    column: &'static str,
    first_column: &'static str,
}

pub(super) static DUPLICATE_LINES: DuplicatePassages =
    DuplicatePassages { name: "duplicate_lines", passage: Passage::Line, column: "line_idx", first_column: "first_line_idx" };

pub(super) static DUPLICATE_PARAGRAPHS: DuplicatePassages = DuplicatePassages {
    name: "duplicate_paragraphs",
    passage: Passage::Paragraph,
    column: "paragraph_idx",
    first_column: "first_paragraph_idx",
};

#[async_trait]
impl LakeFunction for DuplicatePassages {
    fn name(&self) -> &'static str {
        self.name
    }

    fn parameters(&self) -> &'static [Parameter] {
        const {
            &[
                Parameter::required("documents", Kind::Table),
                Parameter::optional("id", Kind::Text),
                Parameter::optional("text", Kind::Text),
                Parameter::optional("chars", Kind::Integer),
            ]
        }
    }

    async fn plan(&self, call: &Call) -> Result<Arc<dyn TableProvider>> {
        let chars_min = usize::try_from(call.integer("chars").unwrap_or(CHARS_MIN)).unwrap_or(0);
        let (input, folder, passage, name) = (scan(call, "documents").await?, call.folder(), self.passage, self.name);
        let text = |name: &str| Field::new(name, DataType::Utf8, false);
        let number = |name: &str| Field::new(name, DataType::Int64, false);
        let fields =
            vec![text("doc_id"), number(self.column), number("start"), number("end"), text("first_doc_id"), number(self.first_column)];
        let schema = Arc::new(Schema::new(fields));
        let of = schema.clone();
        table(
            schema,
            Box::new(move |context| {
                let (input, folder, schema) = (input.clone(), folder.clone(), of.clone());
                Box::pin(async move {
                    let (options, reservation) = granted(name, &NearOptions::default(), &folder, &context);
                    let search = RepeatedPassages::new(passage, chars_min, options.memory_bytes_max, &options.spill_folder);
                    read(&input, &context, || search.reader()).await?;
                    let found = tokio::task::spawn_blocking(|| search.finish());
                    let found = found.await.map_err(|e| DataFusionError::External(Box::new(e)))?.map_err(failed)?;
                    let parts = (0..FoundPassages::N_PARTS).map(move |part| {
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

fn batch(rows: &[RepeatedPassage<'_>], schema: &SchemaRef) -> Result<RecordBatch> {
    let text = |of: fn(&RepeatedPassage<'_>) -> String| -> ArrayRef { Arc::new(StringArray::from_iter_values(rows.iter().map(of))) };
    let number = |of: fn(&RepeatedPassage<'_>) -> u32| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| i64::from(of(row)))))
    };
    let columns = vec![
        text(|r| r.doc_id.to_owned()),
        number(|r| r.passage_idx),
        number(|r| r.start),
        number(|r| r.end),
        text(|r| r.first_doc_id.to_owned()),
        number(|r| r.first_passage_idx),
    ];
    Ok(RecordBatch::try_new(schema.clone(), columns)?)
}
