//! From a pile to token shards: stream the rows in order of doc_id, encode, write, and note which row went where.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::prelude::{DataFrame, col, lit};
use futures::StreamExt;
use polder_base::{At, Clearance, Digest, Input, Manifest, Reference, TableName, Timestamp, digest_bytes, digest_json};
use polder_lake::{Lake, Snapshot, ops};
use polder_shard::{Document, LAYOUT, Offer, SetOptions, ShardOptions, TokenSetWriter, read_documents, standing_set};
use polder_tokenizer::Tokenizer;
use rayon::prelude::*;

use crate::PipelineError;

/// Rows noted in `ops.token_documents` at a time.
const NOTED_ROWS_MAX: usize = 100_000;

/// What to make shards of.
#[derive(Clone, Debug)]
pub struct BuildTokens {
    /// The set's name under `tokens/`.
    pub name: String,
    /// The pile; its newest version or tag is fixed when planned.
    pub from: Reference,
    /// A tokenizer of the lake.
    pub tokenizer: String,
    /// Values of the column `split` that become splits of the set; the first is what training reads.
    pub splits: Vec<String>,
    /// Tokens in a shard at most.
    pub shard_tokens_max: u64,
}

/// A set with its inputs fixed, before the policy's verdict.
#[derive(Debug)]
pub struct BuildTokensPlan {
    request: BuildTokens,
    snapshot: Snapshot,
    tokenizer: Tokenizer,
    inputs: Vec<Input>,
    settings: Digest,
    at: Timestamp,
}

/// How far a build is.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokensProgress {
    /// Documents written.
    pub n_documents: u64,
    /// Documents there are.
    pub n_documents_total: u64,
    /// Bytes of text encoded.
    pub bytes: u64,
    /// Tokens written.
    pub n_tokens: u64,
}

/// A text column of any of Arrow's string types.
pub(crate) fn text_column(batch: &RecordBatch, column: &str, what: &str) -> Result<StringArray, PipelineError> {
    let wrong = || PipelineError::Column { what: what.to_owned(), column: column.to_owned(), expected: "text" };
    let array = batch.column_by_name(column).ok_or_else(wrong)?;
    let text: ArrayRef = cast(array, &DataType::Utf8).map_err(|_| wrong())?;
    text.as_string_opt::<i32>().cloned().ok_or_else(wrong)
}

/// The rows of one split of a pile at a version, in order of doc_id.
pub(crate) async fn split_frame(lake: &Lake, snapshot: &Snapshot, split: &str) -> Result<DataFrame, PipelineError> {
    let frame = lake.table(&format!("{}@{}", snapshot.table, snapshot.version)).await?;
    let has = |name: &str| frame.schema().has_column_with_unqualified_name(name);
    for column in ["doc_id", "text"] {
        if !has(column) {
            return Err(PipelineError::Column { what: snapshot.table.to_string(), column: column.into(), expected: "text" });
        }
    }
    let chosen = if has("split") { frame.filter(col("split").eq(lit(split)))? } else { frame };
    Ok(chosen.select(vec![col("doc_id"), col("text")])?.sort(vec![col("doc_id").sort(true, false)])?)
}

impl BuildTokens {
    /// Fixes the pile's version and the tokenizer.
    ///
    /// # Errors
    /// One of them is not there.
    pub async fn plan(self, lake: &Lake, at: Timestamp) -> Result<BuildTokensPlan, PipelineError> {
        let snapshot = lake.snapshot(&self.from).await?;
        let reference = Reference::artefact("tokenizers", &self.tokenizer);
        let folder = lake.layout().artefact(&reference).unwrap_or_default();
        let manifest = Manifest::read(&folder)?;
        let tokenizer = Tokenizer::open(&folder.join("tokenizer.json"))?;
        // A tag says more than a number, and names the same rows for ever.
        let at_version = match &self.from {
            Reference::Table(_, At::Tag(tag)) => At::Tag(tag.clone()),
            _ => At::Version(snapshot.version),
        };
        let inputs = vec![
            Input { reference: Reference::Table(snapshot.table.clone(), at_version), digest: snapshot.files_digest },
            Input { reference, digest: manifest.content_digest() },
        ];
        let settings = digest_json(&(LAYOUT, &self.splits, self.shard_tokens_max));
        Ok(BuildTokensPlan { request: self, snapshot, tokenizer, inputs, settings, at })
    }
}

impl BuildTokensPlan {
    fn reference(&self) -> Reference {
        Reference::artefact("tokens", &self.request.name)
    }

    /// Digest of what it is made from: what a policy judges.
    pub fn inputs_digest(&self) -> Digest {
        Manifest::new(self.reference(), self.at, self.inputs.clone(), self.settings, serde_json::Value::Null).inputs_digest()
    }

    /// Whether the set stands there already, made from the same.
    pub fn is_done(&self, lake: &Lake) -> bool {
        let folder = lake.layout().artefact(&self.reference());
        folder.is_some_and(|f| Manifest::stands(&f, &self.inputs_digest()))
    }

