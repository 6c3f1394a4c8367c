//! `polder model plan`: matches a pile with a model, a time and this machine, and says why.

use std::time::Duration;

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::functions_aggregate::expr_fn::sum;
use datafusion::prelude::{cast, col, lit, octet_length};
use polder_base::{Reference, units};
use polder_lake::{Lake, Snapshot};
use polder_shard::TokenSet;
use polder_tokenizer::Tokenizer;
use polder_train::{
    Aim, Bound, Candidate, Choice, EPOCHS_MAX, Means, MemoryLayout, TOKENS_PER_PARAM_BEST, TrainConfig, choose, mask_token,
};
use serde_json::json;

use crate::commands::tokens::names;
use crate::failure::{self, OrAdvise};
use crate::progress::{Bar, Unit};
use crate::stages::plan::{machine, means, measured, nothing_fits, size, step_time};
use crate::world::World;
use crate::{output, stages};

/// Bytes of text a token stands for, where no tokenizer is named, and the vocabulary that goes with it.
const BYTES_PER_TOKEN: f64 = 3.3;
const VOCAB_SIZE: usize = 4096;
/// Text that a tokenizer is measured on.
const SAMPLE_BYTES: u64 = 8_000_000;
/// Times are shown up to here; no duration holds every number that can be typed.
const SECONDS_SHOWN_MAX: f64 = 1e12;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The pile, for example pile.base@v1.
    #[arg(long, default_value = "pile.base", value_name = "PILE")]
    pile: String,
    /// Hours to train.
    #[arg(long, value_parser = stages::positive, default_value_t = 0.05, value_name = "HOURS")]
    hours: f64,
    /// What the model is for: a chatbot continues text, classifiers and embeddings read it whole.
    #[arg(long = "use", value_enum, default_value_t = Use::Chatbot, value_name = "USE")]
    what_for: Use,
    /// A tokenizer of the lake, to count the pile's tokens with.
    #[arg(long, value_name = "NAME")]
    tokenizer: Option<String>,
    /// A token set built from the pile; by default the largest.
    #[arg(long, value_name = "NAME", conflicts_with = "tokenizer")]
    tokens: Option<String>,
    /// Vocabulary size of a tokenizer that is yet to be trained.
    #[arg(long, value_parser = clap::value_parser!(u64).range(257..=1 << 24), value_name = "N", conflicts_with_all = ["tokenizer", "tokens"])]
    vocab: Option<u64>,
}

/// What a model is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
enum Use {
    Chatbot,
    Classifier,
    Embedding,
}

impl Use {
    fn family(self) -> &'static str {
        if self == Self::Chatbot { "llama" } else { "modernbert" }
    }

    fn sentence(self) -> &'static str {
        match self {
            Self::Chatbot => "A chatbot continues text, so the model is a decoder.",
            Self::Classifier => {
                "A classifier reads a text whole, so the model is an encoder; it first learns to fill in masked tokens, of which only those pass the head, and gets its classes from a few examples later."
            }
            Self::Embedding => {
                "An embedding stands for a text read whole, so the model is an encoder; it first learns to fill in masked tokens, of which only those pass the head."
            }
        }
    }
}

/// The tokens that there are, and how that is known.
struct Tokens {
    n_tokens: u64,
    vocab_size: usize,
    bos_id: Option<u32>,
    eos_id: Option<u32>,
    /// The set that holds them, where they were built.
    set: Option<String>,
    /// The tokenizer that makes them, where there is one.
    tokenizer: Option<String>,
    /// That tokenizer has a token that hides others.
    has_mask: bool,
    sentence: String,
}

