//! The state of a run in a folder, written whole by a thread of its own: parameters and both moments, with their digest.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

use polder_base::{Digest, Hasher, publish_dir, write_whole};
use polder_shard::LoaderState;
use serde::{Deserialize, Serialize};

use crate::TrainError;

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
    #[serde(default)]
    progress: Progress,
}

/// What a run knows beside its numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Progress {
    /// Batches that no step has kept, since the run went back.
    pub passed_over: u64,
    /// How often it went back.
    pub n_rewinds: usize,
    /// Loss of the validation samples after this step, where it was measured.
    pub validation_loss: Option<f64>,
}

/// Parameters and moments after a step.
pub(crate) struct Checkpoint {
    pub step: u64,
    /// Where the loader stood.
    pub loader: Option<LoaderState>,
    pub progress: Progress,
    /// Parameters, first moment, second moment.
    pub numbers: [Vec<f32>; 3],
}

fn folder(run_dir: &Path) -> PathBuf {
    run_dir.join("checkpoints")
}

/// Numbers move as the machine holds them; other byte orders would need a swap here.
const _: () = assert!(cfg!(target_endian = "little"));

/// Which checkpoints are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Keep {
    /// The newest ones.
    pub last: usize,
    /// The one with the least validation loss.
    pub best: bool,
    /// The newest one whose step is a multiple of this: a run may go back to it.
    pub every: Option<u64>,
}

/// Writes checkpoints while the run goes on, one at a time.
pub(crate) struct Writer {
    run_dir: PathBuf,
    keep: Keep,
    under_way: Option<JoinHandle<Result<(), TrainError>>>,
}

impl Writer {
    pub fn new(run_dir: &Path, keep: Keep) -> Self {
        Self { run_dir: run_dir.to_owned(), keep, under_way: None }
    }

    /// Begins to write a checkpoint, once the one before is written.
    pub fn write(&mut self, checkpoint: Checkpoint) -> Result<(), TrainError> {
        self.finish()?;
        let (run_dir, keep) = (self.run_dir.clone(), self.keep);
        self.under_way = Some(thread::spawn(move || write(&run_dir, &checkpoint, keep)));
        Ok(())
    }

    /// Waits for what is being written.
    pub fn finish(&mut self) -> Result<(), TrainError> {
        let Some(thread) = self.under_way.take() else { return Ok(()) };
        let broken = || io::Error::other("the thread that writes checkpoints has ended");
        thread.join().unwrap_or_else(|_| Err(TrainError::file("write checkpoints in", &self.run_dir)(broken())))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Nobody is left to hear of an error; the checkpoint before is whole.
        let _ = self.finish();
    }
}

/// Writes a checkpoint whole, then removes those that are not kept.
pub(crate) fn write(run_dir: &Path, checkpoint: &Checkpoint, keep: Keep) -> Result<(), TrainError> {
    let name = format!("step-{:08}", checkpoint.step);
    let temporary = folder(run_dir).join(format!(".{name}.tmp"));
    let written = write_files(&temporary, checkpoint);
    if let Err(error) = written {
        // On a full disk, what was begun is in the way of everything else.
        let _ = fs::remove_dir_all(&temporary);
        return Err(error);
    }
    publish_dir(&temporary, &folder(run_dir).join(name))?;
    for (_, old) in superfluous(&list(run_dir)?, keep) {
        fs::remove_dir_all(&old).map_err(TrainError::file("remove", &old))?;
    }
    Ok(())
}

