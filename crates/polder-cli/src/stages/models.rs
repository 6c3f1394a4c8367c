//! Models of others into the lake, and models of the lake out of it: folders in Hugging Face's layout, byte for byte.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use polder_base::{Clearance, Digest, Event, Hasher, Input, Manifest, ManifestError, ManifestFile, Reference, digest_json, publish_dir};
use polder_model::{ModelConfig, ModelFolder};
use polder_tokenizer::Tokenizer;
use serde_json::json;

use super::train::record;
use crate::failure::{self, OrAdvise, usage};
use crate::progress::{Bar, Unit};
use crate::stages;
use crate::world::World;

const TOKENIZER_FILE: &str = "tokenizer.json";
const CARD_FILE: &str = "README.md";
/// What belongs to a model besides its configuration and numbers. Cards are written anew, from what the lake knows.
const BESIDE: [&str; 17] = [
    "LICENSE",
    "LICENSE.md",
    "LICENSE.txt",
    "NOTICE",
    "NOTICE.md",
    "NOTICE.txt",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "generation_config.json",
    "merges.txt",
    "special_tokens_map.json",
    TOKENIZER_FILE,
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
    "vocab.txt",
];
const PIECE_BYTES: usize = 1 << 22;

/// Brings a model's folder into the lake as the next version of a name, unless a version stands there made from the same. What
/// is not understood whole is refused before anything is written.
///
/// # Errors
/// The first thing that is missing, wrong or cannot be computed; files that cannot be read or written; that it was stopped.
pub fn import(world: &mut World, name: &str, path: &Path) -> anyhow::Result<Manifest> {
    let lake = world.lake()?;
    let source = source_of(path)?;
    let looked = ModelFolder::open(&source).or_advise()?;
    let tokenizer = tokenizer_of(&source, looked.config())?;
    let mut names = looked.files();
    names.extend(BESIDE.iter().filter(|n| source.join(n).is_file()).map(|n| (*n).to_owned()));
    names.sort();
    names.iter().try_for_each(|name| stays_inside(&source, name))?;

    let bar = Bar::new("reading", bytes_of(&source, &names)?, Unit::Bytes);
    let mut through = Through { world, bar: &bar, done: 0 };
    let files = names.iter().map(|name| through.read(&source, name, None)).collect::<anyhow::Result<Vec<_>>>()?;
    drop(bar);
    let folder_name = source.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let config = looked.config();
    let details = json!({
        "n_params": config.n_params(),
        "family": config.family.name(),
        "model": config,
        "dtypes": looked.dtypes(),
        "tokenizer_digest": tokenizer.as_ref().map(Tokenizer::digest),
        "license": license_of(&source),
    });
    let unversioned = Reference::artefact("models", name);
    let mut manifest = Manifest::new(unversioned, world.now(), Vec::new(), digest_json(&"import"), details);
    manifest.files = files;
    // The folder's name alone: where it lay on this machine is nobody's business.
    manifest.inputs = vec![Input { reference: Reference::External(format!("folder:{folder_name}")), digest: manifest.content_digest() }];
    let judged = manifest.inputs_digest();
    manifest.reference = stages::version_for(world, "models", name, &judged);
    let folder = stages::folder(world, &manifest.reference)?;
    if Manifest::stands(&folder, &judged) {
        manifest = stages::manifest(world, &manifest.reference)?;
    } else {
        let now = manifest.created_at;
        manifest.clearance = Some(world.block_on(async { polder_govern::clearance(&lake, judged, now).await.or_advise() })?);
        let temporary = temporary_for(&folder)?;
        let written = copy(world, &source, &temporary, &manifest).and_then(|()| publish_dir(&temporary, &folder).or_advise());
        written.inspect_err(|_| {
            let _ = fs::remove_dir_all(&temporary);
            // A name without a version is no model; a folder with others in it stays.
            let _ = folder.parent().map(fs::remove_dir);
        })?;
    }
    record(world, "import model", &manifest)?;
    Ok(manifest)
}

