//! Sources are read as they stand, and what cannot be read is told with its place.

mod archives;
mod columns;
#[cfg(all(feature = "mysql", feature = "postgres", feature = "sqlite"))]
mod databases;
mod follow;
mod formats;
mod limits;
mod property;
mod stores;
mod web;

use std::fs;
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::runtime::Runtime;
use url::Url;

use crate::{Bad, Fault, Flow, IngestError, Item, Member, Outside, Reading, Record, Request, Sink, StoredObject, Tally};

/// Says where a table would be, and knows one store, `s3://bucket`, that holds what stands in a folder.
struct Elsewhere(PathBuf);

impl Outside for Elsewhere {
    fn read_table(&self, folder: &Path, member: Member, sink: &mut Sink<'_>) -> Flow {
        sink.bad(member, Fault::new("table", folder.file_name().expect("name").to_string_lossy()))
    }

    fn list(&self, address: &Url) -> Result<Vec<StoredObject>, String> {
        if address.host_str() != Some("bucket") {
            return Err("there is no such bucket".into());
        }
        let mut all = Vec::new();
        for entry in ignore::Walk::new(&self.0).flatten().filter(|e| e.path().is_file()) {
            let key = entry.path().strip_prefix(&self.0).expect("below").to_string_lossy().into_owned();
            let found = Url::parse("s3://bucket/").and_then(|base| base.join(&key)).expect("an address");
            if found.path().starts_with(address.path()) {
                let data = entry.metadata().expect("metadata");
                all.push(StoredObject { address: found, bytes: data.len(), modified: data.modified().ok() });
            }
        }
        Ok(all)
    }

    fn open(&self, address: &Url) -> Result<Box<dyn Read>, String> {
        let path = self.0.join(address.path().trim_start_matches('/').replace("%20", " "));
        fs::File::open(path).map(|f| Box::new(f) as Box<dyn Read>).map_err(|e| e.to_string())
    }
}

/// All that a request gives.
#[derive(Default)]
struct Found {
    records: Vec<Record>,
    bad: Vec<Bad>,
    tally: Tally,
}

impl Found {
    fn texts(&self) -> Vec<&str> {
        self.records.iter().map(|r| r.text.as_str()).collect()
    }

    fn paths(&self) -> Vec<&str> {
        self.records.iter().map(|r| r.path.as_str()).collect()
    }

    fn reasons(&self) -> Vec<&str> {
        self.bad.iter().map(|b| b.reason).collect()
    }
}

fn try_read(request: &Request, outside: Elsewhere) -> Result<Found, IngestError> {
    let runtime = Runtime::new().expect("runtime");
    let mut reading = Reading::start(request, Arc::new(outside), runtime.handle().clone())?;
    let mut found = Found::default();
    while let Some(batch) = reading.next_batch() {
        found.tally.files += batch.tally.files;
        found.tally.packages += batch.tally.packages;
        found.tally.links += batch.tally.links;
        found.tally.is_limited |= batch.tally.is_limited;
        for item in batch.items {
            match item {
                Item::Record(record) => found.records.push(*record),
                Item::Bad(bad) => found.bad.push(*bad),
            }
        }
    }
    Ok(found)
}

fn read(request: &Request) -> Found {
    try_read(request, Elsewhere(PathBuf::new())).expect("read")
}

fn of(root: &Path) -> Request {
    Request::new(vec![root.to_string_lossy().into_owned()])
}

fn put(root: &Path, path: &str, bytes: impl AsRef<[u8]>) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().expect("parent")).expect("folder");
    fs::write(path, bytes).expect("file");
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("temporary folder")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(bytes).expect("gzip");
    gzip.finish().expect("gzip")
}

fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = ::tar::Builder::new(Vec::new());
    for (name, bytes) in members {
        let mut header = ::tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, *bytes).expect("member");
    }
    tar.into_inner().expect("tar")
}
