//! From the hash of a feature to its weights, laid out for the processor's caches.

use super::score::Weights;

/// Open addressing over lists of weights: what counts is how few lines of the caches a feature takes, and how little all of them.
#[derive(Clone, Debug)]
pub(super) struct Lookup {
    groups: Vec<Group>,
    /// A bit for every first bits of a hash that some feature has: most n-grams of foreign text are unknown, and this much of the table stays
    /// in the inner caches.
    filter: Vec<u64>,
    filter_shift: u32,
    /// For each feature of a few labels their number, then the labels and their weights, in three bytes each.
    lists: Vec<[u8; 3]>,
    /// Rows of a weight for every label, for features that know many: they are added without looking at labels.
    rows: Vec<i16>,
    n_labels: usize,
    /// What a stored weight stands for, by its byte, in parts of [`Lookup::unit`].
    levels: Box<[f32; 256]>,
    unit: f32,
}

/// A line of the caches: features of neighbouring hashes. One whose group is full stands in the next that isn't.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
struct Group {
    hashes: [u32; GROUP],
    /// Where the weights are: a [`KIND`] and what it says.
    weights: [u32; GROUP],
    n: u8,
    /// Whether a feature that belongs here stands further on.
    is_overfull: bool,
}

/// The list without a label, where features stand that are in no group.
const UNKNOWN: u32 = LIST;
/// Features of a group.
const GROUP: usize = 7;
/// A group has so many eighths of that, on average.
const EIGHTHS_FULL: usize = 6;
/// The kinds of weights: where a list begins, the number of a row, one label above 8 bits of weight, and two such, the second above the first.
const KIND: u32 = 3 << 30;
const LIST: u32 = 0;
const ROW: u32 = 1 << 30;
const ONE: u32 = 2 << 30;
const TWO: u32 = 3 << 30;
/// Two labels fit in where labels are so few.
const TWO_LABELS_MAX: usize = 1 << 7;
const TWO_BITS: u32 = 15;
/// A row pays for a feature that knows one label in so many.
const ROW_ONE_IN: usize = 6;
/// Bits of the filter for a feature, at least.
const FILTER_BITS: usize = 4;

/// Hashes in a file may be any, also those that lie close together: an odd number parts them.
#[inline]
fn spread(hash: u32) -> u32 {
    hash.wrapping_mul(0x9e37_79b1)
}

impl Lookup {
    pub(super) fn new(weights: &Weights, n_labels: usize, range: f32) -> Self {
        let n_features = weights.hashes.len();
        let n_groups = (n_features * 8).div_ceil(EIGHTHS_FULL * GROUP) + 1;
        let filter_bits = (n_features * FILTER_BITS).next_power_of_two().max(64);
        let level = |byte: usize| f32::from(square(byte as u8 as i8));
        let mut lookup = Self {
            groups: vec![Group::default(); n_groups],
            filter: vec![0; filter_bits / 64],
            filter_shift: 32 - filter_bits.ilog2(),
            lists: vec![[0; 3]],
            rows: Vec::new(),
            n_labels,
            levels: Box::new(std::array::from_fn(level)),
            unit: range / f32::from(square(i8::MAX)),
        };
        for (feature, hash) in weights.hashes.iter().enumerate() {
            let pairs = weights.starts[feature] as usize..weights.starts[feature + 1] as usize;
            let place = lookup.place(&weights.labels[pairs.clone()], &weights.stored[pairs]);
            let bit = lookup.filter_bit(*hash);
            lookup.filter[bit / 64] |= 1 << (bit % 64);
            let mut at = lookup.home(*hash);
            while usize::from(lookup.groups[at].n) == GROUP {
                lookup.groups[at].is_overfull = true;
                at = lookup.next(at);
            }
            let group = &mut lookup.groups[at];
            let n = usize::from(group.n);
            (group.hashes[n], group.weights[n]) = (*hash, place);
            group.n += 1;
        }
        lookup
    }

