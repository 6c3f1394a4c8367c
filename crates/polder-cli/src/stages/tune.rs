//! Stage 4: a model and a few examples into an adapter.

use datafusion::common::ScalarValue;
use polder_base::{Clearance, Input, Manifest, Memory, Reference, TableName, digest_json};
use polder_eval::Estimate;
use polder_infer::Engine;
use polder_pipeline::{Export, ExportQuery, query};
use polder_tune::{HeldOut, TuneOptions, TuneProgress, TuneReport, Tuning, TuningData};

use crate::failure::OrAdvise;
use crate::progress::{Bar, Unit};
use crate::stages;
use crate::world::World;

/// Writes the instruction set that the SQL files make, unless it stands there made from the same.
///
/// # Errors
/// A table that is not there, or no rows.
pub fn examples(world: &mut World, name: &str) -> anyhow::Result<Manifest> {
    let part = |file: &str, part: &str| ExportQuery {
        file: file.into(),
        sql: query("queries/tuning_signatures.sql").into(),
        parameters: vec![("part".into(), ScalarValue::Utf8(Some(part.into())))],
    };
    let export = Export {
        target: Reference::artefact("tuning", name),
        reads: vec![TableName::new("eval", "signatures")],
        queries: vec![part("train.jsonl", "train"), part("heldout.jsonl", "heldout")],
    };
    stages::validate::export(world, export)
}

/// Tunes a model with examples, unless that was done, and says how much better it got on the held-out part.
///
/// # Errors
/// Those of tuning; nothing is written then.
pub fn tune(
    world: &mut World,
    base: &Reference,
    data: &Reference,
    name: &str,
    options: &TuneOptions,
) -> anyhow::Result<(Manifest, TuneReport)> {
    let (base_dir, data_dir) = (stages::folder(world, base)?, stages::folder(world, data)?);
    let (base_manifest, data_manifest) = (Manifest::read(&base_dir).or_advise()?, Manifest::read(&data_dir).or_advise()?);
    for manifest in [&base_manifest, &data_manifest] {
        Clearance::require(manifest.clearance.as_ref(), &manifest.reference.to_string(), &manifest.inputs_digest()).or_advise()?;
    }
    let of = |m: &Manifest| Input { reference: m.reference.clone(), digest: m.content_digest() };
    let inputs = vec![of(&base_manifest), of(&data_manifest)];
    let now = world.now();
    let planned = Manifest::new(Reference::artefact("adapters", name), now, inputs.clone(), digest_json(options), serde_json::Value::Null);
    let reference = stages::version_for(world, "adapters", name, &planned.inputs_digest());
    let target = stages::folder(world, &reference)?;
    let manifest = match Manifest::stands(&target, &planned.inputs_digest()) {
        true => Manifest::verify(&target).or_advise()?,
        false => {
            let engine = Engine::open(&base_dir, None).or_advise()?;
            let examples = TuningData::read(&data_dir).or_advise()?;
            let tuning = Tuning::try_new(engine.weights(), engine.tokenizer(), &examples, options).or_advise()?;
            let machine = world.device.choose(0).or_advise()?;
            stages::train::say_machine(&machine);
            let backend = tuning.open(&machine, Memory::look().free_bytes).or_advise()?;
            let bar = Bar::new("judging held-out examples", 1, Unit::Count);
            let mut on_progress = |p: TuneProgress| match p {
                TuneProgress::Judging { after, done, total } => {
                    bar.name(if after { "judging after" } else { "judging before" });
                    bar.total(total as u64);
                    bar.at(done as u64);
                }
                TuneProgress::Step { step, n_steps, loss, .. } => {
                    bar.name(&format!("tuning · loss {loss:.3}"));
                    bar.total(n_steps);
                    bar.at(step);
                }
            };
            let tuned = tuning.run(backend, &mut on_progress, world.stop.flag()).or_advise()?;
            drop(bar);
            let lake = world.lake()?;
            let judged = planned.inputs_digest();
            let clearance = world.block_on(async { polder_govern::clearance(&lake, judged, now).await.or_advise() })?;
            polder_tune::write_adapter(&target, &tuned, options, reference.clone(), now, inputs, Some(clearance)).or_advise()?
        }
    };
    let report = report(&target)?;
    let mut event = stages::train::told(world, "tune", &manifest);
    let mut details = manifest.details.clone();
    details["task"] = serde_json::json!(data_manifest.reference);
    details["scores"] = serde_json::Value::Array(
        [(&base_manifest.reference, &report.before), (&manifest.reference, &report.after)]
            .iter()
            .flat_map(|(model, held)| scores(model, held))
            .collect(),
    );
    event = event.with_details(details);
    world.record(&event.run_id.clone(), &[event])?;
    Ok((manifest, report))
}

fn report(folder: &std::path::Path) -> anyhow::Result<TuneReport> {
    Ok(serde_json::from_slice(&std::fs::read(folder.join("report.json"))?)?)
}

fn figures(held: &HeldOut) -> [(&'static str, &Estimate); 4] {
    [
        ("nats_per_token", &held.nats_per_token),
        ("bits_per_byte", &held.bits_per_byte),
        ("first_token", &held.first_token),
        ("exact_match", &held.exact_match),
    ]
}

fn scores(model: &Reference, held: &HeldOut) -> Vec<serde_json::Value> {
    let row = |(metric, e): (&str, &Estimate)| serde_json::json!({ "model": model, "metric": metric, "value": e.value, "stderr": e.stderr, "n": e.n });
    figures(held).into_iter().map(row).collect()
}

/// Before and after as rows for people.
pub fn cells(report: &TuneReport) -> Vec<Vec<String>> {
    let show = |e: &Estimate| match (e.low, e.high) {
        (Some(low), Some(high)) => format!("{:.3} ({low:.3} – {high:.3})", e.value),
        _ => format!("{:.3}", e.value),
    };
    let (before, after) = (figures(&report.before), figures(&report.after));
    before.iter().zip(&after).map(|(b, a)| vec![b.0.to_owned(), show(b.1), show(a.1)]).collect()
}
