//! Tokenizers of others: from their file, in any format, to an artefact of the lake.

use std::path::{Path, PathBuf};

use anyhow::Context;
use polder_base::{Input, Manifest, Reference, digest_bytes, digest_json, publish_dir};
use polder_tokenizer::{Merging, RankOptions, Tokenizer};

use super::train::record;
use crate::failure::OrAdvise;
use crate::stages;
use crate::world::World;

/// What to bring in.
pub struct Import {
    /// Its place: `tokenizers/NAME`.
    pub reference: Reference,
    /// A file or folder.
    pub path: PathBuf,
    /// What a rank file does not say.
    pub ranks: RankOptions,
}

/// Opens a tokenizer, writes it as `tokenizer.json` with its manifest and records the fact, unless it stands there made from the same.
///
/// # Errors
/// It cannot be read or is not understood; files that cannot be written.
pub fn import(world: &mut World, import: &Import) -> anyhow::Result<Manifest> {
    world.lake()?;
    let path = std::path::absolute(&import.path).with_context(|| format!("cannot resolve `{}`", import.path.display()))?;
    let tokenizer = Tokenizer::open_with(&path, &import.ranks).or_advise()?;
    let folder = stages::folder(world, &import.reference)?;
    let json = tokenizer.to_json();
    // What counts is what was understood: the same tokenizer in another file or format is the same tokenizer.
    let from = Input { reference: Reference::External(format!("file://{}", path.display())), digest: digest_bytes(json.as_bytes()) };
    let mut manifest = Manifest::new(import.reference.clone(), world.now(), vec![from], digest_json(&"import"), details(&tokenizer));
    let manifest = if Manifest::stands(&folder, &manifest.inputs_digest()) {
        stages::manifest(world, &import.reference)?
    } else {
        let temporary = folder.with_extension(format!("{}.tmp", std::process::id()));
        write(&temporary, &json, &mut manifest).inspect_err(|_| {
            let _ = std::fs::remove_dir_all(&temporary);
        })?;
        publish_dir(&temporary, &folder).or_advise()?;
        manifest
    };
    record(world, "import tokenizer", &manifest)?;
    Ok(manifest)
}

fn write(folder: &Path, json: &str, manifest: &mut Manifest) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
    polder_base::write_whole(&folder.join("tokenizer.json"), json.as_bytes()).or_advise()?;
    manifest.describe(folder, &["tokenizer.json"]).or_advise()?;
    manifest.write(folder).or_advise()
}

/// What kind of tokenizer it is, in words.
pub fn kind(tokenizer: &Tokenizer) -> &'static str {
    match &tokenizer.definition().merging {
        Merging::Pairs(_) => "byte-level BPE",
        Merging::Ranks => "byte-level BPE by ranks",
        Merging::Characters(model) => model.kind(),
    }
}

/// What a manifest says about a tokenizer.
pub fn details(tokenizer: &Tokenizer) -> serde_json::Value {
    let definition = tokenizer.definition();
    let text = |id: u32| tokenizer.token_bytes(id).map(|b| String::from_utf8_lossy(b).into_owned());
    let is_bytes = !matches!(definition.merging, Merging::Characters(_));
    serde_json::json!({
        "vocab_size": tokenizer.vocab_size(),
        "digest": tokenizer.digest(),
        "kind": kind(tokenizer),
        "splitter": is_bytes.then(|| definition.splitter.to_string()),
        "n_special": definition.added.iter().filter(|t| t.special).count(),
        "end_token": tokenizer.end_id().and_then(text),
        "before": definition.around.before.iter().filter_map(|id| text(*id)).collect::<Vec<_>>(),
        "after": definition.around.after.iter().filter_map(|id| text(*id)).collect::<Vec<_>>(),
    })
}
