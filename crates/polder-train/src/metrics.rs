//! What each step measured, one JSON line a step, and the same for TensorBoard.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use polder_base::write_whole;
use serde::{Deserialize, Deserializer, Serialize};

use crate::tensorboard::TensorBoard;
use crate::{Spike, TrainError};

/// The file's name in a run's folder.
pub const METRICS_FILE: &str = "metrics.jsonl";

/// What a step measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    /// The step, counted from 1.
    pub step: u64,
    /// When it was made, in milliseconds since 1970.
    #[serde(default)]
    pub at_ms: u64,
    /// Mean loss of its batch, in nats a token.
    #[serde(deserialize_with = "number_or_none")]
    pub loss: f64,
    /// Its learning rate.
    pub lr: f64,
    /// Norm of its gradients before clipping.
    #[serde(deserialize_with = "number_or_none")]
    pub grad_norm: f64,
    /// Speed of this step.
    pub tokens_per_second: f64,
    /// Mean loss of the validation samples after this step, where it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_loss: Option<f64>,
    /// The same in bits a byte of text, for decoders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_bits_per_byte: Option<f64>,
    /// Scores of tasks after this step, where they were measured.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tasks: BTreeMap<String, f64>,
    /// Why its update was not made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spike: Option<Spike>,
    /// Batches before it that no step has kept, since the run went back.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub passed_over: u64,
}

/// JSON has null for what is no number.
fn number_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl Metric {
    /// What is drawn over steps, by the names that TensorBoard shows.
    pub fn scalars(&self) -> Vec<(String, f64)> {
        let mut all = vec![("train/loss".to_owned(), self.loss), ("train/grad_norm".to_owned(), self.grad_norm)];
        all.extend([("train/lr".to_owned(), self.lr), ("train/tokens_per_second".to_owned(), self.tokens_per_second)]);
        let validation = [("loss", self.validation_loss), ("bits_per_byte", self.validation_bits_per_byte)];
        all.extend(validation.into_iter().filter_map(|(name, x)| x.map(|x| (format!("validation/{name}"), x))));
        all.extend(self.tasks.iter().map(|(name, x)| (format!("tasks/{name}"), *x)));
        all.extend(self.spike.map(|_| ("train/spike".to_owned(), 1.0)));
        all
    }
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

/// What steps have measured, and the files that say so.
pub(crate) struct Metrics {
    path: PathBuf,
    /// The one rank that writes has them.
    files: Option<(File, TensorBoard)>,
    pub lines: Vec<Metric>,
}

impl Metrics {
    /// Opens the files and cuts off what came after a step: that work will be done again.
    pub fn open(run_dir: &Path, step: u64) -> Result<Self, TrainError> {
        let mut metrics = Self::read(run_dir, step)?;
        let mut text = Vec::new();
        for line in &metrics.lines {
            append(&mut text, line, &metrics.path)?;
        }
        write_whole(&metrics.path, &text)?;
        let file = OpenOptions::new().append(true).open(&metrics.path).map_err(TrainError::file("open", &metrics.path))?;
        let board = TensorBoard::create(run_dir, &metrics.lines)?;
        metrics.files = Some((file, board));
        Ok(metrics)
    }

    /// Reads what was measured up to a step, to look at only.
    pub fn read(run_dir: &Path, step: u64) -> Result<Self, TrainError> {
        let mut lines = read_metrics(run_dir)?;
        lines.retain(|m| m.step <= step);
        Ok(Self { path: run_dir.join(METRICS_FILE), files: None, lines })
    }

    pub fn push(&mut self, metric: Metric) -> Result<(), TrainError> {
        if let Some((file, board)) = &mut self.files {
            let mut line = Vec::new();
            append(&mut line, &metric, &self.path)?;
            file.write_all(&line).map_err(TrainError::file("append to", &self.path))?;
            board.push(&metric)?;
        }
        self.lines.push(metric);
        Ok(())
    }

    pub fn sync(&self) -> Result<(), TrainError> {
        match &self.files {
            Some((file, _)) => file.sync_data().map_err(TrainError::file("sync", &self.path)),
            None => Ok(()),
        }
    }

    /// Forgets what came after a step.
    pub fn cut(&mut self, run_dir: &Path, step: u64) -> Result<(), TrainError> {
        if self.files.is_some() {
            *self = Self::open(run_dir, step)?;
        } else {
            self.lines.retain(|m| m.step <= step);
        }
        Ok(())
    }
}

fn append(text: &mut Vec<u8>, metric: &Metric, path: &Path) -> Result<(), TrainError> {
    serde_json::to_writer(&mut *text, metric).map_err(|source| TrainError::Parse { path: path.to_owned(), source })?;
    text.push(b'\n');
    Ok(())
}
