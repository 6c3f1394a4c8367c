//! Stored views: a query under a name of the lake, `views/<schema>/<name>.sql`. It is planned anew by every statement that names it.

use std::fs;
use std::io;
use std::path::PathBuf;

use polder_base::{Layout, TableName, write_whole};

use crate::LakeError;

fn path(layout: &Layout, view: &TableName) -> PathBuf {
    layout.views().join(&view.schema).join(format!("{}.sql", view.name))
}

/// Says whether there is such a view.
pub(crate) fn exists(layout: &Layout, view: &TableName) -> bool {
    path(layout, view).is_file()
}

/// Lists the views of a schema, sorted.
pub(crate) fn names(layout: &Layout, schema: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(layout.views().join(schema)) else { return Vec::new() };
    let stems = entries.flatten().filter_map(|e| Some(e.file_name().to_str()?.strip_suffix(".sql")?.to_owned()));
    let mut names: Vec<String> = stems.filter(|n| !n.starts_with('.')).collect();
    names.sort();
    names
}

/// Reads a view's query; `None` where there is no such view.
pub(crate) fn read(layout: &Layout, view: &TableName) -> Result<Option<String>, LakeError> {
    let path = path(layout, view);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(LakeError::Io { step: "read", path, source }),
    }
}

/// Keeps a view's query.
pub(crate) fn write(layout: &Layout, view: &TableName, query: &str) -> Result<(), LakeError> {
    let path = path(layout, view);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|source| LakeError::Io { step: "create folder", path: folder.to_owned(), source })?;
    }
    Ok(write_whole(&path, query.as_bytes())?)
}

/// Forgets a view.
pub(crate) fn remove(layout: &Layout, view: &TableName) -> Result<(), LakeError> {
    let path = path(layout, view);
    fs::remove_file(&path).map_err(|source| LakeError::Io { step: "remove", path, source })
}
