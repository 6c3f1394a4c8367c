//! Files and folders that are there whole or not at all: temporary name, fsync, rename.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::{Advice, ExitKind};

/// Why something could not be written whole; what stood there before still does.
#[derive(Debug, Error)]
#[error("cannot {step} `{path}`")]
pub struct WholeError {
    step: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl Advice for WholeError {
    fn hint(&self) -> Option<String> {
        match self.source.kind() {
            io::ErrorKind::StorageFull => {
                Some("The disk is full. Free some space and run the same command again; nothing was lost.".into())
            }
            io::ErrorKind::PermissionDenied => Some("Check who owns that folder, or choose another lake with --lake.".into()),
            io::ErrorKind::ReadOnlyFilesystem => Some("Choose a lake on a file system that can be written, with --lake.".into()),
            _ => None,
        }
    }
    fn exit(&self) -> ExitKind {
        ExitKind::Failed
    }
}

fn at<'a>(step: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> WholeError + 'a {
    move |source| WholeError { step, path: path.to_owned(), source }
}

/// Writes a file whole: other processes see the old bytes or the new ones, also after a power cut.
///
/// # Errors
/// Names the step and the path that failed.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), WholeError> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(at("create folder", folder))?;
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let temporary = folder.join(format!(".{name}.{}.tmp", std::process::id()));
    let written = (|| {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()
    })();
    if let Err(source) = written {
        let _ = fs::remove_file(&temporary);
        return Err(at("write", path)(source));
    }
    fs::rename(&temporary, path).map_err(at("rename into place", path))?;
    sync_folder(folder)
}

/// Moves a finished temporary folder to its name, replacing what stood there.
///
/// Files are synced first. Between removing the old folder and the rename, a reader sees none.
///
/// # Errors
/// Names the step and the path that failed.
pub fn publish_dir(temporary: &Path, target: &Path) -> Result<(), WholeError> {
    for entry in fs::read_dir(temporary).map_err(at("list", temporary))? {
        let path = entry.map_err(at("list", temporary))?.path();
        if path.is_file() {
            File::open(&path).and_then(|f| f.sync_all()).map_err(at("sync", &path))?;
        }
    }
    sync_folder(temporary)?;
    let folder = target.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(at("create folder", folder))?;
    // The old folder goes aside whole: a kill while it is removed leaves no half of it under its name.
    let name = target.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let old = folder.join(format!(".{name}.old"));
    if old.exists() {
        fs::remove_dir_all(&old).map_err(at("remove", &old))?;
    }
    if target.exists() {
        fs::rename(target, &old).map_err(at("replace", target))?;
    }
    fs::rename(temporary, target).map_err(at("rename into place", target))?;
    sync_folder(folder)?;
    if old.exists() {
        fs::remove_dir_all(&old).map_err(at("remove", &old))?;
    }
    Ok(())
}

fn sync_folder(folder: &Path) -> Result<(), WholeError> {
    File::open(folder).and_then(|f| f.sync_all()).map_err(at("sync", folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_leaves_no_temporary() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let path = dir.path().join("deep/file.json");
        write_whole(&path, b"one").expect("first");
        write_whole(&path, b"two").expect("second");
        assert_eq!(fs::read(&path).expect("read"), b"two");
        assert_eq!(fs::read_dir(path.parent().expect("parent")).expect("list").count(), 1);
    }

    #[test]
    fn a_folder_takes_the_place_of_another_and_leaves_nothing_beside_it() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let (temporary, target) = (dir.path().join(".new"), dir.path().join("set"));
        for (name, bytes) in [("one.bin", b"1"), ("two.bin", b"2")] {
            fs::create_dir(&temporary).expect("create");
            fs::write(temporary.join(name), bytes).expect("write");
            publish_dir(&temporary, &target).expect("publish");
        }
        assert_eq!(fs::read(target.join("two.bin")).expect("read"), b"2");
        assert!(!target.join("one.bin").exists());
        assert_eq!(fs::read_dir(dir.path()).expect("list").count(), 1);
    }

    #[test]
    fn a_failure_leaves_the_old_bytes() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let path = dir.path().join("folder");
        fs::create_dir(&path).expect("create");
        assert!(write_whole(&path, b"x").is_err());
        assert!(path.is_dir());
    }
}