fn write_files(temporary: &Path, checkpoint: &Checkpoint) -> Result<(), TrainError> {
    fs::create_dir_all(temporary).map_err(TrainError::file("create folder", temporary))?;
    let path = temporary.join(NUMBERS_FILE);
    let mut file = BufWriter::with_capacity(1 << 20, File::create(&path).map_err(TrainError::file("create", &path))?);
    let mut hasher = Hasher::new();
    for numbers in &checkpoint.numbers {
        let bytes = bytemuck::cast_slice(numbers);
        hasher.update(bytes);
        file.write_all(bytes).map_err(TrainError::file("write", &path))?;
    }
    file.flush().map_err(TrainError::file("write", &path))?;
    let state = State {
        format: FORMAT,
        step: checkpoint.step,
        n_params: checkpoint.numbers[0].len(),
        digest: hasher.finish(),
        loader: checkpoint.loader.clone(),
        progress: checkpoint.progress.clone(),
    };
    let path = temporary.join(STATE_FILE);
    let text = serde_json::to_vec(&state).map_err(|source| TrainError::Parse { path: path.clone(), source })?;
    Ok(write_whole(&path, &text)?)
}

/// Of checkpoints, newest first, those that need not be kept.
fn superfluous(all: &[(u64, PathBuf)], keep: Keep) -> Vec<(u64, PathBuf)> {
    let regular = all.iter().position(|(step, _)| keep.every.is_some_and(|every| step.is_multiple_of(every)));
    // A run that goes back forgets what was best since.
    let best =
        keep.best.then(|| [best_of(all), regular.and_then(|at| best_of(&all[at..]))].into_iter().flatten().map(|(step, _)| step).collect());
    let best: Vec<u64> = best.unwrap_or_default();
    let kept = |step: u64| regular.is_some_and(|at| all[at].0 == step) || best.contains(&step);
    all.iter().skip(keep.last).filter(|(step, _)| !kept(*step)).cloned().collect()
}

/// The step with the least validation loss, and that loss; of equal ones the newest.
fn best_of(all: &[(u64, PathBuf)]) -> Option<(u64, f64)> {
    let loss = |path: &Path| read_state(path).ok().flatten().and_then(|s| s.progress.validation_loss);
    let judged = all.iter().filter_map(|(step, path)| Some((*step, loss(path)?)));
    judged.reduce(|best, other| if other.1 < best.1 { other } else { best })
}

/// The kept checkpoint with the least validation loss: its step, and that loss.
pub(crate) fn best(run_dir: &Path) -> Result<Option<(u64, f64)>, TrainError> {
    Ok(best_of(&list(run_dir)?))
}

/// Reads the checkpoint of a step; `None` where it is not there or not whole.
pub(crate) fn read_step(run_dir: &Path, step: u64, n_params: usize) -> Result<Option<Checkpoint>, TrainError> {
    match list(run_dir)?.iter().find(|(s, _)| *s == step) {
        Some((_, path)) => read(path, step, n_params),
        None => Ok(None),
    }
}

/// Removes the checkpoints after a step.
pub(crate) fn remove_after(run_dir: &Path, step: u64) -> Result<(), TrainError> {
    for (_, path) in list(run_dir)?.into_iter().filter(|(s, _)| *s > step) {
        fs::remove_dir_all(&path).map_err(TrainError::file("remove", &path))?;
    }
    Ok(())
}

/// Removes what broken-off attempts have left.
pub(crate) fn clean(run_dir: &Path) -> Result<(), TrainError> {
    let folder = folder(run_dir);
    fs::create_dir_all(&folder).map_err(TrainError::file("create folder", &folder))?;
    for entry in fs::read_dir(&folder).map_err(TrainError::file("list", &folder))? {
        let path = entry.map_err(TrainError::file("list", &folder))?.path();
        if path.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.')) {
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.map_err(TrainError::file("remove", &path))?;
        }
    }
    Ok(())
}

/// Reads the newest checkpoint that is whole.
pub(crate) fn read_newest(run_dir: &Path, n_params: usize) -> Result<Option<Checkpoint>, TrainError> {
    let all = list(run_dir)?;
    for (step, path) in &all {
        if let Some(checkpoint) = read(path, *step, n_params)? {
            return Ok(Some(checkpoint));
        }
    }
    match all.first() {
        // A run that began anew would forget what it has measured.
        Some((step, _)) => Err(TrainError::NoCheckpoint { step: *step, path: run_dir.to_owned() }),
        None => Ok(None),
    }
}

