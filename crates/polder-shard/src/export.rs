//! Sets in the formats of others, and readers of those formats: one module a format.
//!
//! Documents keep their order and are never cut. Writing holds one document and a block of the open file; MDS, whose tables
//! stand before the data, one of its shards.

mod llm_c;
mod mds;
mod nano_gpt;
mod token_file;

use std::fmt;
use std::fs;
use std::path::Path;
use std::str::FromStr;

use polder_base::{Input, Manifest, ManifestFile, Reference, Timestamp, digest_json, publish_dir};

use crate::documents::DocumentLine;
use crate::error::{ShardError, wrong};
use crate::reader::TokenSet;
use crate::stored::StoredDocuments;

pub use mds::{MdsFolder, MdsSample};
pub use token_file::TokenFile;

/// A format of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportFormat {
    /// llm.c and modded-nanogpt, version 1: u16 behind a header of 1,024 bytes.
    LlmC,
    /// The same header for u32, as llm.c has it for Llama 3.
    LlmCWide,
    /// MosaicML streaming, MDS version 2: a sample a document.
    Mds,
    /// nanoGPT: nothing but u16.
    NanoGpt,
}

impl ExportFormat {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::LlmC, Self::LlmCWide, Self::Mds, Self::NanoGpt];

    /// Its name in commands.
    pub fn name(self) -> &'static str {
        match self {
            Self::LlmC => "llm.c",
            Self::LlmCWide => "llm.c-u32",
            Self::Mds => "mds",
            Self::NanoGpt => "nanogpt",
        }
    }
}

impl fmt::Display for ExportFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ExportFormat {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        let names = || format!("`{s}` is no format; the formats are {}", Self::ALL.map(Self::name).join(", "));
        Self::ALL.into_iter().find(|f| f.name() == s).ok_or_else(names)
    }
}

/// What to export.
#[derive(Clone, Debug)]
pub struct ExportOptions {
    /// As what.
    pub format: ExportFormat,
    /// Tokens in a file at most, where the format has several; one longer document stands alone.
    pub tokens_per_file_max: u64,
    /// What the export's manifest calls it.
    pub reference: Reference,
    /// The set it is made of.
    pub input: Input,
    /// When it is made.
    pub at: Timestamp,
}

/// Writes one split's documents in one format.
trait Sink {
    fn document(&mut self, line: &DocumentLine, tokens: &mut [u32]) -> Result<(), ShardError>;
    fn finish(self: Box<Self>) -> Result<Vec<ManifestFile>, ShardError>;
}

/// Writes every split of a set to a folder that is not there yet, with a manifest beside the files; `on_progress` gets the tokens
/// written.
///
/// # Errors
/// The folder is there, the vocabulary does not fit, a shard of the set is damaged, or a file cannot be written; then nothing stands at
/// the folder's place.
pub fn export(set: &TokenSet, folder: &Path, options: &ExportOptions, on_progress: &mut dyn FnMut(u64)) -> Result<Manifest, ShardError> {
    fits(set, folder, options)?;
    let name = folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let temporary = folder.with_file_name(format!(".{name}.tmp"));
    if temporary.exists() {
        fs::remove_dir_all(&temporary).map_err(wrong("remove", &temporary))?;
    }
    fs::create_dir_all(&temporary).map_err(wrong("create folder", &temporary))?;
    let mut files = Vec::new();
    let mut n_tokens = 0;
    let mut tokens = Vec::new();
    for split in &set.details().splits {
        let mut sink = sink(set, split, &temporary, options)?;
        for shard in set.details().shards.iter().filter(|s| s.split == *split) {
            let mut documents = StoredDocuments::open(set, shard)?;
            while let Some(line) = documents.next(&mut tokens)? {
                sink.document(&line, &mut tokens)?;
                n_tokens += line.n_tokens;
                on_progress(n_tokens);
            }
        }
        files.extend(sink.finish()?);
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let details = serde_json::json!({ "format": options.format.name(), "n_tokens": n_tokens });
    let settings = digest_json(&(options.format.name(), options.tokens_per_file_max));
    let mut manifest = Manifest::new(options.reference.clone(), options.at, vec![options.input.clone()], settings, details);
    manifest.files = files;
    manifest.clearance = set.manifest().clearance.clone();
    manifest.write(&temporary)?;
    // Files of MDS stand in folders, one a split.
    for split in set.details().splits.iter().map(|s| temporary.join(s)).filter(|p| p.is_dir()) {
        fs::File::open(&split).and_then(|f| f.sync_all()).map_err(wrong("sync", &split))?;
    }
    publish_dir(&temporary, folder)?;
    Ok(manifest)
}

fn fits(set: &TokenSet, folder: &Path, options: &ExportOptions) -> Result<(), ShardError> {
    let refuse = |reason: String, hint: String| Err(ShardError::Export { path: set.folder().to_owned(), reason, hint });
    if folder.exists() {
        return refuse(format!("`{}` is there already", folder.display()), "Choose a folder that is not there, or remove that one.".into());
    }
    let vocab_size = set.details().vocab_size;
    let narrow = matches!(options.format, ExportFormat::LlmC | ExportFormat::NanoGpt);
    if narrow && vocab_size > 1 << 16 {
        let reason = format!("{} holds ids below 65536, and the vocabulary has {vocab_size}", options.format);
        return refuse(reason, "Export it as `llm.c-u32` or as `mds`, which hold wider ids.".into());
    }
    Ok(())
}

fn sink<'a>(set: &TokenSet, split: &str, folder: &'a Path, options: &ExportOptions) -> Result<Box<dyn Sink + 'a>, ShardError> {
    Ok(match options.format {
        ExportFormat::LlmC | ExportFormat::LlmCWide => Box::new(llm_c::Writer::plan(set, split, folder, options)?),
        ExportFormat::Mds => Box::new(mds::Writer::create(folder, split, set.details().vocab_size, options.tokens_per_file_max)?),
        ExportFormat::NanoGpt => Box::new(nano_gpt::Writer::create(folder, split)?),
    })
}

#[cfg(test)]
mod tests;
