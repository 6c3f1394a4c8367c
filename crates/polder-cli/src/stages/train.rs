//! Stage 2: a pile into tokens, tokens into a model.

use std::path::PathBuf;

use polder_base::{Digest, Event, Input, Manifest, Reference, digest_json, units};
use polder_compute::cuda::Chosen;
use polder_lake::Lake;
use polder_model::ModelConfig;
use polder_pipeline::{BuildTokens, Standing, TokensBuilt, TokensPhase, TokensProgress, TrainTokenizer};
use polder_shard::{TokenSet, Weight};
use polder_train::{Init, Metric, Mfu, Outcome, Tasks, TokenFolders, TrainConfig, TrainRun, gpu_bytes};

use crate::failure::{self, OrAdvise};
use crate::progress::{Bar, Unit};
use crate::world::World;
use crate::{output, stages};

/// The token that ends every document, and the user's own.
pub fn special_tokens(more: &[String]) -> Vec<String> {
    let end = polder_tokenizer::END_OF_TEXT.to_owned();
    let more = more.iter().filter(|t| **t != end).cloned();
    std::iter::once(end.clone()).chain(more).collect()
}

/// Share of a query's rows that a tokenizer is measured on and does not learn from.
pub const HELD_OUT_SHARE: f64 = 0.01;

/// Tells what an artefact's manifest says, as a fact: the same each time it is told.
pub fn told(world: &World, verb: &str, manifest: &Manifest) -> Event {
    let made = Input { reference: manifest.reference.clone(), digest: manifest.content_digest() };
    let run = manifest.details["run_id"].as_str().map_or_else(|| manifest.reference.to_string().replace(['/', '@'], "-"), str::to_owned);
    Event::new(manifest.created_at, &world.actor, verb, manifest.reference.clone(), &run)
        .with_inputs(manifest.inputs.clone())
        .with_outputs(vec![made])
        .with_details(manifest.details.clone())
}

/// Records what a manifest says.
///
/// # Errors
/// It cannot be written.
pub fn record(world: &mut World, verb: &str, manifest: &Manifest) -> anyhow::Result<()> {
    let event = told(world, verb, manifest);
    world.record(&event.run_id.clone(), &[event])
}

/// Trains a tokenizer, unless it stands there made from the same.
///
/// # Errors
/// Those of the pipeline.
pub fn tokenizer(world: &mut World, request: TrainTokenizer) -> anyhow::Result<Manifest> {
    let lake = world.lake()?;
    tokenizer_in(world, &lake, request)
}

/// The same, in a lake that may have its own limits.
///
/// # Errors
/// No text, files that cannot be written, or that it was stopped.
pub fn tokenizer_in(world: &mut World, lake: &Lake, request: TrainTokenizer) -> anyhow::Result<Manifest> {
    let now = world.now();
    let reference = Reference::artefact("tokenizers", &request.name);
    let plan = world.block_on(async { request.plan(lake, now).await.or_advise() })?;
    let manifest = if plan.is_done(lake) {
        stages::manifest(world, &reference)?
    } else {
        // One line a step, since each counts other things.
        let mut line: Option<(String, Bar)> = None;
        let mut on_progress = |what: &str, done: u64, all: u64| {
            if line.as_ref().is_none_or(|(name, _)| name != what) {
                let unit = if what == "merging" { Unit::Count } else { Unit::Bytes };
                line = Some((what.to_owned(), Bar::new(what, all, unit)));
            }
            if let Some((_, bar)) = &line {
                bar.at(done);
            }
        };
        world.block_on(async { plan.run(lake, &mut on_progress).await.or_advise() })?
    };
    record(world, "train tokenizer", &manifest)?;
    Ok(manifest)
}

/// Builds token shards, or brings a set up to date; one that stands, made from the same, stays as it is.
///
/// # Errors
/// Those of the pipeline.
pub fn tokens(world: &mut World, request: BuildTokens) -> anyhow::Result<TokensBuilt> {
    let lake = world.lake()?;
    let now = world.now();
    let plan = world.block_on(async { request.plan(&lake, now).await.or_advise() })?;
    if let Standing::Replaced(why) = plan.standing() {
        output::note(&format!("    tokens/{} is built from nothing: {why}", plan.name()));
    }
    let bar = Bar::new("reading rows", 1, Unit::Count);
    let started = std::time::Instant::now();
    let mut encoding_since = None;
    let mut on_progress = |p: &TokensProgress| match p.phase {
        TokensPhase::Reading => {
            bar.total(p.n_documents_total);
            bar.at(p.n_documents);
        }
        TokensPhase::Encoding => {
            let since = *encoding_since.get_or_insert_with(|| started.elapsed());
            let seconds = (started.elapsed() - since).as_secs_f64().max(1e-3);
            bar.name(&format!("encoding · {}/s", units::bytes((p.bytes as f64 / seconds) as u64)));
            bar.total(p.n_documents_total);
            bar.at(p.n_documents + p.n_without_text);
        }
        TokensPhase::Noting => bar.name("noting documents"),
    };
    let built = world.block_on(async {
        let clearance = polder_govern::clearance(&lake, plan.inputs_digest(), now).await.or_advise()?;
        plan.run(&lake, clearance, &mut on_progress).await.or_advise()
    })?;
    drop(bar);
    let mut event = told(world, "build tokens", &built.manifest);
    // What the set's own manifest lists for each shard is no news in the lake's books.
    if let Some(details) = event.details.as_object_mut() {
        details.remove("shards");
    }
    world.record(&event.run_id.clone(), &[event])?;
    Ok(built)
}