/// Checkpoints, newest first.
fn list(run_dir: &Path) -> Result<Vec<(u64, PathBuf)>, TrainError> {
    let folder = folder(run_dir);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(TrainError::file("list", &folder)(source)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(TrainError::file("list", &folder))?.path();
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        if let Some(step) = name.strip_prefix("step-").and_then(|s| s.parse().ok()) {
            found.push((step, path));
        }
    }
    found.sort_unstable_by(|a, b| b.cmp(a));
    Ok(found)
}

/// The bytes of a checkpoint's file; `None` where it has no such file.
fn read_file(path: &Path) -> Result<Option<Vec<u8>>, TrainError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(TrainError::file("read", path)(source)),
    }
}

/// `None` for a state that is no whole JSON; one that says other things than this program knows is another program's.
fn read_state(path: &Path) -> Result<Option<State>, TrainError> {
    let path = path.join(STATE_FILE);
    let Some(bytes) = read_file(&path)? else { return Ok(None) };
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(&bytes) else { return Ok(None) };
    let state: State = serde_json::from_value(value).map_err(|source| TrainError::Parse { path: path.clone(), source })?;
    if state.format != FORMAT {
        return Err(TrainError::Format { path, found: state.format, known: FORMAT });
    }
    Ok(Some(state))
}

