//! Which licences' wording a text holds.
//!
//! A licence is known by hashes of three-word runs (see `lists/licenses.txt` and the script that makes it), so a changed name, comment
//! marks or another line width don't matter. What is found must stand in one place of the text, and of licences that resemble each
//! other that one is named which best explains both the runs that are there and those that are not.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::LazyLock;

use crate::minhash::each_shingle;

/// Words in a run.
const NGRAM: usize = 3;
/// The share of a licence's runs that must be there; of one that keeps few runs nearly all.
const SHARE_MIN: f64 = 0.7;
const SHARE_MIN_FEW: f64 = 0.9;
const FEW_RUNS: usize = 40;
/// The share of a further licence's runs that must be there, and of those the share that must stand elsewhere than the licences found
/// before: what licences have in common is no licence of its own.
const FURTHER_SHARE_MIN: f64 = 0.85;
const OWN_SHARE_MIN: f64 = 0.6;
/// Licences named for one text at most.
const LICENSES_MAX: usize = 8;
/// Licences that are looked at closely, since a text of many licences is looked through once for each.
const CANDIDATES_MAX: usize = 64;
/// How much a run speaks for a licence that has it, and against one if it is missing: logarithms of the odds at which a copy keeps
/// a run (0.93), and another text has it (0.02).
const WEIGHT_FOUND: f64 = 3.8;
const WEIGHT_MISSING: f64 = 2.6;
/// Bits of a hash in the list, and of the filter before the table.
const HASH_BITS: u32 = 30;
const FILTER_BITS: u32 = 19;

struct Fingerprint {
    spdx: &'static str,
    n_runs: usize,
    n_kept: usize,
}

/// The hashes are mixed already.
#[derive(Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {}

    fn write_u32(&mut self, n: u32) {
        // The table takes the low bits as the place and the high ones as the mark.
        self.0 = u64::from(n) | (u64::from(n) << 34);
    }
}

struct Fingerprints {
    licenses: Vec<Fingerprint>,
    /// Which licences keep a run.
    holders: HashMap<u32, Vec<u16>, BuildHasherDefault<AsIs>>,
    /// Says in one look that no licence keeps it.
    filter: Vec<u64>,
}

impl Fingerprints {
    fn may_hold(&self, hash: u32) -> bool {
        let bit = hash >> (HASH_BITS - FILTER_BITS);
        self.filter.get((bit / 64) as usize).is_some_and(|word| word >> (bit % 64) & 1 == 1)
    }
}

static FINGERPRINTS: LazyLock<Fingerprints> = LazyLock::new(|| {
    let mut all = Fingerprints { licenses: Vec::new(), holders: HashMap::default(), filter: vec![0; 1 << (FILTER_BITS - 6)] };
    for line in include_str!("../../lists/licenses.txt").lines().filter(|l| !l.starts_with('#')) {
        let mut fields = line.split(' ');
        let (Some(spdx), Some(Ok(n_runs)), Some(runs)) = (fields.next(), fields.next().map(str::parse), fields.next()) else { continue };
        let n = all.licenses.len() as u16;
        for digits in runs.as_bytes().chunks_exact(HASH_BITS as usize / 6) {
            let hash = digits.iter().fold(0, |hash, d| hash << 6 | u32::from(digit(*d)));
            all.holders.entry(hash).or_default().push(n);
            let bit = hash >> (HASH_BITS - FILTER_BITS);
            if let Some(word) = all.filter.get_mut((bit / 64) as usize) {
                *word |= 1 << (bit % 64);
            }
        }
        all.licenses.push(Fingerprint { spdx, n_runs, n_kept: runs.len() * 6 / HASH_BITS as usize });
    }
    all
});

fn digit(b: u8) -> u8 {
    match b {
        b'0'..=b'9' => b - b'0',
        b'A'..=b'Z' => b - b'A' + 10,
        b'a'..=b'z' => b - b'a' + 36,
        b'-' => 62,
        _ => 63,
    }
}

/// The runs of a text that some licence keeps: their place, counted in words, and their hash.
type Hit = (usize, u32);

/// Returns the licences of which most wording is there, the surest first, and the share of the wording that was found.
pub(super) fn whole_texts(text: &str) -> Vec<(&'static str, f64)> {
    let prints = &*FINGERPRINTS;
    let plain = without_line_marks(text);
    let mut hits: Vec<Hit> = Vec::new();
    let mut at = 0;
    each_shingle(plain.as_deref().unwrap_or(text), NGRAM, |run| {
        let hash = (run >> (64 - HASH_BITS)) as u32;
        if prints.may_hold(hash) && prints.holders.contains_key(&hash) {
            hits.push((at, hash));
        }
        at += 1;
    });
    let mut found = Vec::new();
    let mut taken: Vec<(usize, usize)> = Vec::new();
    let mut candidates = candidates(prints, &hits);
    while found.len() < LICENSES_MAX {
        let is_taken = |at: &&usize| taken.iter().any(|(first, last)| (first..=last).contains(at));
        candidates.retain(|c| c.places.iter().filter(is_taken).count() as f64 <= (1.0 - OWN_SHARE_MIN) * c.places.len() as f64);
        let best = candidates.iter().enumerate().max_by(|(_, a), (_, b)| a.weight.total_cmp(&b.weight));
        let Some(best) = best.map(|(i, _)| i) else { break };
        let best = candidates.swap_remove(best);
        taken.extend(best.core());
        candidates.retain(|c| c.share >= FURTHER_SHARE_MIN);
        found.push((best.spdx, best.share));
    }
    found
}

