//! `polder.toml`: which lake this is, and in which format it stands.

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::path::Path;

use polder_base::{Layout, write_whole};
use serde::{Deserialize, Serialize};

use crate::{LakeError, Place};

/// The format this program reads and writes.
const FORMAT: u32 = 1;

/// The settings of a lake.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Tells lakes apart, 32 hexadecimal digits.
    pub(crate) id: String,
    /// Version of the folder's shape.
    pub(crate) format: u32,
    /// Where tables stand, if not in the lake's own folder: `s3://bucket/prefix`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tables: Option<String>,
}

impl Settings {
    /// Reads a lake's settings.
    pub(crate) fn read(layout: &Layout) -> Result<Self, LakeError> {
        let path = layout.settings();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Err(LakeError::Absent { path: layout.root().to_owned() });
            }
            Err(source) => return Err(LakeError::Io { step: "read", path, source }),
        };
        let settings = |reason: String| LakeError::Settings { path: path.clone(), reason };
        let table: toml::Table = text.parse().map_err(|e: toml::de::Error| settings(e.message().to_owned()))?;
        // The format is judged before anything else: another format may have other keys.
        match table.get("format").and_then(toml::Value::as_integer) {
            None => return Err(settings("the key `format` is missing".into())),
            Some(found) if found != i64::from(FORMAT) => return Err(LakeError::Format { path, found, known: FORMAT }),
            Some(_) => {}
        }
        table.try_into().map_err(|e: toml::de::Error| settings(e.message().to_owned()))
    }

    /// Makes the folders and the settings of a lake that is not there yet.
    pub(crate) fn create(&self, layout: &Layout) -> Result<(), LakeError> {
        let folder = if self.tables.is_some() { layout.root().to_owned() } else { layout.tables() };
        fs::create_dir_all(&folder).map_err(|source| LakeError::Io { step: "create folder", path: folder.clone(), source })?;
        let text = toml::to_string(self).map_err(|e| LakeError::Settings { path: layout.settings(), reason: e.to_string() })?;
        Ok(write_whole(&layout.settings(), text.as_bytes())?)
    }

    /// Settings of a new lake.
    pub(crate) fn of_new(tables: Option<&Place>) -> Self {
        // Process-random keys of the standard hash maps: an id needs to differ, not to be secret.
        let half = || RandomState::new().build_hasher().finish();
        Self { id: format!("{:016x}{:016x}", half(), half()), format: FORMAT, tables: tables.map(ToString::to_string) }
    }

    /// Where tables stand, if not in the lake's own folder.
    pub(crate) fn place(&self) -> Result<Option<Place>, LakeError> {
        Ok(self.tables.as_deref().map(str::parse).transpose()?)
    }

    /// Says whether a lake's settings stand at the folder.
    pub(crate) fn exist(root: &Path) -> bool {
        Layout::new(root).settings().is_file()
    }
}
