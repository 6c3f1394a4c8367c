//! `polder model export MODEL DIR`.

use std::path::PathBuf;

use polder_base::units;
use serde_json::json;

use crate::failure::OrAdvise;
use crate::world::World;
use crate::{output, stages};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// For example models/quickstart or models/quickstart@1.
    model: String,
    /// A folder that is not there yet.
    dir: PathBuf,
}

pub fn run(world: &mut World, args: &Args) -> anyhow::Result<()> {
    let model = stages::newest(world, &stages::named("models", &args.model).or_advise()?);
    let files = stages::models::export(world, &model, &args.dir)?;
    let bytes: u64 = files.iter().map(|f| f.bytes).sum();
    if world.json {
        return output::object("polder.model_export", &json!({ "model": model, "to": args.dir, "bytes": bytes, "files": files }));
    }
    output::note(&format!(
        "wrote {model}: {} in {} files, in {} · transformers opens it as it is",
        units::bytes(bytes),
        files.len(),
        args.dir.display()
    ));
    Ok(())
}
