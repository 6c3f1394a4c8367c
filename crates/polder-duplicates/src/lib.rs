//! Documents that nearly repeat others, at any size, in bounded memory.
//!
//! Each document is read once: its set of word shingles is kept, and its MinHash signature gives the bands by which
//! candidates meet. Candidate pairs are verified by the exact Jaccard similarity of their sets; verified pairs join
//! clusters; each cluster has one keeper. Nothing depends on the order of arrival, on threads or on memory: what does
//! not fit goes to a file without a name.
//!
//! It knows neither Arrow nor SQL, and needs no async. Start with [`NearDuplicates`], or with [`Matcher`] for documents
//! that arrive after others.

mod clusters;
mod documents;
mod error;
mod found;
mod matcher;
mod near;
mod partitions;
mod passages;
mod spill;
mod substrings;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use polder_text::{BANDS, N_PERMUTATIONS, NGRAM, ROWS};

pub use documents::{Document, Reader};
pub use error::DuplicatesError;
pub use found::{Duplicate, Found};
pub use matcher::{Arrivals, Match, Matcher};
pub use near::NearDuplicates;
pub use passages::{FoundPassages, Passage, PassageReader, RepeatedPassage, RepeatedPassages};
pub use substrings::{FoundRuns, RepeatedRun, RepeatedRuns, RunReader};

/// How near duplicates are sought.
#[derive(Clone, Debug, PartialEq)]
pub struct NearOptions {
    /// Least Jaccard similarity of a pair.
    pub jaccard_min: f64,
    /// Bands of a signature; [`polder_text::s_curve`] says how many pairs they find.
    pub bands: usize,
    /// Values in a band.
    pub rows: usize,
    /// Words in a shingle.
    pub ngram: usize,
    /// Memory for shingles and bands; about 100 bytes a document are held besides.
    pub memory_bytes_max: usize,
    /// Folder for what does not fit.
    pub spill_folder: PathBuf,
}

impl Default for NearOptions {
    fn default() -> Self {
        Self { jaccard_min: 0.7, bands: BANDS, rows: ROWS, ngram: NGRAM, memory_bytes_max: 256 << 20, spill_folder: std::env::temp_dir() }
    }
}

/// Values of a signature that bands for a low similarity may take.
const SIGNATURE_MAX: usize = 256;
/// Of the pairs at the least similarity that is asked for, so many share a band.
const RECALL: f64 = 0.95;

/// Bands and rows that find pairs of at least this similarity: the usual ones where they do, and narrower ones below.
pub fn banding(jaccard_min: f64) -> (usize, usize) {
    if polder_text::s_curve(jaccard_min, BANDS, ROWS) >= RECALL {
        return (BANDS, ROWS);
    }
    let least = |rows: usize| (1..=SIGNATURE_MAX / rows).find(|bands| polder_text::s_curve(jaccard_min, *bands, rows) >= RECALL);
    (1..ROWS).rev().find_map(|rows| Some((least(rows)?, rows))).unwrap_or((SIGNATURE_MAX, 1))
}

impl NearOptions {
    fn check(&self) -> Result<(), DuplicatesError> {
        let wrong = |option, found: String, allowed| Err(DuplicatesError::Option { option, found, allowed });
        if !(self.jaccard_min > 0.0 && self.jaccard_min <= 1.0) {
            return wrong("jaccard", self.jaccard_min.to_string(), "above 0 and at most 1");
        }
        if !(1..=4096).contains(&self.bands.saturating_mul(self.rows)) {
            return wrong("bands × rows", format!("{} × {}", self.bands, self.rows), "1 to 4096 together");
        }
        if !(1..=1000).contains(&self.ngram) {
            return wrong("ngram", self.ngram.to_string(), "1 to 1000 words");
        }
        Ok(())
    }

    /// Length of a signature.
    fn n_slots(&self) -> usize {
        (self.bands * self.rows).max(N_PERMUTATIONS)
    }
}
