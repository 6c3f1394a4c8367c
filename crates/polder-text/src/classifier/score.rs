//! A trained classifier, and how it judges a text.

use std::cell::RefCell;

use super::calibrate::Calibration;
use super::features::Streams;
use super::lookup::{CHUNK, Lookup, Runs};
use super::options::{Counting, Features};

/// Tells which of its labels a text has; made by [`train`](super::train()) or [`Classifier::from_bytes`].
#[derive(Clone, Debug)]
pub struct Classifier {
    pub(super) features: Features,
    pub(super) labels: Vec<String>,
    pub(super) bias: Vec<f32>,
    pub(super) calibration: Calibration,
    /// The largest weight, which the others are stored as parts of.
    pub(super) range: f32,
    pub(super) weights: Weights,
    lookup: Lookup,
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
        Self {
            lookup: Lookup::new(&weights, labels.len(), range),
            values: Box::new(std::array::from_fn(|n| features.counting.value(n as u8))),
            features,
            labels,
            bias,
            calibration,
            range,
            weights,
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
        scores.resize(self.labels.len(), 0.0);
        let n_features = SCRATCH.with_borrow_mut(|scratch| match self.features.counting {
            Counting::Damped => self.add_damped(text, scratch, scores),
            Counting::Plain if self.features.are_of_runs() => self.add_runs(text, scratch, scores),
            Counting::Plain => self.add_plain(text, scratch, scores),
        });
        scores.iter_mut().zip(&self.bias).for_each(|(score, bias)| *score += bias);
        self.calibration.probabilities(scores, n_features);
        n_features
    }

    /// Adds the weights of the text's features, each by how often it occurs.
    fn add_damped(&self, text: &str, scratch: &mut Scratch, scores: &mut [f32]) -> usize {
        let Scratch { streams, counts, seen, .. } = scratch;
        if counts.len() < self.lookup.n_places() {
            counts.resize(self.lookup.n_places(), 0);
        }
        seen.clear();
        let (mut chunk, mut n) = ([0; CHUNK], 0);
        let mut count = |chunk: &[u32]| {
            self.lookup.find_all(chunk, |place| {
                if counts[place] == 0 {
                    seen.push(place);
                }
                counts[place] = counts[place].saturating_add(1);
            });
        };
        self.features.each(text, streams, |hash| {
            // Without a branch, since which are known is a toss-up.
            chunk[n] = hash;
            n += usize::from(self.lookup.may_know(hash));
            if n == CHUNK {
                count(&chunk);
                n = 0;
            }
        });
        count(&chunk[..n]);
        // The order of features decides the last bits of the sums; the order in the text is as good as any.
        let scale = Counting::Damped.scale(seen.iter().map(|place| self.values[usize::from(counts[*place])])) * self.lookup.unit();
        for place in seen.iter() {
            let value = self.values[usize::from(std::mem::take(&mut counts[*place]))] * scale;
            self.lookup.add(*place, value, scores);
        }
        seen.len()
    }

    /// Adds the weights of the text's features, occurrence by occurrence.
    fn add_plain(&self, text: &str, scratch: &mut Scratch, scores: &mut [f32]) -> usize {
        let Scratch { streams, hashes, .. } = scratch;
        hashes.clear();
        self.features.each(text, streams, |hash| hashes.push(hash));
        let n_known = self.lookup.count(hashes, scores);
        let scale = Counting::Plain.scale([n_known as f32].into_iter()) * self.lookup.unit();
        scores.iter_mut().for_each(|score| *score *= scale);
        n_known
    }

    /// The same where features stand within runs of letters, each different run once.
    fn add_runs(&self, text: &str, scratch: &mut Scratch, scores: &mut [f32]) -> usize {
        let Scratch { streams, runs, .. } = scratch;
        runs.clear(text.len());
        self.features.each_run(text, streams, |run, hash| {
            runs.add(hash, |hashes| self.features.of_run(run, |hash| hashes.push(hash)));
        });
        let n_known = runs.count(&self.lookup, scores);
        let scale = Counting::Plain.scale([n_known as f32].into_iter()) * self.lookup.unit();
        scores.iter_mut().for_each(|score| *score *= scale);
        n_known
    }
}

/// Memory that scoring uses again: counts are all zero between texts, whichever classifier comes next.
#[derive(Default)]
struct Scratch {
    streams: Streams,
    counts: Vec<u8>,
    seen: Vec<usize>,
    hashes: Vec<u32>,
    runs: Runs,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}
