//! `polder tokens show NAME`.

use polder_base::{Reference, units};
use polder_shard::TokenSet;
use polder_tokenizer::Tokenizer;

use crate::failure::OrAdvise;
use crate::world::World;
use crate::{output, stages};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The set's name, or tokens/NAME.
    name: String,
    /// Tokens of the first documents to print.
    #[arg(long, default_value_t = 120, value_name = "N")]
    tokens: u64,
}

pub fn run(world: &mut World, args: &Args) -> anyhow::Result<()> {
    let reference: Reference = format!("tokens/{}", args.name.trim_start_matches("tokens/")).parse::<Reference>().or_advise()?;
    let set = TokenSet::open(&stages::folder(world, &reference)?).or_advise()?;
    if world.json {
        return output::object("polder.tokens", &serde_json::to_value(set.manifest())?);
    }
    let details = set.details();
    let cells: Vec<_> = details
        .n_tokens
        .iter()
        .map(|(split, n)| {
            let bytes = details.bytes.get(split).copied().unwrap_or(0);
            let documents = details.n_documents.get(split).copied().unwrap_or(0);
            let ratio = if *n > 0 { format!("{:.2}", bytes as f64 / *n as f64) } else { "–".into() };
            vec![split.clone(), units::count(documents), units::count(*n), units::bytes(bytes), ratio]
        })
        .collect();
    output::data(&output::table(&["split", "documents", "tokens", "text", "bytes/token"], &cells, &[1, 2, 3, 4]))?;
    let from: Vec<String> = set.manifest().inputs.iter().map(|i| i.reference.to_string()).collect();
    output::data(&format!("\nmade from {} · {:.3} nats of unigram entropy\n", from.join(" and "), details.unigram_entropy_nats))?;
    let tokenizer = set.manifest().inputs.iter().find(|i| matches!(&i.reference, Reference::Artefact { kind, .. } if kind == "tokenizers"));
    if let Some(input) = tokenizer {
        let tokenizer = Tokenizer::open(&stages::folder(world, &input.reference)?.join("tokenizer.json")).or_advise()?;
        let train = set.split("train").or_advise()?;
        let mut ids = Vec::new();
        train.read(0, args.tokens.min(train.n_tokens()), &mut ids).or_advise()?;
        let pieces: Vec<String> = ids.iter().map(|id| output::printable(&tokenizer.decode(&[*id]))).collect();
        output::data(&pieces.join("│"))?;
    }
    Ok(())
}
