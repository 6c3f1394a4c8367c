//! Where the tables of a lake stand: in its own folder, or under a prefix of an object store. All that is asked of either goes through here:
//! a table's handle, whether it is there, which there are, and that it goes.
//!
//! It knows no statement and no tag. What opens a store comes in as a value, [`StoreAccess`], and stays in memory.

mod error;
mod guard;
mod place;
mod profile;

use std::fs;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use deltalake::DeltaTable;
use deltalake::logstore::{StorageConfig, default_logstore};
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::local::LocalFileSystem;
use object_store::path::Path as StorePath;
use object_store::prefix::PrefixStore;
use object_store::{Error, ObjectStore, ObjectStoreExt as _, PutMode};
use polder_base::TableName;
use tokio::runtime::{Builder, Runtime};
use url::Url;

pub use self::error::StoreError;
pub use self::place::{Place, StoreAccess};
use crate::LakeError;

/// Tables that are asked for side by side.
const N_ASKED: usize = 16;
/// Threads that talk to object stores: they wait, and decrypt.
const N_THREADS: usize = 2;
/// A table that is written while it is taken away is looked at so often again.
const ROUNDS: usize = 3;

/// Holds the tables of one lake.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    /// The whole of what they stand in: the file system, or a bucket.
    root: Arc<dyn ObjectStore>,
    /// Where in it; ends in `/`.
    url: Url,
    /// The same as a folder, where it is one.
    folder: Option<PathBuf>,
}

impl Store {
    /// Tables in a folder of this machine.
    pub(crate) fn in_folder(folder: &Path) -> Result<Self, LakeError> {
        let io = |source| LakeError::Io { step: "find", path: folder.to_owned(), source };
        let folder = folder.canonicalize().or_else(|_| std::path::absolute(folder)).map_err(io)?;
        let url = Url::from_directory_path(&folder)
            .map_err(|()| LakeError::Settings { path: folder.clone(), reason: "its path is no address".into() })?;
        Ok(Self { root: Arc::new(LocalFileSystem::new()), url, folder: Some(folder) })
    }

    /// Tables at a place of an object store. Nothing is asked of it yet.
    pub(crate) fn at(place: &Place, access: &StoreAccess) -> Result<Self, LakeError> {
        Ok(Self { root: access.open(place)?, url: place.url().clone(), folder: None })
    }

    fn url_of(&self, table: &TableName) -> Result<Url, LakeError> {
        // Names are plain: what stands in them needs no other spelling in an address.
        let wrong = |e: url::ParseError| LakeError::Settings { path: self.url.as_str().into(), reason: e.to_string() };
        self.url.join(&format!("{}/{}/", table.schema, table.name)).map_err(wrong)
    }

    fn path(&self, below: &str) -> Result<StorePath, LakeError> {
        StorePath::from_url_path(format!("{}{below}", self.url.path())).map_err(|e| self.failed("name", below)(e.into()))
    }

    /// Makes a handle of a table without asking for it.
    pub(crate) fn handle(&self, table: &TableName) -> Result<DeltaTable, LakeError> {
        let url = self.url_of(table)?;
        let prefix = self.path(&format!("{}/{}", table.schema, table.name))?;
        let prefixed = Arc::new(PrefixStore::new(self.root.clone(), prefix));
        Ok(DeltaTable::new(default_logstore(prefixed, self.root.clone(), &url, &StorageConfig::default())))
    }

