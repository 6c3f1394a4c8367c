//! Tags: names of versions, written down in `ops.tags`. A tag never moves; its row says what the version held.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::cast::{as_int64_array, as_string_array, as_timestamp_millisecond_array};
use datafusion::prelude::SessionContext;
use deltalake::DeltaTable;
use polder_base::{At, TableName, Timestamp};

use crate::tables::{State, Tables};
use crate::{Lake, LakeError, Snapshot, WriteOptions, catalog, ops};

/// A name of a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// The table.
    pub table: TableName,
    /// The name.
    pub tag: String,
    /// The version it names.
    pub version: u64,
    /// Digest of the version's schema.
    pub schema_digest: String,
    /// Digest of the version's files.
    pub files_digest: String,
    /// Rows of the version.
    pub n_rows: u64,
    /// What it is for.
    pub comment: String,
    /// Who set it.
    pub actor: String,
    /// When.
    pub at: Timestamp,
    /// `active`, or `retired` after an erasure.
    pub state: String,
    /// Why it was retired.
    pub reason: Option<String>,
}

/// How often a tag looks again when other tags are being written at the same moment.
const ATTEMPTS: usize = 20;

/// Letters, digits, `_`, `-`, `.` (not first), and not a number, which would read as a version.
pub(crate) fn is_tag(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 128
        && !text.starts_with(['.', '-'])
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
        && !text.bytes().all(|b| b.is_ascii_digit())
}

/// Reads the tags of one table or of all, in order of table, time and name.
pub(crate) async fn read(tables: &Tables, table: Option<&TableName>) -> Result<Vec<Tag>, LakeError> {
    match tables.newest(&ops::table("tags")).await? {
        Some(opened) => Ok(of(&opened).await?.into_iter().filter(|t| table.is_none_or(|x| *x == t.table)).collect()),
        None => Ok(Vec::new()),
    }
}

async fn of(opened: &DeltaTable) -> Result<Vec<Tag>, LakeError> {
    let book = ops::table("tags");
    let batches = async { SessionContext::new().read_table(catalog::provider(opened).await?)?.collect().await };
    let batches = batches.await.map_err(LakeError::query("read", &book))?;
    let mut tags = Vec::new();
    for batch in &batches {
        let batch = ops::fit(&book, batch.clone())?;
        rows(&batch, &mut tags).map_err(LakeError::query("read", &book))?;
    }
    tags.sort_by(|a, b| (&a.table, a.at, &a.tag).cmp(&(&b.table, b.at, &b.tag)));
    Ok(tags)
}

fn rows(batch: &RecordBatch, tags: &mut Vec<Tag>) -> datafusion::error::Result<()> {
    let column = |i: usize| batch.column(i);
    let text = |i: usize| as_string_array(column(i));
    let (table, tag, version) = (text(0)?, text(1)?, as_int64_array(column(2))?);
    let (schema, files, n_rows) = (text(3)?, text(4)?, as_int64_array(column(5))?);
    let at = as_timestamp_millisecond_array(column(8))?;
    for i in 0..batch.num_rows() {
        let Ok(table) = table.value(i).parse() else { continue };
        tags.push(Tag {
            table,
            tag: tag.value(i).to_owned(),
            version: u64::try_from(version.value(i)).unwrap_or_default(),
            schema_digest: schema.value(i).to_owned(),
            files_digest: files.value(i).to_owned(),
            n_rows: u64::try_from(n_rows.value(i)).unwrap_or_default(),
            comment: text(6)?.value(i).to_owned(),
            actor: text(7)?.value(i).to_owned(),
            at: Timestamp(at.value(i)),
            state: text(9)?.value(i).to_owned(),
            reason: Some(text(10)?.value(i).to_owned()).filter(|r| !r.is_empty()),
        });
    }
    Ok(())
}

