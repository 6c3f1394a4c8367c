//! Stage 2: a pile into tokens, tokens into a model.

use polder_base::{Digest, Event, Input, Manifest, Reference, digest_json, units};
use polder_lake::Lake;
use polder_model::ModelConfig;
use polder_pipeline::{BuildTokens, Standing, TokensBuilt, TokensPhase, TokensProgress, TrainTokenizer};
use polder_shard::{TokenSet, Weight};
use polder_train::{Init, Metric, Outcome, TokenFolders, TrainConfig, TrainRun};

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

/// What to train.
#[derive(Clone, Debug)]
pub struct TrainRequest {
    /// The model's name.
    pub name: String,
    /// The token sets, with the weights of their mixture.
    pub tokens: Vec<(Reference, Weight)>,
    /// Its shape.
    pub model: ModelConfig,
    /// The settings.
    pub config: TrainConfig,
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
pub fn run_id(request: &TrainRequest, sets: &[TokenSet]) -> String {
    let mixed: Vec<(Digest, Weight)> = sets.iter().zip(&request.tokens).map(|(set, (_, weight))| (set.fingerprint(), *weight)).collect();
    let digest = match &mixed[..] {
        // The weight of a single set says nothing.
        [(fingerprint, _)] => digest_json(&(fingerprint, &request.model, &request.config)),
        _ => digest_json(&(&mixed, &request.model, &request.config)),
    };
    format!("train-{}", &digest.hex()[..12])
}

/// Trains a model, or goes on where an earlier run stopped, and writes its folder.
///
/// # Errors
/// Those of training; a run that was stopped can go on.
pub fn train(world: &mut World, request: &TrainRequest) -> anyhow::Result<Trained> {
    let sets = open_sets(world, &request.tokens)?;
    let folders = sets.iter().zip(&request.tokens).map(|(set, (_, weight))| (set.folder().to_owned(), *weight)).collect();
    let folders = TokenFolders::try_new(folders).or_advise()?;
    let run_id = run_id(request, &sets);
    let run_dir = world.layout().run(&run_id);
    let mut run = TrainRun::start_or_resume(&run_dir, folders, &request.config, &Init::Fresh(request.model.clone())).or_advise()?;
    let reference = stages::version_for(world, "models", &request.name, &run.inputs_digest());
    let model_dir = stages::folder(world, &reference)?;
    if Manifest::stands(&model_dir, &run.inputs_digest()) {
        let manifest = Manifest::verify(&model_dir).or_advise()?;
        let metrics = polder_train::read_metrics(&run_dir).or_advise()?;
        record(world, "train", &manifest)?;
        return Ok(Trained { manifest, metrics });
    }
    if run.step() > 0 {
        output::note(&format!("    going on after step {} of {}", run.step(), request.config.steps));
    }
    let bar = Bar::new("training", request.config.steps, Unit::Count);
    let outcome = run
        .run(world.stop.flag(), &mut |report| {
            bar.at(report.metric.step);
            bar.name(&format!("loss {:.3} · {} tok/s", report.metric.loss, units::count(report.metric.tokens_per_second as u64)));
        })
        .or_advise()?;
    drop(bar);
    if let Outcome::Interrupted { step } = outcome {
        output::note(&format!("    stopped after step {step} of {}; a checkpoint stands in runs/{run_id}", request.config.steps));
        return Err(failure::interrupted());
    }
    let lake = world.lake()?;
    let now = world.now();
    let inputs_digest = run.inputs_digest();
    let clearance = world.block_on(async { polder_govern::clearance(&lake, inputs_digest, now).await.or_advise() })?;
    // One tokenizer made all of them, else the run had not started.
    let manifests = sets.iter().map(TokenSet::manifest);
    let tokenizer =
        manifests.flat_map(|m| &m.inputs).find(|i| matches!(&i.reference, Reference::Artefact { kind, .. } if kind == "tokenizers"));
    let no_tokenizer =
        || failure::refused(format!("{} names no tokenizer", sets[0].manifest().reference), "Build the tokens again: polder tokens build.");
    let tokenizer = stages::folder(world, &tokenizer.ok_or_else(no_tokenizer)?.reference)?.join("tokenizer.json");
    let manifest = run.finish(&model_dir, &tokenizer, reference, now, Some(clearance)).or_advise()?;
    record(world, "train", &manifest)?;
    Ok(Trained { manifest, metrics: run.metrics().to_vec() })
}

/// Draws the loss of a run, with the entropy of single tokens beside it.
pub fn show_loss(metrics: &[Metric], unigram_entropy_nats: f64) {
    // A hundred points say all that a terminal can show; each is the mean of its steps.
    let group = metrics.len().div_ceil(100).max(1);
    let points: Vec<(f64, f64)> =
        metrics.chunks(group).map(|c| (c[c.len() - 1].step as f64, c.iter().map(|m| m.loss).sum::<f64>() / c.len() as f64)).collect();
    let curve = crate::chart::curve(&points, Some((unigram_entropy_nats, "unigram entropy")), 60, 9, "step");
    if !curve.is_empty() {
        output::note(&curve);
    }
}
