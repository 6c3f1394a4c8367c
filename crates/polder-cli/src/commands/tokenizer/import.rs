//! `polder tokenizer import NAME PATH`.

use std::path::PathBuf;

use polder_tokenizer::{RankOptions, SpecialName, Splitter};

use crate::failure::OrAdvise;
use crate::stages::tokenizers::{Import, import};
use crate::world::World;
use crate::{output, stages};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to call it.
    name: String,
    /// A tokenizer.json or a folder with one, vocab.bpe with encoder.json, merges.txt with vocab.json, a rank file, a GGUF file.
    path: PathBuf,
    /// How a rank file's text is cut: gpt2, cl100k, llama3, qwen2, o200k; known files of tiktoken say it by their digest.
    #[arg(long, value_name = "NAME")]
    splitter: Option<Splitter>,
    /// A special token of a rank file, as TOKEN or TOKEN=ID.
    #[arg(long = "special", value_name = "TOKEN")]
    specials: Vec<SpecialName>,
}

pub fn run(world: &mut World, args: &Args) -> anyhow::Result<()> {
    let reference = stages::named("tokenizers", &args.name).or_advise()?;
    let ranks = RankOptions { splitter: args.splitter.clone(), specials: args.specials.clone() };
    let manifest = import(world, &Import { reference, path: args.path.clone(), ranks })?;
    if world.json {
        return output::object("polder.tokenizer", &serde_json::to_value(&manifest)?);
    }
    let details = &manifest.details;
    let name = manifest.reference.to_string().replace("tokenizers/", "");
    let (kind, end) = (details["kind"].as_str().unwrap_or_default(), details["end_token"].as_str());
    let next = match end {
        Some(polder_tokenizer::END_OF_TEXT) => format!("next: polder tokens build NAME --tokenizer {name}"),
        Some(end) => format!("next: polder tokens build NAME --tokenizer {name} --eos '{}'", output::printable(end)),
        None => "no token of it ends a text: give `polder tokens build` one with --eos".into(),
    };
    output::note(&format!("{} has {} tokens, {kind} · {next}", manifest.reference, details["vocab_size"]));
    Ok(())
}
