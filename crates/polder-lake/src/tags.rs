//! Tags: names of versions, written down in `ops.tags`. A tag never moves; its row says what the version held.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use datafusion::common::cast::{as_int64_array, as_string_array, as_timestamp_millisecond_array};
use datafusion::prelude::SessionContext;
use deltalake::DeltaTable;
use futures::{StreamExt as _, stream};
use object_store::ObjectStoreExt as _;
use object_store::path::Path;
use polder_base::{At, TableName, Timestamp};

use crate::tables::{State, Tables};
use crate::{Author, Lake, LakeError, Snapshot, WriteOptions, catalog, near, ops};

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
    /// `active`; `dropped`, or `retired` after an erasure. It never goes back.
    pub state: String,
    /// Why it was dropped or retired.
    pub reason: Option<String>,
    /// The copy of its rows that is read in its place, where one was made.
    pub copy: Option<String>,
    /// Digest of its rows, once a check has read them.
    pub rows_digest: Option<String>,
}

impl Tag {
    /// Whether it names its version still.
    pub fn is_active(&self) -> bool {
        self.state == ACTIVE
    }

    /// Whether it reads files of its table: one with a copy reads those of the copy.
    pub(crate) fn needs_version(&self) -> bool {
        self.is_active() && self.copy.is_none()
    }
}

const ACTIVE: &str = "active";
const DROPPED: &str = "dropped";
const RETIRED: &str = "retired";

/// The table that holds a tag's copied rows. Its name is none that a user can write.
pub(crate) fn copy_of(tag: &Tag) -> Option<TableName> {
    tag.copy.as_ref().map(|name| TableName::new(&tag.table.schema, name))
}

/// The table for the copied rows of a tag to be.
pub(crate) fn copy_name(table: &TableName, tag: &str) -> TableName {
    TableName::new(&table.schema, format!(".copies/{}@{tag}", table.name))
}

/// A tag that names its version still.
pub(crate) async fn active(tables: &Tables, table: &TableName, tag: &str) -> Result<Tag, LakeError> {
    let tagged = found(&read(tables, Some(table)).await?, table, tag)?;
    if tagged.is_active() { Ok(tagged) } else { Err(gone(&tagged)) }
}

/// The error for a tag that names its version no longer.
pub(crate) fn gone(tag: &Tag) -> LakeError {
    let reason = tag.reason.clone().unwrap_or_default();
    LakeError::TagGone { table: tag.table.clone(), tag: tag.tag.clone(), state: tag.state.clone(), reason }
}

/// The book has a row for everything that was done to a tag; together they say what it is.
fn folded(rows: Vec<Tag>) -> Vec<Tag> {
    let mut tags: BTreeMap<(TableName, String), Tag> = BTreeMap::new();
    for row in rows {
        match tags.entry((row.table.clone(), row.tag.clone())) {
            Entry::Vacant(none) => {
                none.insert(row);
            }
            Entry::Occupied(mut known) => {
                let known = known.get_mut();
                // Who made it and when is what its first row says, whichever is read first.
                let (mut made, later) = if row.is_active() && row.at < known.at { (row, known.clone()) } else { (known.clone(), row) };
                made.copy = made.copy.or(later.copy.clone());
                made.rows_digest = made.rows_digest.or(later.rows_digest.clone());
                if !later.is_active() {
                    (made.state, made.reason) = (later.state, later.reason);
                }
                *known = made;
            }
        }
    }
    tags.into_values().collect()
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
    let mut tags = folded(tags);
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
            copy: Some(text(11)?.value(i).to_owned()).filter(|r| !r.is_empty()),
            rows_digest: Some(text(12)?.value(i).to_owned()).filter(|r| !r.is_empty()),
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
    let text_opt = |get: &dyn Fn(&Tag) -> Option<String>| -> ArrayRef { Arc::new(StringArray::from_iter(tags.iter().map(get))) };
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
        text_opt(&|t| t.reason.clone()),
        text_opt(&|t| t.copy.clone()),
        text_opt(&|t| t.rows_digest.clone()),
    ];
    let schema = ops::schema(&ops::table("tags")).unwrap_or_else(|| Arc::new(datafusion::arrow::datatypes::Schema::empty()));
    RecordBatch::try_new(schema, columns).map_err(|source| LakeError::Arrow { step: "lay out tags", source })
}

/// So many files are looked for at once.
const LOOKS: usize = 16;

/// What the book of tags needs.
enum Next {
    Is(Tag),
    Write(Tag),
}

