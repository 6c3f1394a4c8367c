//! `polder model import NAME PATH`.

use std::path::PathBuf;

use polder_base::{Reference, Verdict, units};

use crate::failure::{OrAdvise, usage};
use crate::world::World;
use crate::{output, stages};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to call it.
    name: String,
    /// A folder in Hugging Face's layout: config.json, model.safetensors or several with their index, tokenizer.json.
    path: PathBuf,
}

pub fn run(world: &mut World, args: &Args) -> anyhow::Result<()> {
    let name = match stages::named("models", &args.name).or_advise()? {
        Reference::Artefact { name, version: None, .. } => name,
        other => return Err(usage(format!("`{other}` names a version"), "The lake gives the next one itself: leave it out.")),
    };
    let manifest = stages::models::import(world, &name, &args.path)?;
    if world.json {
        return output::object("polder.model", &serde_json::to_value(&manifest)?);
    }
    let (reference, details) = (&manifest.reference, &manifest.details);
    let bytes: u64 = manifest.files.iter().map(|f| f.bytes).sum();
    let n_params = details["n_params"].as_u64().unwrap_or(0);
    let next = if details["tokenizer_digest"].is_null() {
        "it has no tokenizer.json, so nothing can be asked of it in words".to_owned()
    } else if details["model"]["architectures"][0].as_str().is_some_and(|a| a.ends_with("ForCausalLM") || a.ends_with("LMHeadModel")) {
        format!("next: polder serve {reference}")
    } else {
        format!("next: polder model show {reference}")
    };
    output::note(&format!(
        "{reference} is of the kind {} with {} parameters, {} · {next}",
        details["model"]["model_type"].as_str().unwrap_or_default(),
        units::count(n_params),
        units::bytes(bytes)
    ));
    if let Some(clearance) = manifest.clearance.filter(|c| c.verdict == Verdict::Refused) {
        output::note(&format!("the lake's policy refuses it for all use: {}", output::printable(&clearance.reasons.join("; "))));
    }
    Ok(())
}