/// What weights a run begins with.
#[derive(Clone, Debug)]
pub enum Beginning {
    /// Drawn for a shape.
    Shape(Box<ModelConfig>),
    /// Those of a model.
    Model(Reference),
}

/// What to train.
#[derive(Clone, Debug)]
pub struct TrainRequest {
    /// The model's name.
    pub name: String,
    /// The token sets, with the weights of their mixture.
    pub tokens: Vec<(Reference, Weight)>,
    /// What it begins with.
    pub begins: Beginning,
    /// The settings.
    pub config: TrainConfig,
    /// Tasks that are scored during the run, by the names of their requests.
    pub tasks: Vec<String>,
    /// The run that is gone on with, where it is known by its name.
    pub run: Option<String>,
}

/// A trained model.
pub struct Trained {
    /// Its manifest.
    pub manifest: Manifest,
    /// What each step measured.
    pub metrics: Vec<Metric>,
}

/// Opens the token sets of a request, in its order.
///
/// # Errors
/// A set that is not there.
pub fn open_sets(world: &World, tokens: &[(Reference, Weight)]) -> anyhow::Result<Vec<TokenSet>> {
    tokens.iter().map(|(reference, _)| TokenSet::open(&stages::folder(world, reference)?).or_advise()).collect()
}

/// The name of the run that a request starts or goes on with: the same request has the same name.
///
/// # Errors
/// The model it begins with is not there.
pub fn run_id(world: &World, request: &TrainRequest, sets: &[TokenSet]) -> anyhow::Result<String> {
    if let Some(run) = &request.run {
        return Ok(run.clone());
    }
    let mixed: Vec<(Digest, Weight)> = sets.iter().zip(&request.tokens).map(|(set, (_, weight))| (set.fingerprint(), *weight)).collect();
    let begins = match &request.begins {
        Beginning::Shape(model) => serde_json::to_value(model)?,
        Beginning::Model(model) => serde_json::to_value(stages::manifest(world, model)?.content_digest())?,
    };
    let digest = match &mixed[..] {
        // The weight of a single set says nothing.
        [(fingerprint, _)] => digest_json(&(fingerprint, &begins, &request.config)),
        _ => digest_json(&(&mixed, &begins, &request.config)),
    };
    Ok(format!("train-{}", &digest.hex()[..12]))
}

/// The `tokenizer.json` that made a set.
///
/// # Errors
/// The set names none, or it is gone.
fn tokenizer_of(world: &World, set: &TokenSet) -> anyhow::Result<PathBuf> {
    let manifest = set.manifest();
    let found = manifest.inputs.iter().find(|i| matches!(&i.reference, Reference::Artefact { kind, .. } if kind == "tokenizers"));
    let missing = || failure::refused(format!("{} names no tokenizer", manifest.reference), "Build the tokens again: polder tokens build.");
    Ok(stages::folder(world, &found.ok_or_else(missing)?.reference)?.join("tokenizer.json"))
}

