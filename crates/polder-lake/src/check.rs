//! Whether a tag's rows are still exactly those: its files, its schema, and every row.

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::json::LineDelimitedWriter;
use datafusion::error::{DataFusionError, Result as EngineResult};
use deltalake::logstore::LogStore as _;
use deltalake::logstore::object_store::ObjectStoreExt as _;
use deltalake::{DeltaTable, ObjectStoreError};
use futures::{StreamExt as _, TryStreamExt as _};
use polder_base::{At, Hasher, TableName, digest_bytes};

use crate::tables::State;
use crate::{Author, Lake, LakeError, Snapshot, Tag, catalog, tags};

/// Files that are asked for side by side.
const N_ASKED: usize = 16;

/// What a look at a tag found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagCheck {
    /// The tag.
    pub tag: Tag,
    /// Files that hold its rows.
    pub n_files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Rows that were read.
    pub n_rows: u64,
    /// Digest of all rows, in no order; none where they cannot be read.
    pub rows_digest: Option<String>,
    /// Whether no earlier check has noted a digest of the rows: this one then has.
    pub is_first: bool,
    /// What is not as it was.
    pub problems: Vec<String>,
}

impl Lake {
    /// Reads all rows of a tagged version and compares files, schema and rows with what the book of tags says. The first check
    /// notes the digest of the rows, which later ones compare.
    ///
    /// # Errors
    /// No such tag, or a book that cannot be read or written. What is wrong with the rows is listed.
    pub async fn check_tag(
        &self,
        table: &TableName,
        tag: &str,
        by: &Author,
        on_rows: &mut (dyn FnMut(u64) + Send),
    ) -> Result<TagCheck, LakeError> {
        let tag = tags::active(&self.tables, table, tag).await?;
        let mut check =
            TagCheck { n_files: 0, bytes: 0, n_rows: 0, rows_digest: None, is_first: tag.rows_digest.is_none(), problems: Vec::new(), tag };
        let opened = match self.known.open(table, &State::At(At::Tag(check.tag.tag.clone()))).await {
            Ok(opened) => opened,
            Err(e) => {
                check.problems.push(format!("its version cannot be opened: {e}"));
                return Ok(check);
            }
        };
        let snapshot = Snapshot::of(&opened, table).await?;
        check.bytes = snapshot.bytes;
        // A copy has files of its own.
        if check.tag.copy.is_none() && snapshot.files_digest.to_string() != check.tag.files_digest {
            check.problems.push(format!("its list of files has digest {}, and had {}", snapshot.files_digest, check.tag.files_digest));
        }
        if snapshot.schema_digest.to_string() != check.tag.schema_digest && check.tag.copy.is_none() {
            check.problems.push(format!("its schema has digest {}, and had {}", snapshot.schema_digest, check.tag.schema_digest));
        }
        check.files(&opened, table).await?;
        check.rows(self, &opened, on_rows).await;
        if check.problems.is_empty() && check.is_first {
            self.note_rows_digest(&check, by).await?;
        }
        Ok(check)
    }

    async fn note_rows_digest(&self, check: &TagCheck, by: &Author) -> Result<(), LakeError> {
        let row = Tag { rows_digest: check.rows_digest.clone(), actor: by.actor.clone(), at: by.at, ..check.tag.clone() };
        self.append_rows(&crate::ops::table("tags"), tags::batch(std::slice::from_ref(&row))?, None).await.map(|_| ())
    }
}

impl TagCheck {
    /// Whether everything is as it was.
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }

    /// Asks for every file and its size.
    async fn files(&mut self, opened: &DeltaTable, table: &TableName) -> Result<(), LakeError> {
        let state = opened.snapshot().map_err(LakeError::delta("read the snapshot of", table))?;
        let store = opened.log_store().object_store(None);
        let files: Vec<_> = state.log_data().iter().map(|f| (f.object_store_path(), u64::try_from(f.size()).unwrap_or_default())).collect();
        self.n_files = files.len() as u64;
        let found = futures::stream::iter(files).map(|(path, size)| {
            let store = store.clone();
            async move {
                match store.head(&path).await {
                    Ok(meta) if meta.size == size => Ok(None),
                    Ok(meta) => Ok(Some(format!("`{path}` has {} bytes, and had {size}", meta.size))),
                    Err(ObjectStoreError::NotFound { .. }) => Ok(Some(format!("`{path}` is gone"))),
                    Err(e) => Ok(Some(format!("`{path}` cannot be asked for: {e}"))),
                }
            }
        });
        let found: Vec<Option<String>> =
            found.buffered(N_ASKED).try_collect().await.map_err(|e: DataFusionError| LakeError::statement(e))?;
        self.problems.extend(found.into_iter().flatten());
        Ok(())
    }

    /// Reads every row.
    async fn rows(&mut self, lake: &Lake, opened: &DeltaTable, on_rows: &mut (dyn FnMut(u64) + Send)) {
        match self.digest(lake, opened, on_rows).await {
            Err(e) => self.problems.push(format!("its rows cannot be read: {e}")),
            Ok(digest) => {
                if self.n_rows != self.tag.n_rows {
                    self.problems.push(format!("it has {} rows, and had {}", self.n_rows, self.tag.n_rows));
                }
                if let Some(was) = self.tag.rows_digest.as_ref().filter(|was| **was != digest) {
                    self.problems.push(format!("its rows have digest {digest}, and had {was}"));
                }
                self.rows_digest = Some(digest);
            }
        }
    }

    async fn digest(&mut self, lake: &Lake, opened: &DeltaTable, on_rows: &mut (dyn FnMut(u64) + Send)) -> EngineResult<String> {
        let rows = lake.session().read_table(catalog::provider(opened).await?)?;
        let mut rows = rows.execute_stream().await?;
        let mut sum = 0u128;
        while let Some(batch) = rows.next().await {
            let batch = batch?;
            sum = sum.wrapping_add(sum_of(&batch)?);
            self.n_rows += batch.num_rows() as u64;
            on_rows(self.n_rows);
        }
        let mut hasher = Hasher::new();
        hasher.update(&sum.to_le_bytes());
        hasher.update(&self.n_rows.to_le_bytes());
        Ok(hasher.finish().to_string())
    }
}

/// Sums the digests of a batch's rows, so that their order does not matter. A row is digested as its JSON object.
fn sum_of(batch: &RecordBatch) -> EngineResult<u128> {
    let mut writer = LineDelimitedWriter::new(Vec::new());
    writer.write(batch)?;
    writer.finish()?;
    let text = writer.into_inner();
    Ok(text.split(|b| *b == b'\n').filter(|line| !line.is_empty()).fold(0u128, |sum, line| {
        let digest = digest_bytes(line);
        let half: [u8; 16] = std::array::from_fn(|i| digest.bytes()[i]);
        sum.wrapping_add(u128::from_le_bytes(half))
    }))
}