/// Lays tags out as the columns of `ops.tags`.
pub(crate) fn batch(tags: &[Tag]) -> Result<RecordBatch, LakeError> {
    let text = |get: &dyn Fn(&Tag) -> String| -> ArrayRef { Arc::new(StringArray::from_iter_values(tags.iter().map(get))) };
    let number = |get: &dyn Fn(&Tag) -> u64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(tags.iter().map(|t| i64::try_from(get(t)).unwrap_or(i64::MAX))))
    };
    let at = Arc::new(TimestampMillisecondArray::from_iter_values(tags.iter().map(|t| t.at.0)).with_timezone("UTC"));
    let reason: ArrayRef = Arc::new(StringArray::from_iter(tags.iter().map(|t| t.reason.clone())));
    let columns: Vec<ArrayRef> = vec![
        text(&|t| t.table.to_string()),
        text(&|t| t.tag.clone()),
        number(&|t| t.version),
        text(&|t| t.schema_digest.clone()),
        text(&|t| t.files_digest.clone()),
        number(&|t| t.n_rows),
        text(&|t| t.comment.clone()),
        text(&|t| t.actor.clone()),
        at,
        text(&|t| t.state.clone()),
        cast(&reason, &DataType::Utf8).map_err(|source| LakeError::Arrow { step: "lay out tags", source })?,
    ];
    let schema = ops::schema(&ops::table("tags")).unwrap_or_else(|| Arc::new(datafusion::arrow::datatypes::Schema::empty()));
    RecordBatch::try_new(schema, columns).map_err(|source| LakeError::Arrow { step: "lay out tags", source })
}

impl Lake {
    /// Names a version: the newest, or `at`. Doing it again is done already.
    ///
    /// # Errors
    /// [`LakeError::TagTaken`] when the tag names another version; no such table or version; a text that cannot be a tag.
    pub async fn tag(
        &self,
        table: &TableName,
        tag: &str,
        at: Option<u64>,
        comment: &str,
        actor: &str,
        at_time: Timestamp,
    ) -> Result<Tag, LakeError> {
        if !is_tag(tag) {
            return Err(LakeError::BadTag { tag: tag.to_owned() });
        }
        let opened = self.tables.open(table, &State::At(at.map_or(At::Latest, At::Version))).await?;
        let snapshot = Snapshot::of(&opened, table).await?;
        let made = Tag {
            table: table.clone(),
            tag: tag.to_owned(),
            version: snapshot.version,
            schema_digest: snapshot.schema_digest.to_string(),
            files_digest: snapshot.files_digest.to_string(),
            n_rows: snapshot.n_rows,
            comment: comment.to_owned(),
            actor: actor.to_owned(),
            at: at_time,
            state: "active".to_owned(),
            reason: None,
        };
        let book = ops::table("tags");
        let mut attempt = 0;
        loop {
            // The tags are judged in the very snapshot that the commit starts from; without retries nothing can slip between.
            let before = self.tables.newest(&book).await?;
            let known = match &before {
                Some(opened) => of(opened).await?,
                None => Vec::new(),
            };
            if let Some(found) = known.into_iter().find(|t| t.table == *table && t.tag == tag) {
                return match found.version == made.version {
                    true => Ok(found),
                    false => Err(LakeError::TagTaken { table: table.clone(), tag: tag.to_owned(), version: found.version }),
                };
            }
            let row = self.session().read_batch(batch(std::slice::from_ref(&made))?).map_err(LakeError::query("write", &book))?;
            match self.commit(&book, before, row, &WriteOptions::default(), Some(0)).await {
                Ok(_) => return Ok(made),
                Err(LakeError::Conflict { .. }) if attempt < ATTEMPTS => attempt += 1,
                Err(e) => return Err(e),
            }
        }
    }

    /// Lists the tags of one table, or of all.
    ///
    /// # Errors
    /// The book of tags cannot be read.
    pub async fn tags(&self, table: Option<&TableName>) -> Result<Vec<Tag>, LakeError> {
        read(&self.tables, table).await
    }
}
