//! From a query over the lake to a trained tokenizer.
//!
//! Text is read as the query gives it, cut into words, and the words are counted by `sql/queries/word_counts.sql`, which
//! spills what does not fit into the session's memory; what training holds are the different words. Rows are chosen by a
//! draw from their text (`texts`), so the same rows give the same tokenizer in any order and on any number of threads.
//! Afterwards the tokenizer is measured on rows that it did not see (`heldout`).

mod heldout;
mod texts;

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::ScalarValue;
use datafusion::prelude::{DataFrame, col, lit};
use futures::StreamExt;
use polder_base::{Digest, Manifest, Reference, Timestamp, digest_json, publish_dir};
use polder_lake::Lake;
use polder_tokenizer::{Tokenizer, TrainOptions, WordCounts};

use crate::PipelineError;
use crate::query_inputs::{input, planned};
use crate::sql_files::query;
use crate::word_stream::{self, Read};
pub use heldout::{Compression, HeldOut};
use texts::{Share, Texts};

/// Text that is encoded at most to measure a tokenizer.
const HELD_OUT_BYTES_MAX: u64 = 64_000_000;
/// How often progress is shown while words are counted.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

/// What to train a tokenizer on.
#[derive(Clone, Debug)]
pub struct TrainTokenizer {
    /// Its name under `tokenizers/`.
    pub name: String,
    /// What is read.
    pub source: TextSource,
    /// Vocabulary size, special tokens, splitter, least counts, longest token.
    pub options: TrainOptions,
    /// Bytes of text to read at most; where there are more, rows are drawn.
    pub bytes_max: u64,
    /// Share of the rows that is kept to measure the tokenizer. A table with splits keeps its validation split instead.
    pub held_out_share: f64,
}

/// Where the text comes from.
#[derive(Clone, Debug)]
pub enum TextSource {
    /// A table's column `text`; where it has a column `split`, its training split.
    Table(Reference),
    /// A query's column `text`.
    Query(String),
}

/// A tokenizer with its input fixed.
#[derive(Debug)]
pub struct TrainTokenizerPlan {
    request: TrainTokenizer,
    /// The rows to read, at the versions they were planned with.
    frame: DataFrame,
    /// The table at its version; `None` for a query.
    table: Option<String>,
    manifest: Manifest,
}

/// What training is at: what, how much is done, of how much.
pub type TokenizerProgress<'a> = dyn FnMut(&str, u64, u64) + Send + 'a;

impl TrainTokenizer {
    /// Fixes the versions of the tables it reads.
    ///
    /// # Errors
    /// A table that is not there, a query that cannot be planned.
    pub async fn plan(self, lake: &Lake, at: Timestamp) -> Result<TrainTokenizerPlan, PipelineError> {
        let (query, table, frame, inputs) = match &self.source {
            TextSource::Table(reference) => {
                let snapshot = lake.snapshot(reference).await?;
                let table = format!("{}@{}", snapshot.table, snapshot.version);
                (None, Some(table.clone()), lake.table(&table).await?, vec![input(snapshot)])
            }
            TextSource::Query(query) => {
                let (frame, inputs) = planned(lake, query).await?;
                (Some(query), None, frame, inputs)
            }
        };
        let o = &self.options;
        let splitter = (o.splitter.to_string(), o.splitter.pattern());
        let settings = (
            (&query, self.bytes_max, self.held_out_share),
            (o.vocab_size, &o.special_tokens, splitter, o.min_count, o.min_word_count, o.token_bytes_max),
        );
        let manifest =
            Manifest::new(Reference::artefact("tokenizers", &self.name), at, inputs, digest_json(&settings), serde_json::Value::Null);
        Ok(TrainTokenizerPlan { request: self, frame, table, manifest })
    }
}

/// The rows to learn from and those to measure on.
struct Rows {
    learn: Share,
    held_out: Option<Share>,
}

impl TrainTokenizerPlan {
    /// Digest of what it is made from.
    pub fn inputs_digest(&self) -> Digest {
        self.manifest.inputs_digest()
    }

    /// Whether the tokenizer stands there already, made from the same.
    pub fn is_done(&self, lake: &Lake) -> bool {
        let folder = lake.layout().artefact(&self.manifest.reference);
        folder.is_some_and(|f| Manifest::stands(&f, &self.inputs_digest()))
    }

    /// What is read, for errors.
    fn what(&self) -> String {
        self.table.clone().unwrap_or_else(|| "the tokenizer's query".into())
    }

