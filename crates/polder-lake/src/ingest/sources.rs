//! Which files a source holds, and to which package each belongs.

use std::fs;
use std::path::{Path, PathBuf};

use ignore::WalkBuilder;
use polder_base::digest_bytes;

use super::{IngestError, Order};

/// One entry directly below a source: a folder or a file, and the package it belongs to.
#[derive(Clone, Debug)]
pub(super) struct Unit {
    /// Position of its source in the request.
    source_idx: usize,
    /// What rows say as their source.
    source: String,
    /// The folder that relative paths start at.
    root: PathBuf,
    /// The entry.
    entry: PathBuf,
    /// The package.
    pub(super) package: String,
}

/// A file to read.
#[derive(Clone, Debug)]
pub(super) struct SourceFile {
    /// Where it is.
    pub(super) path: PathBuf,
    /// Below its source, with `/`.
    pub(super) relative: String,
    /// What its row says as its source.
    pub(super) source: String,
    /// Its package.
    pub(super) package: String,
    /// Its size when it was listed.
    pub(super) bytes: u64,
    /// Why it could not even be listed.
    pub(super) unreadable: Option<String>,
}

/// Lists the entries directly below a source; hidden ones and links are left out.
pub(super) fn units(
    source_idx: usize,
    path: &Path,
    source_name: Option<&str>,
    units: &mut Vec<Unit>,
    links: &mut u64,
) -> Result<(), IngestError> {
    let list = |source| IngestError::List { path: path.to_owned(), source };
    let is_folder = fs::metadata(path).map_err(list)?.is_dir();
    let root = if is_folder { path } else { path.parent().unwrap_or(path) };
    let default = || root.file_name().map_or_else(|| "/".to_owned(), |n| n.to_string_lossy().into_owned());
    let source = source_name.map_or_else(default, str::to_owned);
    let mut add = |entry: PathBuf, is_folder: bool| {
        let stem = if is_folder { entry.file_name() } else { entry.file_stem() };
        let package = without_version(&stem.map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()).to_owned();
        units.push(Unit { source_idx, source: source.clone(), root: root.to_owned(), entry, package });
    };
    if !is_folder {
        add(path.to_owned(), false);
        return Ok(());
    }
    for entry in fs::read_dir(path).map_err(list)? {
        let entry = entry.map_err(list)?;
        let kind = entry.file_type().map_err(list)?;
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        if kind.is_symlink() {
            *links += 1;
        } else if kind.is_dir() || kind.is_file() {
            add(entry.path(), kind.is_dir());
        }
    }
    Ok(())
}

/// Puts units into the order in which packages are taken; units of one package stand together.
pub(super) fn sort(units: &mut [Unit], order: Order) {
    match order {
        Order::Path => units.sort_by(|a, b| (a.source_idx, &a.package, &a.entry).cmp(&(b.source_idx, &b.package, &b.entry))),
        Order::PackageHash => {
            units.sort_by_cached_key(|u| (*digest_bytes(u.package.as_bytes()).bytes(), u.package.clone(), u.source_idx, u.entry.clone()))
        }
    }
}

/// Lists the files of one package's units, in order of path. Git's ignore files are not asked; hidden files and links are left out.
pub(super) fn files(units: &[Unit], links: &mut u64) -> Vec<SourceFile> {
    let mut files = Vec::new();
    for unit in units {
        let before = files.len();
        let mut walk = WalkBuilder::new(&unit.entry);
        walk.standard_filters(false).hidden(true).follow_links(false);
        for entry in walk.build() {
            match entry {
                Ok(entry) if entry.path_is_symlink() => *links += 1,
                Ok(entry) if entry.file_type().is_some_and(|t| t.is_file()) => {
                    let bytes = entry.metadata().map_or(0, |m| m.len());
                    files.push(unit.file(entry.into_path(), bytes, None));
                }
                Ok(_) => {}
                Err(e) => {
                    let path = match &e {
                        ignore::Error::WithPath { path, .. } => path.clone(),
                        _ => unit.entry.clone(),
                    };
                    files.push(unit.file(path, 0, Some(e.to_string())));
                }
            }
        }
        files[before..].sort_by(|a, b| a.path.cmp(&b.path));
    }
    files
}

/// Cuts a package that is larger than `max_bytes` down to the files whose paths hash lowest; the first stays in any case.
/// It asks nothing about other packages. Says whether it cut.
pub(super) fn cut(files: &mut Vec<SourceFile>, max_bytes: u64, max_file_bytes: u64) -> bool {
    let weight = |f: &SourceFile| if f.bytes > max_file_bytes { 0 } else { f.bytes };
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
    files.sort_by(|a, b| a.path.cmp(&b.path));
    cut
}

impl Unit {
    fn file(&self, path: PathBuf, bytes: u64, unreadable: Option<String>) -> SourceFile {
        let below = path.strip_prefix(&self.root).unwrap_or(&path);
        let relative = below.components().map(|c| c.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/");
        SourceFile { relative, source: self.source.clone(), package: self.package.clone(), path, bytes, unreadable }
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
