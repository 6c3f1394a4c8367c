//! The lake's other books that this crate keeps: scores in `ops.evals`, runs in `ops.runs`.

use polder_base::{Event, Timestamp};
use polder_lake::{Lake, ops};
use serde::{Deserialize, Serialize};

use crate::{GovernError, rows};

/// A score of a model: a row of `ops.evals`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// The model or adapter, as a reference.
    #[serde(default)]
    pub model: String,
    /// The task.
    #[serde(default)]
    pub task: String,
    /// A part of the task, such as a language; `all` for the whole.
    #[serde(default)]
    pub group: String,
    /// The metric.
    pub metric: String,
    /// Its value; none where there was nothing to score.
    #[serde(default)]
    pub value: Option<f64>,
    /// Its standard error.
    #[serde(default)]
    pub stderr: Option<f64>,
    /// Requests scored.
    #[serde(default)]
    pub n: i64,
    /// Requests found in the training data.
    #[serde(default)]
    pub n_contaminated: Option<i64>,
    /// Digest of the data the requests came from.
    #[serde(default)]
    pub data_digest: Option<String>,
    /// Digest of the requests.
    #[serde(default)]
    pub requests_digest: Option<String>,
    /// When, in milliseconds since 1970.
    #[serde(default, alias = "at_ms")]
    pub at: i64,
}

impl Score {
    /// The interval that holds the true value with 95 %, by the normal approximation.
    pub fn interval(&self) -> Option<(f64, f64)> {
        let half = 1.96 * self.stderr?;
        Some((self.value? - half, self.value? + half))
    }
}

/// Reads the scores that an event carries in `details.scores`; fields it leaves out are the event's own.
pub(crate) fn scores_of(event: &Event) -> Option<Vec<Score>> {
    let mut scores: Vec<Score> = serde_json::from_value(event.details.get("scores")?.clone()).ok()?;
    let own = |key: &str| event.details.get(key).and_then(|v| v.as_str()).map(str::to_owned);
    for score in &mut scores {
        if score.model.is_empty() {
            score.model = own("model").unwrap_or_else(|| event.subject.to_string());
        }
        if score.task.is_empty() {
            score.task = own("task").unwrap_or_default();
        }
        if score.group.is_empty() {
            "all".clone_into(&mut score.group);
        }
        score.data_digest = score.data_digest.take().or_else(|| own("data_digest"));
        score.requests_digest = score.requests_digest.take().or_else(|| own("requests_digest"));
        score.at = event.at.0;
    }
    Some(scores)
}

/// Appends scores to `ops.evals`, once per id.
///
/// # Errors
/// The lake cannot be written.
pub async fn record_scores(lake: &Lake, id: &str, scores: &[Score]) -> Result<(), GovernError> {
    if scores.is_empty() {
        return Ok(());
    }
    let batch = rows::batch(rows::schema_of("evals")?, scores, "ops.evals")?;
    lake.append_rows(&ops::table("evals"), batch, Some((format!("evals/{id}"), 1))).await?;
    Ok(())
}

/// Lists the newest score of each (model, task, group, metric), in that order.
///
/// # Errors
/// The lake cannot be read.
pub async fn scores(lake: &Lake) -> Result<Vec<Score>, GovernError> {
    let mut all: Vec<Score> = rows::of_table(lake, &ops::table("evals"), "evals").await?;
    let key = |s: &Score| (s.model.clone(), s.task.clone(), s.group.clone(), s.metric.clone());
    all.sort_by_key(|s| (key(s), std::cmp::Reverse(s.at)));
    all.dedup_by_key(|s| key(s));
    Ok(all)
}

/// A run or one of its steps: a row of `ops.runs`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunRow {
    /// The run.
    pub run_id: String,
    /// Its workflow.
    pub workflow: String,
    /// Its step.
    pub step: String,
    /// `done`, `failed`, …
    pub state: String,
    /// When it began.
    #[serde(serialize_with = "millis")]
    pub started_at: Timestamp,
    /// When it ended.
    #[serde(serialize_with = "millis")]
    pub ended_at: Timestamp,
    /// Digest of its settings.
    pub config_digest: String,
    /// The program's version.
    pub code_version: String,
    /// What it read, JSON text.
    pub input_versions: String,
    /// What it counted, JSON text.
    pub counters: String,
}

fn millis<S: serde::Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_i64(at.0)
}

/// Appends rows to `ops.runs`, each (run, step, start) once.
///
/// # Errors
/// The lake cannot be written.
pub async fn record_runs(lake: &Lake, runs: &[RunRow]) -> Result<(), GovernError> {
    for run in runs {
        let batch = rows::batch(rows::schema_of("runs")?, std::slice::from_ref(run), "ops.runs")?;
        let id = format!("runs/{}/{}/{}", run.run_id, run.step, run.started_at.0);
        lake.append_rows(&ops::table("runs"), batch, Some((id, 1))).await?;
    }
    Ok(())
}
