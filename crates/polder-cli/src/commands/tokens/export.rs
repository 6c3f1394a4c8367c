//! `polder tokens export NAME --format FORMAT --to DIR`.

use std::path::{Path, PathBuf};

use polder_base::{Event, Input, Reference, units};
use polder_shard::{ExportFormat, ExportOptions, TokenSet, export};

use crate::failure::{self, OrAdvise};
use crate::progress::{Bar, Unit};
use crate::world::World;
use crate::{output, stages};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The set's name, or tokens/NAME.
    name: String,
    /// llm.c, llm.c-u32 (llm.c for vocabularies above 65,536), mds (MosaicML streaming) or nanogpt.
    #[arg(long, value_name = "FORMAT")]
    format: ExportFormat,
    /// A folder that is not there yet.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Tokens in a file at most, in millions, where the format has several files.
    #[arg(long, value_parser = stages::positive, default_value_t = 100.0, value_name = "M")]
    file_tokens: f64,
}

pub fn run(world: &mut World, args: &Args) -> anyhow::Result<()> {
    // The fact is recorded in a lake: one that cannot be opened is told before the work.
    world.lake()?;
    let reference = stages::named("tokens", &args.name).or_advise()?;
    let set = TokenSet::open(&stages::folder(world, &reference)?).or_advise()?;
    let n_tokens: u64 = set.details().n_tokens.values().sum();
    let to = absolute(&args.to)?;
    let input = Input { reference: reference.clone(), digest: set.fingerprint() };
    let options = ExportOptions {
        format: args.format,
        tokens_per_file_max: stages::megabytes(args.file_tokens),
        reference: Reference::External(format!("file://{}", to.display())),
        input: input.clone(),
        at: world.now(),
    };
    let bar = Bar::new(&format!("writing {}", args.format), n_tokens, Unit::Count);
    let manifest = export(&set, &to, &options, &mut |n| bar.at(n)).or_advise()?;
    drop(bar);
    let made = Input { reference: manifest.reference.clone(), digest: manifest.content_digest() };
    let run = format!("export-{}", &manifest.content_digest().hex()[..12]);
    let event = Event::new(manifest.created_at, &world.actor, "export tokens", reference.clone(), &run)
        .with_inputs(vec![input])
        .with_outputs(vec![made])
        .with_details(manifest.details.clone());
    world.record(&run, &[event])?;
    if world.json {
        return output::object("polder.export", &serde_json::to_value(&manifest)?);
    }
    let bytes: u64 = manifest.files.iter().map(|f| f.bytes).sum();
    output::note(&format!(
        "wrote {} of {reference} as {}: {} in {} files, in {}",
        units::count(n_tokens),
        args.format,
        units::bytes(bytes),
        manifest.files.len(),
        to.display()
    ));
    Ok(())
}

/// Facts name places that mean the same from everywhere.
fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    std::path::absolute(path)
        .map_err(|e| failure::usage(format!("`{}` is no folder's name: {e}", path.display()), "Name a folder with --to DIR."))
}
