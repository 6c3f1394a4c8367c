//! A trained classifier, and how it judges a text.

use std::cell::RefCell;

use super::calibrate::Calibration;
use super::count_value;
use super::features::Streams;
use super::options::Features;

/// Tells which of its labels a text has; made by [`train`](super::train) or [`Classifier::from_bytes`].
#[derive(Clone, Debug)]
pub struct Classifier {
    pub(super) features: Features,
    pub(super) labels: Vec<String>,
    pub(super) bias: Vec<f32>,
    pub(super) calibration: Calibration,
    /// The largest weight, which the others are stored as parts of.
    pub(super) range: f32,
    pub(super) weights: Weights,
    table: Table,
    /// What a stored weight stands for, by its byte.
    levels: Box<[f32; 256]>,
    /// What a count stands for.
    values: Box<[f32; 256]>,
}

/// Features in the order of their hashes, each with labels and stored weights.
#[derive(Clone, Debug, Default)]
pub(super) struct Weights {
    pub(super) hashes: Vec<u32>,
    pub(super) starts: Vec<u32>,
    pub(super) labels: Vec<u16>,
    pub(super) stored: Vec<i8>,
}

/// A feature's hash, and its weights by label.
pub(super) type Feature = (u32, Vec<(u16, f32)>);

impl Classifier {
    /// Stores weights in a byte each, finer near zero, and leaves out the smallest. Of two labels only the difference matters.
    pub(super) fn quantised(
        features: Features,
        labels: Vec<String>,
        mut bias: Vec<f32>,
        calibration: Calibration,
        mut weights: Vec<Feature>,
        prune: f32,
    ) -> Self {
        if let [first, second] = bias.as_mut_slice() {
            (*first, *second) = (0.0, *second - *first);
            for (_, of_feature) in &mut weights {
                let weight = of_feature.iter().map(|(label, w)| if *label == 1 { *w } else { -*w }).sum();
                *of_feature = vec![(1, weight)];
            }
        }
        let range = weights.iter().flat_map(|(_, w)| w).fold(0.0, |most: f32, (_, w)| most.max(w.abs()));
        let mut kept = Weights { starts: vec![0], ..Weights::default() };
        for (hash, of_feature) in weights {
            for (label, weight) in of_feature.into_iter().filter(|(_, w)| w.abs() > prune * range) {
                let size = (weight.abs() / range).sqrt() * 127.0;
                let stored = (size.round().max(1.0) as i8) * if weight < 0.0 { -1 } else { 1 };
                kept.labels.push(label);
                kept.stored.push(stored);
            }
            if kept.labels.len() > kept.starts[kept.hashes.len()] as usize {
                kept.hashes.push(hash);
                kept.starts.push(kept.labels.len() as u32);
            }
        }
        Self::new(features, labels, bias, calibration, range, kept)
    }

    pub(super) fn new(
        features: Features,
        labels: Vec<String>,
        bias: Vec<f32>,
        calibration: Calibration,
        range: f32,
        weights: Weights,
    ) -> Self {
        let level = |byte: usize| {
            let part = f32::from(byte as u8 as i8) / 127.0;
            part * part.abs() * range
        };
        Self {
            features,
            labels,
            bias,
            calibration,
            range,
            table: Table::new(&weights.hashes),
            weights,
            levels: Box::new(std::array::from_fn(level)),
            values: Box::new(std::array::from_fn(|n| count_value(n as u32))),
        }
    }

    /// The labels, in alphabetical order.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// How many features have weights.
    pub fn n_features(&self) -> usize {
        self.weights.hashes.len()
    }

    /// The likeliest label of a text and its probability. A text without any known feature, such as the empty one, has the label that the
    /// training rows make likeliest.
    pub fn classify(&self, text: &str) -> (&str, f32) {
        let mut scores = Vec::new();
        self.scores(text, &mut scores);
        let best = scores.iter().enumerate().fold((0, 0.0), |best, (i, p)| if *p > best.1 { (i, *p) } else { best });
        (self.labels.get(best.0).map_or("", String::as_str), best.1)
    }

    /// Writes the probability of each label, in the order of [`Classifier::labels`]. Returns how many known features the text has.
    pub fn scores(&self, text: &str, scores: &mut Vec<f32>) -> usize {
        scores.clear();
        scores.extend_from_slice(&self.bias);
        let n_features = SCRATCH.with_borrow_mut(|scratch| self.add(text, scratch, scores));
        self.calibration.probabilities(scores, n_features);
        n_features
    }

    fn add(&self, text: &str, scratch: &mut Scratch, scores: &mut [f32]) -> usize {
        let Scratch { streams, counts, seen } = scratch;
        if counts.len() < self.n_features() {
            counts.resize(self.n_features(), 0);
        }
        seen.clear();
        self.features.each(text, streams, |hash| {
            if let Some(feature) = self.table.find(hash) {
                let count = &mut counts[feature as usize];
                if *count == 0 {
                    seen.push(feature);
                }
                *count = count.saturating_add(1);
            }
        });
        // The order of features decides the last bits of the sums; the order in the text is as good as any.
        let squares: f32 = seen.iter().map(|f| self.values[usize::from(counts[*f as usize])].powi(2)).sum();
        let scale = if squares > 0.0 { squares.sqrt().recip() } else { 0.0 };
        for feature in seen.iter() {
            let feature = *feature as usize;
            let value = self.values[usize::from(std::mem::take(&mut counts[feature]))] * scale;
            let pairs = self.weights.starts[feature] as usize..self.weights.starts[feature + 1] as usize;
            for (label, stored) in self.weights.labels[pairs.clone()].iter().zip(&self.weights.stored[pairs]) {
                scores[usize::from(*label)] += value * self.levels[usize::from(*stored as u8)];
            }
        }
        seen.len()
    }
}

/// Memory that scoring uses again: counts are all zero between texts, whichever classifier comes next.
#[derive(Default)]
struct Scratch {
    streams: Streams,
    counts: Vec<u8>,
    seen: Vec<u32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// From hashes to features: open addressing, at most half full.
#[derive(Clone, Debug)]
struct Table {
    /// A hash above, the feature plus one below; 0 where nothing is.
    slots: Vec<u64>,
    shift: u32,
}

impl Table {
    fn new(hashes: &[u32]) -> Self {
        let bits = (hashes.len().max(2) * 2).next_power_of_two().ilog2();
        let mut table = Self { slots: vec![0; 1 << bits], shift: 32 - bits };
        for (feature, hash) in hashes.iter().enumerate() {
            let mut at = table.home(*hash);
            while table.slots[at] != 0 {
                at = (at + 1) & (table.slots.len() - 1);
            }
            table.slots[at] = u64::from(*hash) << 32 | (feature as u64 + 1);
        }
        table
    }

    fn home(&self, hash: u32) -> usize {
        (hash >> self.shift) as usize
    }

    fn find(&self, hash: u32) -> Option<u32> {
        let mut at = self.home(hash);
        loop {
            let slot = self.slots[at];
            if slot == 0 {
                return None;
            }
            if (slot >> 32) as u32 == hash {
                return Some(slot as u32 - 1);
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }
}
