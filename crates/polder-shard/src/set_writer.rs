//! Writes a whole set: shards of every split, the manifest last; after a kill it goes on where it was.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};

use polder_base::{Clearance, Digest, Input, Manifest, Reference, Timestamp, digest_json, publish_dir};

use crate::base::{self, BaseSplit, Judged, Run};
use crate::details::{ShardDetails, TokenSetDetails, entropy_nats, is_split, shard_number};
use crate::documents::DocumentLine;
use crate::error::{ShardError, wrong};
use crate::index::Dtype;
use crate::progress::{Left, Progress};
use crate::reader::TokenSet;
use crate::shard_writer::{DoneShard, ShardWriter};
use crate::sums_file::ShardSums;

/// The version of what a set's folder looks like; a set of another is built anew.
pub const LAYOUT: u32 = 2;

/// How shards are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardOptions {
    /// Ids are below this; it decides how wide tokens are stored.
    pub vocab_size: usize,
    /// The token that opens every document, if one does.
    pub bos_id: Option<u32>,
    /// The token that closes every document, if one does.
    pub eos_id: Option<u32>,
    /// A shard with documents takes no further one that would bring it above this.
    pub tokens_per_shard_max: u64,
}

/// How a set is written.
#[derive(Clone, Debug)]
pub struct SetOptions {
    /// The parts there will be, also if they stay empty; the first is what training reads.
    pub splits: Vec<String>,
    /// How shards are written.
    pub shards: ShardOptions,
    /// The tokenizer's digest.
    pub tokenizer_digest: Digest,
}

/// A document to be written.
#[derive(Clone, Copy, Debug)]
pub struct Document<'a> {
    /// Its id in the table it comes from.
    pub doc_id: &'a str,
    /// Digest of its text.
    pub text_digest: Digest,
    /// Bytes of its text.
    pub text_bytes: u64,
}

/// What becomes of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// The base set holds it unchanged; its tokens are taken over.
    Kept,
    /// An earlier attempt at this build wrote it.
    Written,
    /// It is to be encoded and pushed.
    Wanted,
}

/// What a build finds of one that was broken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfinished {
    /// Nothing.
    None,
    /// One of the same inputs, options and base: it is gone on with.
    Same,
    /// One of something else: it is thrown away.
    Other,
    /// Files that are not as they were written: they are thrown away.
    Damaged,
}

/// What became of the documents offered so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OfferCounts {
    /// Taken over from the base set.
    pub kept: u64,
    /// Written by an earlier attempt.
    pub written: u64,
    /// Asked for.
    pub wanted: u64,
}

/// A set being written, in a hidden folder beside its place until it is finished.
///
/// Documents of a split come in order of doc_id. Each is offered, and pushed if it is wanted; offers may run ahead of pushes.
/// It holds one open shard a split (lengths of its documents, a count for each id, two blocks), the offers that wait for their
/// push, a record a shard, and of the base set one line a build and the departed documents of one shard a build.
pub struct TokenSetWriter {
    target: PathBuf,
    folder: PathBuf,
    progress_path: PathBuf,
    progress: Progress,
    options: SetOptions,
    base: Option<TokenSet>,
    splits: BTreeMap<String, SplitWriter>,
    counts: OfferCounts,
}

/// A split being written.
struct SplitWriter {
    base: Option<BaseSplit>,
    /// What an earlier attempt wrote.
    written: Run,
    last_offered: Option<String>,
    /// Wanted and not yet pushed.
    wanted: VecDeque<String>,
    open: Option<ShardWriter>,
    next_number: u32,
}

fn beside(target: &Path, suffix: &str) -> PathBuf {
    let name = target.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    target.with_file_name(format!(".{name}.{suffix}"))
}

