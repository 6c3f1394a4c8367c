//! Checks a set: every digest, every count, and that each document stands once. It lists all that is wrong, and where.
//!
//! A file is read twice at the same time, by one thread for its digest and by another for what its bytes say, so that two threads
//! share even a set of one shard. Memory is a block and a count for each id a thread.

mod entries;
mod scan;
mod shard;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use polder_base::Manifest;

use crate::details::{ShardDetails, entropy_nats};
use crate::error::ShardError;
use crate::index::Dtype;
use crate::reader::TokenSet;
use shard::{ShardCheck, Task};

/// Damages of one file that are listed; what is beyond is counted.
const LISTED_OF_FILE_MAX: usize = 100;

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub path: PathBuf,
    /// Which of its bytes, as exactly as can be said.
    pub bytes: Option<Range<u64>>,
    /// What is wrong with them.
    pub what: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.path.display())?;
        match &self.bytes {
            None => write!(f, ": {}", self.what),
            Some(b) if b.end - b.start == 1 => write!(f, ", byte {}: {}", b.start, self.what),
            Some(b) => write!(f, ", bytes {}..{}: {}", b.start, b.end, self.what),
        }
    }
}

/// How far a check is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifyProgress {
    /// Bytes whose digest was computed.
    pub bytes: u64,
    /// Bytes of all files, as the manifest says.
    pub bytes_total: u64,
}

/// What was checked, and everything that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    /// Files.
    pub n_files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Documents, as the manifest says.
    pub n_documents: u64,
    /// Tokens, as the manifest says.
    pub n_tokens: u64,
    /// What is wrong, file by file; of one file at most a hundred things, and then how many more.
    pub damages: Vec<Damage>,
}

impl Verification {
    /// Whether all is as it was written.
    pub fn is_sound(&self) -> bool {
        self.damages.is_empty()
    }
}

/// A check that runs.
struct Check<'a> {
    set: &'a TokenSet,
    shards: Vec<ShardCheck<'a>>,
    next: AtomicUsize,
    bytes: AtomicU64,
    bytes_total: u64,
    on_progress: &'a (dyn Fn(VerifyProgress) + Sync),
    damages: Mutex<Vec<Damage>>,
    /// How often each id occurs in the first split; `None` once one of its shards could not be counted.
    counts: Mutex<Option<Vec<u64>>>,
}

/// Checks a whole set, on as many threads as the machine has.
///
/// # Errors
/// There is no set, or its manifest cannot be read. All else is listed.
pub fn verify(folder: &Path, on_progress: &(dyn Fn(VerifyProgress) + Sync)) -> Result<Verification, ShardError> {
    let set = TokenSet::open(folder)?;
    let manifest = set.manifest();
    let (shards, mut damages) = shards_of(&set);
    damages.extend(wrong_totals(&set));
    let bytes_total = manifest.files.iter().map(|f| f.bytes).fold(0, u64::saturating_add);
    let check = Check {
        set: &set,
        shards,
        next: AtomicUsize::new(0),
        bytes: AtomicU64::new(0),
        bytes_total,
        on_progress,
        damages: Mutex::new(damages),
        counts: Mutex::new(Some(Vec::new())),
    };
    rayon::scope(|scope| (0..rayon::current_num_threads()).for_each(|_| scope.spawn(|_| check.work())));
    check.compare_entropy();
    let mut damages = check.damages.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    damages.sort_by(|a, b| (&a.path, a.bytes.as_ref().map(|b| b.start)).cmp(&(&b.path, b.bytes.as_ref().map(|b| b.start))));
    let sum = |of: &BTreeMap<String, u64>| of.values().copied().fold(0, u64::saturating_add);
    Ok(Verification {
        n_files: manifest.files.len() as u64,
        bytes: bytes_total,
        n_documents: sum(&set.details().n_documents),
        n_tokens: sum(&set.details().n_tokens),
        damages: shortened(damages),
    })
}