/// `None` for a checkpoint that is not whole: the one before it will do.
fn read(path: &Path, step: u64, n_params: usize) -> Result<Option<Checkpoint>, TrainError> {
    let Some(state) = read_state(path)? else { return Ok(None) };
    let numbers_path = path.join(NUMBERS_FILE);
    let unreadable = |source| TrainError::file("read", &numbers_path)(source);
    let mut file = match File::open(&numbers_path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(unreadable(source)),
    };
    let is_of_this = (state.step, state.n_params) == (step, n_params);
    if !is_of_this || file.metadata().map_err(unreadable)?.len() != 12 * n_params as u64 {
        return Ok(None);
    }
    let mut hasher = Hasher::new();
    let mut numbers = [vec![0f32; n_params], vec![0f32; n_params], vec![0f32; n_params]];
    for part in &mut numbers {
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(part);
        file.read_exact(bytes).map_err(unreadable)?;
        hasher.update(bytes);
    }
    let is_whole = hasher.finish() == state.digest;
    Ok(is_whole.then_some(Checkpoint { step, loader: state.loader, progress: state.progress, numbers }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP: Keep = Keep { last: 2, best: false, every: None };

    fn checkpoint(step: u64) -> Checkpoint {
        let numbers = [vec![step as f32; 5], vec![0.5; 5], vec![0.25; 5]];
        Checkpoint { step, loader: None, progress: Progress::default(), numbers }
    }

    fn steps(dir: &Path) -> Vec<u64> {
        list(dir).expect("list").iter().map(|(s, _)| *s).collect()
    }

    #[test]
    fn the_newest_whole_checkpoint_is_read_and_two_are_kept() {
        let dir = tempfile::tempdir().expect("folder");
        assert!(read_newest(dir.path(), 5).expect("none").is_none());
        (1..=4).for_each(|step| write(dir.path(), &checkpoint(step * 10), KEEP).expect("write"));
        assert_eq!(steps(dir.path()), [40, 30]);
        let newest = read_newest(dir.path(), 5).expect("read").expect("some");
        assert_eq!((newest.step, &newest.numbers), (40, &checkpoint(40).numbers));
        assert!(matches!(read_newest(dir.path(), 6), Err(TrainError::NoCheckpoint { step: 40, .. })), "of another model");
    }

    #[test]
    fn the_best_one_and_the_one_to_go_back_to_are_kept_too() {
        let dir = tempfile::tempdir().expect("folder");
        let keep = Keep { last: 1, best: true, every: Some(10) };
        for (step, loss) in [(5, Some(3.0)), (10, Some(2.0)), (15, Some(4.0)), (20, None), (22, Some(5.0)), (23, None)] {
            let progress = Progress { validation_loss: loss, ..Progress::default() };
            write(dir.path(), &Checkpoint { progress, ..checkpoint(step) }, keep).expect("write");
        }
        assert_eq!(steps(dir.path()), [23, 20, 10]);
        assert_eq!(best(dir.path()).expect("best"), Some((10, 2.0)));
        assert_eq!(read_step(dir.path(), 20, 5).expect("read").expect("some").step, 20);
        remove_after(dir.path(), 20).expect("remove");
        assert_eq!(steps(dir.path()), [20, 10]);
    }

    #[test]
    fn what_is_best_at_the_one_to_go_back_to_is_kept_beside_what_is_best_of_all() {
        let dir = tempfile::tempdir().expect("folder");
        let keep = Keep { last: 1, best: true, every: Some(10) };
        for (step, loss) in [(7, Some(3.0)), (10, None), (14, Some(2.0)), (18, None)] {
            let progress = Progress { validation_loss: loss, ..Progress::default() };
            write(dir.path(), &Checkpoint { progress, ..checkpoint(step) }, keep).expect("write");
        }
        assert_eq!(steps(dir.path()), [18, 14, 10, 7]);
        remove_after(dir.path(), 10).expect("back");
        assert_eq!(best(dir.path()).expect("best"), Some((7, 3.0)));
    }

    #[test]
    fn a_checkpoint_of_another_program_is_no_damaged_one() {
        let dir = tempfile::tempdir().expect("folder");
        (1..=2).for_each(|step| write(dir.path(), &checkpoint(step), KEEP).expect("write"));
        let path = dir.path().join("checkpoints/step-00000002").join(STATE_FILE);
        let text = fs::read_to_string(&path).expect("read");
        fs::write(&path, text.replace("\"format\":1", "\"format\":9")).expect("write");
        assert!(matches!(read_newest(dir.path(), 5), Err(TrainError::Format { found: 9, .. })));
        fs::write(&path, text.replace("\"format\"", "\"colour\":1,\"format\"")).expect("write");
        assert!(matches!(read_newest(dir.path(), 5), Err(TrainError::Parse { .. })));
        fs::write(&path, &text[..20]).expect("write");
        assert_eq!(read_newest(dir.path(), 5).expect("the one before").expect("some").step, 1);
    }

    #[test]
    fn a_damaged_checkpoint_gives_way_to_the_one_before() {
        let dir = tempfile::tempdir().expect("folder");
        (1..=2).for_each(|step| write(dir.path(), &checkpoint(step), KEEP).expect("write"));
        let path = dir.path().join("checkpoints/step-00000002").join(NUMBERS_FILE);
        let mut bytes = fs::read(&path).expect("read");
        bytes[7] ^= 1;
        fs::write(&path, bytes).expect("damage");
        fs::create_dir(dir.path().join("checkpoints/.step-00000003.tmp")).expect("left over");
        clean(dir.path()).expect("clean");
        assert_eq!(read_newest(dir.path(), 5).expect("read").expect("some").step, 1);
        assert!(!dir.path().join("checkpoints/.step-00000003.tmp").exists());
    }

    #[test]
    fn a_checkpoint_that_cannot_be_written_is_told_and_the_one_before_stays() {
        let dir = tempfile::tempdir().expect("folder");
        let mut writer = Writer::new(dir.path(), KEEP);
        writer.write(checkpoint(1)).expect("begin");
        writer.finish().expect("written");
        // A file stands where the folder has to be.
        fs::write(dir.path().join("checkpoints/.step-00000002.tmp"), b"").expect("in the way");
        writer.write(checkpoint(2)).expect("begin");
        assert!(matches!(writer.finish(), Err(TrainError::File { .. })));
        assert_eq!(read_newest(dir.path(), 5).expect("read").expect("some").step, 1);
    }
}
