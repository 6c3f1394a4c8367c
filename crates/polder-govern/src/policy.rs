//! Gates: SQL files in the lake's `policy/` folder, each returning the rows that break a rule. Empty is good.
//!
//! A gate that cannot be run clears nothing. What a verdict was said about is bound to it by digest.

use std::fs;
use std::io;

use polder_base::{Clearance, Digest, Hasher, Timestamp, Verdict};
use polder_lake::Lake;
use serde::Serialize;

use crate::markdown::plain;
use crate::{GovernError, rows};

/// Offending rows that are counted; more than that is said as such.
const ROWS_MAX: usize = 1000;
/// Characters of the first offending row that a reason quotes.
const SAMPLE_CHARS: usize = 160;

/// A rule: an SQL query whose rows break it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gate {
    /// The file's name.
    pub file: String,
    /// The query.
    pub sql: String,
}

impl Gate {
    /// What the rule is for: its `-- why:` line, else its file's name.
    pub fn why(&self) -> String {
        let line = self.sql.lines().take_while(|l| l.starts_with("--")).find_map(|l| l.trim_start_matches('-').trim().strip_prefix("why:"));
        line.map_or_else(|| self.file.clone(), |w| w.trim().to_owned())
    }
}

/// What a gate returned.
#[derive(Clone, Debug, Serialize)]
pub struct GateResult {
    /// The gate's file.
    pub gate: String,
    /// What it is for.
    pub why: String,
    /// Rows that break it, at most 1000 of them.
    pub n_rows: usize,
    /// The first of them, shortened.
    pub first: Option<String>,
}

impl GateResult {
    /// One sentence, for a gate that said no.
    fn reason(&self) -> Option<String> {
        let first = self.first.as_ref()?;
        let n = if self.n_rows >= ROWS_MAX { format!("{ROWS_MAX} rows or more") } else { format!("{} row(s)", self.n_rows) };
        Some(format!("{} ({} returned {n}, the first {first})", self.why, self.gate))
    }
}

/// The gates of a lake, in order of their files' names. A lake without a `policy/` folder has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// The gates.
    pub gates: Vec<Gate>,
}

impl Policy {
    /// Reads `policy/*.sql` in the lake's folder.
    ///
    /// # Errors
    /// The folder or a file cannot be read.
    pub fn read(lake: &Lake) -> Result<Self, GovernError> {
        let folder = lake.layout().root().join("policy");
        let at = |path: &std::path::Path| {
            let path = path.to_owned();
            move |source| GovernError::Read { path, source }
        };
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(e) => return Err(at(&folder)(e)),
        };
        let mut gates = Vec::new();
        for entry in entries {
            let path = entry.map_err(at(&folder))?.path();
            if path.extension().is_some_and(|e| e == "sql") {
                let sql = fs::read_to_string(&path).map_err(at(&path))?;
                let file = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
                gates.push(Gate { file, sql });
            }
        }
        gates.sort_by(|a, b| a.file.cmp(&b.file));
        Ok(Self { gates })
    }

    /// Digest of the gates: names and texts. Of nothing, where there are none.
    pub fn digest(&self) -> Digest {
        let mut hasher = Hasher::new();
        for gate in &self.gates {
            hasher.field(gate.file.as_bytes());
            hasher.field(gate.sql.as_bytes());
        }
        hasher.finish()
    }

    /// Runs every gate.
    ///
    /// # Errors
    /// A gate that cannot be run.
    pub async fn check(&self, lake: &Lake) -> Result<Vec<GateResult>, GovernError> {
        let mut results = Vec::new();
        for gate in &self.gates {
            let failed = |source| GovernError::Gate { gate: gate.file.clone(), source: Box::new(source) };
            let frame = lake.sql(&gate.sql).await.map_err(failed)?;
            let what = "a gate's rows";
            let frame = frame.limit(0, Some(ROWS_MAX)).map_err(|source| GovernError::Rows { what, source })?;
            let batches = frame.collect().await.map_err(|source| GovernError::Rows { what, source })?;
            let n_rows = batches.iter().map(|b| b.num_rows()).sum();
            let first = batches.iter().find(|b| b.num_rows() > 0).map(|b| b.slice(0, 1));
            let first = first.map(|b| rows::json(&[b])).transpose().map_err(|source| GovernError::Shape { what, source })?;
            let first = first.map(|bytes| plain(&String::from_utf8_lossy(&bytes).chars().take(SAMPLE_CHARS).collect::<String>()));
            results.push(GateResult { gate: gate.file.clone(), why: gate.why(), n_rows, first });
        }
        Ok(results)
    }
}

/// Judges what something will be made from: the lake's gates, run over the lake as it is.
///
/// # Errors
/// The policy cannot be read, or a gate cannot be run.
pub async fn clearance(lake: &Lake, input_digest: Digest, at: Timestamp) -> Result<Clearance, GovernError> {
    let policy = Policy::read(lake)?;
    let reasons: Vec<String> = policy.check(lake).await?.iter().filter_map(GateResult::reason).collect();
    let verdict = if reasons.is_empty() { Verdict::Cleared } else { Verdict::Refused };
    Ok(Clearance { verdict, policy_digest: policy.digest(), input_digest, reasons, at })
}
