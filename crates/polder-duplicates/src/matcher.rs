//! Documents that arrive after others: which of the earlier ones they repeat, from the earlier ones' signatures alone.

use std::collections::HashMap;
use std::mem::take;
use std::sync::{Arc, Mutex, PoisonError};

use polder_text::{jaccard_of_sets, minhash_bands, short_hashes};

use crate::documents::{Documents, Shared, split};
use crate::partitions::N_PARTITIONS;
use crate::{DuplicatesError, NearOptions, Reader};

/// New documents, ready to be compared with earlier ones in any order and from any thread.
///
/// What is held of them: their bands, and as much of their sets as fits.
#[derive(Debug)]
pub struct Matcher {
    shared: Arc<Shared>,
    documents: Documents,
    /// Sorted band records, by partition.
    bands: Vec<Vec<u64>>,
    best: Mutex<HashMap<u32, (f64, String)>>,
}

/// A new document that repeats an earlier one.
#[derive(Clone, Debug, PartialEq)]
pub struct Match {
    /// The new document.
    pub doc_id: String,
    /// The earlier document most like it, of several the one with the least id.
    pub dup_of: String,
    /// Their similarity.
    pub jaccard: f64,
}

/// New documents under way.
#[derive(Debug)]
pub struct Arrivals {
    shared: Arc<Shared>,
}

impl Arrivals {
    /// Makes a reader; each thread has its own.
    pub fn reader(&self) -> Reader {
        Reader::new(self.shared.clone())
    }

    /// Memory that is held of the documents besides what the options allow: ids, places and bands.
    pub fn held_bytes(&self) -> usize {
        let documents = self.shared.documents.lock().unwrap_or_else(PoisonError::into_inner);
        self.shared.held_bytes_of(&documents) + documents.len() * self.shared.options.bands * size_of::<u64>()
    }

    /// Makes the matcher, once every reader has finished.
    ///
    /// # Errors
    /// Two documents with one id; the spill file cannot be read.
    pub fn finish(self) -> Result<Matcher, DuplicatesError> {
        let documents = take(&mut *self.shared.documents.lock().unwrap_or_else(PoisonError::into_inner));
        // Refuses an id that stands twice.
        documents.in_order()?;
        let sorted = |partition| {
            let mut records = self.shared.bands.take(partition)?;
            records.sort_unstable();
            Ok(records)
        };
        let bands = (0..N_PARTITIONS).map(sorted).collect::<Result<_, _>>()?;
        Ok(Matcher { shared: self.shared, documents, bands, best: Mutex::default() })
    }
}

impl Matcher {
    /// Begins with the new documents.
    ///
    /// # Errors
    /// An option that means nothing.
    pub fn arrivals(options: NearOptions) -> Result<Arrivals, DuplicatesError> {
        Ok(Arrivals { shared: Arc::new(Shared::new(options)?) })
    }

    /// Compares an earlier document: its signature, and its set as [`polder_text::short_hashes`] gives it.
    ///
    /// # Errors
    /// A signature too short for the bands; the spill file cannot be read.
    pub fn compare(&self, id: &str, signature: &[u64], hashes: &[u32]) -> Result<(), DuplicatesError> {
        let NearOptions { bands, rows, jaccard_min, .. } = self.shared.options;
        let digests = minhash_bands(signature, bands, rows).map_err(|e| DuplicatesError::Option {
            option: "the signature",
            found: e.to_string(),
            allowed: "as long as `minhash` makes it for these bands",
        })?;
        let mut candidates: Vec<u32> = Vec::new();
        for (partition, record) in digests.into_iter().map(split) {
            let records = &self.bands[partition];
            let from = records.partition_point(|r| *r < record);
            // What is cut off is the digest.
            candidates.extend(records[from..].iter().take_while(|r| *r >> 32 == record >> 32).map(|r| *r as u32));
        }
        candidates.sort_unstable();
        candidates.dedup();
        let mut set = Vec::new();
        for doc_idx in candidates {
            self.documents.set(doc_idx as usize, &self.shared.spill, &mut set)?;
            let Some(jaccard) = jaccard_of_sets(&short_hashes(&set), hashes, jaccard_min) else { continue };
            let mut best = self.best.lock().unwrap_or_else(PoisonError::into_inner);
            let is_better = best.get(&doc_idx).is_none_or(|(known, of)| jaccard > *known || (jaccard == *known && id < of.as_str()));
            if is_better {
                best.insert(doc_idx, (jaccard, id.to_owned()));
            }
        }
        Ok(())
    }

    /// Returns what was found so far, in order of the new documents' ids.
    pub fn matches(&self) -> Vec<Match> {
        let best = self.best.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |(doc_idx, (jaccard, dup_of)): (&u32, &(f64, String))| Match {
            doc_id: self.documents.id(*doc_idx as usize).to_owned(),
            dup_of: dup_of.clone(),
            jaccard: *jaccard,
        };
        let mut matches: Vec<Match> = best.iter().map(of).collect();
        matches.sort_by(|a, b| a.doc_id.cmp(&b.doc_id));
        matches
    }
}