impl Check<'_> {
    /// Takes tasks until there are none: shard by shard, so that the two readers of a file stay near each other.
    fn work(&self) {
        loop {
            let i = self.next.fetch_add(1, Ordering::Relaxed);
            match i.checked_sub(1).map(|i| (self.shards.get(i / Task::ALL.len()), Task::ALL[i % Task::ALL.len()])) {
                None => self.report(entries::standing_twice(self.set)),
                Some((Some(shard), task)) => shard.run(task, self),
                Some((None, _)) => return,
            }
        }
    }

    fn report(&self, damages: impl IntoIterator<Item = Damage>) {
        self.damages.lock().unwrap_or_else(std::sync::PoisonError::into_inner).extend(damages);
    }

    fn advance(&self, bytes: u64) {
        let bytes = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        (self.on_progress)(VerifyProgress { bytes, bytes_total: self.bytes_total });
    }

    /// Adds what a shard of the first split counted.
    fn count(&self, shard: &ShardDetails, of_shard: Option<&[u64]>) {
        if self.set.details().splits.first() != Some(&shard.split) {
            return;
        }
        let mut counts = self.counts.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match (&mut *counts, of_shard) {
            (Some(all), Some(of_shard)) => {
                all.resize(all.len().max(of_shard.len()), 0);
                all.iter_mut().zip(of_shard).for_each(|(all, n)| *all += n);
            }
            _ => *counts = None,
        }
    }

    fn compare_entropy(&self) {
        let counts = self.counts.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let said = self.set.details().unigram_entropy_nats;
        match counts.as_deref().map(entropy_nats) {
            Some(found) if found != said => {
                self.report([in_manifest(self.set, format!("it says {said} nats of entropy, and the tokens have {found}"))]);
            }
            _ => {}
        }
    }
}

fn in_manifest(set: &TokenSet, what: String) -> Damage {
    Damage { path: set.folder().join(Manifest::FILE), bytes: None, what }
}

/// The shards that can be checked, and what is wrong with the manifest's list of them.
fn shards_of(set: &TokenSet) -> (Vec<ShardCheck<'_>>, Vec<Damage>) {
    let (mut shards, mut damages) = (Vec::new(), Vec::new());
    let mut files: BTreeMap<&str, _> = BTreeMap::new();
    for file in &set.manifest().files {
        if files.insert(file.path.as_str(), file).is_some() {
            damages.push(in_manifest(set, format!("`{}` stands twice in it", file.path)));
        }
    }
    for details in &set.details().shards {
        let mut take = |ending| files.remove(format!("{}.{ending}", details.name).as_str());
        match (take("bin"), take("idx"), take("jsonl"), take("sums")) {
            (Some(bin), Some(idx), Some(jsonl), Some(sums)) => shards.push(ShardCheck::new(set, details, [bin, idx, jsonl, sums])),
            _ => damages.push(in_manifest(set, format!("it does not list the four files of `{}` once", details.name))),
        }
    }
    damages.extend(files.keys().map(|path| in_manifest(set, format!("`{path}` belongs to no shard"))));
    (shards, damages)
}

/// Sums over shards that are not those of the set.
fn wrong_totals(set: &TokenSet) -> Vec<Damage> {
    let details = set.details();
    let mut damages = Vec::new();
    if details.dtype != Dtype::of_vocab(details.vocab_size) {
        let what = format!("a vocabulary of {} is not stored as {:?}", details.vocab_size, details.dtype);
        damages.push(in_manifest(set, what));
    }
    type Of = fn(&ShardDetails) -> u64;
    let totals: [(&str, &BTreeMap<String, u64>, Of); 3] = [
        ("tokens", &details.n_tokens, |s| s.n_tokens),
        ("documents", &details.n_documents, |s| s.n_documents),
        ("bytes of text", &details.bytes, |s| s.text_bytes),
    ];
    for (what, said, of) in totals {
        for (split, said) in said {
            let found = details.shards.iter().filter(|s| s.split == *split).map(of).fold(0, u64::saturating_add);
            if found != *said {
                damages.push(in_manifest(set, format!("it says that {split} has {said} {what}, and its shards have {found}")));
            }
        }
    }
    damages
}

/// Cuts the list of each file, and says what was cut.
fn shortened(damages: Vec<Damage>) -> Vec<Damage> {
    let mut out: Vec<Damage> = Vec::new();
    for of_file in damages.chunk_by(|a, b| a.path == b.path) {
        out.extend(of_file.iter().take(LISTED_OF_FILE_MAX).cloned());
        if of_file.len() > LISTED_OF_FILE_MAX {
            let what = format!("{} more things are wrong with it", of_file.len() - LISTED_OF_FILE_MAX);
            out.push(Damage { path: of_file[0].path.clone(), bytes: None, what });
        }
    }
    out
}

#[cfg(test)]
mod tests;