pub fn run(world: &mut World, args: &Args) -> anyhow::Result<()> {
    let tokens = tokens(world, args)?;
    let settings = TrainConfig::of_steps(1000, 1);
    let machine = machine(world.device, &settings)?;
    let means = means(&machine, tokens.n_tokens, args.hours * 3600.0, None);
    let sizes = polder_model::sizes(args.what_for.family())
        .into_iter()
        .map(|name| Ok((name.clone(), size(&name, tokens.vocab_size, &settings, tokens.bos_id, tokens.eos_id)?)))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let mut all = Vec::new();
    for layout in MemoryLayout::ALL {
        all.extend(measured(&machine, &sizes, layout, &settings, &means)?);
    }
    let choice = choose(&all, Aim::Near(TOKENS_PER_PARAM_BEST), &settings, &means).ok_or_else(nothing_fits)?;
    let chosen = choice.candidate;
    let mut sentences = vec![args.what_for.sentence().to_owned(), tokens.sentence.clone()];
    sentences.extend(why(&choice, &means, &all, args.hours));
    let next = next(args, &tokens, chosen);
    if world.json {
        let model = sizes.iter().find(|(name, _)| *name == chosen.name).map(|(_, model)| model);
        let object = json!({
            "use": args.what_for, "n_tokens": tokens.n_tokens, "tokens": tokens.set, "tokenizer": tokens.tokenizer, "hours": args.hours,
            "free_bytes": means.free_bytes, "candidates": all, "chosen": chosen.name, "layout": chosen.layout, "bound": choice.bound,
            "kept_out": choice.kept_out.map(|k| &k.name), "why": sentences.join(" "), "next": next, "model": model,
            "train": TrainConfig::of_steps(chosen.steps.max(1), settings.seed),
        });
        return output::object("polder.model_plan", &object);
    }
    output::data(&table(&all, chosen))?;
    output::note(&format!("\n{}\n\nnext:\n  {}", sentences.join("\n"), next.join("\n  ")));
    Ok(())
}

/// A row a size: what it takes in each layout, and what it would see in the chosen one.
fn table(all: &[Candidate], chosen: &Candidate) -> String {
    let of = |name: &str, layout: MemoryLayout| all.iter().find(|c| c.name == name && c.layout == layout.name);
    let mut headings = vec!["  size".to_owned(), "parameters".to_owned()];
    headings.extend(MemoryLayout::ALL.map(|l| format!("memory in {}", l.name)));
    headings.extend(MemoryLayout::ALL.map(|l| format!("a step in {}", l.name)));
    headings.extend(["steps", "tokens/param", "epochs"].map(str::to_owned));
    let row = |c: &Candidate| {
        let mark = if c.name == chosen.name { "→" } else { " " };
        let both = |show: &dyn Fn(&Candidate) -> String| MemoryLayout::ALL.map(|l| of(&c.name, l).map_or("–".to_owned(), show));
        let mut cells = vec![format!("{mark} {}", c.name), units::count(c.n_params)];
        cells.extend(both(&|c| units::bytes(c.memory_bytes)));
        cells.extend(both(&step_time));
        cells.extend([units::count(c.steps), format!("{:.2}", c.tokens_per_param), format!("{:.2}", c.epochs)]);
        cells
    };
    let cells: Vec<Vec<String>> = all.iter().filter(|c| c.layout == chosen.layout).map(row).collect();
    let headings: Vec<&str> = headings.iter().map(String::as_str).collect();
    output::table(&headings, &cells, &(1..headings.len()).collect::<Vec<_>>())
}

/// Why this size, and what bounds it, in sentences.
fn why(choice: &Choice<'_>, means: &Means, all: &[Candidate], hours: f64) -> Vec<String> {
    let c = choice.candidate;
    let seen = |c: &Candidate| units::count((c.tokens_per_param * c.n_params as f64) as u64);
    let duration = |seconds: f64| units::duration(Duration::from_secs_f64(seconds.min(SECONDS_SHOWN_MAX)));
    let (time, whole) = (duration(c.seconds_per_step * c.steps as f64), duration(hours * 3600.0));
    let ratio = format!("{:.2} tokens for each of its {} parameters", c.tokens_per_param, units::count(c.n_params));
    let is_short = c.tokens_per_param < TOKENS_PER_PARAM_BEST / 2.0 && all.iter().all(|o| o.n_params >= c.n_params);
    let best = format!("{TOKENS_PER_PARAM_BEST} for each, where a fixed amount of computing gives the least loss (Hoffmann et al. 2022)");
    let mut said = vec![match is_short {
        true => format!("Even `{}`, the smallest size, sees only {ratio}, far from {best}.", c.name),
        false => format!("`{}` sees {ratio}: of the sizes that fit, the nearest to {best}.", c.name),
    }];
    said.push(match (choice.bound, choice.kept_out) {
        (Bound::Memory, Some(k)) => format!(
            "Memory bounds it: `{}` would be nearer, and takes {} where {} are free.",
            k.name,
            units::bytes(k.memory_bytes),
            units::bytes(means.free_bytes.unwrap_or(0))
        ),
        (Bound::Data, _) => format!(
            "The data bound it: after {} steps, {time} of {whole}, it has seen the tokens {EPOCHS_MAX} times, and more passes teach little (Muennighoff et al. 2023). A larger pile would carry a larger model.",
            units::count(c.steps)
        ),
        _ => format!(
            "The time bounds it: in {whole} it makes {} steps and sees {} tokens, {:.2} of the {EPOCHS_MAX} passes over the data that pay (Muennighoff et al. 2023).",
            units::count(c.steps),
            seen(c),
            c.epochs
        ),
    });
    let others = all.iter().filter(|o| o.name == c.name && o.layout != c.layout && o.is_measured && c.is_measured);
    said.extend(others.map(|o| format!("A step of it takes {} in {} here, and {} in {}.", step_time(c), c.layout, step_time(o), o.layout)));
    said
}

