//! How far a build is: the shards that stand in its working folder. Written whole after each of them.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use polder_base::{Digest, digest_json, write_whole};
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

/// Progress with its digest: a changed byte may still be sound JSON, and is not to be believed.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    digest: Digest,
    progress: Progress,
}

/// What an earlier attempt left.
pub(crate) enum Left {
    Nothing,
    /// Progress of this build.
    Same(Progress),
    /// Progress of a build of something else.
    Other,
    /// Progress that is not as it was written, or shards that are not.
    Damaged,
}

impl Progress {
    pub fn begin(key: Digest) -> Self {
        Self { key, new: Vec::new(), kept: Vec::new(), dropped: Vec::new() }
    }

    /// Reads what an earlier attempt left.
    pub fn look(path: &Path, folder: &Path, key: &Digest) -> Left {
        let bytes = match fs::read(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Left::Nothing,
            Err(_) => return Left::Damaged,
            Ok(bytes) => bytes,
        };
        let Ok(Sealed { digest, progress }) = serde_json::from_slice(&bytes) else { return Left::Damaged };
        let stands = |f: &polder_base::ManifestFile| fs::metadata(folder.join(&f.path)).is_ok_and(|m| m.len() == f.bytes);
        if digest != digest_json(&progress) {
            Left::Damaged
        } else if progress.key != *key {
            Left::Other
        } else if !progress.new.iter().chain(&progress.kept).flat_map(|s| &s.files).all(stands) {
            Left::Damaged
        } else {
            Left::Same(progress)
        }
    }

    pub fn write(&self, path: &Path) -> Result<(), ShardError> {
        // Texts and numbers always become JSON.
        let sealed = Sealed { digest: digest_json(self), progress: self.clone() };
        Ok(write_whole(path, &serde_json::to_vec(&sealed).unwrap_or_default())?)
    }
}
