//! `polder model sizes`.

use polder_base::units;
use polder_model::{FAMILIES, sizes};
use polder_train::{MemoryLayout, run_bytes};
use serde_json::{Map, json};

use crate::machine::Machine;
use crate::output;
use crate::world::World;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Vocabulary size.
    #[arg(long, value_parser = clap::value_parser!(u64).range(2..=1 << 24), default_value_t = 4096, value_name = "N")]
    vocab: u64,
    /// Tokens a sequence.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1 << 20), default_value_t = 256, value_name = "N")]
    context: u64,
    /// Sequences in memory at once.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1 << 16), default_value_t = 8, value_name = "N")]
    batch: u64,
    /// Only this family.
    #[arg(long, value_parser = FAMILIES, value_name = "FAMILY")]
    family: Option<String>,
}

pub fn run(world: &World, args: &Args) -> anyhow::Result<()> {
    let (vocab, context, batch) = (args.vocab as usize, args.context as usize, args.batch as usize);
    let families = FAMILIES.iter().filter(|f| args.family.as_deref().is_none_or(|wanted| wanted == **f));
    let (mut objects, mut cells) = (Vec::new(), Vec::new());
    for (family, name) in families.flat_map(|f| sizes(f).into_iter().map(move |name| (f, name))) {
        let Some(model) = polder_model::preset(&name, vocab, context) else { continue };
        let memory = MemoryLayout::EVERY.map(|layout| (layout.name, run_bytes(&model, &layout.options(batch, context))));
        let (n_params, flops) = (model.n_params(), model.flops_per_token(context));
        objects.push(json!({
            "name": name, "family": family, "layers": model.num_hidden_layers, "width": model.hidden_size, "n_params": n_params,
            "memory_bytes": memory.iter().map(|(name, bytes)| ((*name).to_owned(), json!(bytes))).collect::<Map<_, _>>(),
            "flops_per_token": flops,
        }));
        let shape = [name, model.num_hidden_layers.to_string(), model.hidden_size.to_string(), units::count(n_params)];
        cells.push([shape.to_vec(), memory.map(|(_, bytes)| units::bytes(bytes)).to_vec(), vec![units::count(flops)]].concat());
    }
    let memory = MemoryLayout::EVERY.map(|layout| format!("memory in {}", layout.name));
    let headings: Vec<&str> =
        ["size", "layers", "width", "parameters"].into_iter().chain(memory.iter().map(String::as_str)).chain(["FLOP a token"]).collect();
    output::rows(world.json, "polder.model_size", &objects, &headings, &cells, &(1..headings.len()).collect::<Vec<_>>())?;
    if !world.json {
        let free = units::bytes(Machine::look().memory_available_bytes);
        output::note(&format!(
            "training with a vocabulary of {vocab} and {batch} sequences of {context} tokens at once; {free} are free here · next: polder model plan --hours 1"
        ));
    }
    Ok(())
}
