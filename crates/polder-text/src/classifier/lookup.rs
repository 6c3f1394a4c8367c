//! From the hash of a feature to its weights, laid out for the processor's caches.

use std::sync::atomic::{AtomicU64, Ordering};

use super::score::Weights;

/// Open addressing, at most seven eighths full, over lists of weights: what counts is how little of the caches it takes.
#[derive(Clone, Debug)]
pub(super) struct Lookup {
    /// Hashes in groups, each a line of the caches, from the first place on; a feature whose group is full stands in the next that isn't.
    groups: Vec<[u32; GROUP]>,
    n_in_group: Vec<u8>,
    /// For each place where its list begins, plus one, or [`SINGLE`] and its only pair, or [`DENSE`] and its row.
    places: Vec<u32>,
    shift: u32,
    /// A bit for every first bits of a hash that some feature has, [`FILTER_BITS`] more of them than number the places: most n-grams are
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

/// Marks what is itself the list: the one label above 8 bits of weight.
const SINGLE: u32 = 1 << 31;
/// Marks a list that is a row.
const DENSE: u32 = 1 << 30;
/// Hashes in a group.
const GROUP: usize = 8;
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
        let n_groups = (weights.hashes.len() * 8).div_ceil(7 * GROUP).next_power_of_two().max(2);
        let bits = n_groups.ilog2();
        let mut lookup = Self {
            groups: vec![[0; GROUP]; n_groups],
            n_in_group: vec![0; n_groups],
            places: vec![0; n_groups * GROUP],
            shift: 32 - bits,
            filter: vec![0; ((n_groups * GROUP) << FILTER_BITS) / 64 + 1],
            lists: Vec::new(),
            rows: Vec::new(),
            n_labels,
            levels: Box::new(std::array::from_fn(level)),
            id: N_LOOKUPS.fetch_add(1, Ordering::Relaxed) + 1,
        };
        for (feature, hash) in weights.hashes.iter().enumerate() {
            let mut group = lookup.home(*hash);
            while usize::from(lookup.n_in_group[group]) == GROUP {
                group = (group + 1) & (n_groups - 1);
            }
            let n = usize::from(lookup.n_in_group[group]);
            lookup.groups[group][n] = *hash;
            lookup.n_in_group[group] += 1;
            let bit = lookup.filter_bit(*hash);
            lookup.filter[bit / 64] |= 1 << (bit % 64);
            let pairs = weights.starts[feature] as usize..weights.starts[feature + 1] as usize;
            let of_feature = weights.labels[pairs.clone()].iter().zip(&weights.stored[pairs.clone()]);
            let mut of_feature = of_feature.map(|(label, stored)| u32::from(*label) << 8 | u32::from(*stored as u8));
            lookup.places[group * GROUP + n] = if pairs.len() == 1 {
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
        }
        lookup
    }

    fn home(&self, hash: u32) -> usize {
        (spread(hash) >> self.shift) as usize
    }

    fn filter_bit(&self, hash: u32) -> usize {
        (spread(hash) >> self.shift.saturating_sub(GROUP.ilog2() + FILTER_BITS)) as usize
    }

    pub(super) fn n_places(&self) -> usize {
        self.places.len()
    }

    /// Whether a feature may be known; those that are, are.
    #[inline]
    pub(super) fn may_know(&self, hash: u32) -> bool {
        let bit = self.filter_bit(hash);
        self.filter[bit / 64] >> (bit % 64) & 1 != 0
    }

    /// Calls `each` with the places of those features of a chunk that are known.
    ///
    /// The loads don't wait for one another: a table in the outer caches is read at several places at a time.
    #[inline]
    pub(super) fn find_all(&self, hashes: &[u32; CHUNK], n: usize, mut each: impl FnMut(usize)) {
        let mut masks = [0u32; CHUNK];
        for (mask, hash) in masks.iter_mut().zip(&hashes[..n]) {
            *mask = self.mask(self.home(*hash), *hash);
        }
        for (mask, hash) in masks.iter().zip(&hashes[..n]) {
            let (mut mask, mut group) = (*mask, self.home(*hash));
            while mask == 0 && usize::from(self.n_in_group[group]) == GROUP {
                group = (group + 1) & (self.groups.len() - 1);
                mask = self.mask(group, *hash);
            }
            if mask != 0 {
                each(group * GROUP + mask.trailing_zeros() as usize);
            }
        }
    }

    /// A bit for the place of a group that has this hash.
    #[inline]
    fn mask(&self, group: usize, hash: u32) -> u32 {
        let equal = self.groups[group].iter().enumerate().fold(0, |mask, (i, h)| mask | u32::from(*h == hash) << i);
        equal & ((1 << self.n_in_group[group]) - 1)
    }

    /// Adds a feature's weights, times a value, to the labels' scores.
    #[inline]
    pub(super) fn add(&self, place: usize, value: f32, scores: &mut [f32]) {
        self.add_list(self.places[place], value, scores);
    }

    /// The same for what stands at its place.
    #[inline]
    fn add_list(&self, list: u32, value: f32, scores: &mut [f32]) {
        if list & SINGLE != 0 {
            scores[((list & !SINGLE) >> 8) as usize] += value * self.levels[(list & 0xff) as usize];
        } else if list & DENSE != 0 {
            let row = &self.rows[(list & !DENSE) as usize * self.n_labels..][..self.n_labels];
            scores.iter_mut().zip(row).for_each(|(score, weight)| *score += value * weight);
        } else {
            let start = list as usize;
            for pair in &self.lists[start..][..self.lists[start - 1] as usize] {
                scores[(pair >> 8) as usize] += value * self.levels[(pair & 0xff) as usize];
            }
        }
    }

    /// Reads the beginning of a list, so that it is on its way.
    #[inline]
    fn touch(&self, list: u32) -> u32 {
        if list & SINGLE != 0 {
            0
        } else if list & DENSE != 0 {
            self.rows[(list & !DENSE) as usize * self.n_labels].to_bits()
        } else {
            self.lists[list as usize - 1]
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
                known[n_found] = at as u32;
                n_found += 1;
            });
            known[..n_found].iter_mut().for_each(|known| *known = self.places[*known as usize]);
            // As with the places: all lists are on their way before the first is added.
            std::hint::black_box(known[..n_found].iter().fold(0, |all, list| all ^ self.touch(*list)));
            known[..n_found].iter().for_each(|list| self.add_list(*list, 1.0, scores));
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
