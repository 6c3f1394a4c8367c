//! Which files a source holds, to which package each belongs, and in which order they are read.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use ignore::WalkBuilder;
use polder_base::digest_bytes;
use url::Url;

use crate::database::Target;
use crate::globs::Source;
use crate::record::{Member, escape, identity};
use crate::settings::{Outside, Seen, StoredObject};
use crate::{IngestError, Order, Request, globs, readers, web};

/// One entry directly below a source, and the package it belongs to.
#[derive(Clone, Debug)]
struct Unit {
    /// Position of its source in the request.
    source_idx: usize,
    /// What rows say as their source.
    source: String,
    /// The folder that relative paths start at.
    root: PathBuf,
    /// The entry.
    entry: Place,
    /// Of an object: its path below the source, its size, and when it was written.
    object: Option<(String, u64, Option<SystemTime>)>,
    /// The package.
    package: String,
    /// Whether the user named this very file.
    is_named: bool,
}

/// Where something to read is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// A file, or a folder to be listed.
    Path(PathBuf),
    /// A folder that holds a Delta table.
    Table(PathBuf),
    /// An address.
    Web(Url),
    /// An object of a store.
    Object(Url),
    /// A table of a database, or a query.
    Database(Arc<Target>),
}

/// Something to read.
#[derive(Clone, Debug)]
pub(crate) struct SourceFile {
    /// Where it is.
    pub(crate) place: Place,
    /// Below its source, with `/`.
    pub(crate) relative: String,
    /// What its rows say as their source.
    pub(crate) source: String,
    /// Its package.
    pub(crate) package: String,
    /// Its size when it was listed.
    pub(crate) bytes: u64,
    /// When it was written, where the listing says so.
    modified: Option<SystemTime>,
    /// Why it could not even be listed.
    pub(crate) unreadable: Option<String>,
    /// Whether the user named this very file.
    pub(crate) is_named: bool,
}

impl SourceFile {
    /// Its address and its path.
    pub(crate) fn member(&self) -> Member {
        let uri = match &self.place {
            Place::Path(path) | Place::Table(path) => {
                let mut uri = String::from("file://");
                escape(path.as_os_str().as_encoded_bytes(), &mut uri);
                uri
            }
            Place::Web(url) | Place::Object(url) => web::without_secrets(url.as_str()),
            Place::Database(target) => target.uri.clone(),
        };
        Member { uri, path: self.relative.clone() }
    }

    /// How much text it gives at most, where that is known before it is read.
    fn weight(&self, record_bytes_max: u64) -> u64 {
        let is_plain = matches!(self.place, Place::Path(_) | Place::Object(_)) && !readers::is_container(&self.relative);
        if is_plain && self.bytes <= record_bytes_max { self.bytes } else { 0 }
    }
}

/// Files that are read one after the other by one thread.
#[derive(Debug, Default)]
pub(crate) struct Task {
    pub(crate) files: Vec<SourceFile>,
    /// Packages that begin with it.
    pub(crate) packages: u64,
    /// Packages of which the limit allowed only a part.
    pub(crate) packages_cut: u64,
    /// Links that were met while its files were listed.
    pub(crate) links: u64,
    /// Whether the limit ends the reading here.
    pub(crate) is_limited: bool,
}

/// Small files are read together, up to so many bytes and files.
const TASK_BYTES: u64 = 1 << 20;
const TASK_FILES: usize = 128;
/// One package gives at most this part of the limit.
const PACKAGE_SHARE: u64 = 4;

/// Lists the tasks of a request, package by package.
pub(crate) struct Listing {
    units: std::vec::IntoIter<Unit>,
    peeked: Option<Unit>,
    limit: u64,
    record_bytes_max: u64,
    /// Weight of the packages so far.
    taken: u64,
    seen: HashSet<u128>,
    /// Links among the entries directly below the sources.
    links: u64,
    n_packages: u64,
    ready: std::vec::IntoIter<Task>,
    is_over: bool,
    only_changed: Option<Arc<Mutex<Seen>>>,
}

impl Listing {
    pub(crate) fn new(request: &Request, outside: &dyn Outside) -> Result<Self, IngestError> {
        let (mut units, mut links) = (Vec::new(), 0);
        let sources = globs::expand(&request.sources)?;
        if request.query.is_some() && !sources.iter().all(|s| matches!(s, Source::Database(_))) {
            return Err(IngestError::Query { reason: "not every source is a database".into() });
        }
        for (i, source) in sources.into_iter().enumerate() {
            match source {
                Source::Path(path) => list(i, &path, request.source_name.as_deref(), &mut units, &mut links)?,
                Source::Web(url) => units.push(page(i, url, request.source_name.as_deref())),
                Source::Database(address) => {
                    let target = Target::find(*address, request.query.as_deref(), &request.mapping)?;
                    units.push(rows(i, target, request.source_name.as_deref()));
                }
                Source::Store(url) => objects(i, &url, request.source_name.as_deref(), outside, &mut units)?,
            }
        }
        sort(&mut units, request.order);
        Ok(Self {
            units: units.into_iter(),
            peeked: None,
            limit: request.limit_bytes.unwrap_or(u64::MAX),
            record_bytes_max: request.limits.record_bytes_max,
            taken: 0,
            seen: HashSet::new(),
            links,
            n_packages: 0,
            ready: Vec::new().into_iter(),
            is_over: false,
            only_changed: request.only_changed.clone(),
        })
    }

