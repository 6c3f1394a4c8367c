//! Which document stands where, in the lake's books: `ops.token_documents` and `ops.token_shards`.
//!
//! Both are append-only, so they keep what was. A shard is told from an earlier one of its name by its digest: a row of
//! `token_documents` belongs to the shard whose digest it names, for ever, and a shard that two builds share has its rows
//! once. `token_shards` lists the shards of every build, so that the newest list says which rows are current.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow::datatypes::SchemaRef;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::prelude::{cast, col, lit};
use polder_base::{Digest, Hasher, Manifest};
use polder_lake::{Lake, Snapshot, WriteOptions, ops};
use polder_shard::{ShardDetails, TokenDocument, TokenSet, shard_documents};

use crate::PipelineError;

/// Rows in a batch on their way to the lake.
const BATCH_ROWS: usize = 8192;

/// A digest of what a shard holds: its tokens, and which documents they are.
fn shard_digests(manifest: &Manifest, shards: &[ShardDetails]) -> HashMap<String, String> {
    let files: HashMap<&str, &Digest> = manifest.files.iter().map(|f| (f.path.as_str(), &f.digest)).collect();
    let of = |shard: &ShardDetails| {
        let mut hasher = Hasher::new();
        for ending in ["bin", "jsonl"] {
            files.get(format!("{}.{ending}", shard.name).as_str()).iter().for_each(|d| hasher.field(d.bytes()));
        }
        hasher.finish().to_string()
    };
    shards.iter().map(|s| (s.name.clone(), of(s))).collect()
}

/// Notes a set that stands: its documents in one commit, then its shards. Done again, it adds nothing.
///
/// # Errors
/// Lists that cannot be read, books that cannot be written.
pub(super) async fn note(lake: &Lake, name: &str, snapshot: &Snapshot, folder: &Path) -> Result<u64, PipelineError> {
    let set = TokenSet::open(folder)?;
    let manifest = set.manifest();
    let build = manifest.content_digest().hex();
    let shards: Vec<ShardDetails> = set.details().shards.clone();
    let table = ops::table("token_documents");
    let digests = shard_digests(manifest, &shards);
    let known = noted(lake, name).await?;
    let missing: BTreeMap<String, String> = digests.iter().map(|(s, d)| (s.clone(), d.clone())).filter(|p| !known.contains(p)).collect();
    let mut n_rows = 0;
    if !missing.is_empty() {
        let rows = Rows {
            schema: ops::schema(&table).unwrap_or_else(|| Arc::new(arrow::datatypes::Schema::empty())),
            folder: folder.to_owned(),
            name: name.to_owned(),
            table: snapshot.table.to_string(),
            version: i64::try_from(snapshot.version).unwrap_or(i64::MAX),
            shards: shards.iter().filter_map(|s| Some((s.clone(), missing.get(&s.name)?.clone()))).collect(),
        };
        let frame = lake.session().read_table(Arc::new(StreamingTable::try_new(rows.schema.clone(), vec![Arc::new(rows)])?))?;
        // Of what is missing, so that a set that once was, was replaced and is back can be noted again.
        let part = polder_base::digest_json(&(&build, &missing)).hex();
        let transaction = Some((format!("token_documents/{name}/{part}"), 1));
        n_rows = lake.write(&table, frame, &WriteOptions { transaction, ..WriteOptions::default() }).await?.n_rows;
    }
    let at = manifest.created_at.0;
    let transaction = Some((format!("token_shards/{name}/{at}/{build}"), 1));
    lake.append_rows(&ops::table("token_shards"), shard_rows(name, snapshot, manifest, &build, &shards, &digests)?, transaction).await?;
    Ok(n_rows)
}

/// Shards of a set, by name and digest, whose documents are noted.
async fn noted(lake: &Lake, name: &str) -> Result<HashSet<(String, String)>, PipelineError> {
    let table = ops::table("token_documents");
    if lake.snapshot_opt(&table).await?.is_none() {
        return Ok(HashSet::new());
    }
    let frame = lake.table(&table.to_string()).await?;
    if !frame.schema().has_column_with_unqualified_name("shard_digest") {
        return Ok(HashSet::new());
    }
    let text = |column: &str| cast(col(column), arrow::datatypes::DataType::Utf8).alias(column);
    let mine = frame.filter(col("token_set").eq(lit(name)))?.select(vec![text("shard"), text("shard_digest")])?.distinct()?;
    let mut found = HashSet::new();
    for batch in mine.collect().await? {
        let (shards, digests) = (batch.column(0).as_string::<i32>(), batch.column(1).as_string::<i32>());
        found.extend(shards.iter().zip(digests).filter_map(|(s, d)| Some((s?.to_owned(), d?.to_owned()))));
    }
    Ok(found)
}

