//! Stage 3: requests from held-out packages, scores, the model card.

use polder_base::{Digest, Reference, digest_json};
use polder_workflow::{Outcome, Step};

use super::{Context, model, outcome};
use crate::failure::{Error, OrAdvise};
use crate::output;
use crate::stages::{self, validate as stage};

const STAGE: &str = "3 Validate";

/// The tasks for which the held-out packages hold something: a source without code has no next lines.
fn asked(context: &mut Context<'_>) -> anyhow::Result<Vec<&'static str>> {
    let mut tasks = Vec::new();
    for (task, _, tables) in stage::TASKS {
        if has_rows(context, tables[0])? {
            tasks.push(task);
        }
    }
    Ok(tasks)
}

/// Digests of the versions of the tables that an export reads.
///
/// # Errors
/// The lake cannot be read.
pub fn tables(context: &mut Context<'_>, names: &[&str]) -> anyhow::Result<Digest> {
    let lake = context.world.lake()?;
    let mut digests = Vec::new();
    for name in names {
        let table = polder_base::TableName::new("eval", *name);
        digests.push(context.world.block_on(async { lake.snapshot_opt(&table).await.or_advise() })?.map(|s| s.files_digest));
    }
    Ok(digest_json(&digests))
}

/// What evaluation reads.
pub struct Requests;

impl<'a> Step<Context<'a>, Error> for Requests {
    fn name(&self) -> &'static str {
        "requests"
    }
    fn stage(&self) -> &'static str {
        STAGE
    }
    fn key(&self, context: &mut Context<'a>) -> Result<Digest, Error> {
        let texts: Vec<&str> = stage::TASKS.iter().map(|t| polder_pipeline::query(t.1)).collect();
        Ok(digest_json(&(tables(context, &["heldout", "next_line", "contamination"])?, texts)))
    }
    fn stands(&self, context: &mut Context<'a>, done: &Outcome) -> Result<bool, Error> {
        Ok(done.outputs.iter().all(|o| stages::stands(context.world, &o.reference)))
    }
    fn run(&self, context: &mut Context<'a>) -> Result<Outcome, Error> {
        let mut outputs = Vec::new();
        let mut counts = Vec::new();
        for (task, _, tables) in stage::TASKS {
            if !has_rows(context, tables[0])? {
                counts.push(format!("none of {task}"));
                continue;
            }
            let manifest = stage::requests(context.world, task)?;
            counts.push(format!("{} of {task}", manifest.details["n_rows"][polder_eval::REQUESTS_FILE]));
            outputs.push((manifest.reference.clone(), manifest.content_digest()));
        }
        Ok(outcome(format!("requests from held-out packages: {}", counts.join(", ")), outputs))
    }
}

/// Scores and the model card.
pub struct Evaluate;

impl<'a> Step<Context<'a>, Error> for Evaluate {
    fn name(&self) -> &'static str {
        "evaluate"
    }
    fn stage(&self) -> &'static str {
        STAGE
    }
    fn key(&self, context: &mut Context<'a>) -> Result<Digest, Error> {
        let mut digests = vec![stages::manifest(context.world, &model(context.world))?.content_digest()];
        for task in asked(context)? {
            digests.push(stages::manifest(context.world, &Reference::artefact("requests", task))?.content_digest());
        }
        Ok(digest_json(&digests))
    }
    fn stands(&self, context: &mut Context<'a>, _: &Outcome) -> Result<bool, Error> {
        Ok(stages::folder(context.world, &model(context.world))?.join("README.md").is_file())
    }
    fn run(&self, context: &mut Context<'a>) -> Result<Outcome, Error> {
        let model = model(context.world);
        let mut said = Vec::new();
        for task in asked(context)? {
            let scores = stage::evaluate(context.world, &model, task)?;
            let table = output::table(&[task, "metric", "value", "95 %", "n", ""], &stage::cells(&scores), &[2, 4]);
            output::note(&table.lines().map(|l| format!("    {l}")).collect::<Vec<_>>().join("\n"));
            let metric = if task == "next_line" { "accuracy" } else { "bits_per_byte" };
            if let Some(e) = scores.get("all", metric) {
                let interval = e.low.zip(e.high).map_or(String::new(), |(l, h)| format!(" ({l:.3} – {h:.3})"));
                said.push(format!("{metric} {:.3}{interval}", e.value));
            }
        }
        let card = stage::card(context.world, &model)?;
        Ok(outcome(format!("{} · card in {}", said.join(", "), card.display()), Vec::new()))
    }
}

/// Whether a table of the schema `eval` holds rows.
///
/// # Errors
/// The lake cannot be read.
pub fn has_rows(context: &mut Context<'_>, name: &str) -> anyhow::Result<bool> {
    let lake = context.world.lake()?;
    let table = polder_base::TableName::new("eval", name);
    Ok(context.world.block_on(async { lake.snapshot_opt(&table).await.or_advise() })?.is_some_and(|s| s.n_rows > 0))
}
