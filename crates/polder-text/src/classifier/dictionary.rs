//! Which n-grams become features, and the rows in terms of them.
//!
//! Rows are extracted twice: a first pass counts rows per hash in a small sketch, so that the second can leave out what is too rare
//! before it takes memory.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Range;
use std::sync::atomic::{AtomicU8, Ordering};

use rayon::prelude::*;

use super::features::Streams;
use super::options::Features;

/// Rows as sorted features with counts, one after the other.
pub(super) struct Rows {
    starts: Vec<usize>,
    /// A hash until the dictionary is known, then an index into it.
    features: Vec<u32>,
    counts: Vec<u8>,
}

impl Rows {
    pub(super) fn n_rows(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    pub(super) fn n_entries(&self) -> usize {
        self.features.len()
    }

    fn range(&self, row: usize) -> Range<usize> {
        self.starts[row]..self.starts[row + 1]
    }

    pub(super) fn features(&self, row: usize) -> &[u32] {
        &self.features[self.range(row)]
    }

    pub(super) fn counts(&self, row: usize) -> &[u8] {
        &self.counts[self.range(row)]
    }

    /// Keeps the features that have a new name, under it. Names must keep the order.
    fn rename(&mut self, name: impl Fn(u32) -> Option<u32>) {
        let mut kept = 0;
        for row in 0..self.n_rows() {
            let range = self.range(row);
            self.starts[row] = kept;
            for i in range {
                if let Some(new) = name(self.features[i]) {
                    self.features[kept] = new;
                    self.counts[kept] = self.counts[i];
                    kept += 1;
                }
            }
        }
        let n_rows = self.n_rows();
        self.starts[n_rows] = kept;
        self.features.truncate(kept);
        self.counts.truncate(kept);
    }
}

/// What the features are: their hashes, in order, and the labels that each was seen with.
pub(super) struct Dictionary {
    pub(super) hashes: Vec<u32>,
    /// Where a feature's labels begin, and after all of them where the last ones end.
    pub(super) starts: Vec<usize>,
    pub(super) labels: Vec<u16>,
}

impl Dictionary {
    pub(super) fn pairs(&self, feature: usize) -> Range<usize> {
        self.starts[feature]..self.starts[feature + 1]
    }