/// The folder that is meant, if it can be a model's.
fn source_of(path: &Path) -> anyhow::Result<PathBuf> {
    let layout =
        "A model is a folder in Hugging Face's layout: config.json with model.safetensors, or with several such files and their index.";
    if path.is_file() {
        return Err(usage(format!("`{}` is a file", path.display()), layout));
    }
    let source = fs::canonicalize(path).with_context(|| format!("cannot read `{}`", path.display()));
    let source = source.map_err(|e| usage(format!("{e:#}"), layout))?;
    if source.join("config.json").is_file() {
        return Ok(source);
    }
    if source.join("adapter_config.json").is_file() {
        return Err(usage(
            format!("`{}` holds an adapter, not a model", path.display()),
            "Merge it into its model first; then give that folder.",
        ));
    }
    Err(usage(format!("`{}` holds no config.json", path.display()), layout))
}

/// The tokenizer beside a model, if there is one; what it makes must be in the model's vocabulary.
fn tokenizer_of(source: &Path, config: &ModelConfig) -> anyhow::Result<Option<Tokenizer>> {
    let path = source.join(TOKENIZER_FILE);
    if !path.is_file() {
        return Ok(None);
    }
    let tokenizer = Tokenizer::open(&path).or_advise()?;
    let (makes, knows) = (tokenizer.vocab_size(), config.vocab_size);
    if makes > knows {
        let hint = "They do not belong together: take both from one place.";
        return Err(usage(format!("the tokenizer makes {makes} tokens, and the model knows {knows}"), hint));
    }
    Ok(Some(tokenizer))
}

/// Refuses a file that is a link to somewhere else: what lies outside a model's folder is not the model's. In the cache of
/// Hugging Face's programs, files are links to the `blobs` beside the snapshots.
fn stays_inside(source: &Path, name: &str) -> anyhow::Result<()> {
    let path = source.join(name);
    let target = fs::canonicalize(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let blobs = source.parent().filter(|p| p.ends_with("snapshots")).and_then(Path::parent).map(|p| p.join("blobs"));
    if target.starts_with(source) || blobs.is_some_and(|blobs| target.starts_with(blobs)) {
        return Ok(());
    }
    let hint = "Put the file itself there, if it belongs to the model.";
    Err(usage(format!("`{name}` is a link to `{}`, outside the model's folder", target.display()), hint))
}

/// The licence that a model's card names in its front matter.
fn license_of(source: &Path) -> Option<String> {
    let card = fs::read_to_string(source.join(CARD_FILE)).ok()?;
    let mut lines = card.lines();
    (lines.next()?.trim_end() == "---").then_some(())?;
    let named = lines.take_while(|l| l.trim_end() != "---").find_map(|l| l.strip_prefix("license:"))?;
    Some(named.trim().trim_matches(['"', '\'']).to_owned()).filter(|l| !l.is_empty())
}

fn bytes_of(folder: &Path, names: &[String]) -> anyhow::Result<u64> {
    let bytes = |name: &String| {
        let path = folder.join(name);
        Ok(fs::metadata(&path).with_context(|| format!("cannot read `{}`", path.display()))?.len())
    };
    names.iter().map(bytes).sum()
}

/// The place beside a folder where it is made; what an earlier attempt left there goes.
fn temporary_for(folder: &Path) -> anyhow::Result<PathBuf> {
    let name = folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let temporary = folder.with_file_name(format!(".{name}.tmp"));
    if temporary.exists() {
        fs::remove_dir_all(&temporary).with_context(|| format!("cannot remove `{}`", temporary.display()))?;
    }
    Ok(temporary)
}

/// Copies what a manifest lists into a new folder, reads every number of the copy, and writes the manifest.
fn copy(world: &World, source: &Path, temporary: &Path, manifest: &Manifest) -> anyhow::Result<()> {
    copy_files(world, source, temporary, &manifest.files)?;
    let mut copied = ModelFolder::open(temporary).or_advise()?;
    let bar = Bar::new("checking numbers", copied.config().n_params(), Unit::Count);
    copied
        .check(&mut |n| {
            bar.at(n);
            !world.stop.is_set()
        })
        .or_advise()?;
    if world.stop.is_set() {
        return Err(failure::interrupted());
    }
    manifest.write(temporary).or_advise()
}

/// Copies files that must have the given digests.
fn copy_files(world: &World, from: &Path, to: &Path, files: &[ManifestFile]) -> anyhow::Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot make `{}`", to.display()))?;
    let bar = Bar::new("copying", files.iter().map(|f| f.bytes).sum(), Unit::Bytes);
    let mut through = Through { world, bar: &bar, done: 0 };
    for file in files {
        let found = through.read(from, &file.path, Some(to))?.digest;
        if found != file.digest {
            let path = from.join(&file.path);
            return Err(ManifestError::Changed { path, found, expected: file.digest }).or_advise();
        }
    }
    Ok(())
}

