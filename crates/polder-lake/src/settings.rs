//! `polder.toml`: which lake this is, and in which format it stands.

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::path::Path;

use polder_base::{Layout, write_whole};
use serde::{Deserialize, Serialize};

use crate::LakeError;

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
    pub(crate) fn create(layout: &Layout) -> Result<Self, LakeError> {
        let tables = layout.tables();
        fs::create_dir_all(&tables).map_err(|source| LakeError::Io { step: "create folder", path: tables.clone(), source })?;
        // Process-random keys of the standard hash maps: an id needs to differ, not to be secret.
        let half = || RandomState::new().build_hasher().finish();
        let made = Self { id: format!("{:016x}{:016x}", half(), half()), format: FORMAT };
        let text = toml::to_string(&made).map_err(|e| LakeError::Settings { path: layout.settings(), reason: e.to_string() })?;
        write_whole(&layout.settings(), text.as_bytes())?;
        Ok(made)
    }

    /// Says whether a lake's settings stand at the folder.
    pub(crate) fn exist(root: &Path) -> bool {
        Layout::new(root).settings().is_file()
    }
}
