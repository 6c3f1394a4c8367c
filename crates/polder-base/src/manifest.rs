//! What stands beside every artefact: what it is, what it was made from, and the digest of each file.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{Advice, Clearance, Digest, ExitKind, Hasher, Reference, Timestamp, WholeError, digest_file, write_whole};

/// Something an artefact was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Its name, with the exact version.
    pub reference: Reference,
    /// Digest of its content at that version.
    pub digest: Digest,
}

/// A file of an artefact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestFile {
    /// Path below the artefact's folder, with `/`.
    pub path: String,
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256 of its bytes.
    pub digest: Digest,
}

/// The description of an artefact, written last: a folder without it is not one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Format version of this file.
    pub format: u32,
    /// The artefact's name.
    pub reference: Reference,
    /// When it was made.
    pub created_at: Timestamp,
    /// Version of the program that made it.
    pub code_version: String,
    /// What it was made from.
    pub inputs: Vec<Input>,
    /// Digest of the settings it was made with.
    pub config_digest: Digest,
    /// Its files, in order of path.
    pub files: Vec<ManifestFile>,
    /// The policy's verdict, where work needs one.
    pub clearance: Option<Clearance>,
    /// What this kind of artefact says besides: counts, settings, scores.
    pub details: serde_json::Value,
}

/// Why a manifest or the files beside it cannot be used.
#[derive(Debug, Error)]
pub enum ManifestError {
    /// There is none.
    #[error("there is no {what} at `{path}`")]
    Absent {
        /// The artefact.
        what: String,
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A file could not be read.
    #[error("cannot read `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is not what it should be.
    #[error("`{path}` is not a manifest")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// It was written by a newer program.
    #[error("`{path}` has format {found}; this program reads format {known}")]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// A file beside it has changed.
    #[error("`{path}` is not the file its manifest describes: digest {found}, not {expected}")]
    Changed {
        /// The file.
        path: PathBuf,
        /// What was found.
        found: Digest,
        /// What was written down.
        expected: Digest,
    },
    /// It could not be written.
    #[error(transparent)]
    Write(#[from] WholeError),
}

impl Advice for ManifestError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Absent { .. } => {
                Some("Look at what is there with `polder table list` and `polder model list`; `polder run` makes everything.".into())
            }
            Self::Format { .. } => Some("Use the program version that wrote it, or a newer one.".into()),
            Self::Changed { .. } | Self::Parse { .. } => Some("Remove that folder and run the step that made it again.".into()),
            Self::Write(e) => e.hint(),
            Self::Read { .. } => None,
        }
    }
    fn exit(&self) -> ExitKind {
        match self {
            Self::Absent { .. } => ExitKind::Usage,
            _ => ExitKind::Failed,
        }
    }
}

impl Manifest {
    /// The format this program reads and writes.
    pub const FORMAT: u32 = 1;
    /// The file's name.
    pub const FILE: &'static str = "manifest.json";

    /// Starts a description; add files with [`Manifest::describe`], then [`Manifest::write`].
    pub fn new(reference: Reference, created_at: Timestamp, inputs: Vec<Input>, config_digest: Digest, details: serde_json::Value) -> Self {
        Self {
            format: Self::FORMAT,
            reference,
            created_at,
            code_version: env!("CARGO_PKG_VERSION").to_owned(),
            inputs,
            config_digest,
            files: Vec::new(),
            clearance: None,
            details,
        }
    }

    /// Digest of what the artefact was made from: inputs and settings. It knows neither time nor program version.
    pub fn inputs_digest(&self) -> Digest {
        inputs_digest(&self.inputs, &self.config_digest)
    }

    /// Digest of what the artefact is: its files.
    pub fn content_digest(&self) -> Digest {
        let mut hasher = Hasher::new();
        for file in &self.files {
            hasher.field(file.path.as_bytes());
            hasher.field(file.digest.bytes());
        }
        hasher.finish()
    }

