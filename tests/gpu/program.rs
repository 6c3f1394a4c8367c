//! The program, and what it trains on.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

pub fn polder_gpu(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_polder-gpu")).args(args).output().expect("polder-gpu runs")
}

/// Settings of small runs.
pub const SMALL: [&str; 4] = ["context=32", "batch_size=4", "warmup_steps=1", "checkpoint_every=0"];

/// A command that trains a model of the name of its run on the tokens below a folder; `more` may name settings and the rest.
pub fn train(dir: &Path, run: &str, steps: u64, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_polder-gpu"));
    let at = |name: &str| dir.join(name);
    command.arg("train").arg(at("tokens")).arg("--run").arg(at(run)).args(["--steps", &steps.to_string()]);
    command.arg("--tokenizer").arg(at("tokenizer.json")).arg("--out").arg(model(dir, run));
    if !more.contains(&"--model") && !more.contains(&"--from") {
        command.args(["--model", "nano"]);
    }
    for setting in SMALL {
        command.args(["--set", setting]);
    }
    command.args(more).stdin(Stdio::null());
    for name in ["RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"] {
        command.env_remove(name);
    }
    command
}

/// The folder of the model that a run makes.
pub fn model(dir: &Path, run: &str) -> PathBuf {
    dir.join("models").join(run).join("1")
}

/// The weights that a run made.
pub fn weights(dir: &Path, run: &str) -> Vec<u8> {
    std::fs::read(model(dir, run).join("model.safetensors")).expect("weights")
}

/// What a program said and how it ended.
pub struct Said {
    pub code: Option<i32>,
    pub err: String,
}

impl Said {
    pub fn of(output: Output) -> Self {
        Self { code: output.status.code(), err: String::from_utf8_lossy(&output.stderr).into_owned() }
    }

    pub fn well(self) -> String {
        assert_eq!(self.code, Some(0), "{}", self.err);
        self.err
    }
}

pub fn said(command: &mut Command) -> Said {
    Said::of(command.output().expect("polder-gpu runs"))
}

pub fn start(command: &mut Command) -> Child {
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("polder-gpu starts")
}

/// Waits for the end of a program that was started.
pub fn end(child: Child) -> Said {
    Said::of(child.wait_with_output().expect("polder-gpu ends"))
}

/// Waits until a run has made some steps.
pub fn wait_for_steps(dir: &Path, run: &str, steps: usize) {
    let path = dir.join(run).join("metrics.jsonl");
    let started = Instant::now();
    while std::fs::read_to_string(&path).map_or(0, |text| text.lines().count()) < steps {
        assert!(started.elapsed() < Duration::from_secs(300), "{} has no {steps} steps", path.display());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until a run has a whole checkpoint, which stands behind its steps: a thread writes it.
pub fn wait_for_checkpoint(dir: &Path, run: &str) {
    let path = dir.join(run).join("checkpoints");
    let started = Instant::now();
    let is_whole = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with("step-");
    while !std::fs::read_dir(&path).is_ok_and(|mut entries| entries.any(|e| e.is_ok_and(|e| is_whole(&e.file_name())))) {
        assert!(started.elapsed() < Duration::from_secs(300), "{} has no checkpoint", path.display());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Sends a signal to a running program.
pub fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().expect("kill");
    assert!(status.success(), "kill -{name}");
}
