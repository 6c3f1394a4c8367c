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

use std::cmp::Ordering;

use thiserror::Error;

use crate::clean::composed;
use crate::words::{mix, words};

/// Words in a shingle.
pub const NGRAM: usize = 5;
/// Slots of a signature.
pub const N_PERMUTATIONS: usize = 112;
/// Bands of a signature: [`s_curve`] gives 0.47 of pairs at Jaccard 0.5, 0.98 at 0.7, 0.9998 at 0.8. Chosen for recall: exact
/// verification pays for the false candidates. Two slots are left over.
pub const BANDS: usize = 22;
/// Slots in a band.
pub const ROWS: usize = 5;

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
/// A text of fewer words is one shingle; a text without words has none. Returns the number of words.
pub(crate) fn each_shingle(text: &str, ngram: usize, mut visit: impl FnMut(u64)) -> usize {
    // Only NFC tells a decomposed ü from a u with a separator behind it.
    let text = composed(text);
    let ngram = ngram.max(1);
    let oldest_weight = (1..ngram).fold(1u64, |w, _| w.wrapping_mul(ROLL));
    let mut window = vec![0u64; ngram];
    let (mut rolling, mut n_words, mut slot) = (0u64, 0usize, 0usize);
    for word in words(&text) {
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
    n_words
}

/// Returns the set of shingles of a text, as sorted distinct hashes.
pub fn shingles(text: &str, ngram: usize) -> Vec<u64> {
    let mut all = Vec::new();
    shingles_into(text, ngram, &mut all);
    all
}

/// Fills `set` with the shingles of a text, sorted and distinct, and returns the number of words.
pub fn shingles_into(text: &str, ngram: usize, set: &mut Vec<u64>) -> usize {
    set.clear();
    let n_words = each_shingle(text, ngram, |s| set.push(s));
    set.sort_unstable();
    set.dedup();
    n_words
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

/// Returns the signature of a set of shingles, which has at least one.
fn sketch(shingles: &[u64], n_slots: usize) -> Vec<u64> {
    let mut slots = vec![u64::MAX; n_slots];
    sketch_into(shingles, &mut slots);
    slots
}

/// Fills `slots` with the signature of a set of shingles; an empty set leaves every slot at its largest value.
pub fn sketch_into(shingles: &[u64], slots: &mut [u64]) {
    slots.fill(u64::MAX);
    let n_slots = slots.len();
    if shingles.is_empty() {
        return;
    }
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
}

/// Returns one digest per band; two texts that share any of them are candidates.
///
/// The band's number is part of its digest, so a join on the digest alone never pairs band 1 with band 2. Values of the
/// signature that no band takes are left over.
///
/// # Errors
/// If the signature is shorter than `bands` × `rows`.
pub fn minhash_bands(signature: &[u64], bands: usize, rows: usize) -> Result<Vec<u64>, MinhashError> {
    if rows == 0 || bands == 0 || bands.checked_mul(rows).is_none_or(|n| n > signature.len()) {
        return Err(MinhashError::Shape { bands, rows, found: signature.len() });
    }
    let digest = |(band, rows): (usize, &[u64])| {
        let start = mix((band as u64 + 1).wrapping_mul(ROLL));
        rows.iter().fold(start, |h, value| mix(h.wrapping_mul(ROLL) ^ value))
    };
    Ok(signature.chunks_exact(rows).take(bands).enumerate().map(digest).collect())
}

/// Returns the chance that two texts of a Jaccard similarity share at least one band: 1 − (1 − J^rows)^bands.
pub fn s_curve(jaccard: f64, bands: usize, rows: usize) -> f64 {
    let power = |base: f64, n: usize| base.powi(i32::try_from(n).unwrap_or(i32::MAX));
    1.0 - power(1.0 - power(jaccard.clamp(0.0, 1.0), rows), bands)
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
    jaccard_of_sets(&shingles(a, ngram), &shingles(b, ngram), 0.0)
}

/// Returns the Jaccard similarity of two sorted sets if it is at least `least`; none also if both are empty.
///
/// It stops as soon as what is left to read cannot bring them there.
pub fn jaccard_of_sets<T: Ord>(a: &[T], b: &[T], least: f64) -> Option<f64> {
    // shared / (a + b − shared) ≥ least, solved for shared; rounded down, so that rounding never refuses.
    let needed = ((a.len() + b.len()) as f64 * least / (1.0 + least) - 1e-6) as usize;
    if needed > a.len().min(b.len()) {
        return None;
    }
    // How many of either side may still be missed.
    let (mut spare_a, mut spare_b) = (a.len() - needed, b.len() - needed);
    let (mut i, mut j, mut shared) = (0, 0, 0usize);
    while let (Some(x), Some(y)) = (a.get(i), b.get(j)) {
        match x.cmp(y) {
            Ordering::Equal => {
                shared += 1;
                i += 1;
                j += 1;
            }
            Ordering::Less => {
                spare_a = spare_a.checked_sub(1)?;
                i += 1;
            }
            Ordering::Greater => {
                spare_b = spare_b.checked_sub(1)?;
                j += 1;
            }
        }
    }
    let union = a.len() + b.len() - shared;
    (union > 0).then(|| shared as f64 / union as f64).filter(|j| *j >= least)
}

/// Returns a digest of a set of shingles: equal sets have equal digests, and others practically never.
pub fn set_digest(shingles: &[u64]) -> u128 {
    let lane = |seed: u64| shingles.iter().fold(shingles.len() as u64, |sum, s| sum.wrapping_add(mix(s ^ seed)));
    u128::from(mix(lane(ROLL))) << 64 | u128::from(mix(lane(!ROLL)))
}

/// Returns the upper halves of a set's hashes, sorted and distinct: four bytes a shingle, to be kept beside a signature.
///
/// Two different shingles share one once in four thousand million pairs, which moves the Jaccard similarity of documents
/// of 1,000 words by less than a millionth.
pub fn short_hashes(set: &[u64]) -> Vec<u32> {
    let mut hashes: Vec<u32> = set.iter().map(|hash| (hash >> 32) as u32).collect();
    hashes.dedup();
    hashes
}