fn found(known: &[Tag], table: &TableName, tag: &str) -> Result<Tag, LakeError> {
    let of_table = || known.iter().filter(|t| t.table == *table);
    of_table().find(|t| t.tag == tag).cloned().ok_or_else(|| {
        let near = near::misses(tag, of_table().map(|t| t.tag.clone()));
        LakeError::NoTag { table: table.clone(), tag: tag.to_owned(), near }
    })
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
        let opened = self.known.open(table, &State::At(at.map_or(At::Latest, At::Version))).await?;
        // One that is there may have a copy of its own.
        if at.is_some() && !self.tags(Some(table)).await?.iter().any(|known| known.tag == tag) {
            self.expect_files(&opened, table).await?;
        }
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
            state: ACTIVE.to_owned(),
            reason: None,
            copy: None,
            rows_digest: None,
        };
        self.note_tag(&|known| match known.iter().find(|t| t.table == *table && t.tag == tag) {
            None => Ok(Next::Write(made.clone())),
            Some(found) if !found.is_active() => Err(gone(found)),
            Some(found) if found.version == made.version => Ok(Next::Is(found.clone())),
            Some(found) => Err(LakeError::TagTaken { table: table.clone(), tag: tag.to_owned(), version: found.version }),
        })
        .await
    }

    /// An older version can be named while its files are there; those that the newest has are.
    async fn expect_files(&self, opened: &DeltaTable, table: &TableName) -> Result<(), LakeError> {
        let snapshot = |opened: &DeltaTable| -> Result<Vec<Path>, LakeError> {
            let state = opened.snapshot().map_err(LakeError::delta("read the snapshot of", table))?;
            Ok(state.log_data().iter().map(|file| file.object_store_path()).collect())
        };
        let newest = self.known.open(table, &State::At(At::Latest)).await?;
        let kept: HashSet<Path> = snapshot(&newest)?.into_iter().collect();
        let store = opened.log_store().object_store(None);
        let left = stream::iter(snapshot(opened)?.into_iter().filter(|path| !kept.contains(path)));
        let looks = left.map(|path| {
            let store = store.clone();
            async move { store.head(&path).await }
        });
        let mut looks = looks.buffer_unordered(LOOKS);
        while let Some(looked) = looks.next().await {
            match looked {
                Ok(_) => {}
                Err(object_store::Error::NotFound { .. }) => {
                    return Err(LakeError::NoFiles { table: table.clone(), version: opened.version().unwrap_or_default() });
                }
                Err(source) => return Err(LakeError::delta("look for the files of", table)(source.into())),
            }
        }
        Ok(())
    }

    /// Takes a tag's name off its version. The name stays in the book, with the reason, and is never given again.
    ///
    /// # Errors
    /// No such tag; a tag that was dropped before, for another reason; no reason.
    pub async fn drop_tag(&self, table: &TableName, tag: &str, reason: &str, by: &Author) -> Result<Tag, LakeError> {
        if reason.trim().is_empty() {
            return Err(LakeError::NoReason { table: table.clone(), tag: tag.to_owned() });
        }
        self.end_tag(table, tag, DROPPED, reason, by).await
    }

    /// Takes a tag's name off a version whose rows had to go.
    pub(crate) async fn retire_tag(&self, tag: &Tag, reason: &str, by: &Author) -> Result<Tag, LakeError> {
        self.end_tag(&tag.table, &tag.tag, RETIRED, reason, by).await
    }

    /// Writes down a tag that has all it needs.
    pub(crate) async fn add_tag(&self, made: Tag) -> Result<Tag, LakeError> {
        self.note_tag(&|known| match known.iter().find(|t| t.table == made.table && t.tag == made.tag) {
            None => Ok(Next::Write(made.clone())),
            Some(found) => Err(LakeError::TagTaken { table: made.table.clone(), tag: made.tag.clone(), version: found.version }),
        })
        .await
    }

    async fn end_tag(&self, table: &TableName, tag: &str, state: &str, reason: &str, by: &Author) -> Result<Tag, LakeError> {
        let ended = self
            .note_tag(&|known| {
                let found = found(known, table, tag)?;
                match found.is_active() {
                    true => Ok(Next::Write(Tag {
                        state: state.to_owned(),
                        reason: Some(reason.to_owned()),
                        actor: by.actor.clone(),
                        at: by.at,
                        ..found
                    })),
                    false if found.reason.as_deref() == Some(reason) => Ok(Next::Is(found)),
                    false => Err(gone(&found)),
                }
            })
            .await?;
        if let Some(copy) = copy_of(&ended) {
            self.tables.store().remove(&copy).await?;
        }
        Ok(ended)
    }

    /// Copies the rows of a tagged version, so that they outlive the table's own files. From then on the tag reads the copy.
    ///
    /// # Errors
    /// No such tag, or rows that cannot be read or written.
    pub async fn materialize_tag(&self, table: &TableName, tag: &str, by: &Author) -> Result<Tag, LakeError> {
        let tagged = active(&self.tables, table, tag).await?;
        if tagged.copy.is_some() {
            return Ok(tagged);
        }
        let copied = Tag { copy: Some(copy_name(table, tag).name), actor: by.actor.clone(), at: by.at, ..tagged };
        let Some(copy) = copy_of(&copied) else { return Ok(copied) };
        // One commit: the copy of an earlier attempt is whole, or there is none.
        if self.known.newest(&copy).await?.is_none() {
            let opened = self.known.open(table, &State::At(At::Version(copied.version))).await?;
            let rows = async { self.session().read_table(catalog::provider(&opened).await?) };
            let rows = rows.await.map_err(LakeError::query("read", table))?;
            self.commit(&copy, None, rows, &WriteOptions::default(), Some(0)).await?;
        }
        self.note_tag(&|known| {
            let found = found(known, table, tag)?;
            match (found.is_active(), found.copy.is_some()) {
                (true, false) => Ok(Next::Write(copied.clone())),
                (true, true) => Ok(Next::Is(found)),
                (false, _) => Err(gone(&found)),
            }
        })
        .await
    }

    /// Writes a row into the book of tags, or finds that it is there: `judge` sees the tags in the very snapshot that the commit
    /// starts from, and without retries nothing can slip between.
    async fn note_tag(&self, judge: &(dyn Fn(&[Tag]) -> Result<Next, LakeError> + Sync)) -> Result<Tag, LakeError> {
        let book = ops::table("tags");
        let mut attempt = 0;
        loop {
            let before = self.known.newest(&book).await?;
            let known = match &before {
                Some(opened) => of(opened).await?,
                None => Vec::new(),
            };
            let row = match judge(&known)? {
                Next::Is(tag) => return Ok(tag),
                Next::Write(row) => row,
            };
            let rows = self.session().read_batch(batch(std::slice::from_ref(&row))?).map_err(LakeError::query("write", &book))?;
            match self.commit(&book, before, rows, &WriteOptions::default(), Some(0)).await {
                Ok(_) => return Ok(row),
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