    /// Says whether a table stands there: whether its log has any entry.
    pub(crate) async fn exists(&self, table: &TableName) -> Result<bool, LakeError> {
        let log = self.path(&format!("{}/{}/_delta_log", table.schema, table.name))?;
        let mut entries = self.root.list(Some(&log));
        while let Some(entry) = entries.next().await {
            let entry = entry.map_err(self.failed("list", &table.to_string()))?;
            if matches!(entry.location.extension(), Some("json" | "parquet")) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Lists the names of the tables in a schema, sorted.
    pub(crate) async fn names(&self, schema: &str) -> Result<Vec<String>, LakeError> {
        let listed = self.root.list_with_delimiter(Some(&self.path(schema)?)).await.map_err(self.failed("list", schema))?;
        let names = listed.common_prefixes.iter().filter_map(|p| p.filename().map(str::to_owned)).filter(|n| !n.starts_with('.'));
        let found = futures::stream::iter(names.collect::<Vec<_>>()).map(|name| async move {
            let there = self.exists(&TableName::new(schema, &name)).await?;
            Ok::<_, LakeError>(there.then_some(name))
        });
        let mut names: Vec<String> = found.buffered(N_ASKED).try_filter_map(|name| async { Ok(name) }).try_collect().await?;
        names.sort();
        Ok(names)
    }

    /// Takes a table away, if it is there. A folder is renamed first: what is left of a removal that is broken off is no table. In an object
    /// store the rows go first and the log last: what is left has its name still, and is taken away by the next attempt.
    pub(crate) async fn remove(&self, table: &TableName) -> Result<(), LakeError> {
        match &self.folder {
            Some(folder) => remove_folder(&folder.join(&table.schema).join(&table.name)),
            None => self.remove_objects(table).await,
        }
    }

    async fn remove_objects(&self, table: &TableName) -> Result<(), LakeError> {
        let (all, name) = (self.path(&format!("{}/{}", table.schema, table.name))?, table.to_string());
        let log = self.path(&format!("{}/{}/_delta_log", table.schema, table.name))?;
        for _ in 0..ROUNDS {
            let listed = self.root.list(Some(&all)).map_ok(|object| object.location).try_collect::<Vec<_>>().await;
            let (entries, data): (Vec<_>, Vec<_>) =
                listed.map_err(self.failed("list", &name))?.into_iter().partition(|p| p.prefix_matches(&log));
            if entries.is_empty() && data.is_empty() {
                break;
            }
            for part in [data, entries] {
                let part = futures::stream::iter(part.into_iter().map(Ok)).boxed();
                self.root.delete_stream(part).try_for_each(|_| async { Ok(()) }).await.map_err(self.failed("remove", &name))?;
            }
        }
        Ok(())
    }

    /// Asks whether the place can be read and written, and whether it keeps the promise that commits stand on: of two who make the same
    /// object, one is told so.
    pub(crate) async fn probe(&self, id: &str) -> Result<(), LakeError> {
        let place = self.url.as_str().trim_end_matches('/').to_owned();
        self.root.list(Some(&self.path("")?)).next().await.transpose().map_err(self.failed("list", ""))?;
        let path = self.path(&format!(".polder-{id}"))?;
        self.root.put_opts(&path, "1".into(), PutMode::Create.into()).await.map_err(self.failed("write", ""))?;
        let again = self.root.put_opts(&path, "2".into(), PutMode::Create.into()).await;
        self.root.delete(&path).await.map_err(self.failed("remove from", ""))?;
        match again {
            Err(Error::AlreadyExists { .. }) => Ok(()),
            Ok(_) => Err(StoreError::NoConditions { place }.into()),
            Err(e) => Err(self.failed("write", "")(e)),
        }
    }

    fn failed(&self, step: &'static str, what: &str) -> impl FnOnce(Error) -> LakeError {
        let what = if what.is_empty() { self.url.as_str().trim_end_matches('/').to_owned() } else { what.to_owned() };
        move |source| match source {
            Error::Generic { source, .. } if source.is::<StoreError>() => match source.downcast::<StoreError>() {
                Ok(ours) => LakeError::Store(*ours),
                Err(source) => LakeError::Objects { step, what, source: Error::Generic { store: "object store", source } },
            },
            source => LakeError::Objects { step, what, source },
        }
    }
}

fn remove_folder(folder: &Path) -> Result<(), LakeError> {
    let stem = folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let aside = folder.with_file_name(format!(".{stem}.dropped"));
    let io = |step, path: &Path| {
        let path = path.to_owned();
        move |source| LakeError::Io { step, path, source }
    };
    if aside.exists() {
        fs::remove_dir_all(&aside).map_err(io("remove", &aside))?;
    }
    if !folder.exists() {
        return Ok(());
    }
    fs::rename(folder, &aside).map_err(io("rename", folder))?;
    fs::remove_dir_all(&aside).map_err(io("remove", &aside))
}

/// Threads that talk to object stores, whatever the caller's runtime does meanwhile; `None` where the system gives none.
fn threads() -> Option<&'static Runtime> {
    static THREADS: OnceLock<Option<Runtime>> = OnceLock::new();
    let make = || Builder::new_multi_thread().worker_threads(N_THREADS).thread_name("store").enable_all().build().ok();
    THREADS.get_or_init(make).as_ref()
}

/// Waits for the store where the engine gives no way to be asynchronous: in its listing of names. No request goes through the caller's
/// runtime, so none waits for the thread that waits here.
pub(crate) fn wait<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Option<T> {
    futures::executor::block_on(threads()?.spawn(work)).ok()
}
