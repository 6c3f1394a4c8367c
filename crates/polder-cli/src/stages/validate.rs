//! Stage 3: how well a model does.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::atomic::AtomicBool;

use polder_base::{At, Event, Input, Manifest, Reference, TableName, digest_json};
use polder_compute::cuda::Chosen;
use polder_eval::{EvalOptions, OnMachine, Request, Scores};
use polder_infer::{Engine, InferError};
use polder_model::Weights;
use polder_pipeline::{Export, ExportQuery, query};
use polder_tokenizer::Tokenizer;

use crate::failure::OrAdvise;
use crate::progress::{Bar, Unit};
use crate::stages;
use crate::world::World;

/// The two tasks that the SQL files make: name, file of the query, tables it reads.
pub const TASKS: [(&str, &str, &[&str]); 2] = [
    ("bits_per_byte", "queries/requests_bits_per_byte.sql", &["heldout"]),
    ("next_line", "queries/requests_next_line.sql", &["next_line", "contamination"]),
];

/// Writes what evaluation reads, unless it stands there made from the same.
///
/// # Errors
/// A table that is not there, or no rows.
pub fn requests(world: &mut World, task: &str) -> anyhow::Result<Manifest> {
    let known = TASKS.iter().find(|(name, ..)| *name == task);
    let names: Vec<&str> = TASKS.iter().map(|t| t.0).collect();
    let missing = || crate::failure::usage(format!("there is no task `{task}`"), format!("The tasks are {}.", names.join(", ")));
    let (name, path, tables) = known.ok_or_else(missing)?;
    export(
        world,
        Export {
            target: Reference::artefact("requests", *name),
            reads: tables.iter().map(|t| TableName::new("eval", *t)).collect(),
            queries: vec![ExportQuery { file: polder_eval::REQUESTS_FILE.into(), sql: query(path).into(), parameters: Vec::new() }],
        },
    )
}

/// Writes query results as files, unless they stand there made from the same.
///
/// # Errors
/// Those of the pipeline.
pub fn export(world: &mut World, export: Export) -> anyhow::Result<Manifest> {
    let lake = world.lake()?;
    let now = world.now();
    let target = export.target.clone();
    let plan = world.block_on(async { export.plan(&lake, now).await.or_advise() })?;
    let manifest = if plan.is_done(&lake) {
        stages::manifest(world, &target)?
    } else {
        world.block_on(async {
            let clearance = polder_govern::clearance(&lake, plan.inputs_digest(), now).await.or_advise()?;
            plan.run(&lake, clearance).await.or_advise()
        })?
    };
    stages::train::record(world, "export", &manifest)?;
    Ok(manifest)
}

/// Measures a model on a task, unless that was done; the scores stand in the run's folder and in `ops.evals`.
///
/// # Errors
/// Those of evaluation.
pub fn evaluate(world: &mut World, model: &Reference, task: &str) -> anyhow::Result<Scores> {
    let requests_ref = Reference::artefact("requests", task);
    let (model_dir, requests_dir) = (stages::folder(world, model)?, stages::folder(world, &requests_ref)?);
    let model_manifest = Manifest::read(&model_dir).or_advise()?;
    let requests_manifest = Manifest::read(&requests_dir).or_advise()?;
    let of = |m: &Manifest| Input { reference: m.reference.clone(), digest: m.content_digest() };
    let (model_input, requests_input) = (of(&model_manifest), of(&requests_manifest));
    let options = EvalOptions::default();
    let id = format!("eval-{}", &digest_json(&(&model_input, &requests_input, options.seed, options.n_resamples)).hex()[..12]);
    let run_dir = world.layout().run(&id);
    let scores = match Scores::read(&run_dir) {
        Ok(scores) => scores,
        Err(_) => {
            let engine = Engine::open(&model_dir, None).or_advise()?;
            let requests = polder_eval::read_requests(&requests_dir).or_advise()?;
            let machine = world.device.choose(0).or_advise()?;
            let scorer = OnMachine::open(&machine, &engine).or_advise()?;
            let bar = Bar::new(task, requests.len() as u64, Unit::Count);
            let evaluation =
                polder_eval::evaluate(&scorer, &requests, &options, &mut |p| bar.at(p.done as u64), world.stop.flag()).or_advise()?;
            drop(bar);
            evaluation.write_items(&run_dir.join("items.jsonl")).or_advise()?;
            let scores = Scores {
                model: model_input.clone(),
                requests: requests_input.clone(),
                tokenizer_digest: engine.tokenizer().digest(),
                at: world.now(),
                scores: evaluation.scores,
            };
            scores.write(&run_dir).or_advise()?;
            scores
        }
    };
    let rows: Vec<serde_json::Value> = scores
        .scores
        .iter()
        .map(|s| {
            serde_json::json!({
                "group": s.group, "metric": s.metric, "value": s.estimate.value, "stderr": s.estimate.stderr,
                "n": s.estimate.n, "n_contaminated": s.n_contaminated,
            })
        })
        .collect();
    let data = requests_manifest.inputs.iter().find(|i| matches!(&i.reference, Reference::Table(_, At::Version(_))));
    let event = Event::new(scores.at, &world.actor, "evaluate", model_input.reference.clone(), &id)
        .with_inputs(vec![model_input, requests_input.clone()])
        .with_details(serde_json::json!({
            "task": task, "scores": rows, "data_digest": data.map(|d| d.digest), "requests_digest": requests_input.digest,
        }));
    world.record(&id, &[event])?;
    Ok(scores)
}

