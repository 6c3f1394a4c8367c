//! What a new set takes from the one before it: shards whose documents all stay are shared, others are written anew
//! without the departed ones, from their old tokens.
//!
//! The base set's documents pass once, in order of doc_id, beside those that are offered. Each build's shards are a run in
//! that order, so that one list a run is open, and the departed documents of one shard a run are remembered.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use polder_base::Digest;

use crate::details::ShardDetails;
use crate::documents::{self, DocumentLine, DocumentLines};
use crate::error::{ShardError, wrong};
use crate::reader::TokenSet;
use crate::set_writer::ShardOptions;
use crate::shard_writer::{DoneShard, ShardWriter};
use crate::stored::StoredDocuments;

/// A shard all of whose documents passed.
pub(crate) struct Judged {
    pub details: ShardDetails,
    /// Numbers of its documents that are no longer offered as they were.
    pub departed: Vec<u64>,
}

/// Documents in order of doc_id: shards that follow each other.
pub(crate) struct Run {
    folder: PathBuf,
    shards: VecDeque<ShardDetails>,
    lines: Option<DocumentLines>,
    next: Option<DocumentLine>,
    departed: Vec<u64>,
}

impl Run {
    /// Groups a split's shards into runs.
    pub fn all(folder: &Path, shards: impl Iterator<Item = ShardDetails>) -> Result<Vec<Self>, ShardError> {
        let mut runs: Vec<VecDeque<ShardDetails>> = Vec::new();
        for shard in shards {
            match runs.last_mut() {
                Some(run) if run.back().is_some_and(|last| last.last_doc_id < shard.first_doc_id) => run.push_back(shard),
                _ => runs.push(VecDeque::from([shard])),
            }
        }
        runs.into_iter().map(|shards| Self::open(folder, shards)).collect()
    }

    /// Opens shards that follow each other.
    pub fn open(folder: &Path, shards: VecDeque<ShardDetails>) -> Result<Self, ShardError> {
        let mut run = Self { folder: folder.to_owned(), shards, lines: None, next: None, departed: Vec::new() };
        run.open_shard()?;
        Ok(run)
    }

    fn open_shard(&mut self) -> Result<(), ShardError> {
        self.lines = self.shards.front().map(|s| DocumentLines::open(&self.folder, &s.name)).transpose()?;
        self.read()
    }

    fn read(&mut self) -> Result<(), ShardError> {
        self.next = self.lines.as_mut().and_then(Iterator::next).transpose()?;
        match (&self.next, &self.lines, self.shards.front()) {
            (None, Some(lines), Some(shard)) if lines.n_lines != shard.n_documents => Err(ShardError::Broken {
                path: self.folder.join(format!("{}.{}", shard.name, documents::ENDING)),
                reason: format!("it has {} lines, not {}", lines.n_lines, shard.n_documents),
            }),
            _ => Ok(()),
        }
    }

    /// The document that comes next.
    pub fn peek(&self) -> Option<&DocumentLine> {
        self.next.as_ref()
    }

    /// The shard that the next document stands in.
    pub fn shard(&self) -> Option<&str> {
        self.shards.front().map(|s| s.name.as_str())
    }

    /// Passes the next document; returns the shard that it was the last of.
    pub fn pass(&mut self, stays: bool) -> Result<Option<Judged>, ShardError> {
        if let Some(lines) = self.lines.as_ref().filter(|_| !stays) {
            self.departed.push(lines.n_lines - 1);
        }
        self.read()?;
        if self.next.is_some() {
            return Ok(None);
        }
        let judged = self.shards.pop_front().map(|details| Judged { details, departed: std::mem::take(&mut self.departed) });
        self.open_shard()?;
        Ok(judged)
    }
}

/// The base set's documents of one split, in order of doc_id.
pub(crate) struct BaseSplit {
    runs: Vec<Run>,
}

impl BaseSplit {
    pub fn open(base: &TokenSet, split: &str) -> Result<Self, ShardError> {
        let shards = base.details().shards.iter().filter(|s| s.split == split).cloned();
        Ok(Self { runs: Run::all(base.folder(), shards)? })
    }

    fn first(&mut self) -> Option<&mut Run> {
        self.runs.iter_mut().filter(|r| r.peek().is_some()).min_by(|a, b| a.peek().map(|d| &d.doc_id).cmp(&b.peek().map(|d| &d.doc_id)))
    }

    /// Passes all documents before this one, and this one if it is there; says whether it stays as it was.
    pub fn offer(&mut self, doc_id: &str, text_digest: &Digest, judged: &mut Vec<Judged>) -> Result<bool, ShardError> {
        let mut found = false;
        while let Some(run) = self.first() {
            let Some(document) = run.peek().filter(|d| d.doc_id.as_str() <= doc_id) else { break };
            let stays = !found && document.doc_id == doc_id && document.text_digest == *text_digest;
            found |= stays;
            judged.extend(run.pass(stays)?);
        }
        Ok(found)
    }

    /// Passes what is left: nothing more is offered.
    pub fn finish(&mut self, judged: &mut Vec<Judged>) -> Result<(), ShardError> {
        for run in &mut self.runs {
            while run.peek().is_some() {
                judged.extend(run.pass(false)?);
            }
        }
        Ok(())
    }
}

/// Makes a shard of the base set one of the new set, whole.
pub(crate) fn share(base: &TokenSet, details: ShardDetails, folder: &Path) -> Result<DoneShard, ShardError> {
    let of_shard = |path: &str| path.rsplit_once('.').is_some_and(|(stem, _)| stem == details.name);
    let files: Vec<_> = base.manifest().files.iter().filter(|f| of_shard(&f.path)).cloned().collect();
    for file in &files {
        let (from, to) = (base.folder().join(&file.path), folder.join(&file.path));
        if to.exists() {
            fs::remove_file(&to).map_err(wrong("remove", &to))?;
        }
        // Where links are impossible (another file system, or one without them) the bytes are copied.
        if fs::hard_link(&from, &to).is_err() {
            fs::copy(&from, &to).and_then(|_| File::open(&to)?.sync_all()).map_err(wrong("copy", &to))?;
        }
        let found = fs::metadata(&to).map_err(|source| ShardError::Read { path: to.clone(), source })?.len();
        if found != file.bytes {
            return Err(ShardError::Broken { path: from, reason: format!("it has {found} bytes, not {}", file.bytes) });
        }
    }
    Ok(DoneShard { details, files })
}

/// Writes a shard of the base set anew without its departed documents. It holds one document.
pub(crate) fn rewrite(base: &TokenSet, judged: &Judged, folder: &Path, options: &ShardOptions) -> Result<DoneShard, ShardError> {
    let details = &judged.details;
    let mut writer = ShardWriter::create(folder, &details.split, details.name.clone(), options)?;
    let mut departed = judged.departed.iter().copied().peekable();
    let mut documents = StoredDocuments::open(base, details)?;
    let mut tokens = Vec::new();
    let mut doc_idx = 0;
    while let Some(line) = documents.next(&mut tokens)? {
        if departed.next_if_eq(&doc_idx).is_none() {
            writer.push(&line, &[&tokens])?;
        }
        doc_idx += 1;
    }
    writer.close()
}
