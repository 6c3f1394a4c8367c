//! From the hash of a feature to its weights, laid out for the processor's caches.

use std::sync::atomic::{AtomicU64, Ordering};

use super::score::Weights;

/// Open addressing, at most seven eighths full, over lists of weights: what counts is how little of the caches it takes.
#[derive(Clone, Debug)]
pub(super) struct Lookup {
    /// A hash above; below, where its list begins plus one, or [`SINGLE`] and its only pair, or [`DENSE`] and its row; 0 where nothing is.
    slots: Vec<u64>,
    shift: u32,
    /// A bit for every first bits of a hash that some feature has, [`FILTER_BITS`] more of them than number the slots: most n-grams are
    /// unknown, and this much of the table stays in the inner caches.
    filter: Vec<u64>,
    /// For each feature its number of labels, then for each the label above 8 bits of weight.
    lists: Vec<u32>,
    /// Rows of a weight for every label, for features that know most labels: they are added without looking at labels.
    rows: Vec<f32>,
    n_labels: usize,
    /// What a stored weight stands for, by its byte.
    levels: Box<[f32; 256]>,
    /// Tells lookups apart; copies are alike and share it.
    id: u64,
}

/// Marks a slot that holds its list: the one label above 8 bits of weight.
const SINGLE: u32 = 1 << 31;
/// Marks a slot whose list is a row.
const DENSE: u32 = 1 << 30;
const FILTER_BITS: u32 = 2;
/// A row pays for a feature that knows one label in so many.
const DENSE_ONE_IN: usize = 6;

static N_LOOKUPS: AtomicU64 = AtomicU64::new(0);

/// Hashes in a file may be any, also those that lie close together: an odd number parts them.
#[inline]
fn spread(hash: u32) -> u32 {
    hash.wrapping_mul(0x9e37_79b1)
}

impl Lookup {
    pub(super) fn new(weights: &Weights, n_labels: usize, range: f32) -> Self {
        let level = |byte: usize| {
            let part = f32::from(byte as u8 as i8) / 127.0;
            part * part.abs() * range
        };
        let bits = (weights.hashes.len().max(2) * 8).div_ceil(7).next_power_of_two().ilog2();
        let mut lookup = Self {
            slots: vec![0; 1 << bits],
            shift: 32 - bits,
            filter: vec![0; (1 << (bits + FILTER_BITS)) / 64 + 1],
            lists: Vec::new(),
            rows: Vec::new(),
            n_labels,
            levels: Box::new(std::array::from_fn(level)),
            id: N_LOOKUPS.fetch_add(1, Ordering::Relaxed) + 1,
        };
        for (feature, hash) in weights.hashes.iter().enumerate() {
            let mut slot = lookup.home(*hash);
            while lookup.slots[slot] != 0 {
                slot = (slot + 1) & (lookup.slots.len() - 1);
            }
            let bit = lookup.filter_bit(*hash);
            lookup.filter[bit / 64] |= 1 << (bit % 64);
            let pairs = weights.starts[feature] as usize..weights.starts[feature + 1] as usize;
            let of_feature = weights.labels[pairs.clone()].iter().zip(&weights.stored[pairs.clone()]);
            let mut of_feature = of_feature.map(|(label, stored)| u32::from(*label) << 8 | u32::from(*stored as u8));
            let low = if pairs.len() == 1 {
                SINGLE | of_feature.next().unwrap_or(0)
            } else if pairs.len() * DENSE_ONE_IN > n_labels && n_labels > DENSE_ONE_IN {
                let start = lookup.rows.len();
                lookup.rows.resize(start + n_labels, 0.0);
                for pair in of_feature {
                    lookup.rows[start + (pair >> 8) as usize] = lookup.levels[(pair & 0xff) as usize];
                }
                DENSE | (start / n_labels) as u32
            } else {
                lookup.lists.push(pairs.len() as u32);
                lookup.lists.extend(of_feature);
                (lookup.lists.len() - pairs.len()) as u32
            };
            lookup.slots[slot] = u64::from(*hash) << 32 | u64::from(low);
        }
        lookup
    }

    fn home(&self, hash: u32) -> usize {
        (spread(hash) >> self.shift) as usize
    }

    fn filter_bit(&self, hash: u32) -> usize {
        (spread(hash) >> self.shift.saturating_sub(FILTER_BITS)) as usize
    }

    pub(super) fn n_slots(&self) -> usize {
        self.slots.len()
    }

    /// Whether a feature may be known; those that are, are.
    #[inline]
    pub(super) fn may_know(&self, hash: u32) -> bool {
        let bit = self.filter_bit(hash);
        self.filter[bit / 64] >> (bit % 64) & 1 != 0
    }

    /// Calls `each` with the slots of those features of a chunk that are known.
    ///
    /// The loads don't wait for one another: a table in the outer caches is read several slots at a time.
    #[inline]
    pub(super) fn find_all(&self, hashes: &[u32; CHUNK], n: usize, mut each: impl FnMut(usize)) {
        let mut slots = [0u64; CHUNK];
        for (slot, hash) in slots.iter_mut().zip(&hashes[..n]) {
            *slot = self.slots[self.home(*hash)];
        }
        for (slot, hash) in slots.iter().zip(&hashes[..n]) {
            let (mut slot, mut at) = (*slot, self.home(*hash));
            while slot != 0 && (slot >> 32) as u32 != *hash {
                at = (at + 1) & (self.slots.len() - 1);
                slot = self.slots[at];
            }
            if slot != 0 {
                each(at);
            }
        }
    }

