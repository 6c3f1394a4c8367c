//! What is kept of each document once it was read.

use std::mem::take;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use polder_text::{minhash_bands, normalized, set_digest, shingles_into, sketch_into};
use rayon::slice::ParallelSliceMut;
use sha2::{Digest as _, Sha256};

use crate::partitions::{N_PARTITIONS, Partitions, Writer};
use crate::spill::{Block, Spill};
use crate::{DuplicatesError, NearOptions};

/// Words of shingles that a reader collects before it hands documents over.
pub(crate) const PENDING_WORDS: usize = 1 << 17;
/// Documents that a reader collects at most.
pub(crate) const PENDING_DOCUMENTS: usize = 1024;

/// Memory that a search holds of a document besides its strings: identity, set, ends, order, rank, cluster and match.
const DOCUMENT_BYTES: usize = 96;

/// One document.
#[derive(Clone, Copy, Debug)]
pub struct Document<'a> {
    /// What tells it from others.
    pub id: &'a str,
    /// Its text.
    pub text: &'a str,
    /// Of a cluster the document with the least of these bytes is kept, of several the one with the least id.
    pub preference: &'a [u8],
}

/// A document's set of shingles: where it is, and how many there are.
#[derive(Clone, Copy, Debug, Default)]
struct Set {
    block: u32,
    start: u32,
    len: u32,
}

/// Byte strings, one behind the other.
#[derive(Debug, Default)]
struct Strings {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Strings {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.ends.push(self.bytes.len());
    }

    fn append(&mut self, other: &Self) {
        let before = self.bytes.len();
        self.bytes.extend_from_slice(&other.bytes);
        self.ends.extend(other.ends.iter().map(|end| before + end));
    }

    fn get(&self, i: usize) -> &[u8] {
        let start = i.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..self.ends[i]]
    }
}

/// All documents, by order of arrival.
#[derive(Debug, Default)]
pub(crate) struct Documents {
    ids: Strings,
    preferences: Strings,
    /// Equal for documents whose sets are equal, or, where a text has fewer words than a shingle, whose normalised texts
    /// are; 0 for one that has nothing to compare.
    identities: Vec<u128>,
    sets: Vec<Set>,
    blocks: Vec<Block>,
}

impl Documents {
    pub(crate) fn len(&self) -> usize {
        self.sets.len()
    }

    /// Adds a document whose words begin at `start` of what its reader collected.
    pub(crate) fn push(&mut self, document: &Document<'_>, identity: u128, start: usize, len: usize) -> Result<(), DuplicatesError> {
        let place = |n| u32::try_from(n).map_err(|_| DuplicatesError::TooMany);
        self.sets.push(Set { block: 0, start: place(start)?, len: place(len)? });
        self.ids.push(document.id.as_bytes());
        self.preferences.push(document.preference);
        self.identities.push(identity);
        Ok(())
    }

    pub(crate) fn id(&self, i: usize) -> &str {
        // Only whole strings go in.
        std::str::from_utf8(self.ids.get(i)).unwrap_or_default()
    }

    pub(crate) fn preference(&self, i: usize) -> &[u8] {
        self.preferences.get(i)
    }

    pub(crate) fn identity(&self, i: usize) -> u128 {
        self.identities[i]
    }

    /// Size of a document's set of shingles.
    pub(crate) fn n_shingles(&self, i: usize) -> usize {
        self.sets[i].len as usize
    }

    /// Puts a document's set of shingles into `to`.
    pub(crate) fn set(&self, i: usize, spill: &Spill, to: &mut Vec<u64>) -> Result<(), DuplicatesError> {
        to.clear();
        let set = self.sets[i];
        if set.len == 0 {
            return Ok(());
        }
        let part: Range<usize> = set.start as usize..set.start as usize + set.len as usize;
        spill.read(&self.blocks[set.block as usize], part, to)
    }

    /// Returns the documents in order of id.
    pub(crate) fn in_order(&self) -> Result<Vec<u32>, DuplicatesError> {
        let prefix = |i: u32| {
            let id = self.ids.get(i as usize);
            let mut first = [0; 8];
            let n = id.len().min(8);
            first[..n].copy_from_slice(&id[..n]);
            u64::from_be_bytes(first)
        };
        let n = u32::try_from(self.len()).map_err(|_| DuplicatesError::TooMany)?;
        let mut order: Vec<(u64, u32)> = (0..n).map(|i| (prefix(i), i)).collect();
        order.par_sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| self.ids.get(a.1 as usize).cmp(self.ids.get(b.1 as usize))));
        match order.windows(2).find(|w| self.ids.get(w[0].1 as usize) == self.ids.get(w[1].1 as usize)) {
            Some(same) => Err(DuplicatesError::SameId { id: self.id(same[0].1 as usize).to_owned() }),
            None => Ok(order.into_iter().map(|(_, i)| i).collect()),
        }
    }
}