/// Removes the temporary files of a progress file, which a kill in the middle of writing leaves beside it.
fn sweep(progress_path: &Path) -> Result<(), ShardError> {
    let (Some(folder), Some(name)) = (progress_path.parent(), progress_path.file_name()) else { return Ok(()) };
    let prefix = format!(".{}.", name.to_string_lossy());
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let read = |source| ShardError::Read { path: folder.to_owned(), source };
    for entry in fs::read_dir(folder).map_err(read)? {
        let entry = entry.map_err(read)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(&prefix) && name.ends_with(".tmp") {
            fs::remove_file(entry.path()).map_err(wrong("remove", &entry.path()))?;
        }
    }
    Ok(())
}

/// Opens the set that stands at a folder; `None` if none does. A replacement that was broken off between taking the old set away
/// and putting the new one there is undone; one that was broken off just after that is brought to its end.
///
/// # Errors
/// Something stands there that is not a set of this program's layout.
pub fn standing_set(target: &Path) -> Result<Option<TokenSet>, ShardError> {
    // The name under which `publish_dir` puts the old folder aside.
    let aside = beside(target, "old");
    if !target.exists() && aside.exists() {
        fs::rename(&aside, target).map_err(wrong("put back", target))?;
    }
    // The build's folder became the set: its list of closed shards is all that is left of it.
    let (folder, progress_path) = (beside(target, "build"), beside(target, "build.json"));
    if target.exists() && progress_path.exists() && !folder.exists() {
        TokenSetWriter::discard(target)?;
    }
    if target.join(Manifest::FILE).exists() { TokenSet::open(target).map(Some) } else { Ok(None) }
}

impl SetOptions {
    fn check(&self, target: &Path) -> Result<(), ShardError> {
        let refuse = |reason: String| Err(ShardError::Options { path: target.to_owned(), reason });
        for (i, split) in self.splits.iter().enumerate() {
            if !is_split(split) {
                return refuse(format!("`{split}` names no split: lower-case letters, digits and _ do"));
            }
            if self.splits[..i].contains(split) {
                return refuse(format!("the split `{split}` is there twice"));
            }
        }
        let shards = &self.shards;
        if shards.vocab_size > i32::MAX as usize {
            return refuse(format!("a vocabulary of {} is larger than the format's {}", shards.vocab_size, i32::MAX));
        }
        for (id, what) in [(shards.bos_id, "opens"), (shards.eos_id, "closes")] {
            if let Some(id) = id.filter(|id| *id as usize >= shards.vocab_size) {
                return refuse(format!("token {id}, which {what} documents, is outside the vocabulary of {}", shards.vocab_size));
            }
        }
        Ok(())
    }

    /// Digest of all that decides what is written.
    fn key(&self, inputs_digest: Digest, base: Option<&TokenSet>) -> Digest {
        let shards = &self.shards;
        digest_json(&(
            (LAYOUT, inputs_digest, base.map(TokenSet::fingerprint)),
            (&self.splits, self.tokenizer_digest),
            (shards.vocab_size, shards.bos_id, shards.eos_id, shards.tokens_per_shard_max),
        ))
    }

    /// Whether a set's shards are what these options would have made of the same documents, but for where one ends.
    fn fit(&self, base: &TokenSet) -> bool {
        let (details, shards) = (base.details(), &self.shards);
        (details.vocab_size, details.bos_id, details.eos_id, details.tokenizer_digest)
            == (shards.vocab_size, shards.bos_id, shards.eos_id, self.tokenizer_digest)
    }
}

