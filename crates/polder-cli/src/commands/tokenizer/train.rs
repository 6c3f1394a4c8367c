//! `polder tokenizer train NAME --vocab N`.

use polder_base::Reference;
use polder_pipeline::TrainTokenizer;

use crate::failure::OrAdvise;
use crate::world::World;
use crate::{output, stages};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to call it.
    name: String,
    /// The table whose version is recorded; its training split is read where no query is given.
    #[arg(long, default_value = "pile.base", value_name = "TABLE")]
    from: String,
    /// A query with a column `text` to read instead.
    #[arg(long, value_name = "SQL")]
    query: Option<String>,
    /// Vocabulary size, special tokens counted.
    #[arg(long, default_value_t = 4096, value_name = "N")]
    vocab: usize,
    /// A special token; <|endoftext|> is always there.
    #[arg(long = "special", value_name = "TOKEN")]
    specials: Vec<String>,
    /// Text to read at most, in MB.
    #[arg(long, value_parser = stages::positive, default_value_t = 1000.0, value_name = "MB")]
    limit: f64,
}

pub fn run(world: &mut World, args: Args) -> anyhow::Result<()> {
    stages::named("tokenizers", &args.name).or_advise()?;
    let request = TrainTokenizer {
        name: args.name,
        from: args.from.parse::<Reference>().or_advise()?,
        query: args.query,
        vocab_size: args.vocab,
        special_tokens: stages::train::special_tokens(&args.specials),
        bytes_max: stages::megabytes(args.limit),
    };
    let manifest = stages::train::tokenizer(world, request)?;
    if world.json {
        return output::object("polder.tokenizer", &serde_json::to_value(&manifest)?);
    }
    let (name, vocab) = (&manifest.reference, &manifest.details["vocab_size"]);
    output::note(&format!(
        "{name} has {vocab} tokens · next: polder tokens build NAME --tokenizer {}",
        name.to_string().replace("tokenizers/", "")
    ));
    Ok(())
}