    /// Puts a feature's weights where they belong and says where that is.
    fn place(&mut self, labels: &[u16], stored: &[i8]) -> u32 {
        let pair = |i: usize| u32::from(labels[i]) << 8 | u32::from(stored[i] as u8);
        if labels.len() == 1 {
            ONE | pair(0)
        } else if labels.len() == 2 && self.n_labels <= TWO_LABELS_MAX {
            TWO | pair(1) << TWO_BITS | pair(0)
        } else if labels.len() * ROW_ONE_IN > self.n_labels && self.n_labels > ROW_ONE_IN {
            let start = self.rows.len();
            self.rows.resize(start + self.n_labels, 0);
            labels.iter().zip(stored).for_each(|(label, stored)| self.rows[start + usize::from(*label)] = square(*stored));
            ROW | (start / self.n_labels) as u32
        } else {
            let start = self.lists.len();
            let [low, high] = (labels.len() as u16).to_le_bytes();
            self.lists.push([low, high, 0]);
            self.lists.extend(labels.iter().zip(stored).map(|(label, stored)| {
                let [low, high] = label.to_le_bytes();
                [low, high, *stored as u8]
            }));
            LIST | start as u32
        }
    }

    #[inline]
    fn home(&self, hash: u32) -> usize {
        ((u64::from(spread(hash)) * self.groups.len() as u64) >> 32) as usize
    }

    fn next(&self, group: usize) -> usize {
        if group + 1 == self.groups.len() { 0 } else { group + 1 }
    }

    fn filter_bit(&self, hash: u32) -> usize {
        (spread(hash) >> self.filter_shift) as usize
    }

    /// One more than the largest place.
    pub(super) fn n_places(&self) -> usize {
        self.groups.len() * GROUP
    }

    /// What scores are in parts of.
    pub(super) fn unit(&self) -> f32 {
        self.unit
    }

    /// Whether a feature may be known; those that are, are.
    #[inline]
    pub(super) fn may_know(&self, hash: u32) -> bool {
        let bit = self.filter_bit(hash);
        self.filter[bit / 64] >> (bit % 64) & 1 != 0
    }

    /// Calls `each` with the places of those features that are known.
    #[inline]
    pub(super) fn find_all(&self, hashes: &[u32], mut each: impl FnMut(usize)) {
        for chunk in hashes.chunks(CHUNK) {
            self.touch_groups(chunk);
            chunk.iter().filter_map(|hash| self.find(*hash)).for_each(&mut each);
        }
    }

    /// Puts in the place of every hash where its weights are, or [`UNKNOWN`].
    fn find_weights(&self, hashes: &mut [u32]) {
        for chunk in hashes.chunks_mut(CHUNK) {
            self.touch_groups(chunk);
            chunk.iter_mut().for_each(|hash| *hash = self.find(*hash).map_or(UNKNOWN, |place| self.weights(place)));
            // As with the groups: all lists are on their way before the first is added.
            std::hint::black_box(chunk.iter().fold(0, |all, weights| all ^ self.touch(*weights)));
        }
    }

    /// Reads from the groups of features, so that they are on their way: reads don't wait for one another, looking does.
    #[inline]
    fn touch_groups(&self, hashes: &[u32]) {
        std::hint::black_box(hashes.iter().fold(0, |all, hash| all ^ self.groups[self.home(*hash)].n));
    }

    /// The place of a feature that is known.
    #[inline]
    fn find(&self, hash: u32) -> Option<usize> {
        let mut at = self.home(hash);
        let mut mask = self.groups[at].mask(hash);
        while mask == 0 && self.groups[at].is_overfull {
            at = self.next(at);
            mask = self.groups[at].mask(hash);
        }
        (mask != 0).then(|| at * GROUP + mask.trailing_zeros() as usize)
    }

    #[inline]
    fn weights(&self, place: usize) -> u32 {
        self.groups[place / GROUP].weights[place % GROUP]
    }

    /// Adds a feature's weights, times a value, to the labels' scores, in parts of [`Lookup::unit`].
    #[inline]
    pub(super) fn add(&self, place: usize, value: f32, scores: &mut [f32]) {
        self.add_weights(self.weights(place), value, scores);
    }