    /// Keeps the features that are marked, in rows too.
    pub(super) fn keep(&mut self, marked: &[bool], rows: &mut Rows) {
        let mut names = vec![u32::MAX; marked.len()];
        let mut kept = Self { hashes: Vec::new(), starts: vec![0], labels: Vec::new() };
        for feature in (0..marked.len()).filter(|f| marked[*f]) {
            names[feature] = kept.hashes.len() as u32;
            kept.hashes.push(self.hashes[feature]);
            kept.labels.extend_from_slice(&self.labels[self.pairs(feature)]);
            kept.starts.push(kept.labels.len());
        }
        *self = kept;
        rows.rename(|feature| Some(names[feature as usize]).filter(|name| *name != u32::MAX));
    }
}

/// Finds at most `features_max` features that are in `rows_min` rows, those that tell most about labels, and the rows in terms of them.
///
/// What a feature tells is the number of its rows times the divergence of their labels from all rows' labels.
pub(super) fn build(
    texts: &[(&str, u16)],
    n_labels: usize,
    features: &Features,
    rows_min: usize,
    features_max: usize,
) -> (Dictionary, Rows) {
    let mut rows = extract(texts, features, rows_min);
    let mut n_rows_of = vec![0usize; n_labels];
    texts.iter().for_each(|(_, label)| n_rows_of[usize::from(*label)] += 1);
    let share: Vec<f64> = n_rows_of.iter().map(|n| *n as f64 / texts.len() as f64).collect();
    let shards: Vec<Vec<Candidate>> =
        (0..N_SHARDS).into_par_iter().map(|shard| candidates(texts, &rows, shard, rows_min, &share)).collect();
    let mut all: Vec<&Candidate> = shards.iter().flatten().collect();
    if all.len() > features_max {
        all.select_nth_unstable_by(features_max, |a, b| b.tells.total_cmp(&a.tells).then(a.hash.cmp(&b.hash)));
        all.truncate(features_max);
        all.sort_unstable_by_key(|c| c.hash);
    }
    let mut dictionary = Dictionary { hashes: Vec::with_capacity(all.len()), starts: vec![0], labels: Vec::new() };
    let mut names: HashMap<u32, u32, Plain> = HashMap::with_capacity_and_hasher(all.len(), Plain::default());
    for candidate in all {
        names.insert(candidate.hash, dictionary.hashes.len() as u32);
        dictionary.hashes.push(candidate.hash);
        dictionary.labels.extend_from_slice(&candidate.labels);
        dictionary.starts.push(dictionary.labels.len());
    }
    rows.rename(|hash| names.get(&hash).copied());
    (dictionary, rows)
}

/// Hashes are counted in parts of their range, one part a task.
const N_SHARDS: usize = 64;
const SHARD_BITS: u32 = N_SHARDS.trailing_zeros();
/// Rows that a task extracts at a time.
const CHUNK: usize = 256;

struct Candidate {
    hash: u32,
    tells: f64,
    labels: Vec<u16>,
}

fn candidates(texts: &[(&str, u16)], rows: &Rows, shard: usize, rows_min: usize, share: &[f64]) -> Vec<Candidate> {
    let mut pairs: Vec<u64> = Vec::new();
    for (row, (_, label)) in texts.iter().enumerate() {
        let hashes = rows.features(row);
        let start = hashes.partition_point(|h| ((h >> (32 - SHARD_BITS)) as usize) < shard);
        let of_shard = hashes[start..].iter().take_while(|h| (**h >> (32 - SHARD_BITS)) as usize == shard);
        pairs.extend(of_shard.map(|hash| u64::from(*hash) << 16 | u64::from(*label)));
    }
    pairs.sort_unstable();
    let of_hash = pairs.chunk_by(|a, b| a >> 16 == b >> 16).filter(|of_hash| of_hash.len() >= rows_min);
    of_hash
        .map(|of_hash| {
            let n = of_hash.len() as f64;
            let (mut labels, mut tells) = (Vec::new(), 0.0);
            for of_label in of_hash.chunk_by(|a, b| a == b) {
                let label = of_label[0] as u16;
                let m = of_label.len() as f64;
                labels.push(label);
                tells += m * (m / n / share[usize::from(label)]).ln();
            }
            Candidate { hash: (of_hash[0] >> 16) as u32, tells, labels }
        })
        .collect()
}

/// The rows with hashes for features, of those hashes that may be in `rows_min` rows.
fn extract(texts: &[(&str, u16)], features: &Features, rows_min: usize) -> Rows {
    let bytes: usize = texts.iter().map(|(text, _)| text.len()).sum();
    let bits = (bytes.max(1) * 4).ilog2().clamp(16, 26);
    let sketch: Vec<AtomicU8> = if rows_min > 1 { (0..1usize << bits).map(|_| AtomicU8::new(0)).collect() } else { Vec::new() };
    let slot = |hash: u32| (hash >> (32 - bits)) as usize;
    // Counts end at `enough`: the order of additions by threads makes no difference.
    let enough = rows_min.min(255) as u8;
    if rows_min > 1 {
        texts.par_chunks(CHUNK).for_each_init(Row::default, |row, chunk| {
            for (text, _) in chunk {
                for (hash, _) in row.read(text, features) {
                    let counter = &sketch[slot(*hash)];
                    if counter.load(Ordering::Relaxed) < enough {
                        let _ = counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n < enough).then_some(n + 1));
                    }
                }
            }
        });
    }
    let chunks: Vec<(Vec<usize>, Vec<u32>, Vec<u8>)> = texts
        .par_chunks(CHUNK)
        .map_init(Row::default, |row, chunk| {
            let (mut lengths, mut hashes, mut counts) = (Vec::with_capacity(chunk.len()), Vec::new(), Vec::new());
            for (text, _) in chunk {
                let before = hashes.len();
                for (hash, n) in row.read(text, features) {
                    if rows_min <= 1 || sketch[slot(*hash)].load(Ordering::Relaxed) >= enough {
                        hashes.push(*hash);
                        counts.push(*n);
                    }
                }
                lengths.push(hashes.len() - before);
            }
            (lengths, hashes, counts)
        })
        .collect();
    let mut rows = Rows { starts: vec![0], features: Vec::new(), counts: Vec::new() };
    let mut end = 0;
    for (lengths, hashes, counts) in chunks {
        for length in lengths {
            end += length;
            rows.starts.push(end);
        }
        rows.features.extend_from_slice(&hashes);
        rows.counts.extend_from_slice(&counts);
    }
    rows
}

/// One row's hashes with counts, in order; its memory serves the next row.
#[derive(Default)]
struct Row {
    streams: Streams,
    hashes: Vec<u32>,
    counted: Vec<(u32, u8)>,
}

impl Row {
    fn read(&mut self, text: &str, features: &Features) -> &[(u32, u8)] {
        self.hashes.clear();
        features.each(text, &mut self.streams, |hash| self.hashes.push(hash));
        self.hashes.sort_unstable();
        self.counted.clear();
        self.counted.extend(self.hashes.chunk_by(|a, b| a == b).map(|same| (same[0], same.len().min(255) as u8)));
        &self.counted
    }
}

/// Hashes of n-grams are spread already: one multiplication moves their bits where the map looks.
#[derive(Default)]
struct PlainHasher(u64);

impl Hasher for PlainHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|b| self.write_u32(u32::from(*b)));
    }

    fn write_u32(&mut self, n: u32) {
        self.0 = (self.0 ^ u64::from(n)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

type Plain = BuildHasherDefault<PlainHasher>;