    /// Whether some of it is far away.
    pub(crate) fn is_remote(&self) -> bool {
        self.units.as_slice().iter().any(|u| matches!(u.entry, Place::Web(_) | Place::Object(_)))
    }

    /// The next package's units.
    fn package(&mut self) -> Vec<Unit> {
        let mut units: Vec<Unit> = self.peeked.take().into_iter().collect();
        for unit in self.units.by_ref() {
            if units.first().is_some_and(|first| first.package != unit.package) {
                self.peeked = Some(unit);
                break;
            }
            units.push(unit);
        }
        units
    }

    /// Lists one package and cuts it into tasks.
    fn tasks(&mut self, units: &[Unit]) -> Vec<Task> {
        let mut links = std::mem::take(&mut self.links);
        let mut files = files(units, &mut links);
        let was_cut = cut(&mut files, self.limit / PACKAGE_SHARE, self.record_bytes_max);
        files.retain(|f| self.seen.insert(identity(&f.member().uri, "")));
        if let Some(seen) = &self.only_changed {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            files.retain(|f| match &f.place {
                Place::Path(path) => {
                    let found = fs::metadata(path).ok();
                    let sighting = (found.as_ref().map_or(0, fs::Metadata::len), found.and_then(|m| m.modified().ok()));
                    seen.is_due(identity(&f.member().uri, ""), sighting)
                }
                Place::Object(_) => seen.is_due(identity(&f.member().uri, ""), (f.bytes, f.modified)),
                // What stands there is compared when it is read.
                Place::Table(_) | Place::Web(_) | Place::Database(_) => true,
            });
        }
        let weight: u64 = files.iter().map(|f| f.weight(self.record_bytes_max)).sum();
        // The first package is taken in any case: a limit smaller than it still gives something.
        if self.n_packages > 0 && self.taken.saturating_add(weight) > self.limit {
            self.is_over = true;
            return vec![Task { is_limited: true, links, ..Task::default() }];
        }
        self.taken += weight;
        self.n_packages += u64::from(!files.is_empty());
        let packages = u64::from(!files.is_empty());
        let mut tasks = vec![Task { packages, packages_cut: u64::from(was_cut), links, is_limited: was_cut, ..Task::default() }];
        let mut bytes = 0;
        for file in files {
            let is_alone = readers::is_container(&file.relative) || !matches!(file.place, Place::Path(_));
            let is_full = |task: &Task| task.files.len() == TASK_FILES || (is_alone && !task.files.is_empty());
            if bytes > TASK_BYTES || tasks.last().is_some_and(is_full) {
                tasks.push(Task::default());
                bytes = 0;
            }
            bytes += if is_alone { TASK_BYTES + 1 } else { file.bytes };
            if let Some(task) = tasks.last_mut() {
                task.files.push(file);
            }
        }
        tasks
    }
}

impl Iterator for Listing {
    type Item = Task;

    fn next(&mut self) -> Option<Task> {
        loop {
            if let Some(task) = self.ready.next() {
                return Some(task);
            }
            let units = if self.is_over { Vec::new() } else { self.package() };
            if units.is_empty() {
                let links = std::mem::take(&mut self.links);
                return (links > 0).then(|| Task { links, ..Task::default() });
            }
            self.ready = self.tasks(&units).into_iter();
        }
    }
}

/// Whether a folder holds a Delta table.
fn is_table(folder: &Path) -> bool {
    folder.join("_delta_log").is_dir()
}

/// The unit of an address.
fn page(source_idx: usize, url: Url, source_name: Option<&str>) -> Unit {
    let host = url.host_str().unwrap_or_default();
    let source = source_name.map_or_else(|| host.to_owned(), str::to_owned);
    let name = url.path_segments().and_then(|mut s| s.next_back()).filter(|n| !n.is_empty()).unwrap_or(host);
    let package = name.split('.').next().unwrap_or(name).to_owned();
    Unit { source_idx, source, root: PathBuf::new(), entry: Place::Web(url), object: None, package, is_named: true }
}

