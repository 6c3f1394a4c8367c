//! Where the Delta tables stand, and how one is opened at a state.

use std::fs;
use std::path::{Path, PathBuf};

use deltalake::{DeltaTable, DeltaTableBuilder, DeltaTableError, ensure_table_uri};
use polder_base::{At, Layout, TableName, Timestamp};

use crate::{LakeError, commits, near, tags};

/// The schemas of a lake.
pub const SCHEMAS: [&str; 6] = ["raw", "clean", "pile", "eval", "feedback", "ops"];

/// The state of a table that a name asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// One that references can say.
    At(At),
    /// The newest commit at or before a time.
    Time(Timestamp),
}

/// Opens the tables under a lake's folder; it holds no state.
#[derive(Clone, Debug)]
pub(crate) struct Tables {
    layout: Layout,
}

impl Tables {
    pub(crate) fn new(layout: Layout) -> Self {
        Self { layout }
    }

    fn folder(&self, table: &TableName) -> PathBuf {
        self.layout.tables().join(&table.schema).join(&table.name)
    }

    /// Says whether a table stands there, by a look at its log's folder.
    pub(crate) fn exists(&self, table: &TableName) -> bool {
        self.folder(table).join("_delta_log").is_dir()
    }

    /// Lists the names in a schema, sorted.
    pub(crate) fn names(&self, schema: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.layout.tables().join(schema)) else { return Vec::new() };
        let mut names: Vec<String> = entries
            .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
            .filter(|name| !name.starts_with('.') && self.exists(&TableName::new(schema, name)))
            .collect();
        names.sort();
        names
    }

    /// Lists all tables, sorted within the order of [`SCHEMAS`].
    pub(crate) fn all(&self) -> Vec<TableName> {
        SCHEMAS.iter().flat_map(|schema| self.names(schema).into_iter().map(|name| TableName::new(*schema, name))).collect()
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Takes a table away. Its folder is renamed first: what is left of a removal that is broken off is no table.
    pub(crate) fn remove(&self, table: &TableName) -> Result<(), LakeError> {
        let folder = self.folder(table);
        let stem = folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let aside = folder.with_file_name(format!(".{stem}.dropped"));
        let io = |step, path: &Path| {
            let path = path.to_owned();
            move |source| LakeError::Io { step, path, source }
        };
        if aside.exists() {
            fs::remove_dir_all(&aside).map_err(io("remove", &aside))?;
        }
        fs::rename(&folder, &aside).map_err(io("rename", &folder))?;
        fs::remove_dir_all(&aside).map_err(io("remove", &aside))
    }

    /// Makes a handle without reading anything; the table's folder is made when it is missing.
    pub(crate) fn handle(&self, table: &TableName) -> Result<DeltaTable, LakeError> {
        let folder = self.folder(table);
        let url = ensure_table_uri(folder.to_string_lossy()).map_err(LakeError::delta("find", table))?;
        DeltaTableBuilder::from_url(url).and_then(DeltaTableBuilder::build).map_err(LakeError::delta("open", table))
    }

    /// Opens the newest version; `None` where there is no table.
    pub(crate) async fn newest(&self, table: &TableName) -> Result<Option<DeltaTable>, LakeError> {
        if !self.exists(table) {
            return Ok(None);
        }
        let mut handle = self.handle(table)?;
        match handle.load().await {
            Ok(()) => Ok(Some(handle)),
            // A folder whose first commit never landed.
            Err(DeltaTableError::NotATable(_)) => Ok(None),
            Err(_) if !has_commits(&self.folder(table)) => Ok(None),
            Err(e) => Err(LakeError::delta("open", table)(e)),
        }
    }

    /// Opens a table at a state; the error names near misses.
    pub(crate) async fn open(&self, table: &TableName, state: &State) -> Result<DeltaTable, LakeError> {
        let Some(newest) = self.newest(table).await? else { return Err(self.missing(&table.to_string())) };
        let latest = newest.version().unwrap_or_default();
        let version = match state {
            State::At(At::Latest) => return Ok(newest),
            State::At(At::Version(version)) => *version,
            State::At(At::Tag(tag)) => {
                let tagged = self.tagged(table, tag).await?;
                if let Some(copy) = tags::copy_of(&tagged) {
                    return self.newest(&copy).await?.ok_or_else(|| self.missing(&copy.to_string()));
                }
                tagged.version
            }
            State::Time(time) => commits::version_at(&newest, table, *time).await?,
        };
        if version > latest {
            return Err(LakeError::NoVersion { table: table.clone(), version, latest });
        }
        if version == latest {
            return Ok(newest);
        }
        let mut handle = self.handle(table)?;
        handle.load_version(version).await.map_err(LakeError::delta("open an older version of", table))?;
        Ok(handle)
    }

    async fn tagged(&self, table: &TableName, tag: &str) -> Result<tags::Tag, LakeError> {
        let all = tags::read(self, Some(table)).await?;
        match all.iter().find(|t| t.tag == tag) {
            Some(found) if found.is_active() => Ok(found.clone()),
            Some(found) => Err(tags::gone(found)),
            None => {
                let near = near::misses(tag, all.into_iter().map(|t| t.tag));
                Err(LakeError::NoTag { table: table.clone(), tag: tag.to_owned(), near })
            }
        }
    }

    /// The error for a table that is not there.
    pub(crate) fn missing(&self, name: &str) -> LakeError {
        LakeError::NoTable { name: name.to_owned(), near: near::misses(name, self.all().iter().map(TableName::to_string)) }
    }
}

fn has_commits(folder: &Path) -> bool {
    fs::read_dir(folder.join("_delta_log"))
        .is_ok_and(|entries| entries.flatten().any(|e| matches!(e.path().extension().and_then(|x| x.to_str()), Some("json" | "parquet"))))
}
