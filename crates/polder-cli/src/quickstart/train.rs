//! Stage 2: tokenizer, shards, a model chosen and trained.

use polder_base::{Digest, Reference, digest_json, units};
use polder_pipeline::{BuildTokens, TextSource, TrainTokenizer};
use polder_shard::{TokenSet, Weight};
use polder_tokenizer::TrainOptions;
use polder_workflow::{Outcome, Step};

use super::prepare::tagged;
use super::{Context, NAME, outcome};
use crate::failure::{Error, OrAdvise};
use crate::output;
use crate::stages::{self, plan, train as stage};

const STAGE: &str = "2 Train";
/// Text that the tokenizer learns from; more adds minutes and changes little at this vocabulary.
const TOKENIZER_BYTES_MAX: u64 = 40_000_000;
const SHARD_TOKENS_MAX: u64 = 20_000_000;

/// Digest of a manifest's content; of nothing where there is none.
fn content(context: &Context<'_>, reference: &Reference) -> Digest {
    digest_json(&stages::manifest(context.world, reference).ok().map(|m| m.content_digest()))
}

/// The token set.
pub fn tokens() -> Reference {
    Reference::artefact("tokens", NAME)
}

/// The tokenizer.
pub struct Tokenizer;

impl<'a> Step<Context<'a>, Error> for Tokenizer {
    fn name(&self) -> &'static str {
        "tokenizer"
    }
    fn stage(&self) -> &'static str {
        STAGE
    }
    fn key(&self, context: &mut Context<'a>) -> Result<Digest, Error> {
        let pile = tagged(context)?;
        Ok(digest_json(&(super::prepare::pile_digest(context, &pile)?, context.settings.vocab_size)))
    }
    fn stands(&self, context: &mut Context<'a>, _: &Outcome) -> Result<bool, Error> {
        Ok(stages::stands(context.world, &Reference::artefact("tokenizers", NAME)))
    }
    fn run(&self, context: &mut Context<'a>) -> Result<Outcome, Error> {
        let request = TrainTokenizer {
            name: NAME.into(),
            source: TextSource::Table(tagged(context)?),
            options: TrainOptions { vocab_size: context.settings.vocab_size, ..TrainOptions::default() },
            bytes_max: TOKENIZER_BYTES_MAX,
            held_out_share: stage::HELD_OUT_SHARE,
        };
        let manifest = stage::tokenizer(context.world, request)?;
        let read = units::bytes(manifest.details["bytes"].as_u64().unwrap_or(0));
        let held_out = manifest.details["held_out"]["all"]["bytes_per_token"].as_f64();
        let held_out = held_out.map_or(String::new(), |x| format!(", {x:.2} bytes a token on held-out text"));
        let summary = format!("{} tokens learnt from {read}{held_out}, in {}", manifest.details["vocab_size"], manifest.reference);
        Ok(outcome(summary, vec![(manifest.reference.clone(), manifest.content_digest())]))
    }
}

/// The token shards.
pub struct Tokens;

impl<'a> Step<Context<'a>, Error> for Tokens {
    fn name(&self) -> &'static str {
        "tokens"
    }
    fn stage(&self) -> &'static str {
        STAGE
    }
    fn key(&self, context: &mut Context<'a>) -> Result<Digest, Error> {
        let pile = tagged(context)?;
        Ok(digest_json(&(super::prepare::pile_digest(context, &pile)?, content(context, &Reference::artefact("tokenizers", NAME)))))
    }
    fn stands(&self, context: &mut Context<'a>, _: &Outcome) -> Result<bool, Error> {
        Ok(stages::stands(context.world, &tokens()))
    }
    fn run(&self, context: &mut Context<'a>) -> Result<Outcome, Error> {
        let mut request = BuildTokens::new(NAME, tagged(context)?, NAME);
        request.shard_tokens_max = SHARD_TOKENS_MAX;
        let manifest = stage::tokens(context.world, request)?.manifest;
        let n = |split: &str| units::count(manifest.details["n_tokens"][split].as_u64().unwrap_or(0));
        let shards = manifest.files.iter().filter(|f| f.path.ends_with(".bin")).count();
        let summary =
            format!("{} training and {} validation tokens in {shards} shards, in {}", n("train"), n("validation"), manifest.reference);
        Ok(outcome(summary, vec![(manifest.reference.clone(), manifest.content_digest())]))
    }
}

