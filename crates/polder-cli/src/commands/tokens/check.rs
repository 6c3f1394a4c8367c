//! `polder tokens check [NAME…]`.

use std::time::Instant;

use polder_base::units;
use polder_shard::verify;

use crate::failure::{self, OrAdvise};
use crate::progress::{Bar, Unit};
use crate::world::World;
use crate::{output, stages};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Names of sets; all of the lake, if none is given.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

pub fn run(world: &mut World, args: &Args) -> anyhow::Result<()> {
    // Files are all that is looked at: a set can be checked where the lake's tables cannot be opened.
    let names = if args.names.is_empty() { super::list::names(world) } else { args.names.clone() };
    if names.is_empty() {
        output::note("there are no token sets here · next: polder tokens build NAME --tokenizer NAME");
    }
    let mut damaged = Vec::new();
    for name in &names {
        let reference = stages::named("tokens", name).or_advise()?;
        let folder = stages::folder(world, &reference)?;
        let bar = Bar::new(&format!("checking {reference}"), 1, Unit::Bytes);
        let started = Instant::now();
        let found = verify(&folder, &|p| {
            bar.total(p.bytes_total);
            bar.at(p.bytes);
        })
        .or_advise()?;
        drop(bar);
        let rate = found.bytes as f64 / started.elapsed().as_secs_f64().max(1e-6);
        if world.json {
            let damages = found.damages.iter().map(|d| {
                serde_json::json!({ "path": d.path, "from": d.bytes.as_ref().map(|b| b.start), "to": d.bytes.as_ref().map(|b| b.end), "what": d.what })
            });
            let object = serde_json::json!({
                "tokens": reference.to_string(), "sound": found.is_sound(), "files": found.n_files, "bytes": found.bytes,
                "n_documents": found.n_documents, "n_tokens": found.n_tokens, "damages": damages.collect::<Vec<_>>(),
            });
            output::object("polder.tokens_check", &object)?;
        } else {
            found.damages.iter().try_for_each(|d| output::data(&output::printable(&d.to_string())))?;
        }
        if found.is_sound() {
            output::note(&format!(
                "{reference} is sound: {} documents, {} tokens, {} in {} files, {}/s",
                units::count(found.n_documents),
                units::count(found.n_tokens),
                units::bytes(found.bytes),
                units::count(found.n_files),
                units::bytes(rate as u64)
            ));
        } else {
            damaged.push(reference);
        }
    }
    match damaged.first() {
        None => Ok(()),
        Some(first) => {
            let all: Vec<String> = damaged.iter().map(ToString::to_string).collect();
            let name = first.to_string().replace("tokens/", "");
            let hint = format!("Build it again, with its tokenizer: polder tokens build {name} --fresh --tokenizer NAME");
            Err(failure::refused(format!("{} is not as it was written", all.join(", ")), hint))
        }
    }
}