impl TokenSetWriter {
    /// Starts a set that will stand at `target`, or goes on with one of the same inputs, options and base that was broken off.
    ///
    /// `base` is a set of an earlier version, most often the one at `target` (see [`standing_set`]). Its shards are used if its
    /// tokenizer, vocabulary, opening and closing tokens are the same.
    ///
    /// # Errors
    /// Options that cannot be, a base set that cannot be read, a folder that cannot be made.
    pub fn begin(target: &Path, options: SetOptions, inputs_digest: Digest, base: Option<&TokenSet>) -> Result<Self, ShardError> {
        options.check(target)?;
        let base = base.filter(|b| options.fit(b)).cloned();
        let key = options.key(inputs_digest, base.as_ref());
        let (folder, progress_path) = (beside(target, "build"), beside(target, "build.json"));
        let progress = match Progress::look(&progress_path, &folder, &key) {
            Left::Same(progress) => progress,
            Left::Nothing | Left::Other | Left::Damaged => {
                if folder.exists() {
                    fs::remove_dir_all(&folder).map_err(wrong("remove", &folder))?;
                }
                Progress::begin(key)
            }
        };
        fs::create_dir_all(&folder).map_err(wrong("create folder", &folder))?;
        sweep(&progress_path)?;
        progress.write(&progress_path)?;
        let mut splits = BTreeMap::new();
        for split in &options.splits {
            splits.insert(split.clone(), SplitWriter::open(split, &folder, &progress, base.as_ref())?);
        }
        let counts = OfferCounts::default();
        Ok(Self { target: target.to_owned(), folder, progress_path, progress, options, base, splits, counts })
    }

    /// What [`TokenSetWriter::begin`] would find of a build that was broken off.
    pub fn unfinished(target: &Path, options: &SetOptions, inputs_digest: Digest, base: Option<&TokenSet>) -> Unfinished {
        let (folder, path) = (beside(target, "build"), beside(target, "build.json"));
        let key = options.key(inputs_digest, base.filter(|b| options.fit(b)));
        match Progress::look(&path, &folder, &key) {
            Left::Nothing => Unfinished::None,
            Left::Same(_) => Unfinished::Same,
            Left::Other => Unfinished::Other,
            Left::Damaged => Unfinished::Damaged,
        }
    }

