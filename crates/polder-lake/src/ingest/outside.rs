//! What the readers of files do not know: Delta tables of others, of which the newest version's rows are read, one a document;
//! and objects of stores.

use std::collections::HashMap;
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::dataframe::DataFrame;
use deltalake::{DeltaTableBuilder, ensure_table_uri};
use futures::TryStreamExt as _;
use object_store::path::Path as StorePath;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt as _};
use polder_ingest::{Fault, Flow, Member, Outside, Pieces, Sink, StoredObject, rows, with_causes};
use tokio::runtime::Handle;
use url::Url;

use crate::{Lake, Place, StoreAccess, catalog};

/// Reads tables and objects for the readers of files.
pub(super) struct Elsewhere {
    lake: Lake,
    handle: Handle,
    access: StoreAccess,
    /// Stores that were opened, by the address of the bucket.
    stores: Mutex<HashMap<String, Arc<dyn ObjectStore>>>,
}

impl Elsewhere {
    pub(super) fn new(lake: &Lake, access: StoreAccess) -> Self {
        Self { lake: lake.clone(), handle: Handle::current(), access, stores: Mutex::default() }
    }

    fn table(&self, folder: &Path) -> Result<DataFrame, String> {
        let session = self.lake.session_with(Some(1));
        self.handle.block_on(async {
            let url = ensure_table_uri(folder.to_string_lossy()).map_err(|e| e.to_string())?;
            let table = DeltaTableBuilder::from_url(url).map_err(|e| e.to_string())?.load().await.map_err(|e| e.to_string())?;
            let provider = catalog::provider(&table).await.map_err(|e| e.to_string())?;
            session.read_table(provider).map_err(|e| e.to_string())
        })
    }

    /// The store that an address names, and the path in it.
    fn find(&self, address: &Url) -> Result<(Arc<dyn ObjectStore>, StorePath), String> {
        let bucket = format!("{}://{}", address.scheme(), address.host_str().unwrap_or_default());
        let path = StorePath::from_url_path(address.path()).map_err(|e| e.to_string())?;
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = stores.get(&bucket) {
            return Ok((store.clone(), path));
        }
        let place: Place = bucket.parse().map_err(|e| with_causes(&e))?;
        let store = self.access.open(&place).map_err(|e| with_causes(&e))?;
        stores.insert(bucket, store.clone());
        Ok((store, path))
    }
}

impl Outside for Elsewhere {
    /// Rows are told apart by their content: where they stand changes when the table is compacted.
    fn read_table(&self, folder: &Path, member: Member, sink: &mut Sink<'_>) -> Flow {
        let frame = match self.table(folder) {
            Ok(frame) => frame,
            Err(e) => return sink.bad(member, Fault::new("corrupt", e)),
        };
        let names = rows::names(frame.schema().as_arrow());
        let (read, columns) = match rows::wanted(&names, sink) {
            Ok(found) => found,
            Err(fault) => return sink.bad(member, fault),
        };
        let read: Vec<&str> = read.iter().map(|i| names[*i].as_str()).collect();
        let stream = self.handle.block_on(async { frame.select_columns(&read)?.execute_stream().await });
        let mut stream = match stream {
            Ok(stream) => stream,
            Err(e) => return sink.bad(member, Fault::new("corrupt", e.to_string())),
        };
        let mut n = 0;
        loop {
            match self.handle.block_on(stream.try_next()) {
                Ok(Some(batch)) => {
                    rows::read(&member, &batch, &columns, n, true, sink)?;
                    n += batch.num_rows() as u64;
                }
                Ok(None) if n == 0 => return sink.bad(member, Fault::new("empty", "no rows")),
                Ok(None) => return Ok(()),
                Err(e) => return sink.bad(member.part(&format!("row={}", n + 1)), Fault::new("corrupt", e.to_string())),
            }
        }
    }
    fn list(&self, address: &Url) -> Result<Vec<StoredObject>, String> {
        let (store, path) = self.find(address)?;
        let listed: object_store::Result<Vec<ObjectMeta>> = self.handle.block_on(async {
            // An address that ends in `/` is that of a prefix, and an object may have the name of one.
            if !address.path().ends_with('/') {
                match store.head(&path).await {
                    Ok(found) => return Ok(vec![found]),
                    Err(object_store::Error::NotFound { .. }) => {}
                    Err(e) => return Err(e),
                }
            }
            store.list(Some(&path)).try_collect().await
        });
        let address_of = |path: &StorePath| {
            let mut found = address.clone();
            found.set_path(&format!("/{path}"));
            found
        };
        let object =
            |o: ObjectMeta| StoredObject { address: address_of(&o.location), bytes: o.size, modified: Some(o.last_modified.into()) };
        listed.map(|all| all.into_iter().map(object).collect()).map_err(|e| with_causes(&e))
    }

    fn open(&self, address: &Url) -> Result<Box<dyn Read>, String> {
        let (store, path) = self.find(address)?;
        let found = self.handle.block_on(store.get(&path)).map_err(|e| with_causes(&e))?;
        let (handle, mut pieces) = (self.handle.clone(), found.into_stream());
        let next =
            move || handle.block_on(pieces.try_next()).map_err(|e| io::Error::new(io::ErrorKind::ConnectionAborted, with_causes(&e)));
        Ok(Box::new(Pieces::new(next)))
    }
}