/// Where readers bring what they read.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: NearOptions,
    pub(crate) spill: Arc<Spill>,
    /// Band digests: the partition is their first eight bits; a record is their next 32, then the document.
    pub(crate) bands: Partitions<1>,
    pub(crate) documents: Mutex<Documents>,
}

impl Shared {
    pub(crate) fn new(options: NearOptions) -> Result<Self, DuplicatesError> {
        options.check()?;
        let spill = Arc::new(Spill::new(&options.spill_folder, options.memory_bytes_max));
        Ok(Self { bands: Partitions::new(spill.clone()), spill, options, documents: Mutex::default() })
    }

    pub(crate) fn held_bytes(&self) -> usize {
        self.held_bytes_of(&self.documents.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn held_bytes_of(&self, documents: &Documents) -> usize {
        documents.ids.bytes.len() + documents.preferences.bytes.len() + documents.len() * DOCUMENT_BYTES
    }
}

/// Reads documents: one for each thread that has some.
#[derive(Debug)]
pub struct Reader {
    shared: Arc<Shared>,
    bands: Writer<1>,
    pending: Documents,
    pending_sets: Vec<u64>,
    pending_digests: Vec<u64>,
    set: Vec<u64>,
    slots: Vec<u64>,
}

impl Reader {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let slots = vec![0; shared.options.n_slots()];
        let (pending_sets, pending_digests, set) = (Vec::new(), Vec::new(), Vec::new());
        Self { shared, bands: Writer::new(), pending: Documents::default(), pending_sets, pending_digests, set, slots }
    }

    /// Reads one document.
    ///
    /// # Errors
    /// The spill file cannot be written; more documents than are counted.
    pub fn add(&mut self, document: &Document<'_>) -> Result<(), DuplicatesError> {
        let NearOptions { ngram, bands, rows, .. } = self.shared.options;
        let n_words = shingles_into(document.text, ngram, &mut self.set);
        if n_words < ngram {
            self.set.clear();
        }
        let identity = if self.set.is_empty() { text_identity(document.text) } else { set_digest(&self.set) };
        if !self.set.is_empty() {
            sketch_into(&self.set, &mut self.slots);
            // The shape was checked when the search began.
            self.pending_digests.extend(minhash_bands(&self.slots, bands, rows).unwrap_or_default());
        }
        self.pending.push(document, identity, self.pending_sets.len(), self.set.len())?;
        self.pending_sets.extend_from_slice(&self.set);
        if self.pending_sets.len() >= PENDING_WORDS || self.pending.len() >= PENDING_DOCUMENTS {
            self.hand_over()?;
        }
        Ok(())
    }

    fn hand_over(&mut self) -> Result<(), DuplicatesError> {
        let pending = take(&mut self.pending);
        let first = append(&self.shared.documents, &self.shared.spill, &pending, &self.pending_sets)?;
        self.pending_sets.clear();
        let mut digests = self.pending_digests.chunks_exact(self.shared.options.bands);
        for (i, _) in pending.sets.iter().enumerate().filter(|(_, set)| set.len > 0) {
            let doc_idx = u64::from(u32::try_from(first + i).map_err(|_| DuplicatesError::TooMany)?);
            for digest in digests.next().unwrap_or_default() {
                let (partition, record) = split(*digest);
                self.bands.push(&self.shared.bands, partition, [record | doc_idx])?;
            }
        }
        self.pending_digests.clear();
        Ok(())
    }

    /// Hands over what is left; what a reader that was dropped had still pending is not part of the result.
    ///
    /// # Errors
    /// Those of [`Reader::add`].
    pub fn finish(mut self) -> Result<(), DuplicatesError> {
        self.hand_over()?;
        self.bands.finish(&self.shared.bands)
    }
}

/// Appends documents that one reader collected, with what their sets point into, and returns the place of the first.
pub(crate) fn append(to: &Mutex<Documents>, spill: &Spill, pending: &Documents, words: &[u64]) -> Result<usize, DuplicatesError> {
    let block = spill.put(words)?;
    let mut all = to.lock().unwrap_or_else(PoisonError::into_inner);
    let first = all.len();
    let block_idx = u32::try_from(all.blocks.len()).map_err(|_| DuplicatesError::TooMany)?;
    all.ids.append(&pending.ids);
    all.preferences.append(&pending.preferences);
    all.identities.extend_from_slice(&pending.identities);
    all.sets.extend(pending.sets.iter().map(|set| Set { block: block_idx, ..*set }));
    all.blocks.push(block);
    Ok(first)
}

/// A band digest's partition, and its record without the document.
pub(crate) fn split(digest: u64) -> (usize, u64) {
    const { assert!(N_PARTITIONS == 1 << 8) }
    ((digest >> 56) as usize, digest << 8 >> 32 << 32)
}

fn text_identity(text: &str) -> u128 {
    let normal = normalized(text);
    if normal.is_empty() {
        return 0;
    }
    Sha256::digest(normal.as_bytes()).iter().take(16).fold(0, |all, byte| all << 8 | u128::from(*byte))
}
