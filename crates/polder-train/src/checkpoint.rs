//! The state of a run in a folder, written whole: parameters and both moments, with their digest.

use std::fs::{self, File};
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use polder_base::{Digest, Hasher, publish_dir, write_whole};
use polder_shard::LoaderState;
use serde::{Deserialize, Serialize};

use crate::TrainError;

/// Checkpoints that are kept.
const KEEP: usize = 2;
const STATE_FILE: &str = "state.json";
/// Parameters, first moment, second moment: little-endian f32, one after the other.
const NUMBERS_FILE: &str = "state.f32";
const FORMAT: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    format: u32,
    step: u64,
    n_params: usize,
    digest: Digest,
    /// Where the loader stood. Earlier checkpoints have none; their step says it.
    #[serde(default)]
    loader: Option<LoaderState>,
}

/// Parameters and moments after a step.
pub(crate) struct Checkpoint {
    pub step: u64,
    /// Where the loader stood.
    pub loader: Option<LoaderState>,
    /// Parameters, first moment, second moment.
    pub numbers: [Vec<f32>; 3],
}

fn folder(run_dir: &Path) -> PathBuf {
    run_dir.join("checkpoints")
}

/// Numbers move as the machine holds them; other byte orders would need a swap here.
const _: () = assert!(cfg!(target_endian = "little"));

/// Writes a checkpoint whole, then removes all but the newest ones.
pub(crate) fn write(run_dir: &Path, checkpoint: &Checkpoint) -> Result<(), TrainError> {
    let name = format!("step-{:08}", checkpoint.step);
    let temporary = folder(run_dir).join(format!(".{name}.tmp"));
    fs::create_dir_all(&temporary).map_err(TrainError::file("create folder", &temporary))?;
    let path = temporary.join(NUMBERS_FILE);
    let mut file = BufWriter::with_capacity(1 << 20, File::create(&path).map_err(TrainError::file("create", &path))?);
    let mut hasher = Hasher::new();
    for numbers in &checkpoint.numbers {
        let bytes = bytemuck::cast_slice(numbers);
        hasher.update(bytes);
        file.write_all(bytes).map_err(TrainError::file("write", &path))?;
    }
    file.flush().map_err(TrainError::file("write", &path))?;
    let n_params = checkpoint.numbers[0].len();
    let state = State { format: FORMAT, step: checkpoint.step, n_params, digest: hasher.finish(), loader: checkpoint.loader.clone() };
    let path = temporary.join(STATE_FILE);
    let text = serde_json::to_vec(&state).map_err(|source| TrainError::Parse { path: path.clone(), source })?;
    write_whole(&path, &text)?;
    publish_dir(&temporary, &folder(run_dir).join(name))?;
    for (_, old) in list(run_dir)?.into_iter().skip(KEEP) {
        fs::remove_dir_all(&old).map_err(TrainError::file("remove", &old))?;
    }
    Ok(())
}

/// Reads the newest checkpoint that is whole; what broken-off attempts left is removed.
pub(crate) fn read_newest(run_dir: &Path, n_params: usize) -> Result<Option<Checkpoint>, TrainError> {
    for (step, path) in list(run_dir)? {
        if let Some(checkpoint) = read(&path, step, n_params) {
            return Ok(Some(checkpoint));
        }
    }
    Ok(None)
}

/// Checkpoints, newest first.
fn list(run_dir: &Path) -> Result<Vec<(u64, PathBuf)>, TrainError> {
    let folder = folder(run_dir);
    fs::create_dir_all(&folder).map_err(TrainError::file("create folder", &folder))?;
    let mut found = Vec::new();
    for entry in fs::read_dir(&folder).map_err(TrainError::file("list", &folder))? {
        let path = entry.map_err(TrainError::file("list", &folder))?.path();
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        if name.starts_with('.') {
            fs::remove_dir_all(&path).map_err(TrainError::file("remove", &path))?;
        } else if let Some(step) = name.strip_prefix("step-").and_then(|s| s.parse().ok()) {
            found.push((step, path));
        }
    }
    found.sort_unstable_by(|a, b| b.cmp(a));
    Ok(found)
}

/// `None` for a checkpoint that is not whole, whatever is wrong with it: the one before it will do.
fn read(path: &Path, step: u64, n_params: usize) -> Option<Checkpoint> {
    let state: State = serde_json::from_slice(&fs::read(path.join(STATE_FILE)).ok()?).ok()?;
    if (state.format, state.step, state.n_params) != (FORMAT, step, n_params) {
        return None;
    }
    let mut file = File::open(path.join(NUMBERS_FILE)).ok()?;
    if file.metadata().ok()?.len() != 12 * n_params as u64 {
        return None;
    }
    let mut hasher = Hasher::new();
    let mut numbers = [vec![0f32; n_params], vec![0f32; n_params], vec![0f32; n_params]];
    for part in &mut numbers {
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(part);
        file.read_exact(bytes).ok()?;
        hasher.update(bytes);
    }
    (hasher.finish() == state.digest).then_some(Checkpoint { step, loader: state.loader, numbers })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint(step: u64) -> Checkpoint {
        Checkpoint { step, loader: None, numbers: [vec![step as f32; 5], vec![0.5; 5], vec![0.25; 5]] }
    }

    #[test]
    fn the_newest_whole_checkpoint_is_read_and_two_are_kept() {
        let dir = tempfile::tempdir().expect("folder");
        assert!(read_newest(dir.path(), 5).expect("none").is_none());
        (1..=4).for_each(|step| write(dir.path(), &checkpoint(step * 10)).expect("write"));
        assert_eq!(list(dir.path()).expect("list").iter().map(|(s, _)| *s).collect::<Vec<_>>(), [40, 30]);
        let newest = read_newest(dir.path(), 5).expect("read").expect("some");
        assert_eq!((newest.step, &newest.numbers), (40, &checkpoint(40).numbers));
        assert!(read_newest(dir.path(), 6).expect("read").is_none());
    }

    #[test]
    fn a_damaged_checkpoint_gives_way_to_the_one_before() {
        let dir = tempfile::tempdir().expect("folder");
        (1..=2).for_each(|step| write(dir.path(), &checkpoint(step)).expect("write"));
        let path = dir.path().join("checkpoints/step-00000002").join(NUMBERS_FILE);
        let mut bytes = fs::read(&path).expect("read");
        bytes[7] ^= 1;
        fs::write(&path, bytes).expect("damage");
        fs::create_dir(dir.path().join("checkpoints/.step-00000003.tmp")).expect("left over");
        assert_eq!(read_newest(dir.path(), 5).expect("read").expect("some").step, 1);
        assert!(!dir.path().join("checkpoints/.step-00000003.tmp").exists());
    }
}
