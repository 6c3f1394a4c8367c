//! How far a build is: the shards that stand in its working folder. Written whole after each of them.

use std::fs;
use std::path::Path;

use polder_base::{Digest, write_whole};
use serde::{Deserialize, Serialize};

use crate::error::ShardError;
use crate::shard_writer::DoneShard;

/// What a build can rely on after a kill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Progress {
    /// Digest of all that decides what is written; a build of anything else begins anew.
    pub key: Digest,
    /// Shards with documents that the base set does not hold, in the order they were written.
    pub new: Vec<DoneShard>,
    /// Shards of the base set that were shared or written anew.
    pub kept: Vec<DoneShard>,
    /// Names of the base set's shards all of whose documents departed.
    pub dropped: Vec<String>,
}

impl Progress {
    pub fn begin(key: Digest) -> Self {
        Self { key, new: Vec::new(), kept: Vec::new(), dropped: Vec::new() }
    }

    /// Reads what an earlier attempt left. `None` if there is nothing to go on from: no file, one of another build, a broken one, or
    /// shards that are not there as they were.
    pub fn resume(path: &Path, folder: &Path, key: &Digest) -> Option<Self> {
        let progress: Self = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        let stands = |f: &polder_base::ManifestFile| fs::metadata(folder.join(&f.path)).is_ok_and(|m| m.len() == f.bytes);
        let mut files = progress.new.iter().chain(&progress.kept).flat_map(|s| &s.files);
        (progress.key == *key && files.all(stands)).then_some(progress)
    }

    pub fn write(&self, path: &Path) -> Result<(), ShardError> {
        // Texts and numbers always become JSON.
        Ok(write_whole(path, &serde_json::to_vec(self).unwrap_or_default())?)
    }
}