    /// Throws away what a build that was broken off left.
    ///
    /// # Errors
    /// Files that cannot be removed.
    pub fn discard(target: &Path) -> Result<(), ShardError> {
        let (folder, path) = (beside(target, "build"), beside(target, "build.json"));
        if path.exists() {
            fs::remove_file(&path).map_err(wrong("remove", &path))?;
        }
        sweep(&path)?;
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(wrong("remove", &folder))?;
        }
        Ok(())
    }

    /// Whether it may answer an offer otherwise than that the document is wanted: there is a base set, or an earlier attempt.
    pub fn knows_documents(&self) -> bool {
        self.base.is_some() || !self.progress.new.is_empty()
    }

    /// What became of the documents offered so far.
    pub fn counts(&self) -> OfferCounts {
        self.counts
    }

    /// Offers a document; it comes after those already offered for its split.
    ///
    /// # Errors
    /// A split that was not declared, a document out of order or offered before, one that the broken-off attempt did not know, or a
    /// shard of the base set that cannot be taken over.
    pub fn offer(&mut self, split: &str, doc_id: &str, text_digest: &Digest) -> Result<Offer, ShardError> {
        let Some(part) = self.splits.get_mut(split) else {
            return Err(ShardError::Split { split: split.to_owned(), known: self.options.splits.clone() });
        };
        if let Some(last) = part.last_offered.as_ref().filter(|last| last.as_str() >= doc_id) {
            let reason = if last == doc_id { "was offered before".into() } else { format!("comes after `{last}`") };
            return Err(ShardError::Order { doc_id: doc_id.to_owned(), reason });
        }
        part.last_offered.get_or_insert_default().replace_range(.., doc_id);
        let mut judged = Vec::new();
        let kept = match &mut part.base {
            Some(base) => base.offer(doc_id, text_digest, &mut judged)?,
            None => false,
        };
        let offer = match part.written.peek() {
            _ if kept => Offer::Kept,
            None => Offer::Wanted,
            Some(d) if d.doc_id == doc_id && d.text_digest == *text_digest => Offer::Written,
            Some(d) => {
                let reason = format!("is not what this build began with: `{}` was written at its place", d.doc_id);
                return Err(ShardError::Order { doc_id: doc_id.to_owned(), reason });
            }
        };
        match offer {
            Offer::Kept => self.counts.kept += 1,
            Offer::Written => {
                part.written.pass(true)?;
                self.counts.written += 1;
            }
            Offer::Wanted => {
                part.wanted.push_back(doc_id.to_owned());
                self.counts.wanted += 1;
            }
        }
        judged.into_iter().try_for_each(|j| self.take_over(j))?;
        Ok(offer)
    }

    /// Writes a document that is wanted; documents are pushed in the order in which they were offered. The tokens that open and
    /// close it are added here.
    ///
    /// # Errors
    /// A document that is not the next wanted one, one that does not fit, or a file that takes no more.
    pub fn push(&mut self, split: &str, document: &Document<'_>, tokens: &[u32]) -> Result<(), ShardError> {
        let Some(part) = self.splits.get_mut(split) else {
            return Err(ShardError::Split { split: split.to_owned(), known: self.options.splits.clone() });
        };
        let doc_id = document.doc_id;
        match part.wanted.front() {
            Some(wanted) if wanted == doc_id => {}
            wanted => {
                let reason = wanted.map_or("is not wanted".into(), |w| format!("is pushed before `{w}`"));
                return Err(ShardError::Order { doc_id: doc_id.to_owned(), reason });
            }
        }
        let options = &self.options.shards;
        let n_tokens = tokens.len() as u64 + u64::from(options.bos_id.is_some()) + u64::from(options.eos_id.is_some());
        if let Some(full) = part.open.take_if(|s| s.n_tokens() + n_tokens > options.tokens_per_shard_max) {
            self.progress.new.push(full.close()?);
            self.progress.write(&self.progress_path)?;
        }
        let shard = match part.open.take() {
            Some(shard) => shard,
            None => {
                let name = format!("{split}-{:05}", part.next_number);
                part.next_number += 1;
                ShardWriter::create(&self.folder, split, name, options)?
            }
        };
        let shard = part.open.insert(shard);
        let Document { text_digest, text_bytes, .. } = *document;
        let line = DocumentLine { doc_id: doc_id.to_owned(), text_digest, text_bytes, n_tokens };
        shard.push(&line, &[options.bos_id.as_slice(), tokens, options.eos_id.as_slice()])?;
        part.wanted.pop_front();
        Ok(())
    }

    /// Shares a shard of the base set, writes it anew or leaves it out.
    fn take_over(&mut self, judged: Judged) -> Result<(), ShardError> {
        let Some(base) = &self.base else { return Ok(()) };
        let name = &judged.details.name;
        if self.progress.kept.iter().any(|s| s.details.name == *name) || self.progress.dropped.contains(name) {
            return Ok(());
        }
        if judged.departed.is_empty() {
            self.progress.kept.push(base::share(base, judged.details, &self.folder)?);
        } else if judged.departed.len() as u64 == judged.details.n_documents {
            self.progress.dropped.push(judged.details.name);
        } else {
            self.progress.kept.push(base::rewrite(base, &judged, &self.folder, &self.options.shards)?);
        }
        self.progress.write(&self.progress_path)
    }

    /// Closes the shards, writes the manifest and puts the folder in its place.
    ///
    /// # Errors
    /// A document that was wanted and not pushed, or that the broken-off attempt wrote and that was not offered again; a file that
    /// cannot be written or a folder not put in place. What stood there before is then still there.
    pub fn finish(
        mut self,
        reference: Reference,
        created_at: Timestamp,
        inputs: Vec<Input>,
        config_digest: Digest,
        clearance: Option<Clearance>,
    ) -> Result<Manifest, ShardError> {
        let mut judged = Vec::new();
        for part in self.splits.values_mut() {
            let lost = |doc_id: &String, reason: &str| Err(ShardError::Order { doc_id: doc_id.clone(), reason: reason.into() });
            if let Some(doc_id) = part.wanted.front() {
                return lost(doc_id, "is wanted and was not pushed");
            }
            if let Some(document) = part.written.peek() {
                return lost(&document.doc_id, "was written by the attempt before and is not offered any more");
            }
            if let Some(base) = &mut part.base {
                base.finish(&mut judged)?;
            }
            if let Some(shard) = part.open.take() {
                self.progress.new.push(shard.close()?);
                self.progress.write(&self.progress_path)?;
            }
        }
        judged.into_iter().try_for_each(|j| self.take_over(j))?;
        let mut shards: Vec<DoneShard> = self.progress.kept.iter().chain(&self.progress.new).cloned().collect();
        let place = |s: &ShardDetails| (self.options.splits.iter().position(|p| *p == s.split), shard_number(&s.name, &s.split));
        shards.sort_by_cached_key(|s| place(&s.details));
        let mut files: Vec<_> = shards.iter().flat_map(|s| s.files.iter().cloned()).collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let details = self.details(shards.into_iter().map(|s| s.details).collect())?;
        // Plain numbers and texts always become a value.
        let details = serde_json::to_value(&details).unwrap_or_default();
        let mut manifest = Manifest::new(reference, created_at, inputs, config_digest, details);
        manifest.files = files;
        manifest.clearance = clearance;
        remove_strangers(&self.folder, &manifest)?;
        manifest.write(&self.folder)?;
        // Open lists of the base set's documents, which may be in the folder that is replaced.
        self.splits.clear();
        publish_dir(&self.folder, &self.target)?;
        fs::remove_file(&self.progress_path).map_err(wrong("remove", &self.progress_path))?;
        Ok(manifest)
    }

    fn details(&self, shards: Vec<ShardDetails>) -> Result<TokenSetDetails, ShardError> {
        let sum = |of: &dyn Fn(&ShardDetails) -> u64| -> BTreeMap<String, u64> {
            let total = |split: &String| shards.iter().filter(|s| s.split == *split).map(of).sum();
            self.options.splits.iter().map(|s| (s.clone(), total(s))).collect()
        };
        let mut counts = vec![0; self.options.shards.vocab_size];
        for shard in shards.iter().filter(|s| Some(&s.split) == self.options.splits.first()) {
            let sums = ShardSums::read(&self.folder, &shard.name)?;
            counts.iter_mut().zip(sums.token_counts).for_each(|(all, n)| *all += n);
        }
        Ok(TokenSetDetails {
            splits: self.options.splits.clone(),
            n_tokens: sum(&|s| s.n_tokens),
            n_documents: sum(&|s| s.n_documents),
            bytes: sum(&|s| s.text_bytes),
            dtype: Dtype::of_vocab(self.options.shards.vocab_size),
            vocab_size: self.options.shards.vocab_size,
            bos_id: self.options.shards.bos_id,
            eos_id: self.options.shards.eos_id,
            unigram_entropy_nats: entropy_nats(&counts),
            tokenizer_digest: self.options.tokenizer_digest,
            shards,
        })
    }
}

