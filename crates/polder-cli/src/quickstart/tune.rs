//! Stage 4: a small instruction set, an adapter, before and after.

use polder_base::{Digest, Reference, digest_json};
use polder_tune::TuneOptions;
use polder_workflow::{Outcome, Step};

use super::{Context, NAME, model, outcome};
use crate::failure::Error;
use crate::output;
use crate::stages::{self, tune as stage};

const STAGE: &str = "4 Tune";

/// The instruction set's name.
pub const EXAMPLES: &str = "signatures";

/// The settings: few passes, since there are few examples.
pub fn options(seed: u64) -> TuneOptions {
    TuneOptions { seed, ..TuneOptions::default() }
}

/// The adapter that the workflow's own step made last.
pub fn adapter(context: &Context<'_>) -> Option<Reference> {
    super::made_by(context.world, "tune")
}

/// What tuning reads.
pub struct Examples;

impl<'a> Step<Context<'a>, Error> for Examples {
    fn name(&self) -> &'static str {
        "examples"
    }
    fn stage(&self) -> &'static str {
        STAGE
    }
    fn key(&self, context: &mut Context<'a>) -> Result<Digest, Error> {
        let text = polder_pipeline::query("queries/tuning_signatures.sql");
        Ok(digest_json(&(super::validate::tables(context, &["signatures"])?, text)))
    }
    fn stands(&self, context: &mut Context<'a>, done: &Outcome) -> Result<bool, Error> {
        let skipped = done.outputs.is_empty();
        Ok(skipped || stages::stands(context.world, &Reference::artefact("tuning", EXAMPLES)))
    }
    fn run(&self, context: &mut Context<'a>) -> Result<Outcome, Error> {
        if !super::validate::has_rows(context, "signatures")? {
            return Ok(outcome("the sources hold no documented Rust functions; tuning is left out".into(), Vec::new()));
        }
        let manifest = stage::examples(context.world, EXAMPLES)?;
        let n = &manifest.details["n_rows"];
        let summary = format!("{} examples to learn from, {} held out, in {}", n["train.jsonl"], n["heldout.jsonl"], manifest.reference);
        Ok(outcome(summary, vec![(manifest.reference.clone(), manifest.content_digest())]))
    }
}

/// The adapter, judged before and after; the model card tells of it.
pub struct Tune;

impl<'a> Step<Context<'a>, Error> for Tune {
    fn name(&self) -> &'static str {
        "tune"
    }
    fn stage(&self) -> &'static str {
        STAGE
    }
    fn key(&self, context: &mut Context<'a>) -> Result<Digest, Error> {
        let of = |r: &Reference| stages::manifest(context.world, r).ok().map(|m| m.content_digest());
        Ok(digest_json(&(of(&model(context.world)), of(&Reference::artefact("tuning", EXAMPLES)), options(context.settings.seed))))
    }
    fn stands(&self, context: &mut Context<'a>, done: &Outcome) -> Result<bool, Error> {
        Ok(done.outputs.iter().all(|o| stages::stands(context.world, &o.reference)))
    }
    fn run(&self, context: &mut Context<'a>) -> Result<Outcome, Error> {
        let data = Reference::artefact("tuning", EXAMPLES);
        let n = |file: &str| stages::manifest(context.world, &data).ok().and_then(|m| m.details["n_rows"][file].as_u64()).unwrap_or(0);
        if n("train.jsonl") == 0 || n("heldout.jsonl") == 0 {
            return Ok(outcome("left out: it needs examples in the training and in the held-out packages".into(), Vec::new()));
        }
        let base = model(context.world);
        let (manifest, report) = stage::tune(context.world, &base, &data, NAME, &options(context.settings.seed))?;
        let table = output::table(&["held out", "before", "after"], &stage::cells(&report), &[]);
        output::note(&table.lines().map(|l| format!("    {l}")).collect::<Vec<_>>().join("\n"));
        stages::validate::card(context.world, &base)?;
        let summary = format!(
            "{}: {} of {} parameters, {:.3} → {:.3} nats a token on held-out examples",
            manifest.reference,
            polder_base::units::count(report.n_params),
            base,
            report.before.nats_per_token.value,
            report.after.nats_per_token.value,
        );
        Ok(outcome(summary, vec![(manifest.reference.clone(), manifest.content_digest())]))
    }
}