/// Writes a model's card into its folder.
///
/// # Errors
/// The lake cannot be read, or the file not written.
pub fn card(world: &mut World, model: &Reference) -> anyhow::Result<std::path::PathBuf> {
    let lake = world.lake()?;
    world.block_on(async { polder_govern::write_model_card(&lake, model).await.or_advise() })
}

/// The figures as rows for people: group, metric, value, interval, items.
pub fn cells(scores: &Scores) -> Vec<Vec<String>> {
    let interval = |e: &polder_eval::Estimate| match (e.low, e.high) {
        (Some(low), Some(high)) => format!("{low:.3} – {high:.3}"),
        _ => String::new(),
    };
    let row = |s: &polder_eval::Score| {
        let seen = if s.n_contaminated > 0 { format!("{} seen in training", s.n_contaminated) } else { String::new() };
        vec![s.group.clone(), s.metric.clone(), format!("{:.3}", s.estimate.value), interval(&s.estimate), s.estimate.n.to_string(), seen]
    };
    scores.scores.iter().map(row).collect()
}

/// Tasks whose scores a run writes down while it trains.
pub struct TasksDuringTraining {
    machine: Chosen,
    said: Once,
    tokenizer: PathBuf,
    tasks: Vec<(String, Vec<Request>)>,
}

impl TasksDuringTraining {
    /// Reads the requests.
    ///
    /// # Errors
    /// They are not there, or not readable.
    pub fn open(world: &World, tasks: &[String], tokenizer: &Path, machine: Chosen) -> anyhow::Result<Self> {
        let read = |name: &String| -> anyhow::Result<(String, Vec<Request>)> {
            let folder = stages::folder(world, &stages::named("requests", name).or_advise()?)?;
            Ok((name.clone(), polder_eval::read_requests(&folder).or_advise()?))
        };
        let tasks = tasks.iter().map(read).collect::<anyhow::Result<_>>()?;
        Ok(Self { machine, said: Once::new(), tokenizer: tokenizer.to_owned(), tasks })
    }

    /// Scores weights on all of them: `TASK/METRIC`, over all requests.
    ///
    /// # Errors
    /// A model that cannot be asked, or a request that it cannot answer.
    pub fn score(&self, weights: Weights, stop: &AtomicBool) -> Result<BTreeMap<String, f64>, Box<dyn std::error::Error + Send + Sync>> {
        let mut scores = BTreeMap::new();
        if self.tasks.is_empty() {
            return Ok(scores);
        }
        let engine = Engine::new(weights, Tokenizer::open(&self.tokenizer)?)?;
        // What training leaves of a GPU's memory may be too little; the processor can do it too.
        let scorer = match OnMachine::open(&self.machine, &engine) {
            Err(InferError::Machine { source }) => {
                self.said.call_once(|| crate::output::note(&format!("    tasks are scored on the processor: {source}")));
                OnMachine::open(&Chosen::Processor { because: None }, &engine)?
            }
            opened => opened?,
        };
        for (task, requests) in &self.tasks {
            let evaluation = polder_eval::evaluate(&scorer, requests, &EvalOptions::default(), &mut |_| {}, stop)?;
            scores.extend(
                evaluation.scores.into_iter().filter(|s| s.group == "all").map(|s| (format!("{task}/{}", s.metric), s.estimate.value)),
            );
        }
        Ok(scores)
    }
}
