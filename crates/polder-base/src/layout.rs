//! Where things stand under a lake's folder.

use std::path::{Path, PathBuf};

use crate::Reference;

/// The folders of a lake, as paths; it makes none of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// Describes the lake at a folder.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The lake's folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The settings file, `polder.toml`.
    pub fn settings(&self) -> PathBuf {
        self.root.join("polder.toml")
    }

    /// The folder of all Delta tables.
    pub fn tables(&self) -> PathBuf {
        self.root.join("tables")
    }

    /// The folder of stored views.
    pub fn views(&self) -> PathBuf {
        self.root.join("views")
    }

    /// The folder of an artefact; `models`, `adapters` and `classifiers` have one a version, by default `1`.
    /// `None` for tables and external things.
    pub fn artefact(&self, reference: &Reference) -> Option<PathBuf> {
        let Reference::Artefact { kind, name, version } = reference else { return None };
        let folder = self.root.join(kind).join(name);
        Some(match kind.as_str() {
            "models" | "adapters" | "classifiers" => folder.join(version.as_deref().unwrap_or("1")),
            _ => folder,
        })
    }

    /// The folder of one kind of artefact, such as `models`.
    pub fn kind(&self, kind: &str) -> PathBuf {
        self.root.join(kind)
    }

    /// A run's folder.
    pub fn run(&self, run_id: &str) -> PathBuf {
        self.root.join("runs").join(run_id)
    }
}
