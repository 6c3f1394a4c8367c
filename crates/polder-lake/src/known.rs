//! Tables that this lake's handle has opened before: to open one again takes a look at what has been committed since, and no
//! reading of its log from the last checkpoint on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use deltalake::logstore::commit_uri_from_version;
use deltalake::logstore::object_store::ObjectStoreExt as _;
use deltalake::{DeltaTable, ObjectMeta, ObjectStoreError};
use polder_base::{At, TableName};

use crate::LakeError;
use crate::tables::{State, Tables};

/// The newest version of each table that was opened, as it was then. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    tables: Tables,
    seen: Arc<Mutex<HashMap<TableName, Seen>>>,
}

#[derive(Clone, Debug)]
struct Seen {
    table: DeltaTable,
    /// What its newest commit's entry looked like: after DROP and CREATE, the same version is another commit.
    entry: ObjectMeta,
}

impl Known {
    pub(crate) fn new(tables: Tables) -> Self {
        Self { tables, seen: Arc::default() }
    }

    pub(crate) fn tables(&self) -> &Tables {
        &self.tables
    }

    /// Opens the newest version, whoever made it; `None` where there is no table.
    pub(crate) async fn newest(&self, table: &TableName) -> Result<Option<DeltaTable>, LakeError> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).get(table).cloned();
        let opened = match seen {
            Some(seen) => match advanced(seen).await {
                Some(opened) => Some(opened),
                None => self.tables.newest(table).await?,
            },
            None => self.tables.newest(table).await?,
        };
        match &opened {
            Some(opened) => self.keep(table, opened).await,
            None => self.forget(table),
        }
        Ok(opened)
    }

    /// Opens a table at a state; the error names near misses.
    pub(crate) async fn open(&self, table: &TableName, state: &State) -> Result<DeltaTable, LakeError> {
        let Some(newest) = self.newest(table).await? else { return Err(self.tables.missing(&table.to_string()).await) };
        let latest = newest.version().unwrap_or_default();
        match state {
            State::At(At::Latest) => Ok(newest),
            State::At(At::Version(version)) if *version == latest => Ok(newest),
            State::At(At::Version(version)) if *version < latest => {
                let mut older = self.tables.handle(table)?;
                older.load_version(*version).await.map_err(LakeError::delta("open an older version of", table))?;
                Ok(older)
            }
            _ => self.tables.open(table, state).await,
        }
    }

    /// Remembers a table as it is after a commit of our own.
    pub(crate) async fn keep(&self, table: &TableName, opened: &DeltaTable) {
        match entry(opened).await {
            Some(entry) => {
                let seen = Seen { table: opened.clone(), entry };
                self.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(table.clone(), seen);
            }
            None => self.forget(table),
        }
    }

    fn forget(&self, table: &TableName) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).remove(table);
    }
}

/// The entry of a table's commit, where it is there still.
async fn entry(opened: &DeltaTable) -> Option<ObjectMeta> {
    opened.object_store().head(&commit_uri_from_version(opened.version())).await.ok()
}

/// Brings what was seen up to the newest version; `None` where it must be opened anew.
async fn advanced(mut seen: Seen) -> Option<DeltaTable> {
    let is_same = |now: Option<ObjectMeta>| now.is_some_and(|now| now == seen.entry);
    let first = seen.table.clone();
    if !is_same(entry(&first).await) {
        return None;
    }
    let next = commit_uri_from_version(first.version().map(|v| v + 1));
    match first.object_store().head(&next).await {
        Err(ObjectStoreError::NotFound { .. }) => Some(first),
        Ok(_) => {
            seen.table.update_incremental(None).await.ok()?;
            // Whether what was read was still the same table's log.
            is_same(entry(&first).await).then_some(seen.table)
        }
        Err(_) => None,
    }
}
