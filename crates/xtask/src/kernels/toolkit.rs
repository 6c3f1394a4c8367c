//! The CUDA compiler: fetched once as Python wheels whose digests `kernels/compiler.txt` pins, kept in a cache folder. No toolkit of the machine
//! is looked for: the images must be the same everywhere.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, bail};

use crate::say;

/// What pins the compiler, below the workspace.
pub(super) const PINS: &str = "kernels/compiler.txt";

/// Where the wheels put the programs.
const PROGRAMS: &str = "nvidia/cu13/bin";
const MORE_PROGRAMS: &str = "nvidia/cu13/nvvm/bin";

/// A compiler that can be run.
pub(super) struct Toolkit {
    programs: PathBuf,
}

impl Toolkit {
    /// Opens the compiler in the cache, fetching it if it is not there.
    ///
    /// # Errors
    /// Another kind of machine than the compiler is for; no C++ compiler, no Python, no network; a folder that cannot be used.
    pub(super) fn open(root: &Path) -> Result<Self> {
        if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
            bail!("the CUDA compiler that is pinned runs on Linux on x86-64");
        }
        if Command::new("g++").arg("--version").output().is_err() {
            bail!("there is no g++, which the CUDA compiler reads sources with; install g++");
        }
        let pins = root.join(PINS);
        let pins_text = fs::read(&pins).with_context(|| format!("cannot read `{PINS}`"))?;
        let home = home()?;
        if fs::read(home.join("compiler.txt")).ok() != Some(pins_text.clone()) {
            fetch(&pins, &pins_text, &home)?;
        }
        Ok(Self { programs: home.join(PROGRAMS) })
    }

    /// Runs one of its programs in a folder; whatever it says when it fails is the error.
    pub(super) fn run(&self, program: &str, folder: &Path, arguments: &[&OsStr]) -> Result<Output> {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir(folder).args(arguments);
        // What a shell may have set would change the images.
        for name in ["NVCC_PREPEND_FLAGS", "NVCC_APPEND_FLAGS", "NVCC_CCBIN", "CPATH", "CPLUS_INCLUDE_PATH", "C_INCLUDE_PATH"] {
            command.env_remove(name);
        }
        let output = command.output().with_context(|| format!("cannot start {program}"))?;
        if !output.status.success() {
            let said = [&output.stdout, &output.stderr].map(|s| String::from_utf8_lossy(s).into_owned()).concat();
            bail!("{program} failed:\n{}", said.trim());
        }
        Ok(output)
    }
}

/// `$POLDER_CUDA_HOME`, else a folder of the user's cache.
fn home() -> Result<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    if let Some(home) = variable("POLDER_CUDA_HOME") {
        return Ok(home);
    }
    let cache = variable("XDG_CACHE_HOME").or_else(|| variable("HOME").map(|h| h.join(".cache")));
    Ok(cache.context("HOME is not set; name a folder for the CUDA compiler with POLDER_CUDA_HOME")?.join("polder-cuda/13.0"))
}

/// Fetches into a folder beside `home` and moves it there whole.
fn fetch(pins: &Path, pins_text: &[u8], home: &Path) -> Result<()> {
    let ours = home.join("compiler.txt").is_file();
    let taken = fs::read_dir(home).is_ok_and(|mut entries| entries.next().is_some());
    if taken && !ours {
        bail!("`{}` holds something that this command did not put there; name another folder with POLDER_CUDA_HOME", home.display());
    }
    let room = home.with_extension(format!("part-{}", std::process::id()));
    fs::create_dir_all(&room).with_context(|| format!("cannot make `{}`", room.display()))?;
    say(&format!("fetching the CUDA compiler (110 MB) to {}", home.display()));
    let fetched = fill(pins, pins_text, &room).and_then(|()| {
        if ours {
            fs::remove_dir_all(home).with_context(|| format!("cannot replace `{}`", home.display()))?;
        }
        match fs::rename(&room, home) {
            // Another process was quicker with the same.
            Err(_) if fs::read(home.join("compiler.txt")).is_ok_and(|text| text == pins_text) => Ok(()),
            done => done.with_context(|| format!("cannot move `{}` to `{}`", room.display(), home.display())),
        }
    });
    // Gone already when all went well.
    let _ = fs::remove_dir_all(&room);
    fetched
}

fn fill(pins: &Path, pins_text: &[u8], room: &Path) -> Result<()> {
    let wheels = room.join("wheels");
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--no-deps", "--require-hashes", "--only-binary", ":all:", "--no-input", "--quiet"]);
    pip.args(["--disable-pip-version-check", "--retries", "1", "--timeout", "20", "--requirement"]).arg(pins).arg("--dest").arg(&wheels);
    python(&mut pip)?;
    for entry in fs::read_dir(&wheels).with_context(|| format!("cannot read `{}`", wheels.display()))? {
        python(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(entry?.path()).arg(room))?;
    }
    fs::remove_dir_all(&wheels).with_context(|| format!("cannot remove `{}`", wheels.display()))?;
    // A wheel's modes are lost by that module.
    for folder in [PROGRAMS, MORE_PROGRAMS] {
        for entry in fs::read_dir(room.join(folder)).with_context(|| format!("the wheels hold no `{folder}`"))? {
            make_executable(&entry?.path())?;
        }
    }
    fs::write(room.join("compiler.txt"), pins_text).context("cannot write the compiler's mark")
}

#[cfg(unix)]
fn make_executable(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).with_context(|| format!("cannot make `{}` a program", path.display()))
}

#[cfg(not(unix))]
fn make_executable(_: &Path) -> Result<()> {
    Ok(())
}

fn python(command: &mut Command) -> Result<()> {
    let output = command.output().context("there is no python3 to fetch the CUDA compiler with")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        // Warnings of every attempt stand before what is wrong.
        let why = said.lines().rfind(|l| l.starts_with("ERROR")).or(said.lines().last()).unwrap_or("it did not say why");
        bail!("python3 cannot fetch the CUDA compiler, for which it needs pip and a network: {}", why.trim());
    }
    Ok(())
}