    #[inline]
    fn add_weights(&self, weights: u32, value: f32, scores: &mut [f32]) {
        let mut add = |label: usize, byte: u8| scores[label] += value * self.levels[usize::from(byte)];
        match weights & KIND {
            ONE => add(((weights & !KIND) >> 8) as usize, weights as u8),
            TWO => {
                let second = (weights & !KIND) >> TWO_BITS;
                add((weights >> 8 & 0x7f) as usize, weights as u8);
                add((second >> 8) as usize, second as u8);
            }
            ROW => {
                let row = &self.rows[(weights & !KIND) as usize * self.n_labels..][..self.n_labels];
                scores.iter_mut().zip(row).for_each(|(score, stored)| *score += value * f32::from(*stored));
            }
            _ => {
                let list = &self.lists[weights as usize..];
                let n = usize::from(u16::from_le_bytes([list[0][0], list[0][1]]));
                list[1..=n].iter().for_each(|[low, high, byte]| add(usize::from(u16::from_le_bytes([*low, *high])), *byte));
            }
        }
    }

    /// Reads the beginning of a list, so that it is on its way.
    #[inline]
    fn touch(&self, weights: u32) -> u8 {
        match weights & KIND {
            ONE | TWO => 0,
            ROW => self.rows[(weights & !KIND) as usize * self.n_labels] as u8,
            _ => self.lists[weights as usize][0],
        }
    }

    /// Adds the weights of features, each once; leaves where they are in place of their hashes. Returns how many are known.
    pub(super) fn count(&self, hashes: &mut [u32], scores: &mut [f32]) -> usize {
        self.find_weights(hashes);
        hashes.iter().for_each(|weights| self.add_weights(*weights, 1.0, scores));
        hashes.iter().filter(|weights| **weights != UNKNOWN).count()
    }
}

impl Group {
    /// A bit for the place that has this hash.
    #[inline]
    fn mask(&self, hash: u32) -> u32 {
        let equal = self.hashes.iter().enumerate().fold(0, |mask, (i, h)| mask | u32::from(*h == hash) << i);
        equal & ((1 << self.n) - 1)
    }
}

/// The square of a stored weight, with its sign.
#[inline]
fn square(stored: i8) -> i16 {
    let stored = i16::from(stored);
    stored * stored.abs()
}

/// Hashes looked up together.
pub(super) const CHUNK: usize = 64;

/// The different runs of letters of a text and how often each occurs: most words of a text stand in it again.
///
/// Runs are told apart by hashes of 64 bits, features by 32 of them.
#[derive(Default)]
pub(super) struct Runs {
    /// For each place the run that was there last, by its hash, and its number.
    last: Vec<(u64, u32)>,
    runs: Vec<Run>,
    /// The features of all runs.
    hashes: Vec<u32>,
}

struct Run {
    n: u32,
    /// Where its features end.
    end: u32,
}

/// The most places: a run that another one has taken the place of is new again.
const N_PLACES_MAX: usize = 1 << 11;

impl Runs {
    /// Gets ready for a text of so many bytes.
    pub(super) fn clear(&mut self, n_bytes: usize) {
        self.last.clear();
        self.last.resize((n_bytes / 4).next_power_of_two().min(N_PLACES_MAX), (0, u32::MAX));
        self.runs.clear();
        self.hashes.clear();
    }

    /// Takes in a run; its features are asked for if it is new.
    pub(super) fn add(&mut self, hash: u64, extend: impl FnOnce(&mut Vec<u32>)) {
        let at = (hash >> 32) as usize & (self.last.len() - 1);
        match self.runs.get_mut(self.last[at].1 as usize) {
            Some(run) if self.last[at].0 == hash => run.n += 1,
            _ => {
                self.last[at] = (hash, self.runs.len() as u32);
                extend(&mut self.hashes);
                self.runs.push(Run { n: 1, end: self.hashes.len() as u32 });
            }
        }
    }

    /// Adds the weights of the runs' features; returns how many are known, each as often as it occurs.
    pub(super) fn count(&mut self, lookup: &Lookup, scores: &mut [f32]) -> usize {
        lookup.find_weights(&mut self.hashes);
        let (mut start, mut n_known) = (0, 0);
        for run in &self.runs {
            let of_run = &self.hashes[start..run.end as usize];
            of_run.iter().for_each(|weights| lookup.add_weights(*weights, run.n as f32, scores));
            n_known += run.n as usize * of_run.iter().filter(|weights| **weights != UNKNOWN).count();
            start = run.end as usize;
        }
        n_known
    }
}