/// The choice of a model. What it measured is fixed here, once: training does not measure.
pub struct Plan;

impl<'a> Step<Context<'a>, Error> for Plan {
    fn name(&self) -> &'static str {
        "plan"
    }
    fn stage(&self) -> &'static str {
        STAGE
    }
    fn key(&self, context: &mut Context<'a>) -> Result<Digest, Error> {
        let s = &context.settings;
        Ok(digest_json(&(content(context, &tokens()), s.minutes, s.steps, &s.preset, s.seed)))
    }
    fn stands(&self, _: &mut Context<'a>, _: &Outcome) -> Result<bool, Error> {
        Ok(true)
    }
    fn run(&self, context: &mut Context<'a>) -> Result<Outcome, Error> {
        let set = TokenSet::open(&stages::folder(context.world, &tokens())?).or_advise()?;
        let details = set.details();
        let s = &context.settings;
        let request = plan::PlanRequest {
            n_tokens: details.n_tokens.get("train").copied().unwrap_or(0),
            vocab_size: details.vocab_size,
            bos_id: details.bos_id.or(details.eos_id),
            eos_id: details.eos_id,
            seconds: s.minutes * 60.0,
            steps: s.steps,
            preset: s.preset.clone(),
            seed: s.seed,
            settings: Vec::new(),
            device: context.world.device,
        };
        let plan = plan::plan(&request)?;
        if s.steps.is_none() {
            output::note(&plan::plan_table(&plan));
        }
        let summary =
            format!("{} with {} parameters, {} steps: {}", plan.chosen, units::count(plan.model.n_params()), plan.train.steps, plan.why);
        let details = serde_json::json!({ "model": plan.model, "train": plan.train, "chosen": plan.chosen });
        Ok(Outcome { summary, outputs: Vec::new(), details })
    }
}

/// The training request that planning fixed.
///
/// # Errors
/// Planning was not done.
fn planned(context: &Context<'_>) -> anyhow::Result<stage::TrainRequest> {
    let state = polder_workflow::State::open(&context.world.layout().run(NAME)).or_advise()?;
    let details = state.steps.get("plan").map(|d| d.outcome.details.clone()).unwrap_or_default();
    Ok(stage::TrainRequest {
        name: NAME.into(),
        tokens: vec![(tokens(), Weight::ONE)],
        begins: stage::Beginning::Shape(serde_json::from_value(details["model"].clone())?),
        config: serde_json::from_value(details["train"].clone())?,
        tasks: Vec::new(),
        run: None,
    })
}

/// The training.
pub struct Train;

impl<'a> Step<Context<'a>, Error> for Train {
    fn name(&self) -> &'static str {
        "train"
    }
    fn stage(&self) -> &'static str {
        STAGE
    }
    fn key(&self, context: &mut Context<'a>) -> Result<Digest, Error> {
        let request = planned(context)?;
        let sets = stage::open_sets(context.world, &request.tokens)?;
        Ok(digest_json(&stage::run_id(context.world, &request, &sets)?))
    }
    fn stands(&self, context: &mut Context<'a>, done: &Outcome) -> Result<bool, Error> {
        Ok(done.outputs.iter().all(|o| stages::stands(context.world, &o.reference)))
    }
    fn run(&self, context: &mut Context<'a>) -> Result<Outcome, Error> {
        let request = planned(context)?;
        let trained = stage::train(context.world, &request)?;
        let details = &trained.manifest.details;
        let entropy = details["unigram_entropy_nats"].as_f64().unwrap_or(0.0);
        stage::show_loss(&trained.metrics, entropy);
        // A source of one package has nothing held out.
        let number = |key: &str| details[key].as_f64().map_or("–".to_owned(), |x| format!("{x:.3}"));
        let summary = format!(
            "{}: loss {}, on validation {}, against a unigram entropy of {entropy:.3} nats",
            trained.manifest.reference,
            number("loss"),
            number("validation_loss"),
        );
        Ok(outcome(summary, vec![(trained.manifest.reference.clone(), trained.manifest.content_digest())]))
    }
}
