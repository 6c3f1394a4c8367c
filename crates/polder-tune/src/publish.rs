//! Puts a tuned adapter in its place, manifest last.

use std::fs;
use std::path::Path;

use polder_base::{Clearance, Input, Manifest, ManifestError, Reference, Timestamp, digest_json, publish_dir, write_whole};
use serde_json::json;

use crate::adapter::Adapter;
use crate::error::TuneError;
use crate::options::TuneOptions;
use crate::tune::Tuned;

const REPORT_FILE: &str = "report.json";

/// Writes a PEFT folder at `target`: configuration, tensors, report and manifest, whole or not at all.
///
/// `inputs` names the base model first, then the tuning data; the manifest's details are the report without each step's loss.
///
/// # Errors
/// A file that cannot be written; what stood there before is then still there.
pub fn write_adapter(
    target: &Path,
    tuned: &Tuned,
    options: &TuneOptions,
    reference: Reference,
    created_at: Timestamp,
    inputs: Vec<Input>,
    clearance: Option<Clearance>,
) -> Result<Manifest, TuneError> {
    let name = target.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let temporary = target.with_file_name(format!(".{name}.tmp"));
    if temporary.exists() {
        let remove = |source| ManifestError::Read { path: temporary.clone(), source };
        fs::remove_dir_all(&temporary).map_err(remove)?;
    }
    let base_name = inputs.first().map(|i| i.reference.to_string()).unwrap_or_default();
    tuned.adapter.save(&temporary, &base_name)?;
    let report = serde_json::to_string_pretty(&tuned.report).unwrap_or_default() + "\n";
    write_whole(&temporary.join(REPORT_FILE), report.as_bytes())?;
    let details = json!({
        "options": options,
        "n_params": tuned.report.n_params,
        "n_steps": tuned.report.n_steps,
        "n_train": tuned.report.n_train,
        "n_held_out": tuned.report.n_held_out,
        "n_cut": tuned.report.n_cut,
        "n_dropped": tuned.report.n_dropped,
        "before": tuned.report.before,
        "after": tuned.report.after,
        "change_nats_per_token": tuned.report.change_nats_per_token,
    });
    let mut manifest = Manifest::new(reference, created_at, inputs, digest_json(options), details);
    manifest.clearance = clearance;
    manifest.describe(&temporary, &[Adapter::FILES[0], Adapter::FILES[1], REPORT_FILE])?;
    manifest.write(&temporary)?;
    publish_dir(&temporary, target)?;
    Ok(manifest)
}