/// Trains a model, or goes on where an earlier run stopped, and writes its folder.
///
/// # Errors
/// Those of training; a run that was stopped can go on.
pub fn train(world: &mut World, request: &TrainRequest) -> anyhow::Result<Trained> {
    let sets = open_sets(world, &request.tokens)?;
    // One tokenizer made all of them, else the run does not start.
    let tokenizer = tokenizer_of(world, &sets[0])?;
    let folders = sets.iter().zip(&request.tokens).map(|(set, (_, weight))| (set.folder().to_owned(), *weight)).collect();
    let folders = TokenFolders::try_new(folders).or_advise()?.with_tokenizer(&tokenizer);
    let run_id = run_id(world, request, &sets)?;
    let run_dir = world.layout().run(&run_id);
    let (shape, init) = match &request.begins {
        Beginning::Shape(model) => ((**model).clone(), Init::Fresh((**model).clone())),
        Beginning::Model(model) => {
            let folder = stages::folder(world, model)?;
            (ModelConfig::load(&folder).or_advise()?, Init::Weights(folder))
        }
    };
    let machine = stages::plan::machine(world.device, &request.config)?;
    stages::plan::require(&machine, &shape, &request.config)?;
    say_machine(&machine);
    let backend = machine.open(gpu_bytes(&shape, &request.config)).or_advise()?;
    let mut run = TrainRun::start_or_resume_on(backend, &run_dir, folders, &request.config, &init).or_advise()?;
    let reference = stages::version_for(world, "models", &request.name, &run.inputs_digest());
    let model_dir = stages::folder(world, &reference)?;
    if Manifest::stands(&model_dir, &run.inputs_digest()) {
        let manifest = Manifest::verify(&model_dir).or_advise()?;
        let metrics = polder_train::read_metrics(&run_dir).or_advise()?;
        record(world, "train", &manifest)?;
        return Ok(Trained { manifest, metrics });
    }
    if (1..request.config.steps).contains(&run.step()) {
        output::note(&format!("    going on after step {} of {}", run.step(), request.config.steps));
    }
    let tasks = stages::validate::TasksDuringTraining::open(world, &request.tasks, &tokenizer, machine.clone())?;
    let mfu = Mfu::measure(&mut *machine.open(0).or_advise()?, run.config());
    let bar = Bar::new("training", request.config.steps, Unit::Count);
    let stop = world.stop.clone();
    let mut score = |weights| tasks.score(weights, stop.flag());
    let score: Option<&mut Tasks<'_>> = if request.tasks.is_empty() { None } else { Some(&mut score) };
    let outcome = run
        .run_with(world.stop.flag(), score, &mut |report| {
            let m = &report.metric;
            bar.at(m.step);
            let (speed, share) = (units::count(m.tokens_per_second as u64), 100.0 * mfu.at(m.tokens_per_second));
            bar.name(&format!("loss {:.3} · {speed} tok/s · MFU {share:.0} %", m.loss));
            if m.spike.is_some() {
                bar.above(&format!(
                    "    step {} stands out: loss {:.3}, norm of the gradients {:.3}; its documents stand in runs/{run_id}/{}",
                    m.step,
                    m.loss,
                    m.grad_norm,
                    polder_train::SPIKES_FILE
                ));
            }
            if !m.tasks.is_empty() {
                let scores: Vec<String> = m.tasks.iter().map(|(name, score)| format!("{name} {score:.4}")).collect();
                bar.above(&format!("    step {}: {}", m.step, scores.join(" · ")));
            }
        })
        .or_advise()?;
    drop(bar);
    if let Outcome::Interrupted { step } = outcome {
        let stands = if step > 0 { format!("; a checkpoint stands in runs/{run_id}") } else { String::new() };
        output::note(&format!("    stopped after step {step} of {}{stands}", request.config.steps));
        return Err(failure::interrupted());
    }
    show_mfu(run.metrics(), &mfu);
    let lake = world.lake()?;
    let now = world.now();
    let inputs_digest = run.inputs_digest();
    let clearance = world.block_on(async { polder_govern::clearance(&lake, inputs_digest, now).await.or_advise() })?;
    let manifest = run.finish(&model_dir, &tokenizer, reference, now, Some(clearance)).or_advise()?;
    record(world, "train", &manifest)?;
    Ok(Trained { manifest, metrics: run.metrics().to_vec() })
}

/// Says where a run computes, where that is no matter of course.
pub fn say_machine(machine: &Chosen) {
    match machine {
        Chosen::Gpu(gpu) => output::note(&format!("    on GPU {}, {}", gpu.ordinal, gpu.name)),
        Chosen::Processor { because: Some(why) } => output::note(&format!("    on the processor: {why}")),
        Chosen::Processor { because: None } => {}
    }
}

/// Says how much of the machine the run used, by the median of its steps.
fn show_mfu(metrics: &[Metric], mfu: &Mfu) {
    let mut speeds: Vec<f64> = metrics.iter().map(|m| m.tokens_per_second).collect();
    speeds.sort_by(f64::total_cmp);
    let Some(speed) = speeds.get(speeds.len() / 2) else { return };
    output::note(&format!(
        "    MFU {:.0} % = {} tokens/s · {} FLOP a token / {} FLOP/s, measured on a large product",
        100.0 * mfu.at(*speed),
        units::count(*speed as u64),
        units::count(mfu.flops_per_token as u64),
        units::count(mfu.peak_flops as u64),
    ));
}

/// Draws the loss of a run, with the entropy of single tokens beside it.
pub fn show_loss(metrics: &[Metric], unigram_entropy_nats: f64) {
    // A hundred points say all that a terminal can show; each is the mean of its steps.
    let group = metrics.len().div_ceil(100).max(1);
    let points: Vec<(f64, f64)> =
        metrics.chunks(group).map(|c| (c[c.len() - 1].step as f64, c.iter().map(|m| m.loss).sum::<f64>() / c.len() as f64)).collect();
    let points: Vec<(f64, f64)> = points.into_iter().filter(|(_, loss)| loss.is_finite()).collect();
    let curve = crate::chart::curve(&points, Some((unigram_entropy_nats, "unigram entropy")), 60, 9, "step");
    if !curve.is_empty() {
        output::note(&curve);
    }
}