/// Reads files in pieces, so that the work shows how far it is and can be stopped.
struct Through<'a> {
    world: &'a World,
    bar: &'a Bar,
    done: u64,
}

impl Through<'_> {
    /// Reads a file, writes it below another folder if one is given, and describes it.
    fn read(&mut self, folder: &Path, name: &str, to: Option<&Path>) -> anyhow::Result<ManifestFile> {
        let path = folder.join(name);
        let unreadable = || format!("cannot read `{}`", path.display());
        let mut file = File::open(&path).with_context(unreadable)?;
        let target = to.map(|t| t.join(name));
        let unwritable = || format!("cannot write `{}`", target.as_deref().unwrap_or(folder).display());
        let mut out = target.as_ref().map(File::create).transpose().with_context(unwritable)?;
        let (mut hasher, mut bytes, mut piece) = (Hasher::new(), 0, vec![0u8; PIECE_BYTES]);
        loop {
            if self.world.stop.is_set() {
                return Err(failure::interrupted());
            }
            let n = file.read(&mut piece).with_context(unreadable)?;
            if n == 0 {
                break;
            }
            hasher.update(&piece[..n]);
            if let Some(out) = &mut out {
                out.write_all(&piece[..n]).with_context(unwritable)?;
            }
            bytes += n as u64;
            self.bar.at(self.done + bytes);
        }
        if let Some(out) = out {
            out.sync_all().with_context(unwritable)?;
        }
        self.done += bytes;
        Ok(ManifestFile { path: name.to_owned(), bytes, digest: hasher.finish() })
    }
}

/// Writes a cleared model out as a folder that is not there yet. Returns its files.
///
/// # Errors
/// A model that is missing, not cleared or changed; a folder that is there; files that cannot be written; that it was stopped.
pub fn export(world: &mut World, model: &Reference, to: &Path) -> anyhow::Result<Vec<ManifestFile>> {
    // The fact is recorded in a lake: one that cannot be opened is told before the work.
    world.lake()?;
    let folder = stages::folder(world, model)?;
    let manifest = Manifest::read(&folder).or_advise()?;
    Clearance::require(manifest.clearance.as_ref(), &manifest.reference.to_string(), &manifest.inputs_digest()).or_advise()?;
    let to = std::path::absolute(to).with_context(|| format!("cannot resolve `{}`", to.display()))?;
    if to.exists() {
        return Err(usage(format!("`{}` is there already", to.display()), "Name a folder that is not there yet."));
    }
    let mut files = manifest.files.clone();
    if folder.join(CARD_FILE).is_file() && !files.iter().any(|f| f.path == CARD_FILE) {
        // The card is no part of what was made: it grows with every evaluation.
        let digest: Digest =
            polder_base::digest_file(&folder.join(CARD_FILE)).with_context(|| format!("cannot read {CARD_FILE} of {model}"))?;
        files.push(ManifestFile { path: CARD_FILE.into(), bytes: bytes_of(&folder, &[CARD_FILE.to_owned()])?, digest });
    }
    // Beside somebody's folders, a name that nobody else gives.
    let temporary = temporary_for(&to.with_file_name(format!("{}.polder-export", to.file_name().unwrap_or_default().to_string_lossy())))?;
    let placed = copy_files(world, &folder, &temporary, &files)
        // A folder that appeared there in the meantime is not replaced.
        .and_then(|()| fs::rename(&temporary, &to).with_context(|| format!("cannot rename into place `{}`", to.display())));
    placed.inspect_err(|_| {
        let _ = fs::remove_dir_all(&temporary);
    })?;
    let own = Input { reference: manifest.reference.clone(), digest: manifest.content_digest() };
    let out = Input { reference: Reference::External(format!("file://{}", to.display())), digest: own.digest };
    let run = format!("export-{}", &digest_json(&(&own, &out)).hex()[..12]);
    let event = Event::new(world.now(), &world.actor, "export model", manifest.reference.clone(), &run)
        .with_inputs(vec![own])
        .with_outputs(vec![out])
        .with_details(json!({ "files": files.iter().map(|f| &f.path).collect::<Vec<_>>() }));
    world.record(&run, &[event])?;
    Ok(files)
}