struct Candidate {
    spdx: &'static str,
    share: f64,
    weight: f64,
    /// Where its runs stand.
    places: Vec<usize>,
}

impl Candidate {
    /// From where to where it surely goes: runs that others share may stray, so a tenth at each end is left out.
    fn core(&self) -> Option<(usize, usize)> {
        let tenth = self.places.len() / 10;
        Some((*self.places.get(tenth)?, *self.places.get(self.places.len().checked_sub(tenth + 1)?)?))
    }
}

/// The licences of which enough runs stand close together.
fn candidates(prints: &Fingerprints, hits: &[Hit]) -> Vec<Candidate> {
    let mut distinct: Vec<u32> = hits.iter().map(|(_, hash)| *hash).collect();
    distinct.sort_unstable();
    distinct.dedup();
    let mut counts = vec![0usize; prints.licenses.len()];
    for holder in distinct.iter().filter_map(|h| prints.holders.get(h)).flatten() {
        if let Some(count) = counts.get_mut(usize::from(*holder)) {
            *count += 1;
        }
    }
    let enough =
        |n_found: usize, n_kept: usize| n_found as f64 >= n_kept as f64 * if n_kept < FEW_RUNS { SHARE_MIN_FEW } else { SHARE_MIN };
    let weight = |print: &Fingerprint, n_found: usize| {
        let per_run = print.n_runs as f64 / print.n_kept as f64;
        (WEIGHT_FOUND * n_found as f64 - WEIGHT_MISSING * (print.n_kept - n_found) as f64) * per_run
    };
    let mut likely: Vec<(f64, usize, &Fingerprint)> = Vec::new();
    for (n, (print, count)) in prints.licenses.iter().zip(&counts).enumerate() {
        if enough(*count, print.n_kept) {
            likely.push((weight(print, *count), n, print));
        }
    }
    likely.sort_by(|a, b| b.0.total_cmp(&a.0));
    likely.truncate(CANDIDATES_MAX);
    let mut out = Vec::new();
    for (_, n, print) in likely {
        let mine = |hash: &u32| prints.holders.get(hash).is_some_and(|all| all.contains(&(n as u16)));
        let own: Vec<Hit> = hits.iter().copied().filter(|(_, hash)| mine(hash)).collect();
        let (n_found, places) = densest(&own, 2 * print.n_runs + 100);
        if enough(n_found, print.n_kept) {
            let share = n_found as f64 / print.n_kept as f64;
            out.push(Candidate { spdx: print.spdx, share, weight: weight(print, n_found), places });
        }
    }
    out
}

/// How many distinct hashes that stretch of so many words has which has most of them, and where they stand.
fn densest(hits: &[Hit], n_words: usize) -> (usize, Vec<usize>) {
    let mut inside: HashMap<u32, usize> = HashMap::new();
    let (mut first, mut best) = (0, (0, 0, 0));
    for (last, (at, hash)) in hits.iter().enumerate() {
        *inside.entry(*hash).or_default() += 1;
        while let Some((_, old)) = hits.get(first).filter(|(place, _)| place + n_words < *at) {
            if let Some(n) = inside.get_mut(old) {
                *n -= 1;
                if *n == 0 {
                    inside.remove(old);
                }
            }
            first += 1;
        }
        if inside.len() > best.0 {
            best = (inside.len(), first, last + 1);
        }
    }
    (best.0, hits.get(best.1..best.2).unwrap_or_default().iter().map(|(at, _)| *at).collect())
}

/// The text without comment marks that are words, if its lines begin with such: `dnl`, `REM`.
fn without_line_marks(text: &str) -> Option<String> {
    let mark = |line: &str| line.split_once([' ', '\t']).map_or(line, |(first, _)| first).len();
    let is_mark = |line: &str| line.get(..mark(line)).is_some_and(|w| ["dnl", "rem", "@rem"].iter().any(|m| w.eq_ignore_ascii_case(m)));
    if !text.lines().any(|l| is_mark(l.trim_start())) {
        return None;
    }
    let mut plain = String::with_capacity(text.len());
    for line in text.lines().map(str::trim_start) {
        plain.push_str(if is_mark(line) { line.get(mark(line)..).unwrap_or_default() } else { line });
        plain.push('\n');
    }
    Some(plain)
}
