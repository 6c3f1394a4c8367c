//! What is asked for, and how it is to be read.

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use tokio::runtime::Handle;
use url::Url;

use crate::mapping::{Mapping, Wanted};
use crate::readers::Format;
use crate::record::{Flow, Member, Sink};

/// In which order packages are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// By path.
    #[default]
    Path,
    /// By SHA-256 of the package's name: a sample that does not depend on which other packages there are.
    PackageHash,
}

/// What reading may cost before it is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Larger documents go to quarantine.
    pub record_bytes_max: u64,
    /// What one file may become when it is decompressed and unpacked.
    pub expanded_bytes_max: u64,
    /// How many times larger than itself compressed data may become.
    pub expansion_ratio_max: u64,
    /// Archives within archives.
    pub depth_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { record_bytes_max: 4_000_000, expanded_bytes_max: 200_000_000_000, expansion_ratio_max: 200, depth_max: 3 }
    }
}

/// What becomes of web pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pages {
    /// They are kept as they are; `html_text` makes text of them later, and what they say about licence and opting out is not lost.
    #[default]
    Source,
    /// Their main text.
    Text,
}

/// What to read, and how.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Folders, files, patterns with `*`, `?` and `**`, `http(s)://` addresses, those of object stores: an object, or all below a prefix; and
    /// those of databases: `postgres://USER@HOST/DATABASE?table=SCHEMA.NAME`, `mysql://…`, `sqlite:PATH?table=NAME`.
    pub sources: Vec<String>,
    /// What the records say as their source; by default the folder's name, or the address's host.
    pub source_name: Option<String>,
    /// Packages are taken in order while they fit into this much text. One package gives at most a quarter of it,
    /// by the hash of its files' paths, so that a giant does not become the sample; of files with many records,
    /// as many are taken as fit.
    pub limit_bytes: Option<u64>,
    /// In which order packages are taken.
    pub order: Order,
    /// What the files are, where their names do not tell.
    pub format: Option<Format>,
    /// The SELECT whose rows are read of databases, in place of a table's. Where the address names a table all the same, its rows are those
    /// of that table: they have its address and its key.
    pub query: Option<String>,
    /// Which columns of structured records become what.
    pub mapping: Mapping,
    /// What becomes of web pages.
    pub pages: Pages,
    /// What reading may cost.
    pub limits: Limits,
    /// Whether addresses of this machine and of private networks may be read. Databases are read in any case: whoever writes a user and a
    /// database into an address means that one, and a database answers only with what it holds.
    pub allow_private: bool,
    /// Remembers the files that were read, so that only new and changed ones are read the next time.
    pub only_changed: Option<Arc<Mutex<Seen>>>,
}

/// Files as they were when they were read, for a source that is followed.
#[derive(Debug, Default)]
pub struct Seen {
    /// Size and time of change of each file: when it was looked at last, and when it was read.
    files: HashMap<u128, (Sighting, Option<Sighting>)>,
}

type Sighting = (u64, Option<SystemTime>);

impl Seen {
    /// Whether a file is to be read: it has changed since it was read, and no more since it was looked at.
    pub(crate) fn is_due(&mut self, place: u128, now: Sighting) -> bool {
        let Some((looked, read)) = self.files.get_mut(&place) else {
            self.files.insert(place, (now, None));
            return false;
        };
        let is_settled = std::mem::replace(looked, now) == now;
        if !is_settled || *read == Some(now) {
            return false;
        }
        *read = Some(now);
        true
    }
}

impl Request {
    /// Asks for all of the sources, in order of path.
    pub fn new(sources: Vec<String>) -> Self {
        Self { sources, ..Self::default() }
    }
}

/// What this crate does not know: tables, and object stores. All of it may wait.
pub trait Outside: Send + Sync {
    /// Puts the rows of the table in `folder` into the sink.
    ///
    /// # Errors
    /// [`Gone`](crate::Gone) where nobody takes what is found.
    fn read_table(&self, folder: &Path, member: Member, sink: &mut Sink<'_>) -> Flow;

    /// Lists the object at an address, or those below it.
    ///
    /// # Errors
    /// There is no such store, or it does not answer, in words.
    fn list(&self, address: &Url) -> Result<Vec<StoredObject>, String>;

    /// Reads an object.
    ///
    /// # Errors
    /// The same.
    fn open(&self, address: &Url) -> Result<Box<dyn Read>, String>;
}

/// An object in a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredObject {
    /// Where it is.
    pub address: Url,
    /// Its size.
    pub bytes: u64,
    /// When it was written.
    pub modified: Option<SystemTime>,
}

/// What a reader needs to know.
pub(crate) struct Settings {
    pub(crate) wanted: Wanted,
    pub(crate) limits: Limits,
    pub(crate) pages: Pages,
    pub(crate) format: Option<Format>,
    pub(crate) allow_private: bool,
    pub(crate) outside: Arc<dyn Outside>,
    /// Runs what waits for the network.
    pub(crate) handle: Handle,
}

impl Settings {
    pub(crate) fn new(request: &Request, outside: Arc<dyn Outside>, handle: Handle) -> Self {
        Self {
            wanted: Wanted::new(&request.mapping),
            limits: request.limits,
            pages: request.pages,
            format: request.format,
            allow_private: request.allow_private,
            outside,
            handle,
        }
    }
}
