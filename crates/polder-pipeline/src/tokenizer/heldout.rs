//! How well a tokenizer does on text that it did not learn from: bytes per token, by language and by source.

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::prelude::DataFrame;
use futures::StreamExt;
use polder_tokenizer::Tokenizer;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::texts::GROUPS;
use crate::PipelineError;

/// Rows of a report by group; what is behind goes together.
const ROWS_MAX: usize = 50;

/// How much text became how many tokens.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Compression {
    /// The language or source.
    pub name: String,
    /// Documents.
    pub n_documents: u64,
    /// Bytes of text.
    pub bytes: u64,
    /// Tokens.
    pub n_tokens: u64,
    /// Bytes a token.
    pub bytes_per_token: f64,
}

/// A report on held-out text.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HeldOut {
    /// All of it.
    pub all: Compression,
    /// By the column `language`, the most text first; empty without the column.
    pub by_language: Vec<Compression>,
    /// By the column `source`.
    pub by_source: Vec<Compression>,
}

impl Compression {
    fn add(&mut self, bytes: u64, n_tokens: u64) {
        self.n_documents += 1;
        self.bytes += bytes;
        self.n_tokens += n_tokens;
    }

    fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        // Rounded, so that the same text in a manifest is the same number on any machine.
        let per_token = self.bytes as f64 / self.n_tokens.max(1) as f64;
        self.bytes_per_token = (per_token * 1e4).round() / 1e4;
        self
    }
}

/// Encodes all rows of a frame; `None` where there are none.
pub(super) async fn report(
    frame: DataFrame,
    tokenizer: &Tokenizer,
    on_bytes: &mut (dyn FnMut(u64) + Send),
) -> Result<Option<HeldOut>, PipelineError> {
    let mut all = Compression::default();
    let mut groups: [BTreeMap<String, Compression>; 2] = Default::default();
    let mut rows = frame.execute_stream().await?;
    while let Some(batch) = rows.next().await {
        let batch = batch?;
        let Some(texts) = text(&batch, "text")? else { continue };
        let names = [text(&batch, GROUPS[0])?, text(&batch, GROUPS[1])?];
        let texts = texts.as_string_view();
        let counted: Vec<Option<usize>> =
            (0..texts.len()).into_par_iter().map(|i| texts.is_valid(i).then(|| tokenizer.encode(texts.value(i)).len())).collect();
        for (i, n_tokens) in counted.into_iter().enumerate() {
            let Some(n_tokens) = n_tokens else { continue };
            let (bytes, n_tokens) = (texts.value(i).len() as u64, n_tokens as u64);
            all.add(bytes, n_tokens);
            for (group, names) in groups.iter_mut().zip(&names) {
                if let Some(names) = names.as_ref().map(|n| n.as_string_view()) {
                    let name = if names.is_valid(i) { names.value(i) } else { "(none)" };
                    match group.get_mut(name) {
                        Some(sums) => sums.add(bytes, n_tokens),
                        None => group.entry(name.to_owned()).or_default().add(bytes, n_tokens),
                    }
                }
            }
        }
        on_bytes(all.bytes);
    }
    let [by_language, by_source] = groups.map(most_text_first);
    Ok((all.n_documents > 0).then(|| HeldOut { all: all.named("all"), by_language, by_source }))
}

fn most_text_first(group: BTreeMap<String, Compression>) -> Vec<Compression> {
    let mut rows: Vec<Compression> = group.into_iter().map(|(name, sums)| sums.named(&name)).collect();
    rows.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name)));
    if rows.len() > ROWS_MAX {
        let mut rest = Compression::default();
        for row in rows.drain(ROWS_MAX - 1..) {
            rest.n_documents += row.n_documents;
            rest.bytes += row.bytes;
            rest.n_tokens += row.n_tokens;
        }
        rows.push(rest.named("(others)"));
    }
    rows
}

/// A column as text, if it is there.
fn text(batch: &RecordBatch, column: &str) -> Result<Option<ArrayRef>, PipelineError> {
    let Some(array) = batch.column_by_name(column) else { return Ok(None) };
    Ok(Some(cast(array, &DataType::Utf8View).map_err(|e| PipelineError::Rows(e.into()))?))
}
