//! From the hash of a feature to its weights, laid out for the processor's caches.

use std::sync::atomic::{AtomicU64, Ordering};

use super::score::Weights;

/// Open addressing, at most half full, over lists of weights.
#[derive(Clone, Debug)]
pub(super) struct Lookup {
    /// A hash above, where its list begins plus one below; 0 where nothing is.
    slots: Vec<u64>,
    shift: u32,
    /// For each feature its number of labels, then for each the label above 8 bits of weight; or [`DENSE`] and where its row begins.
    lists: Vec<u32>,
    /// Rows of a weight for every label, for features that know most labels: they are added without looking at labels.
    rows: Vec<f32>,
    n_labels: usize,
    /// What a stored weight stands for, by its byte.
    levels: Box<[f32; 256]>,
    /// Tells lookups apart; copies are alike and share it.
    id: u64,
}

/// Marks a list that is a row.
const DENSE: u32 = 1 << 31;
/// A row pays for a feature that knows one label in so many.
const DENSE_ONE_IN: usize = 6;

static N_LOOKUPS: AtomicU64 = AtomicU64::new(0);

impl Lookup {
    pub(super) fn new(weights: &Weights, n_labels: usize, range: f32) -> Self {
        let level = |byte: usize| {
            let part = f32::from(byte as u8 as i8) / 127.0;
            part * part.abs() * range
        };
        let bits = (weights.hashes.len().max(2) * 2).next_power_of_two().ilog2();
        let mut lookup = Self {
            slots: vec![0; 1 << bits],
            shift: 32 - bits,
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
            lookup.slots[slot] = u64::from(*hash) << 32 | (lookup.lists.len() as u64 + 1);
            let pairs = weights.starts[feature] as usize..weights.starts[feature + 1] as usize;
            let of_feature = weights.labels[pairs.clone()].iter().zip(&weights.stored[pairs.clone()]);
            if pairs.len() * DENSE_ONE_IN > n_labels && n_labels > DENSE_ONE_IN {
                lookup.lists.push(DENSE | (lookup.rows.len() / n_labels) as u32);
                let start = lookup.rows.len();
                lookup.rows.resize(start + n_labels, 0.0);
                for (label, stored) in of_feature {
                    lookup.rows[start + usize::from(*label)] = lookup.levels[usize::from(*stored as u8)];
                }
            } else {
                lookup.lists.push(pairs.len() as u32);
                lookup.lists.extend(of_feature.map(|(label, stored)| u32::from(*label) << 8 | u32::from(*stored as u8)));
            }
        }
        lookup
    }

    fn home(&self, hash: u32) -> usize {
        (hash >> self.shift) as usize
    }

    pub(super) fn n_slots(&self) -> usize {
        self.slots.len()
    }

    /// The slot of a feature, if it is known.
    #[inline]
    pub(super) fn find(&self, hash: u32) -> Option<usize> {
        let mut at = self.home(hash);
        loop {
            let slot = self.slots[at];
            if slot == 0 {
                return None;
            }
            if (slot >> 32) as u32 == hash {
                return Some(at);
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }

    /// Adds a feature's weights, times a value, to the labels' scores.
    #[inline]
    pub(super) fn add(&self, slot: usize, value: f32, scores: &mut [f32]) {
        self.add_list(self.slots[slot] as u32, value, scores);
    }

    /// The same for the lower half of a slot.
    #[inline]
    fn add_list(&self, start: u32, value: f32, scores: &mut [f32]) {
        let start = start as usize - 1;
        let head = self.lists[start];
        if head & DENSE != 0 {
            let row = (head & !DENSE) as usize * self.n_labels;
            let row = &self.rows[row..][..self.n_labels];
            scores.iter_mut().zip(row).for_each(|(score, weight)| *score += value * weight);
        } else {
            for pair in &self.lists[start + 1..][..head as usize] {
                scores[(pair >> 8) as usize] += value * self.levels[(pair & 0xff) as usize];
            }
        }
    }

    /// Adds the weights of features, each once; returns how many are known.
    ///
    /// The loads of a chunk don't wait for one another: a table in the outer caches is read several slots at a time.
    pub(super) fn count(&self, hashes: &[u32], scores: &mut [f32]) -> usize {
        let mut n_known = 0;
        for chunk in hashes.chunks(CHUNK) {
            let mut slots = [0u64; CHUNK];
            for (slot, hash) in slots.iter_mut().zip(chunk) {
                *slot = self.slots[self.home(*hash)];
            }
            let mut known = [0u32; CHUNK];
            let mut n = 0;
            for (slot, hash) in slots.iter().zip(chunk) {
                let mut slot = *slot;
                if slot != 0 && (slot >> 32) as u32 != *hash {
                    slot = self.find(*hash).map_or(0, |at| self.slots[at]);
                }
                known[n] = slot as u32;
                n += usize::from(slot != 0);
            }
            known[..n].iter().for_each(|start| self.add_list(*start, 1.0, scores));
            n_known += n;
        }
        n_known
    }
}

/// Hashes looked up together.
const CHUNK: usize = 32;

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
const N_ENTRIES: usize = 1024;
const SUMS_MAX: usize = 1 << 18;
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