    /// Adds the given files below `folder`, with sizes and digests, in order of path.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn describe(&mut self, folder: &Path, paths: &[&str]) -> Result<(), ManifestError> {
        for path in paths {
            let full = folder.join(path);
            let read = |source| ManifestError::Read { path: full.clone(), source };
            let bytes = fs::metadata(&full).map_err(read)?.len();
            self.files.push(ManifestFile { path: (*path).to_owned(), bytes, digest: digest_file(&full).map_err(read)? });
        }
        self.files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(())
    }

    /// Writes the manifest into an artefact's folder; do it last.
    ///
    /// # Errors
    /// Those of writing a file whole.
    pub fn write(&self, folder: &Path) -> Result<(), ManifestError> {
        let mut text = serde_json::to_vec_pretty(self).map_err(|source| ManifestError::Parse { path: folder.join(Self::FILE), source })?;
        text.push(b'\n');
        Ok(write_whole(&folder.join(Self::FILE), &text)?)
    }

    /// Reads an artefact's manifest.
    ///
    /// # Errors
    /// None there, not readable, not a manifest, or of another format.
    pub fn read(folder: &Path) -> Result<Self, ManifestError> {
        let path = folder.join(Self::FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let mut names: Vec<String> = folder.components().map(|c| c.as_os_str().to_string_lossy().into_owned()).collect();
                // A version's folder is a number: models/NAME/1.
                names.pop_if(|last| last.parse::<u64>().is_ok());
                let what = names.last_chunk().map_or("artefact".into(), |[kind, name]: &[String; 2]| format!("artefact {kind}/{name}"));
                return Err(ManifestError::Absent { what, path: folder.to_owned() });
            }
            Err(source) => return Err(ManifestError::Read { path, source }),
        };
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let parse = |source| ManifestError::Parse { path: path.clone(), source };
        let version: Version = serde_json::from_slice(&bytes).map_err(parse)?;
        if version.format != Self::FORMAT {
            return Err(ManifestError::Format { path, found: version.format, known: Self::FORMAT });
        }
        serde_json::from_slice(&bytes).map_err(parse)
    }

    /// Whether an artefact made from these inputs stands in a folder: every file has its size, and no verdict forbids it.
    pub fn stands(folder: &Path, inputs_digest: &Digest) -> bool {
        let has_size = |f: &ManifestFile| fs::metadata(folder.join(&f.path)).is_ok_and(|m| m.len() == f.bytes);
        Self::read(folder).is_ok_and(|m| {
            let cleared = m.clearance.as_ref().is_none_or(|c| c.verdict == crate::Verdict::Cleared);
            cleared && m.inputs_digest() == *inputs_digest && m.files.iter().all(has_size)
        })
    }

    /// Reads the manifest and checks every file's digest against it.
    ///
    /// # Errors
    /// Those of reading, and a file that changed.
    pub fn verify(folder: &Path) -> Result<Self, ManifestError> {
        let manifest = Self::read(folder)?;
        for file in &manifest.files {
            let path = folder.join(&file.path);
            let found = digest_file(&path).map_err(|source| ManifestError::Read { path: path.clone(), source })?;
            if found != file.digest {
                return Err(ManifestError::Changed { path, found, expected: file.digest });
            }
        }
        Ok(manifest)
    }
}

/// Digests inputs and settings the way [`Manifest::inputs_digest`] does.
fn inputs_digest(inputs: &[Input], config: &Digest) -> Digest {
    let mut lines: Vec<String> = inputs.iter().map(|i| format!("{} {}", i.reference, i.digest)).collect();
    lines.sort();
    let mut hasher = Hasher::new();
    lines.iter().for_each(|l| hasher.field(l.as_bytes()));
    hasher.field(config.bytes());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest_bytes;

    fn sample() -> Manifest {
        let input = Input { reference: "pile.base@3".parse().expect("reference"), digest: digest_bytes(b"files") };
        Manifest::new(
            Reference::artefact("tokens", "base"),
            Timestamp(0),
            vec![input],
            digest_bytes(b"config"),
            serde_json::json!({"n_tokens": 3}),
        )
    }

    #[test]
    fn a_manifest_reads_back_and_names_a_changed_file() {
        let dir = tempfile::tempdir().expect("temporary folder");
        fs::write(dir.path().join("a.bin"), b"abc").expect("write");
        let mut manifest = sample();
        manifest.describe(dir.path(), &["a.bin"]).expect("describe");
        manifest.write(dir.path()).expect("write");
        assert_eq!(Manifest::verify(dir.path()).expect("verify"), manifest);
        assert!(Manifest::stands(dir.path(), &manifest.inputs_digest()));
        assert!(!Manifest::stands(dir.path(), &digest_bytes(b"other inputs")));
        fs::write(dir.path().join("a.bin"), b"abd").expect("write");
        assert!(matches!(Manifest::verify(dir.path()), Err(ManifestError::Changed { .. })));
    }

    #[test]
    fn unknown_keys_and_other_formats_are_refused() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let path = dir.path().join(Manifest::FILE);
        fs::write(&path, r#"{"format": 2}"#).expect("write");
        assert!(matches!(Manifest::read(dir.path()), Err(ManifestError::Format { found: 2, .. })));
        let mut value = serde_json::to_value(sample()).expect("value");
        value["surprise"] = 1.into();
        fs::write(&path, value.to_string()).expect("write");
        assert!(matches!(Manifest::read(dir.path()), Err(ManifestError::Parse { .. })));
    }

    #[test]
    fn the_inputs_digest_knows_no_clock() {
        let (a, mut b) = (sample(), sample());
        b.created_at = Timestamp(99);
        assert_eq!(a.inputs_digest(), b.inputs_digest());
    }
}
