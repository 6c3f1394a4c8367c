//! What each step measured, one JSON line a step.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use polder_base::write_whole;
use serde::{Deserialize, Serialize};

use crate::TrainError;

/// The file's name in a run's folder.
pub const METRICS_FILE: &str = "metrics.jsonl";

/// What a step measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    /// The step, counted from 1.
    pub step: u64,
    /// Mean loss of its batch, in nats a token.
    pub loss: f64,
    /// Its learning rate.
    pub lr: f64,
    /// Norm of its gradients before clipping.
    pub grad_norm: f64,
    /// Speed of this step.
    pub tokens_per_second: f64,
    /// Mean loss of the validation samples after this step, where it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_loss: Option<f64>,
}

/// Reads a run's metrics; a half-written last line is passed over, and a file that is not there is empty.
///
/// # Errors
/// A file that cannot be read, or a whole line that is no metric.
pub fn read_metrics(run_dir: &Path) -> Result<Vec<Metric>, TrainError> {
    let path = run_dir.join(METRICS_FILE);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(TrainError::file("read", &path)(source)),
    };
    let whole = &text[..text.rfind('\n').map_or(0, |i| i + 1)];
    whole.lines().map(|l| serde_json::from_str(l).map_err(|source| TrainError::Parse { path: path.clone(), source })).collect()
}

/// The file open for appending, and what it holds.
#[derive(Debug)]
pub(crate) struct Metrics {
    path: PathBuf,
    file: File,
    pub lines: Vec<Metric>,
}

impl Metrics {
    /// Opens the file and cuts off what came after a step: that work will be done again.
    pub fn open(run_dir: &Path, step: u64) -> Result<Self, TrainError> {
        let path = run_dir.join(METRICS_FILE);
        let mut lines = read_metrics(run_dir)?;
        lines.retain(|m| m.step <= step);
        let mut text = Vec::new();
        for line in &lines {
            append(&mut text, line, &path)?;
        }
        write_whole(&path, &text)?;
        let file = OpenOptions::new().append(true).open(&path).map_err(TrainError::file("open", &path))?;
        Ok(Self { path, file, lines })
    }

    pub fn push(&mut self, metric: Metric) -> Result<(), TrainError> {
        let mut line = Vec::new();
        append(&mut line, &metric, &self.path)?;
        self.file.write_all(&line).map_err(TrainError::file("append to", &self.path))?;
        self.lines.push(metric);
        Ok(())
    }

    pub fn sync(&self) -> Result<(), TrainError> {
        self.file.sync_data().map_err(TrainError::file("sync", &self.path))
    }
}

fn append(text: &mut Vec<u8>, metric: &Metric, path: &Path) -> Result<(), TrainError> {
    serde_json::to_writer(&mut *text, metric).map_err(|source| TrainError::Parse { path: path.to_owned(), source })?;
    text.push(b'\n');
    Ok(())
}
