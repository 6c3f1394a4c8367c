//! The quickstart workflow: every stage from raw files to a served model, each through the code that its command uses.

mod deploy;
mod prepare;
mod report;
mod train;
mod tune;
mod validate;

use std::path::PathBuf;
use std::time::Instant;

use polder_base::{Digest, Reference, TableName, Timestamp};
use polder_govern::RunRow;
use polder_workflow::{Moment, Outcome, Step, Workflow};

use crate::failure::{self, OrAdvise};
use crate::output;
use crate::world::World;

/// The name of everything that it makes.
pub const NAME: &str = "quickstart";
pub use tune::EXAMPLES;

/// What the workflow was asked for.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Folders to read; by default the registry's source cache.
    pub sources: Vec<PathBuf>,
    /// Whether those were named by the user.
    pub named_sources: bool,
    /// Text to take at most.
    pub limit_bytes: u64,
    /// Minutes to train.
    pub minutes: f64,
    /// Training steps; without it, planning fixes them.
    pub steps: Option<u64>,
    /// A size of model; without it, planning chooses.
    pub preset: Option<String>,
    /// Vocabulary size.
    pub vocab_size: usize,
    /// Fixes initial weights and order.
    pub seed: u64,
    /// SQL files to use instead of those in the program.
    pub sql_dir: Option<PathBuf>,
}

/// What steps share.
pub struct Context<'a> {
    /// The invocation.
    pub world: &'a mut World,
    /// What `ops.runs` calls this invocation.
    pub run_id: String,
    /// What was asked for.
    pub settings: Settings,
}

/// The step type of this workflow.
pub type AnyStep<'a, 's> = dyn Step<Context<'a>, failure::Error> + 's;

fn steps<'a>() -> Vec<Box<AnyStep<'a, 'static>>> {
    vec![
        Box::new(prepare::Ingest),
        Box::new(prepare::Tables),
        Box::new(prepare::Tag),
        Box::new(prepare::Card),
        Box::new(train::Tokenizer),
        Box::new(train::Tokens),
        Box::new(train::Plan),
        Box::new(train::Train),
        Box::new(validate::Requests),
        Box::new(validate::Evaluate),
        Box::new(tune::Examples),
        Box::new(tune::Tune),
        Box::new(deploy::Answer),
    ]
}

/// The pile's table.
pub fn pile() -> TableName {
    TableName::new("pile", "base")
}

/// What a step of the workflow made last.
pub fn made_by(world: &World, step: &str) -> Option<Reference> {
    let state = polder_workflow::State::open(&world.layout().run(NAME)).ok()?;
    Some(state.steps.get(step)?.outcome.outputs.first()?.reference.clone())
}

/// The model that the workflow's own step made last: others of its name may be newer.
pub fn model(world: &World) -> Reference {
    made_by(world, "train").unwrap_or_else(|| crate::stages::newest(world, &Reference::artefact("models", NAME)))
}

/// Runs the workflow, or goes on with it.
///
/// # Errors
/// The first step that fails; everything before it stands.
pub fn run(world: &mut World, settings: Settings) -> anyhow::Result<()> {
    let started = Instant::now();
    world.lake_or_init()?;
    let mut workflow = Workflow::open(&world.layout().run(NAME)).or_advise()?;
    let mut context = Context { run_id: format!("{NAME}-{}", world.now().0), world, settings };
    let mut ran = 0;
    let mut stage = "";
    for step in steps() {
        if context.world.stop.is_set() {
            return Err(failure::interrupted());
        }
        if step.stage() != stage {
            stage = step.stage();
            output::note(&format!("\n{stage}"));
        }
        let now = || Timestamp::now();
        ran += usize::from(workflow.run(step.as_ref(), &mut context, &now, &mut said)?);
    }
    report::end(&mut context, ran, started.elapsed())
}

/// What is said, and written into the lake's books, when something happens.
fn said<'a>(context: &mut Context<'a>, step: &AnyStep<'a, '_>, moment: Moment<'_>) {
    match moment {
        Moment::UpToDate(done) => output::note(&format!("  ✓ {:<10} up to date: {}", step.name(), done.outcome.summary)),
        Moment::Begins => {}
        Moment::Ended(done) => {
            let took = polder_base::units::duration(std::time::Duration::from_millis(done.took_ms));
            output::note(&format!("  ✓ {:<10} {} · {took}", step.name(), done.outcome.summary));
            let row = RunRow {
                run_id: context.run_id.clone(),
                workflow: NAME.into(),
                step: step.name().into(),
                state: "done".into(),
                started_at: Timestamp(done.at.0 - i64::try_from(done.took_ms).unwrap_or(0)),
                ended_at: done.at,
                config_digest: done.key.to_string(),
                code_version: env!("CARGO_PKG_VERSION").into(),
                input_versions: serde_json::json!({ "outputs": done.outcome.outputs }).to_string(),
                counters: done.outcome.details.to_string(),
            };
            let written = context
                .world
                .lake()
                .and_then(|lake| context.world.block_on(async { polder_govern::record_runs(&lake, &[row]).await.or_advise() }));
            if let Err(error) = written {
                output::note(&format!("warning: this step's run was not noted in ops.runs: {error}"));
            }
        }
    }
}

/// A step's outcome with nothing but a line and what it made.
pub fn outcome(summary: String, outputs: Vec<(Reference, Digest)>) -> Outcome {
    let outputs = outputs.into_iter().map(|(reference, digest)| polder_base::Input { reference, digest }).collect();
    Outcome { summary, outputs, details: serde_json::Value::Null }
}

/// Says what would be done, without doing it.
///
/// # Errors
/// The lake cannot be read.
pub fn dry_run(world: &mut World, settings: &Settings) -> anyhow::Result<()> {
    let state = polder_workflow::State::open(&world.layout().run(NAME)).or_advise()?;
    let (mut objects, mut cells) = (Vec::new(), Vec::new());
    for step in steps() {
        let done = state.steps.get(step.name());
        objects.push(serde_json::json!({ "stage": step.stage(), "step": step.name(), "done_at": done.map(|d| d.at) }));
        let said = done.map_or("would run".into(), |d| format!("done at {}, checked again when run", d.at));
        cells.push(vec![step.stage().to_owned(), step.name().to_owned(), said]);
    }
    output::rows(world.json, "polder.planned_step", &objects, &["stage", "step", "state"], &cells, &[])?;
    let sources: Vec<String> = settings.sources.iter().map(|s| s.display().to_string()).collect();
    output::note(&format!("sources: {} · limit {}", sources.join(", "), polder_base::units::bytes(settings.limit_bytes)));
    Ok(())
}
