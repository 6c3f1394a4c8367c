//! `polder tokenizer train NAME --query SQL --vocab N`.

use polder_base::{Reference, units};
use polder_pipeline::{Compression, HeldOut, TextSource, TrainTokenizer};
use polder_tokenizer::{Splitter, TrainOptions};

use crate::failure::{OrAdvise, usage};
use crate::world::World;
use crate::{output, stages};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to call it.
    name: String,
    /// The table whose column `text` is read; of a pile, the training split [default: pile.base].
    #[arg(long, value_name = "TABLE", conflicts_with = "query")]
    from: Option<String>,
    /// A query with a column `text` to read instead; columns `language` and `source` show in the report.
    #[arg(long, value_name = "SQL")]
    query: Option<String>,
    /// Vocabulary size, special tokens counted.
    #[arg(long, default_value_t = 4096, value_name = "N")]
    vocab: usize,
    /// A special token; <|endoftext|> is always there.
    #[arg(long = "special", value_name = "TOKEN")]
    specials: Vec<String>,
    /// How text is cut into words: gpt2, cl100k, o200k, llama3, qwen2, with -1, -2 or -any behind for digits, or a regular expression.
    #[arg(long, default_value = "gpt2", value_name = "NAME|REGEX")]
    splitter: String,
    /// Pairs seen less often are not merged.
    #[arg(long, default_value_t = 2, value_name = "N")]
    min_count: u64,
    /// Words seen less often are not looked at.
    #[arg(long, default_value_t = 1, value_name = "N")]
    min_word_count: u64,
    /// Bytes of the longest token; no limit where it is not given.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..), value_name = "N")]
    max_token_bytes: Option<u32>,
    /// Share of the rows to measure on and not learn from; a pile's validation split is taken instead. 0 measures nothing.
    #[arg(long, value_parser = share, default_value_t = stages::train::HELD_OUT_SHARE, value_name = "SHARE")]
    held_out: f64,
    /// Text to learn from at most, in MB; where there is more, rows are drawn.
    #[arg(long, value_parser = stages::positive, default_value_t = 1000.0, value_name = "MB")]
    limit: f64,
}

/// A share that leaves something.
fn share(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|x: &f64| (0.0..=0.5).contains(x)).ok_or_else(|| "a number from 0 to 0.5 is needed".to_owned())
}

pub fn run(world: &mut World, args: Args) -> anyhow::Result<()> {
    stages::named("tokenizers", &args.name).or_advise()?;
    let source = match args.query {
        Some(query) => TextSource::Query(query),
        None => TextSource::Table(args.from.as_deref().unwrap_or("pile.base").parse::<Reference>().or_advise()?),
    };
    if args.splitter.is_empty() {
        return Err(usage("--splitter is empty", "Leave it out for GPT-2's, or name one, for example --splitter o200k."));
    }
    let options = TrainOptions {
        vocab_size: args.vocab,
        special_tokens: stages::train::special_tokens(&args.specials),
        splitter: Splitter::named(&args.splitter).or_advise()?,
        min_count: args.min_count,
        min_word_count: args.min_word_count,
        token_bytes_max: args.max_token_bytes.map_or(usize::MAX, |n| n as usize),
    };
    // Before any row is read: a wish that cannot be met would fail after minutes.
    options.check().or_advise()?;
    let request =
        TrainTokenizer { name: args.name, source, options, bytes_max: stages::megabytes(args.limit), held_out_share: args.held_out };
    let lake = world.lake()?;
    let manifest = stages::train::tokenizer_in(world, &lake, request)?;
    if world.json {
        return output::object("polder.tokenizer", &serde_json::to_value(&manifest)?);
    }
    let details = &manifest.details;
    if let Ok(Some(held_out)) = serde_json::from_value::<Option<HeldOut>>(details["held_out"].clone()) {
        output::data(&table(&held_out))?;
    }
    let (name, vocab) = (&manifest.reference, details["vocab_size"].as_u64().unwrap_or(0));
    let short = if vocab < args.vocab as u64 {
        format!(" ({} were wished; no other pair of the text occurs {} times)", args.vocab, args.min_count)
    } else {
        String::new()
    };
    output::note(&format!(
        "{name} has {vocab} tokens{short}, learnt from {} of text · next: polder tokens build NAME --tokenizer {}",
        units::bytes(details["bytes"].as_u64().unwrap_or(0)),
        name.to_string().replace("tokenizers/", "")
    ));
    Ok(())
}

/// The report on held-out text.
fn table(held_out: &HeldOut) -> String {
    let row = |by: &str, c: &Compression| {
        vec![
            by.to_owned(),
            c.name.clone(),
            units::count(c.n_documents),
            units::bytes(c.bytes),
            units::count(c.n_tokens),
            format!("{:.3}", c.bytes_per_token),
        ]
    };
    let mut rows: Vec<Vec<String>> = held_out.by_language.iter().map(|c| row("language", c)).collect();
    rows.extend(held_out.by_source.iter().map(|c| row("source", c)));
    rows.push(row("held out", &held_out.all));
    output::table(&["by", "name", "documents", "text", "tokens", "bytes/token"], &rows, &[2, 3, 4, 5])
}
