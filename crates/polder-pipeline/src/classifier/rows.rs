//! The rows that a classifier learns from or is judged on.

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::prelude::DataFrame;
use futures::StreamExt;
use polder_text::hash_share;

use crate::PipelineError;

/// Rows of text and label, in order of text, then label.
pub(super) struct LabelledRows {
    rows: Vec<(String, Arc<str>)>,
    n_left_out: u64,
}

/// Says what is missing in a frame that is to give such rows.
pub(super) fn check_columns(frame: &DataFrame) -> Result<(), PipelineError> {
    let schema = frame.schema().as_arrow();
    let is_text = |kind: &DataType| matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    // Labels may be numbers or booleans: they count as they are written.
    let is_label = |kind: &DataType| is_text(kind) || kind.is_integer() || matches!(kind, DataType::Boolean | DataType::Dictionary(..));
    let has = |name: &str, fits: &dyn Fn(&DataType) -> bool| schema.field_with_name(name).is_ok_and(|f| fits(f.data_type()));
    let wrong = |column: &str, expected| Err(PipelineError::Column { what: "the query".into(), column: column.to_owned(), expected });
    match (has("text", &is_text), has("label", &is_label)) {
        (false, _) => wrong("text", "text"),
        (_, false) => wrong("label", "text, an integer or a boolean"),
        _ => Ok(()),
    }
}

impl LabelledRows {
    /// Reads the columns `text` and `label`. Where the texts are larger than `bytes_max`, those are kept whose draw, which follows from the
    /// text, is below the largest power of a half for which they are not.
    pub(super) async fn read(frame: DataFrame, bytes_max: u64, on_bytes: &mut (dyn FnMut(u64) + Send)) -> Result<Self, PipelineError> {
        let mut stream = frame.select_columns(&["text", "label"])?.execute_stream().await?;
        let mut labels: Vec<Arc<str>> = Vec::new();
        let (mut rows, mut n_left_out) = (Vec::new(), 0u64);
        let (mut bytes, mut all_bytes, mut share) = (0u64, 0u64, 1.0f64);
        while let Some(batch) = stream.next().await {
            let batch = batch?;
            let column = |i: usize| cast(batch.column(i), &DataType::Utf8).map_err(|e| PipelineError::Rows(e.into()));
            let (texts, names) = (column(0)?, column(1)?);
            let (texts, names) = (texts.as_string::<i32>(), names.as_string::<i32>());
            for (text, name) in texts.iter().zip(names) {
                let (Some(text), Some(name)) = (text.filter(|t| !t.trim().is_empty()), name) else {
                    n_left_out += 1;
                    continue;
                };
                all_bytes += text.len() as u64;
                if hash_share(text) >= share {
                    continue;
                }
                let place = labels.binary_search_by(|l| l.as_ref().cmp(name)).unwrap_or_else(|place| {
                    labels.insert(place, name.into());
                    place
                });
                bytes += text.len() as u64;
                rows.push((text.to_owned(), labels[place].clone()));
                while bytes > bytes_max && rows.len() > 1 {
                    share /= 2.0;
                    rows.retain(|(text, _)| hash_share(text) < share);
                    bytes = rows.iter().map(|(text, _)| text.len() as u64).sum();
                }
            }
            on_bytes(all_bytes);
        }
        rows.sort_unstable();
        Ok(Self { rows, n_left_out })
    }

    /// The rows.
    pub(super) fn pairs(&self) -> Vec<(&str, &str)> {
        self.rows.iter().map(|(text, label)| (text.as_str(), label.as_ref())).collect()
    }

    /// Rows without text or label.
    pub(super) fn n_left_out(&self) -> u64 {
        self.n_left_out
    }
}
