//! `polder tokens build NAME`.

use polder_base::{Reference, units};
use polder_pipeline::BuildTokens;

use crate::failure::OrAdvise;
use crate::world::World;
use crate::{output, stages};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to call the set.
    name: String,
    /// The pile, for example pile.base@v1.
    #[arg(long, default_value = "pile.base", value_name = "PILE")]
    from: String,
    /// A tokenizer of the lake.
    #[arg(long, value_name = "NAME")]
    tokenizer: String,
    /// Tokens in a shard at most, in millions.
    #[arg(long, value_parser = stages::positive, default_value_t = 100.0, value_name = "M")]
    shard_tokens: f64,
}

pub fn run(world: &mut World, args: Args) -> anyhow::Result<()> {
    stages::named("tokens", &args.name).or_advise()?;
    stages::named("tokenizers", &args.tokenizer).or_advise()?;
    let request = BuildTokens {
        name: args.name.clone(),
        from: args.from.parse::<Reference>().or_advise()?,
        tokenizer: args.tokenizer,
        splits: stages::train::splits(),
        shard_tokens_max: stages::megabytes(args.shard_tokens),
    };
    let manifest = stages::train::tokens(world, request)?;
    if world.json {
        return output::object("polder.tokens", &serde_json::to_value(&manifest)?);
    }
    let n = manifest.details["n_tokens"]["train"].as_u64().unwrap_or(0);
    let shards = manifest.files.iter().filter(|f| f.path.ends_with(".bin")).count();
    output::note(&format!(
        "wrote {shards} shards, {} training tokens, to {} · next: polder train start {} --tokens {}",
        units::count(n),
        manifest.reference,
        args.name,
        args.name
    ));
    Ok(())
}