    /// Writes the set whole, then notes its documents in the lake. A second call after a kill between the two only notes.
    ///
    /// # Errors
    /// An empty pile, a document that cannot be written, files that cannot be written.
    pub async fn run(
        self,
        lake: &Lake,
        clearance: Clearance,
        on_progress: &mut (dyn FnMut(&TokensProgress) + Send),
    ) -> Result<Manifest, PipelineError> {
        let folder = lake.layout().artefact(&self.reference()).unwrap_or_default();
        let manifest =
            if self.is_done(lake) { Manifest::read(&folder)? } else { self.write(lake, &folder, clearance, on_progress).await? };
        note(lake, &self.request.name, &self.snapshot, &folder, &manifest).await?;
        Ok(manifest)
    }

    async fn write(
        &self,
        lake: &Lake,
        folder: &std::path::Path,
        clearance: Clearance,
        on_progress: &mut (dyn FnMut(&TokensProgress) + Send),
    ) -> Result<Manifest, PipelineError> {
        let vocab_size = self.tokenizer.vocab_size();
        let end = self.tokenizer.special_id("<|endoftext|>");
        let end_id = end.ok_or_else(|| PipelineError::Column {
            what: format!("tokenizers/{}", self.request.tokenizer),
            column: "<|endoftext|>".into(),
            expected: "special token",
        })?;
        let options = SetOptions {
            splits: self.request.splits.clone(),
            shards: ShardOptions { vocab_size, bos_id: None, eos_id: Some(end_id), tokens_per_shard_max: self.request.shard_tokens_max },
            tokenizer_digest: self.tokenizer.digest(),
        };
        let base = standing_set(folder)?;
        let mut writer = TokenSetWriter::begin(folder, options, self.inputs_digest(), base.as_ref())?;
        let mut progress = TokensProgress { n_documents_total: self.snapshot.n_rows, ..TokensProgress::default() };
        for split in &self.request.splits {
            let mut rows = split_frame(lake, &self.snapshot, split).await?.execute_stream().await?;
            while let Some(batch) = rows.next().await {
                let batch = batch?;
                let (ids, texts) = (text_column(&batch, "doc_id", "the pile")?, text_column(&batch, "text", "the pile")?);
                let documents: Vec<&str> = (0..texts.len()).map(|i| if texts.is_valid(i) { texts.value(i) } else { "" }).collect();
                let digests: Vec<Digest> = documents.par_iter().map(|text| digest_bytes(text.as_bytes())).collect();
                let offers = digests.iter().enumerate().map(|(i, digest)| writer.offer(split, ids.value(i), digest));
                let offers = offers.collect::<Result<Vec<Offer>, _>>()?;
                let encode = |i: usize| (offers[i] == Offer::Wanted).then(|| self.tokenizer.encode(documents[i]));
                let encoded: Vec<Option<Vec<u32>>> = (0..documents.len()).into_par_iter().map(encode).collect();
                for (i, tokens) in encoded.into_iter().enumerate() {
                    progress.n_documents += 1;
                    let Some(tokens) = tokens else { continue };
                    let text_bytes = documents[i].len() as u64;
                    writer.push(split, &Document { doc_id: ids.value(i), text_digest: digests[i], text_bytes }, &tokens)?;
                    progress.bytes += text_bytes;
                    progress.n_tokens += tokens.len() as u64 + 1;
                }
                on_progress(&progress);
            }
        }
        if progress.n_documents == 0 {
            return Err(PipelineError::Empty { what: self.request.from.to_string() });
        }
        Ok(writer.finish(self.reference(), self.at, self.inputs.clone(), self.settings, Some(clearance))?)
    }
}

/// Notes in `ops.token_documents` where each row went, once per content of the set.
async fn note(lake: &Lake, name: &str, snapshot: &Snapshot, folder: &std::path::Path, manifest: &Manifest) -> Result<(), PipelineError> {
    let mut documents = read_documents(folder)?;
    let application = format!("token_documents/{name}/{}", manifest.inputs_digest().hex());
    for part in 0.. {
        let rows = documents.by_ref().take(NOTED_ROWS_MAX).collect::<Result<Vec<_>, _>>()?;
        if rows.is_empty() {
            break;
        }
        let text =
            |f: &dyn Fn(&polder_shard::TokenDocument) -> String| Arc::new(StringArray::from_iter_values(rows.iter().map(f))) as ArrayRef;
        let number = |f: &dyn Fn(&polder_shard::TokenDocument) -> u64| {
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| i64::try_from(f(r)).unwrap_or(i64::MAX)))) as ArrayRef
        };
        let batch = RecordBatch::try_from_iter([
            ("token_set", text(&|_| name.to_owned())),
            ("shard", text(&|r| r.shard.clone())),
            ("doc_idx", number(&|r| r.doc_idx)),
            ("doc_id", text(&|r| r.doc_id.clone())),
            ("table", text(&|_| snapshot.table.to_string())),
            ("version", number(&|_| snapshot.version)),
            ("n_tokens", number(&|r| r.n_tokens)),
        ])
        .map_err(datafusion::error::DataFusionError::from)?;
        let transaction = (application.clone(), part);
        lake.append_rows(&TableName::new(ops::SCHEMA, "token_documents"), batch, Some(transaction)).await?;
    }
    Ok(())
}