impl SplitWriter {
    fn open(split: &str, folder: &Path, progress: &Progress, base: Option<&TokenSet>) -> Result<Self, ShardError> {
        let of_base = base.map_or(&[][..], |b| &b.details().shards);
        let written: VecDeque<ShardDetails> = progress.new.iter().map(|s| &s.details).filter(|s| s.split == split).cloned().collect();
        let next_number = of_base.iter().chain(&written).filter_map(|s| shard_number(&s.name, split)).max().map_or(0, |n| n + 1);
        Ok(Self {
            base: base.map(|b| BaseSplit::open(b, split)).transpose()?,
            written: Run::open(folder, written)?,
            last_offered: None,
            wanted: VecDeque::new(),
            open: None,
            next_number,
        })
    }
}

/// Removes what a kill left of unfinished files, so that the set's folder holds what its manifest says.
fn remove_strangers(folder: &Path, manifest: &Manifest) -> Result<(), ShardError> {
    let read = |source| ShardError::Read { path: folder.to_owned(), source };
    for entry in fs::read_dir(folder).map_err(read)? {
        let path = entry.map_err(read)?.path();
        let known = |f: &polder_base::ManifestFile| path.file_name().is_some_and(|n| n == f.path.as_str());
        if !manifest.files.iter().any(known) {
            fs::remove_file(&path).map_err(wrong("remove", &path))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
