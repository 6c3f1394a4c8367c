//! The Delta tables of a lake, and how one is opened at a state.

use deltalake::{DeltaTable, DeltaTableError};
use futures::future::try_join_all;
use polder_base::{At, Layout, TableName, Timestamp};

use crate::store::Store;
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

/// Opens the tables of a lake; it holds no state.
#[derive(Clone, Debug)]
pub(crate) struct Tables {
    layout: Layout,
    store: Store,
}

impl Tables {
    pub(crate) fn new(layout: Layout, store: Store) -> Self {
        Self { layout, store }
    }

    /// Where they stand.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// Lists all tables, sorted within the order of [`SCHEMAS`].
    pub(crate) async fn all(&self) -> Result<Vec<TableName>, LakeError> {
        let names = try_join_all(SCHEMAS.iter().map(|schema| self.store.names(schema))).await?;
        let of_schema =
            |(schema, names): (&&str, Vec<String>)| names.into_iter().map(|name| TableName::new(*schema, name)).collect::<Vec<_>>();
        Ok(SCHEMAS.iter().zip(names).flat_map(of_schema).collect())
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Makes a handle without reading anything.
    pub(crate) fn handle(&self, table: &TableName) -> Result<DeltaTable, LakeError> {
        self.store.handle(table)
    }

    /// Opens the newest version; `None` where there is no table.
    pub(crate) async fn newest(&self, table: &TableName) -> Result<Option<DeltaTable>, LakeError> {
        let handle = self.handle(table)?;
        match load(handle.clone()).await {
            Ok(opened) => Ok(opened),
            Err(_) if !self.store.exists(table).await? => Ok(None),
            // Another writer may have made it between the two looks.
            Err(_) => load(handle).await.map_err(LakeError::delta("open", table)),
        }
    }

    /// Opens a table at a state; the error names near misses.
    pub(crate) async fn open(&self, table: &TableName, state: &State) -> Result<DeltaTable, LakeError> {
        let Some(newest) = self.newest(table).await? else { return Err(self.missing(&table.to_string()).await) };
        let latest = newest.version().unwrap_or_default();
        let version = match state {
            State::At(At::Latest) => return Ok(newest),
            State::At(At::Version(version)) => *version,
            State::At(At::Tag(tag)) => {
                let tagged = self.tagged(table, tag).await?;
                if let Some(copy) = tags::copy_of(&tagged) {
                    return match self.newest(&copy).await? {
                        Some(opened) => Ok(opened),
                        None => Err(self.missing(&copy.to_string()).await),
                    };
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
    pub(crate) async fn missing(&self, name: &str) -> LakeError {
        // Near misses are a courtesy: a store that does not list its tables says so elsewhere.
        let known = self.all().await.unwrap_or_default();
        LakeError::NoTable { name: name.to_owned(), near: near::misses(name, known.iter().map(TableName::to_string)) }
    }
}

/// Loads the newest version; `None` where there is no log, or one whose first commit never landed.
async fn load(mut handle: DeltaTable) -> Result<Option<DeltaTable>, DeltaTableError> {
    match handle.load().await {
        Ok(()) => Ok(Some(handle)),
        Err(DeltaTableError::NotATable(_)) => Ok(None),
        Err(e) => Err(e),
    }
}
