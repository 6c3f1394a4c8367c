//! `polder tokens build NAME`.

use polder_base::{Reference, units};
use polder_pipeline::{Begin, BuildTokens, Standing, TokensBuilt};

use crate::failure::OrAdvise;
use crate::world::World;
use crate::{output, stages};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to call the set.
    name: String,
    /// The pile, for example pile.base@v1: a table with columns doc_id and text, and maybe split.
    #[arg(long, default_value = "pile.base", value_name = "PILE")]
    from: String,
    /// A tokenizer of the lake.
    #[arg(long, value_name = "NAME")]
    tokenizer: String,
    /// Tokens in a shard at most, in millions.
    #[arg(long, value_parser = stages::positive, default_value_t = 100.0, value_name = "M")]
    shard_tokens: f64,
    /// A special token that opens every document.
    #[arg(long, value_name = "TOKEN")]
    bos: Option<String>,
    /// The special token that closes every document.
    #[arg(long, default_value = polder_tokenizer::END_OF_TEXT, value_name = "TOKEN")]
    eos: String,
    /// Close documents with nothing.
    #[arg(long, conflicts_with = "eos")]
    no_eos: bool,
    /// The share of documents for validation, by a hash of their ids, where the pile has no column split [default: 0.005]
    #[arg(long, value_name = "SHARE")]
    validation: Option<f64>,
    /// Take only the rows for which this is true, for example "language = 'en'".
    #[arg(long = "where", value_name = "SQL")]
    filter: Option<String>,
    /// Go on with a build that was broken off, and with nothing else.
    #[arg(long)]
    resume: bool,
    /// Throw away a build that was broken off, and encode everything.
    #[arg(long, conflicts_with = "resume")]
    fresh: bool,
    /// Say what would be done.
    #[arg(long)]
    dry_run: bool,
}

pub fn run(world: &mut World, args: Args) -> anyhow::Result<()> {
    let reference = stages::named("tokens", &args.name).or_advise()?;
    let tokenizer = stages::named("tokenizers", &args.tokenizer).or_advise()?;
    let name = |reference: &Reference| reference.to_string().split_once('/').map(|n| n.1.to_owned()).unwrap_or_default();
    let mut request = BuildTokens::new(&name(&reference), args.from.parse::<Reference>().or_advise()?, &name(&tokenizer));
    request.shard_tokens_max = stages::megabytes(args.shard_tokens);
    if let Some(bytes) = world.memory_bytes {
        request.memory_bytes = bytes;
    }
    request.bos = args.bos;
    request.eos = (!args.no_eos).then_some(args.eos);
    request.validation_share = args.validation;
    request.filter = args.filter;
    request.begin = match (args.resume, args.fresh) {
        (true, _) => Begin::Resume,
        (_, true) => Begin::Fresh,
        _ => Begin::Any,
    };
    if args.dry_run {
        return plan(world, request);
    }
    let built = stages::train::tokens(world, request)?;
    if world.json {
        return output::object("polder.tokens", &serde_json::to_value(&built.manifest)?);
    }
    report(&built);
    Ok(())
}

/// Says what a build would do.
fn plan(world: &mut World, request: BuildTokens) -> anyhow::Result<()> {
    let lake = world.lake()?;
    let now = world.now();
    let plan = world.block_on(async { request.plan(&lake, now).await.or_advise() })?;
    let what = match plan.standing() {
        Standing::None => "build it".to_owned(),
        Standing::Same => "leave it: it stands, made from the same".to_owned(),
        Standing::Base => "bring it up to date, and share what did not change".to_owned(),
        Standing::Replaced(why) => format!("build it from nothing: {why}"),
    };
    let snapshot = plan.snapshot();
    let inputs: Vec<String> = plan.inputs().iter().map(|i| i.reference.to_string()).collect();
    if world.json {
        let object = serde_json::json!({
            "reference": format!("tokens/{}", plan.name()), "inputs": inputs, "version": snapshot.version,
            "rows": snapshot.n_rows, "bytes": snapshot.bytes, "does": what,
        });
        return output::object("polder.tokens_plan", &object);
    }
    output::data(&format!("tokens/{}: would {what}", plan.name()))?;
    output::data(&format!(
        "from {}, version {} of the table: {} rows in {} of files",
        inputs.join(" and "),
        snapshot.version,
        units::count(snapshot.n_rows),
        units::bytes(snapshot.bytes)
    ))
}

/// Says what is true now, and what comes next.
fn report(built: &TokensBuilt) {
    let manifest = &built.manifest;
    let name = manifest.reference.to_string().replace("tokens/", "");
    let next = format!("next: polder train start {name} --tokens {name}");
    let n_tokens = units::count(manifest.details["n_tokens"]["train"].as_u64().unwrap_or(0));
    if built.stood {
        return output::note(&format!("{} is up to date: {n_tokens} training tokens · {next}", manifest.reference));
    }
    if built.n_without_text > 0 {
        output::note(&format!("left out {} rows without text", units::count(built.n_without_text)));
    }
    if built.n_left_out > 0 {
        output::note(&format!("left out {} rows of other splits, or for which --where is not true", units::count(built.n_left_out)));
    }
    let (counts, (shared, rewritten, added)) = (built.counts, built.n_shards);
    if counts.written > 0 {
        output::note(&format!("went on after {} documents of an earlier attempt", units::count(counts.written)));
    }
    if shared + rewritten > 0 {
        output::note(&format!(
            "kept {} documents; {shared} shards stay as they are, {rewritten} are rewritten without departed documents, {added} are added with {} documents",
            units::count(counts.kept),
            units::count(counts.wanted + counts.written),
        ));
    }
    let n_shards = shared + rewritten + added;
    output::note(&format!("wrote {n_shards} shards, {n_tokens} training tokens, to {} · {next}", manifest.reference));
}