/// The unit of a database's table or of a query.
fn rows(source_idx: usize, target: Target, source_name: Option<&str>) -> Unit {
    let source = source_name.unwrap_or_else(|| target.source()).to_owned();
    let package = target.package().to_owned();
    Unit { source_idx, source, root: PathBuf::new(), entry: Place::Database(Arc::new(target)), object: None, package, is_named: true }
}

/// The units of an object, or of those below a prefix.
fn objects(
    source_idx: usize,
    address: &Url,
    source_name: Option<&str>,
    outside: &dyn Outside,
    units: &mut Vec<Unit>,
) -> Result<(), IngestError> {
    let listed = outside.list(address).map_err(|reason| IngestError::Store { address: web::without_secrets(address.as_str()), reason })?;
    if listed.is_empty() {
        return Err(IngestError::Absent { source_name: web::without_secrets(address.as_str()) });
    }
    let prefix = address.path().trim_end_matches('/');
    let last = |path: &str| path.rsplit('/').next().filter(|n| !n.is_empty()).map(decoded);
    let source =
        source_name.map(str::to_owned).or_else(|| last(prefix)).or_else(|| address.host_str().map(str::to_owned)).unwrap_or_default();
    for StoredObject { address, bytes, modified } in listed {
        let path = address.path();
        let below = path.strip_prefix(prefix).map_or(path, |rest| rest.trim_start_matches('/'));
        let is_named = below.is_empty();
        let relative = decoded(if is_named { path.rsplit('/').next().unwrap_or(path) } else { below });
        if relative.is_empty() || relative.ends_with('/') || readers::is_hidden(&relative) {
            continue;
        }
        let (first, is_folder) = relative.split_once('/').map_or((relative.as_str(), false), |(first, _)| (first, true));
        let stem = if is_folder { first } else { first.rsplit_once('.').map_or(first, |(stem, _)| stem) };
        let package = without_version(stem).to_owned();
        let object = Some((relative.clone(), bytes, modified));
        units.push(Unit {
            source_idx,
            source: source.clone(),
            root: PathBuf::new(),
            entry: Place::Object(address),
            object,
            package,
            is_named,
        });
    }
    Ok(())
}