    async fn rows(&self, lake: &Lake) -> Result<Rows, PipelineError> {
        let (bytes_max, share) = (self.request.bytes_max, self.request.held_out_share);
        let (frame, what) = (self.frame.clone(), self.what());
        if self.table.is_some() && frame.schema().has_column_with_unqualified_name("split") {
            let split = |name: &str| -> Result<DataFrame, PipelineError> { Ok(frame.clone().filter(col("split").eq(lit(name)))?) };
            let learn = Texts::of(lake, split("train")?, &what).await?.share(0.0..1.0, bytes_max)?;
            let held_out = match share > 0.0 {
                true => Some(Texts::of(lake, split("validation")?, &what).await?.share(0.0..1.0, HELD_OUT_BYTES_MAX)?),
                false => None,
            };
            return Ok(Rows { learn, held_out });
        }
        let texts = Texts::of(lake, frame, &what).await?;
        let learn = texts.share(0.0..1.0 - share, bytes_max)?;
        let held_out = if share > 0.0 { Some(texts.share(1.0 - share..1.0, HELD_OUT_BYTES_MAX)?) } else { None };
        Ok(Rows { learn, held_out })
    }

    /// Trains it and writes it whole.
    ///
    /// # Errors
    /// No text, a vocabulary too small or too large for it, files that cannot be written.
    pub async fn run(mut self, lake: &Lake, on_progress: &mut TokenizerProgress<'_>) -> Result<Manifest, PipelineError> {
        on_progress("looking at the texts", 0, 0);
        let Rows { learn, held_out } = self.rows(lake).await?;
        if learn.bytes == 0 {
            return Err(PipelineError::Empty { what: self.what() });
        }
        let options = &self.request.options;
        let bytes = learn.bytes;
        let (counts, _) = count(lake, learn, options, on_progress).await?;
        let tokenizer = polder_tokenizer::train(&counts, options, &mut |done, all| on_progress("merging", done as u64, all as u64))?;
        let n_different = counts.len();
        drop(counts);
        let report = match held_out {
            Some(share) => {
                let all = share.bytes;
                heldout::report(share.frame, &tokenizer, &mut |bytes| on_progress("measuring on held-out text", bytes, all)).await?
            }
            None => None,
        };
        self.manifest.details = serde_json::json!({
            "vocab_size": tokenizer.vocab_size(), "bytes": bytes, "digest": tokenizer.digest(), "splitter": options.splitter.to_string(),
            "n_words": n_different, "held_out": report,
        });
        self.write(lake, &tokenizer)
    }

    fn write(mut self, lake: &Lake, tokenizer: &Tokenizer) -> Result<Manifest, PipelineError> {
        let reference = self.manifest.reference.clone();
        let Some(folder) = lake.layout().artefact(&reference) else {
            return Err(PipelineError::Graph { message: format!("`{reference}` is no place for files") });
        };
        let temporary = folder.with_extension(format!("{}.tmp", std::process::id()));
        fs::create_dir_all(&temporary).map_err(|source| PipelineError::Read { path: temporary.clone(), source })?;
        polder_base::write_whole(&temporary.join("tokenizer.json"), tokenizer.to_json().as_bytes())?;
        self.manifest.describe(&temporary, &["tokenizer.json"])?;
        self.manifest.write(&temporary)?;
        publish_dir(&temporary, &folder)?;
        Ok(self.manifest)
    }
}

/// Counts the words of some rows; also the number of parts that memory made of them.
async fn count(
    lake: &Lake,
    learn: Share,
    options: &TrainOptions,
    on_progress: &mut TokenizerProgress<'_>,
) -> Result<(WordCounts, u64), PipelineError> {
    let read = Arc::new(Read::default());
    let session = lake.session();
    let frame = learn.frame.select_columns(&["text"])?;
    session.register_table("words", Arc::new(word_stream::table(frame, &options.splitter, &read).await?))?;
    let min_count = i64::try_from(options.min_word_count).unwrap_or(i64::MAX);
    let query = session.sql(query("queries/word_counts.sql")).await?;
    let query = query.with_param_values(vec![("min_count", ScalarValue::Int64(Some(min_count)))])?;
    let mut rows = query.execute_stream().await?;
    let mut counts = WordCounts::with_splitter(options.splitter.clone());
    let mut ticks = tokio::time::interval(PROGRESS_EVERY);
    loop {
        let batch = tokio::select! {
            batch = rows.next() => batch,
            _ = ticks.tick() => {
                on_progress("counting words", read.bytes(), learn.bytes);
                continue;
            }
        };
        let Some(batch) = batch else { break };
        let batch = batch?;
        let column = |i: usize, kind: &DataType| cast(batch.column(i), kind).map_err(|e| PipelineError::Rows(e.into()));
        let (words, numbers) = (column(0, &DataType::Binary)?, column(1, &DataType::Int64)?);
        for (word, n) in words.as_binary::<i32>().iter().zip(numbers.as_primitive::<Int64Type>()) {
            counts.add_word(word.unwrap_or_default(), n.and_then(|n| u64::try_from(n).ok()).unwrap_or(0));
        }
    }
    on_progress("counting words", read.bytes(), learn.bytes);
    Ok((counts, read.n_parts()))
}

#[cfg(test)]
mod tests;
