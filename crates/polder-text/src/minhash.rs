//! Which texts resemble each other: word shingles, MinHash signatures, bands for joining on.
//!
//! The signature is a fast similarity sketch rather than `n` separate permutations: each shingle
//! goes into one of `n` slots, and slots that stay empty are filled in further rounds. A slot of
//! two signatures agrees with probability equal to the Jaccard similarity of the shingle sets,
//! as in classical MinHash, for one hash a shingle instead of `n`. The smallest value wins a slot,
//! so neither the order nor the repetition of shingles matters.
//!
//! # Source
//! Dahlgaard, Knudsen, Thorup: Fast Similarity Sketching (2017).

use thiserror::Error;
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

use crate::words::{mix, words};

/// Words in a shingle.
pub const NGRAM: usize = 5;
/// Slots of a signature: [`BANDS`] × [`ROWS`].
pub const N_PERMUTATIONS: usize = 112;
/// Bands of a signature: pairs with Jaccard 0.72 meet in one with even chance.
pub const BANDS: usize = 14;
/// Slots in a band.
pub const ROWS: usize = 8;

/// The largest signature: more says nothing more, and memory is per document.
const SLOTS_MAX: usize = 4096;
/// Odd multiplier of the rolling shingle hash.
const ROLL: u64 = 0x9e37_79b9_7f4a_7c15;
/// Bits of a slot's value below the round it was filled in.
const VALUE_BITS: u32 = 48;

/// What can be wrong with the parameters of a signature.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum MinhashError {
    /// The number of slots is zero or too large.
    #[error("a signature has 1 to {SLOTS_MAX} values, not {0}")]
    Slots(usize),
    /// The signature has another length than the bands need.
    #[error("{bands} bands of {rows} rows need a signature of that many values, not of {found}")]
    Shape {
        /// Bands asked for.
        bands: usize,
        /// Rows asked for.
        rows: usize,
        /// Length of the signature given.
        found: usize,
    },
    /// Two signatures of different length were compared.
    #[error("signatures of {0} and {1} values cannot be compared")]
    Lengths(usize, usize),
}

/// Calls `visit` with the hash of every run of `ngram` words, in order and with repetitions.
///
/// A text of fewer words is one shingle; a text without words has none.
pub(crate) fn each_shingle(text: &str, ngram: usize, mut visit: impl FnMut(u64)) {
    let composed;
    // Only NFC tells a decomposed ü from a u with a separator behind it.
    let text = if text.is_ascii() || is_nfc_quick(text.chars()) == IsNormalized::Yes {
        text
    } else {
        composed = text.nfc().collect::<String>();
        &composed
    };
    let ngram = ngram.max(1);
    let oldest_weight = (1..ngram).fold(1u64, |w, _| w.wrapping_mul(ROLL));
    let mut window = vec![0u64; ngram];
    let (mut rolling, mut n_words, mut slot) = (0u64, 0usize, 0usize);
    for word in words(text) {
        // Without the mixing, polynomials of related words could cancel out.
        let hash = mix(word.hash);
        rolling = rolling.wrapping_sub(window[slot].wrapping_mul(oldest_weight)).wrapping_mul(ROLL).wrapping_add(hash);
        window[slot] = hash;
        slot = if slot + 1 == ngram { 0 } else { slot + 1 };
        n_words += 1;
        if n_words >= ngram {
            visit(mix(rolling));
        }
    }
    if n_words > 0 && n_words < ngram {
        visit(mix(rolling));
    }
}

/// Returns the set of shingles of a text, as sorted distinct hashes.
pub fn shingles(text: &str, ngram: usize) -> Vec<u64> {
    let mut all = Vec::new();
    each_shingle(text, ngram, |s| all.push(s));
    all.sort_unstable();
    all.dedup();
    all
}

/// Returns the signature of a text: `n_permutations` values, or none for a text without words.
///
/// # Errors
/// If `n_permutations` is zero or above 4096.
pub fn minhash(text: &str, n_permutations: usize, ngram: usize) -> Result<Option<Vec<u64>>, MinhashError> {
    if n_permutations == 0 || n_permutations > SLOTS_MAX {
        return Err(MinhashError::Slots(n_permutations));
    }
    let mut all = Vec::new();
    each_shingle(text, ngram, |s| all.push(s));
    Ok(if all.is_empty() { None } else { Some(sketch(&all, n_permutations)) })
}

fn sketch(shingles: &[u64], n_slots: usize) -> Vec<u64> {
    let mut slots = vec![u64::MAX; n_slots];
    let value_mask = (1u64 << VALUE_BITS) - 1;
    // Rounds from `n_slots` on go to one slot each, so that 2·n_slots rounds always fill all.
    for round in 0..2 * n_slots {
        let seed = (round as u64 + 1).wrapping_mul(ROLL);
        let high = (round as u64) << VALUE_BITS;
        for &shingle in shingles {
            let hash = mix(shingle ^ seed);
            let slot = if round < n_slots { ((hash >> 32) as usize * n_slots) >> 32 } else { round - n_slots };
            let value = high | (hash & value_mask);
            slots[slot] = slots[slot].min(value);
        }
        if !slots.contains(&u64::MAX) {
            break;
        }
    }
    slots
}

/// Returns one digest per band; two texts that share any of them are candidates.
///
/// The band's number is part of its digest, so a join on the digest alone never pairs band 1 with band 2.
///
/// # Errors
/// If the signature isn't `bands` × `rows` long.
pub fn minhash_bands(signature: &[u64], bands: usize, rows: usize) -> Result<Vec<u64>, MinhashError> {
    if rows == 0 || bands == 0 || bands.checked_mul(rows) != Some(signature.len()) {
        return Err(MinhashError::Shape { bands, rows, found: signature.len() });
    }
    let digest = |(band, rows): (usize, &[u64])| {
        let start = mix((band as u64 + 1).wrapping_mul(ROLL));
        rows.iter().fold(start, |h, value| mix(h.wrapping_mul(ROLL) ^ value))
    };
    Ok(signature.chunks_exact(rows).enumerate().map(digest).collect())
}

/// Estimates the Jaccard similarity of two texts from their signatures: the share of equal values.
///
/// # Errors
/// If they differ in length or are empty.
pub fn jaccard_estimate(a: &[u64], b: &[u64]) -> Result<f64, MinhashError> {
    if a.len() != b.len() {
        return Err(MinhashError::Lengths(a.len(), b.len()));
    }
    if a.is_empty() {
        return Err(MinhashError::Slots(0));
    }
    let equal = a.iter().zip(b).filter(|(x, y)| x == y).count();
    Ok(equal as f64 / a.len() as f64)
}

/// Returns the exact Jaccard similarity of two texts' shingle sets, or none if neither has a word.
pub fn jaccard(a: &str, b: &str, ngram: usize) -> Option<f64> {
    let (a, b) = (shingles(a, ngram), shingles(b, ngram));
    let (mut i, mut j, mut shared) = (0, 0, 0usize);
    while let (Some(x), Some(y)) = (a.get(i), b.get(j)) {
        shared += usize::from(x == y);
        i += usize::from(x <= y);
        j += usize::from(y <= x);
    }
    let union = a.len() + b.len() - shared;
    (union > 0).then(|| shared as f64 / union as f64)
}