/// The commands to run next.
fn next(args: &Args, tokens: &Tokens, chosen: &Candidate) -> Vec<String> {
    let pile = args.pile.split('@').next().and_then(|p| p.split_once('.')).map_or("base", |(_, name)| name);
    let mut commands = Vec::new();
    // An encoder needs a token that hides others; what was made without one does not serve it.
    let serves = args.what_for == Use::Chatbot || tokens.has_mask;
    let name = if serves || tokens.tokenizer.is_none() { pile.to_owned() } else { format!("{pile}-masked") };
    let set = tokens.set.as_deref().filter(|_| serves).unwrap_or(&name);
    if tokens.set.is_none() || !serves {
        let tokenizer = tokens.tokenizer.as_deref().filter(|_| serves).unwrap_or(&name);
        if tokens.tokenizer.is_none() || !serves {
            let special = if args.what_for == Use::Chatbot { "" } else { " --special '[MASK]'" };
            commands.push(format!("polder tokenizer train {tokenizer} --from {} --vocab {}{special}", args.pile, tokens.vocab_size));
        }
        commands.push(format!("polder tokens build {set} --from {} --tokenizer {tokenizer}", args.pile));
    }
    let layout = MemoryLayout::ALL.into_iter().find(|l| l.name == chosen.layout);
    let settings: String = layout.iter().flat_map(|l| l.settings).map(|s| format!(" --set {s}")).collect();
    commands.push(format!("polder train start {set} --tokens {set} --model {} --steps {}{settings}", chosen.name, chosen.steps.max(1)));
    commands
}

/// The name behind the kind.
fn name_of(reference: &Reference) -> String {
    reference.to_string().split_once('/').map(|n| n.1.to_owned()).unwrap_or_default()
}

/// What is known of the pile's tokens: from a set that was built from this very version, else estimated.
fn tokens(world: &mut World, args: &Args) -> anyhow::Result<Tokens> {
    let lake = world.lake()?;
    let pile: Reference = args.pile.parse::<Reference>().or_advise()?;
    let snapshot = world.block_on(async { lake.snapshot(&pile).await.or_advise() })?;
    let tokenizer = args.tokenizer.as_ref().map(|t| stages::named("tokenizers", t)).transpose().or_advise()?;
    if let Some(name) = &args.tokens {
        let reference = stages::named("tokens", name).or_advise()?;
        let set = TokenSet::open(&stages::folder(world, &reference)?).or_advise()?;
        if !is_of(&set, &snapshot) {
            let hint = format!("Build it from there: polder tokens build {} --from {} --tokenizer NAME.", name_of(&reference), args.pile);
            return Err(failure::usage(format!("{reference} was not built from {}", args.pile), hint));
        }
        return counted(world, &set, &args.pile);
    }
    if args.vocab.is_none() {
        let sets = names(world).into_iter().filter_map(|name| TokenSet::open(&world.layout().kind("tokens").join(name)).ok());
        let wanted = |set: &TokenSet| {
            is_of(set, &snapshot) && tokenizer.as_ref().is_none_or(|t| set.manifest().inputs.iter().any(|i| i.reference == *t))
        };
        if let Some(set) = sets.filter(wanted).max_by_key(n_train) {
            return counted(world, &set, &args.pile);
        }
    }
    let bytes = text_bytes(world, &lake, &args.pile)?;
    match &tokenizer {
        Some(reference) => estimated(world, &lake, args, &pile, reference, bytes),
        None => {
            let vocab_size = args.vocab.map_or(VOCAB_SIZE, |v| v as usize);
            let n_tokens = (bytes as f64 / BYTES_PER_TOKEN) as u64;
            let sentence = format!(
                "{} holds about {} training tokens: {} of text, guessed at {BYTES_PER_TOKEN} bytes a token, since no tokenizer is named.",
                args.pile,
                units::count(n_tokens),
                units::bytes(bytes),
            );
            Ok(Tokens { n_tokens, vocab_size, bos_id: Some(0), eos_id: Some(0), set: None, tokenizer: None, has_mask: false, sentence })
        }
    }
}