    /// Adds a feature's weights, times a value, to the labels' scores.
    #[inline]
    pub(super) fn add(&self, slot: usize, value: f32, scores: &mut [f32]) {
        self.add_list(self.slots[slot] as u32, value, scores);
    }

    /// The same for the lower half of a slot.
    #[inline]
    fn add_list(&self, slot: u32, value: f32, scores: &mut [f32]) {
        if slot & SINGLE != 0 {
            scores[((slot & !SINGLE) >> 8) as usize] += value * self.levels[(slot & 0xff) as usize];
        } else if slot & DENSE != 0 {
            let row = &self.rows[(slot & !DENSE) as usize * self.n_labels..][..self.n_labels];
            scores.iter_mut().zip(row).for_each(|(score, weight)| *score += value * weight);
        } else {
            let start = slot as usize;
            for pair in &self.lists[start..][..self.lists[start - 1] as usize] {
                scores[(pair >> 8) as usize] += value * self.levels[(pair & 0xff) as usize];
            }
        }
    }

    /// Reads the beginning of a list, so that it is on its way.
    #[inline]
    fn touch(&self, slot: u32) -> u32 {
        if slot & SINGLE != 0 {
            0
        } else if slot & DENSE != 0 {
            self.rows[(slot & !DENSE) as usize * self.n_labels].to_bits()
        } else {
            self.lists[slot as usize - 1]
        }
    }

    /// Adds the weights of features, each once; returns how many are known.
    pub(super) fn count(&self, hashes: &[u32], scores: &mut [f32]) -> usize {
        let mut n_known = 0;
        let mut rest = hashes.iter().copied().filter(|hash| self.may_know(*hash));
        loop {
            let mut chunk = [0; CHUNK];
            let mut n = 0;
            for (place, hash) in chunk.iter_mut().zip(&mut rest) {
                *place = hash;
                n += 1;
            }
            if n == 0 {
                return n_known;
            }
            let (mut known, mut n_found) = ([0u32; CHUNK], 0);
            self.find_all(&chunk, n, |at| {
                known[n_found] = self.slots[at] as u32;
                n_found += 1;
            });
            // As with the slots: all lists are on their way before the first is added.
            std::hint::black_box(known[..n_found].iter().fold(0, |all, slot| all ^ self.touch(*slot)));
            known[..n_found].iter().for_each(|slot| self.add_list(*slot, 1.0, scores));
            n_known += n_found;
        }
    }
}

/// Hashes looked up together.
pub(super) const CHUNK: usize = 32;

/// What runs of letters add to the scores, for the last few hundred different ones.
#[derive(Default)]
pub(super) struct Memo {
    /// Whose scores they are.
    lookup: u64,
    entries: Vec<Entry>,
    sums: Vec<f32>,
    /// The sums of a run that is not remembered.
    own: Vec<f32>,
}

#[derive(Clone, Default)]
struct Entry {
    run: [u32; RUN_MAX],
    length: usize,
    n_known: usize,
}

/// Runs that are remembered, at most and with so many sums in all, and the longest.
const N_ENTRIES: usize = 1 << 14;
const SUMS_MAX: usize = 1 << 20;
const RUN_MAX: usize = 20;

impl Memo {
    /// Gets ready for a lookup's scores, and forgets those of another.
    pub(super) fn serve(&mut self, lookup: &Lookup, n_labels: usize) {
        if self.lookup != lookup.id {
            self.lookup = lookup.id;
            let n_entries = (SUMS_MAX / n_labels.max(1)).clamp(1, N_ENTRIES);
            self.entries = vec![Entry::default(); n_entries];
            self.sums = vec![0.0; n_entries * n_labels];
            self.own = vec![0.0; n_labels];
        }
    }

    /// Adds what a run adds, from memory or by `count`; returns how many features that is.
    pub(super) fn add(&mut self, run: &[u32], hash: u32, scores: &mut [f32], count: impl FnOnce(&mut [f32]) -> usize) -> usize {
        let at = hash as usize % self.entries.len();
        let entry = &mut self.entries[at];
        let (sums, n_known) = if run.len() > RUN_MAX {
            self.own.fill(0.0);
            let n_known = count(&mut self.own);
            (self.own.as_slice(), n_known)
        } else {
            let sums = &mut self.sums[at * scores.len()..][..scores.len()];
            if entry.length != run.len() || entry.run[..run.len()] != *run {
                entry.run[..run.len()].copy_from_slice(run);
                entry.length = run.len();
                sums.fill(0.0);
                entry.n_known = count(sums);
            }
            (&*sums, entry.n_known)
        };
        scores.iter_mut().zip(sums).for_each(|(score, sum)| *score += sum);
        n_known
    }
}