/// A part of an address's path as it is meant.
pub(crate) fn decoded(part: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = part.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        let digits = more.get(..2).and_then(|d| std::str::from_utf8(d).ok()).and_then(|d| u8::from_str_radix(d, 16).ok());
        match digits.filter(|_| *first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = &more[2..];
            }
            None => {
                bytes.push(*first);
                rest = more;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Lists the entries directly below a source; hidden ones and links are left out.
fn list(source_idx: usize, path: &Path, source_name: Option<&str>, units: &mut Vec<Unit>, links: &mut u64) -> Result<(), IngestError> {
    let error = |source| IngestError::List { path: path.to_owned(), source };
    let is_folder = fs::metadata(path).map_err(error)?.is_dir();
    let is_table = is_folder && is_table(path);
    let root = if is_folder && !is_table { path } else { path.parent().unwrap_or(path) };
    let default = || root.file_name().map_or_else(|| "/".to_owned(), |n| n.to_string_lossy().into_owned());
    let source = source_name.map_or_else(default, str::to_owned);
    let mut add = |entry: PathBuf, is_folder: bool, is_named: bool| {
        let stem = if is_folder { entry.file_name() } else { entry.file_stem() };
        let package = without_version(&stem.map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()).to_owned();
        let entry = if is_table { Place::Table(entry) } else { Place::Path(entry) };
        units.push(Unit { source_idx, source: source.clone(), root: root.to_owned(), entry, object: None, package, is_named });
    };
    if !is_folder || is_table {
        add(path.to_owned(), is_folder, true);
        return Ok(());
    }
    for entry in fs::read_dir(path).map_err(error)? {
        let entry = entry.map_err(error)?;
        let kind = entry.file_type().map_err(error)?;
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        if kind.is_symlink() {
            *links += 1;
        } else if kind.is_dir() || kind.is_file() {
            add(entry.path(), kind.is_dir(), false);
        }
    }
    Ok(())
}

/// Puts units into the order in which packages are taken; units of one package stand together.
fn sort(units: &mut [Unit], order: Order) {
    match order {
        Order::Path => units.sort_by(|a, b| (a.source_idx, &a.package, &a.entry).cmp(&(b.source_idx, &b.package, &b.entry))),
        Order::PackageHash => {
            units.sort_by_cached_key(|u| (*digest_bytes(u.package.as_bytes()).bytes(), u.package.clone(), u.source_idx, u.entry.clone()))
        }
    }
}

/// Lists the files of one package's units, in order of path. Git's ignore files are not asked; hidden files and links are left out.
fn files(units: &[Unit], links: &mut u64) -> Vec<SourceFile> {
    let mut files = Vec::new();
    for unit in units {
        let entry = match &unit.entry {
            Place::Path(path) => path,
            other => {
                files.push(unit.file(other.clone(), 0, None));
                continue;
            }
        };
        let before = files.len();
        let tables: Arc<Mutex<Vec<PathBuf>>> = Arc::default();
        let found = tables.clone();
        let mut walk = WalkBuilder::new(entry);
        walk.standard_filters(false).hidden(true).follow_links(false);
        walk.filter_entry(move |entry| {
            let is_table = entry.file_type().is_some_and(|t| t.is_dir()) && is_table(entry.path());
            if is_table {
                found.lock().unwrap_or_else(PoisonError::into_inner).push(entry.path().to_owned());
            }
            !is_table
        });
        for entry in walk.build() {
            match entry {
                Ok(entry) if entry.path_is_symlink() => *links += 1,
                Ok(entry) if entry.file_type().is_some_and(|t| t.is_file()) => {
                    let bytes = entry.metadata().map_or(0, |m| m.len());
                    files.push(unit.file(Place::Path(entry.into_path()), bytes, None));
                }
                Ok(_) => {}
                Err(e) => {
                    let path = match &e {
                        ignore::Error::WithPath { path, .. } => path.clone(),
                        _ => entry_path(&unit.entry),
                    };
                    files.push(unit.file(Place::Path(path), 0, Some(e.to_string())));
                }
            }
        }
        let tables = std::mem::take(&mut *tables.lock().unwrap_or_else(PoisonError::into_inner));
        files.extend(tables.into_iter().map(|path| unit.file(Place::Table(path), 0, None)));
        files[before..].sort_by_cached_key(|f| entry_path(&f.place));
    }
    files
}

fn entry_path(place: &Place) -> PathBuf {
    match place {
        Place::Path(path) | Place::Table(path) => path.clone(),
        Place::Web(url) | Place::Object(url) => PathBuf::from(url.as_str()),
        Place::Database(target) => PathBuf::from(&target.uri),
    }
}

/// Cuts a package that is larger than `max_bytes` down to the files whose paths hash lowest; the first stays in any case.
/// It asks nothing about other packages. Says whether it cut.
fn cut(files: &mut Vec<SourceFile>, max_bytes: u64, record_bytes_max: u64) -> bool {
    let weight = |f: &SourceFile| f.weight(record_bytes_max);
    if files.iter().map(weight).sum::<u64>() <= max_bytes {
        return false;
    }
    files.sort_by_cached_key(|f| *digest_bytes(f.relative.as_bytes()).bytes());
    let mut sum = 0;
    let fitting = files.iter().take_while(|f| {
        sum += weight(f);
        sum <= max_bytes
    });
    let n = fitting.count().max(1);
    let cut = n < files.len();
    files.truncate(n);
    files.sort_by_cached_key(|f| entry_path(&f.place));
    cut
}

impl Unit {
    fn file(&self, place: Place, bytes: u64, unreadable: Option<String>) -> SourceFile {
        let relative = match &place {
            Place::Path(path) | Place::Table(path) => {
                let below = path.strip_prefix(&self.root).unwrap_or(path);
                below.components().map(|c| c.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
            }
            Place::Web(url) => url.path().trim_start_matches('/').to_owned(),
            Place::Database(target) => target.relative.clone(),
            Place::Object(_) => self.object.as_ref().map(|o| o.0.clone()).unwrap_or_default(),
        };
        let (bytes, modified) = self.object.as_ref().map_or((bytes, None), |o| (o.1, o.2));
        let (source, package) = (self.source.clone(), self.package.clone());
        SourceFile { place, relative, source, package, bytes, modified, unreadable, is_named: self.is_named }
    }
}

/// Cuts the version off a package folder's name: `serde_json-1.0.1` → `serde_json`.
fn without_version(name: &str) -> &str {
    name.char_indices().filter(|(_, c)| *c == '-').find(|(i, _)| *i > 0 && is_version(&name[i + 1..])).map_or(name, |(i, _)| &name[..i])
}

/// Three numbers with dots, and perhaps a pre-release or build part.
fn is_version(text: &str) -> bool {
    let core = text.split(['-', '+']).next().unwrap_or_default();
    let numbers: Vec<&str> = core.split('.').collect();
    numbers.len() == 3 && numbers.iter().all(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_keeps_its_name_and_loses_its_version() {
        for (folder, package) in [
            ("serde_json-1.0.1", "serde_json"),
            ("foo-bar-0.3.0-beta.1", "foo-bar"),
            ("x-1.2.3+build.4", "x"),
            ("wasi-0.11.1+wasi-snapshot-preview1", "wasi"),
            ("plain", "plain"),
            ("release-2024", "release-2024"),
            ("-1.0.0", "-1.0.0"),
        ] {
            assert_eq!(without_version(folder), package);
        }
    }
}