fn n_train(set: &TokenSet) -> u64 {
    set.details().n_tokens.get("train").copied().unwrap_or(0)
}

/// Whether a set was built from a version of a table.
fn is_of(set: &TokenSet, snapshot: &Snapshot) -> bool {
    let of_table = |r: &Reference| matches!(r, Reference::Table(table, _) if *table == snapshot.table);
    set.manifest().inputs.iter().any(|i| of_table(&i.reference) && i.digest == snapshot.files_digest)
}

fn counted(world: &World, set: &TokenSet, pile: &str) -> anyhow::Result<Tokens> {
    let (details, reference) = (set.details(), &set.manifest().reference);
    let is_tokenizer = |r: &&Reference| matches!(r, Reference::Artefact { kind, .. } if kind == "tokenizers");
    let tokenizer = set.manifest().inputs.iter().map(|i| &i.reference).find(is_tokenizer);
    let opened = tokenizer.map(|t| Tokenizer::open(&stages::folder(world, t)?.join("tokenizer.json")).or_advise()).transpose()?;
    Ok(Tokens {
        n_tokens: n_train(set),
        vocab_size: details.vocab_size,
        bos_id: details.bos_id.or(details.eos_id),
        eos_id: details.eos_id,
        set: Some(name_of(reference)),
        tokenizer: tokenizer.map(name_of),
        has_mask: opened.is_some_and(|t| mask_token(&t).is_some()),
        sentence: format!("{pile} holds {} training tokens, counted in {reference}.", units::count(n_train(set))),
    })
}

fn estimated(world: &World, lake: &Lake, args: &Args, pile: &Reference, reference: &Reference, bytes: u64) -> anyhow::Result<Tokens> {
    let tokenizer = Tokenizer::open(&stages::folder(world, reference)?.join("tokenizer.json")).or_advise()?;
    let bar = Bar::new("counting tokens", SAMPLE_BYTES.min(bytes), Unit::Bytes);
    let mut on_progress = |bytes: u64| bar.at(bytes);
    let all = std::slice::from_ref(&tokenizer);
    let reports =
        world.block_on(async { polder_pipeline::token_report(lake, pile, all, SAMPLE_BYTES, &mut on_progress).await.or_advise() })?;
    drop(bar);
    let tally = &reports[0].all;
    let ratio = tally.bytes_per_token().max(f64::MIN_POSITIVE);
    let n_tokens = (bytes as f64 / ratio) as u64;
    let sentence = format!(
        "{} holds about {} training tokens: {} of text at {ratio:.2} bytes a token, as {reference} makes of {} of it.",
        args.pile,
        units::count(n_tokens),
        units::bytes(bytes),
        units::bytes(tally.bytes),
    );
    let end = tokenizer.end_id();
    let (vocab_size, has_mask) = (tokenizer.vocab_size(), mask_token(&tokenizer).is_some());
    Ok(Tokens { n_tokens, vocab_size, bos_id: end, eos_id: end, set: None, tokenizer: Some(name_of(reference)), has_mask, sentence })
}

/// Bytes of the pile's training text: of the split `train` where it has splits.
fn text_bytes(world: &World, lake: &Lake, pile: &str) -> anyhow::Result<u64> {
    world.block_on(async {
        let mut frame = lake.table(pile).await.or_advise()?;
        let has = |name: &str| frame.schema().has_column_with_unqualified_name(name);
        let length = if has("bytes") { cast(col("bytes"), DataType::Int64) } else { cast(octet_length(col("text")), DataType::Int64) };
        if has("split") {
            frame = frame.filter(col("split").eq(lit("train")))?;
        }
        let total = frame.aggregate(vec![], vec![sum(length).alias("total")])?.collect().await?;
        Ok(total.first().map_or(0, |b| u64::try_from(b.column(0).as_primitive::<Int64Type>().value(0)).unwrap_or(0)))
    })
}