fn shard_rows(
    name: &str,
    snapshot: &Snapshot,
    manifest: &Manifest,
    build: &str,
    shards: &[ShardDetails],
    digests: &HashMap<String, String>,
) -> Result<RecordBatch, PipelineError> {
    let text = |f: &dyn Fn(&ShardDetails) -> String| Arc::new(StringArray::from_iter_values(shards.iter().map(f))) as ArrayRef;
    let number = |f: &dyn Fn(&ShardDetails) -> u64| {
        Arc::new(Int64Array::from_iter_values(shards.iter().map(|s| i64::try_from(f(s)).unwrap_or(i64::MAX)))) as ArrayRef
    };
    let at = TimestampMillisecondArray::from_value(manifest.created_at.0, shards.len()).with_timezone("UTC");
    let batch = RecordBatch::try_from_iter([
        ("token_set", text(&|_| name.to_owned())),
        ("build", text(&|_| build.to_owned())),
        ("at", Arc::new(at) as ArrayRef),
        ("shard", text(&|s| s.name.clone())),
        ("shard_digest", text(&|s| digests[&s.name].clone())),
        ("split", text(&|s| s.split.clone())),
        ("n_documents", number(&|s| s.n_documents)),
        ("n_tokens", number(&|s| s.n_tokens)),
        ("table", text(&|_| snapshot.table.to_string())),
        ("version", number(&|_| snapshot.version)),
    ]);
    Ok(batch.map_err(DataFusionError::from)?)
}

/// Documents of some shards of a set, read from its lists as they are asked for.
struct Rows {
    schema: SchemaRef,
    folder: PathBuf,
    name: String,
    table: String,
    version: i64,
    /// With their digests.
    shards: Vec<(ShardDetails, String)>,
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "documents of {} shards of {}", self.shards.len(), self.name)
    }
}

impl Rows {
    fn batch(&self, rows: &[(TokenDocument, &str)]) -> Result<RecordBatch, DataFusionError> {
        let n = rows.len();
        let text = |f: &dyn Fn(&(TokenDocument, &str)) -> String| Arc::new(StringArray::from_iter_values(rows.iter().map(f))) as ArrayRef;
        let number = |f: &dyn Fn(&TokenDocument) -> u64| {
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| i64::try_from(f(&r.0)).unwrap_or(i64::MAX)))) as ArrayRef
        };
        let columns: Vec<ArrayRef> = vec![
            text(&|_| self.name.clone()),
            text(&|r| r.0.shard.clone()),
            number(&|r| r.doc_idx),
            text(&|r| r.0.doc_id.clone()),
            text(&|_| self.table.clone()),
            Arc::new(Int64Array::from_value(self.version, n)),
            number(&|r| r.n_tokens),
            text(&|r| r.1.to_owned()),
        ];
        Ok(RecordBatch::try_new(self.schema.clone(), columns)?)
    }
}

impl PartitionStream for Rows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _ctx: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut stream = RecordBatchReceiverStream::builder(self.schema.clone(), 2);
        let sender = stream.tx();
        let this = Self {
            schema: self.schema.clone(),
            folder: self.folder.clone(),
            name: self.name.clone(),
            table: self.table.clone(),
            version: self.version,
            shards: self.shards.clone(),
        };
        stream.spawn_blocking(move || {
            let through = |e: polder_shard::ShardError| DataFusionError::External(Box::new(e));
            let mut rows = Vec::with_capacity(BATCH_ROWS);
            for (shard, digest) in &this.shards {
                for document in shard_documents(&this.folder, shard.clone()) {
                    rows.push((document.map_err(through)?, digest.as_str()));
                    if rows.len() == BATCH_ROWS {
                        // The writer is gone: its own error is the one to tell.
                        if sender.blocking_send(this.batch(&rows)).is_err() {
                            return Ok(());
                        }
                        rows.clear();
                    }
                }
            }
            if !rows.is_empty() {
                let _ = sender.blocking_send(this.batch(&rows));
            }
            Ok(())
        });
        stream.build()
    }
}
