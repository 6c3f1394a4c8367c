//! From a query over the lake to a trained tokenizer.

use std::fs;

use datafusion::prelude::DataFrame;
use futures::StreamExt;
use polder_base::{At, Digest, Input, Manifest, Reference, Timestamp, digest_json, publish_dir};
use polder_lake::{Lake, Snapshot};
use polder_tokenizer::{TrainOptions, WordCounts};

use crate::PipelineError;
use crate::tokens::text_column;

/// What to train a tokenizer on.
#[derive(Clone, Debug)]
pub struct TrainTokenizer {
    /// Its name under `tokenizers/`.
    pub name: String,
    /// The table whose version the manifest names.
    pub from: Reference,
    /// A query whose column `text` is read; by default the training split of `from`.
    pub query: Option<String>,
    /// Vocabulary size, special tokens counted.
    pub vocab_size: usize,
    /// Special tokens, which get the first ids.
    pub special_tokens: Vec<String>,
    /// Bytes of text to read at most, in order of doc_id.
    pub bytes_max: u64,
}

/// A tokenizer with its input fixed.
#[derive(Debug)]
pub struct TrainTokenizerPlan {
    request: TrainTokenizer,
    snapshot: Snapshot,
    manifest: Manifest,
}

impl TrainTokenizer {
    /// Fixes the table's version.
    ///
    /// # Errors
    /// A table that is not there.
    pub async fn plan(self, lake: &Lake, at: Timestamp) -> Result<TrainTokenizerPlan, PipelineError> {
        let snapshot = lake.snapshot(&self.from).await?;
        let input =
            Input { reference: Reference::Table(snapshot.table.clone(), At::Version(snapshot.version)), digest: snapshot.files_digest };
        let settings = (&self.query, self.vocab_size, &self.special_tokens, self.bytes_max);
        let manifest =
            Manifest::new(Reference::artefact("tokenizers", &self.name), at, vec![input], digest_json(&settings), serde_json::Value::Null);
        Ok(TrainTokenizerPlan { request: self, snapshot, manifest })
    }
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

    async fn frame(&self, lake: &Lake) -> Result<DataFrame, PipelineError> {
        Ok(match &self.request.query {
            Some(query) => lake.sql(query).await?,
            None => crate::tokens::split_frame(lake, &self.snapshot, "train").await?,
        })
    }

    /// Trains it and writes it whole.
    ///
    /// # Errors
    /// No text, a vocabulary too small or too large for it, files that cannot be written.
    pub async fn run(mut self, lake: &Lake, on_progress: &mut (dyn FnMut(&str, u64, u64) + Send)) -> Result<Manifest, PipelineError> {
        let mut rows = self.frame(lake).await?.execute_stream().await?;
        let mut counts = WordCounts::default();
        let mut bytes = 0u64;
        'rows: while let Some(batch) = rows.next().await {
            let texts = text_column(&batch?, "text", "the tokenizer's query")?;
            for text in texts.iter().flatten() {
                counts.add(text);
                bytes += text.len() as u64;
                if bytes >= self.request.bytes_max {
                    break 'rows;
                }
            }
            on_progress("counting words", bytes, self.request.bytes_max);
        }
        if bytes == 0 {
            return Err(PipelineError::Empty { what: self.request.from.to_string() });
        }
        let options = TrainOptions {
            vocab_size: self.request.vocab_size,
            special_tokens: self.request.special_tokens.clone(),
            min_count: 2,
            ..TrainOptions::default()
        };
        let tokenizer = polder_tokenizer::train(&counts, &options, &mut |done, all| on_progress("merging", done as u64, all as u64))?;
        let reference = self.manifest.reference.clone();
        let Some(folder) = lake.layout().artefact(&reference) else {
            return Err(PipelineError::Graph { message: format!("`{reference}` is no place for files") });
        };
        let temporary = folder.with_extension(format!("{}.tmp", std::process::id()));
        fs::create_dir_all(&temporary).map_err(|source| PipelineError::Read { path: temporary.clone(), source })?;
        polder_base::write_whole(&temporary.join("tokenizer.json"), tokenizer.to_json().as_bytes())?;
        self.manifest.details = serde_json::json!({ "vocab_size": tokenizer.vocab_size(), "bytes": bytes, "digest": tokenizer.digest() });
        self.manifest.describe(&temporary, &["tokenizer.json"])?;
        self.manifest.write(&temporary)?;
        publish_dir(&temporary, &folder)?;
        Ok(self.manifest)
    }
}
