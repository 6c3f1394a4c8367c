//! How weights are learnt: by margins, see `margin.rs` and `own_margin.rs`, or by stochastic gradient descent in small batches.
//!
//! A batch is scored by rows and applied by features, each on all threads. Every weight changes in the order of rows, so the number of
//! threads makes no difference to any bit of the result.

use std::collections::{BTreeMap, HashSet};

use rayon::prelude::*;

use super::bayes;
use super::calibrate::{Calibration, Judged};
use super::dictionary::{self, Dictionary, Rows};
use super::evaluate::fold_of;
use super::margin::Margins;
use super::options::{Learning, NGRAM_MAX, Options};
use super::own_margin::{OwnMargins, Solved};
use super::score::Classifier;
use super::{ClassifierError, LABELS_MAX};

/// How far training has come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// Passes over the rows that are done.
    pub epoch: usize,
    /// Passes in all.
    pub epochs: usize,
    /// Mean loss of a row in the last pass, in nats.
    pub loss: f64,
    /// Features that have weights.
    pub n_features: usize,
}

/// Features that are learnt at first, for each that is kept.
const SOFTMAX_CANDIDATES: usize = 4;
const MARGIN_CANDIDATES: usize = 2;
const OWN_MARGIN_CANDIDATES: usize = 4;
/// Features in a batch, about.
const BATCH_ENTRIES: usize = 16_384;
/// Rows in a batch.
const BATCH_ROWS: (usize, usize) = (8, 256);
/// One row in so many is held out while the scores' scale is found.
const CALIBRATED: usize = 20;
/// Held-out rows for that, at most.
const CALIBRATED_MAX: usize = 5_000;
/// Parts of rows that are too few to hold out one in [`CALIBRATED`].
const CALIBRATED_PARTS: usize = 5;
/// Gradients below this change nothing.
const GRADIENT_MIN: f32 = 1e-4;

/// Trains a classifier on rows of text and label.
///
/// The same rows in the same order with the same options give the same classifier, for any number of threads. `progress` hears of every
/// pass over the rows.
///
/// # Errors
/// Fewer than two labels, no feature at all, and options out of range.
pub fn train(
    rows: &[(&str, &str)],
    options: &Options,
    n_threads: usize,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Classifier, ClassifierError> {
    check(options)?;
    let mut labels: BTreeMap<&str, u16> = rows.iter().map(|(_, label)| (*label, 0)).collect();
    if labels.len() < 2 {
        return Err(ClassifierError::Labels { n_rows: rows.len(), n_labels: labels.len() });
    }
    if labels.len() > LABELS_MAX {
        return Err(ClassifierError::TooManyLabels { n_labels: labels.len() });
    }
    labels.values_mut().zip(0..).for_each(|(number, i)| *number = i);
    let texts: Vec<(&str, u16)> = rows.iter().map(|(text, label)| (*text, labels[label])).collect();
    let names = labels.into_keys().map(str::to_owned).collect();
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(n_threads.max(1))
        .build()
        .map_err(|e| ClassifierError::Threads { n_threads, reason: e.to_string() })?;
    pool.install(|| run(&texts, names, options, progress))
}

fn check(options: &Options) -> Result<(), ClassifierError> {
    let wrong = |option, value: String, range| Err(ClassifierError::Option { option, value, range });
    for (option, (shortest, longest)) in [("char_ngrams", options.features.char_ngrams), ("word_ngrams", options.features.word_ngrams)] {
        if longest > NGRAM_MAX || shortest > longest || (shortest == 0 && longest > 0) {
            return wrong(option, format!("({shortest}, {longest})"), "(0, 0), or from 1 to 8 with the shorter first");
        }
    }
    if options.features_max == 0 || options.features_max > 1 << 26 {
        return wrong("features_max", options.features_max.to_string(), "from 1 to 2^26");
    }
    if options.epochs == 0 {
        return wrong("epochs", "0".to_owned(), "at least 1");
    }
    let of_learning = match options.learning {
        Learning::Softmax { lr, decay } => [("lr", lr, 10.0), ("decay", decay, 0.1)],
        Learning::Margin { cost, .. } | Learning::OwnMargin { cost } => [("cost", cost, 1e4), ("1 / cost", cost.recip(), 1e4)],
        Learning::Bayes { smoothing } => [("smoothing", smoothing, 1e4), ("1 / smoothing", smoothing.recip(), 1e4)],
    };
    for (option, value, most) in of_learning.into_iter().chain([("balance", options.balance, 1.0), ("prune", options.prune, 1.0)]) {
        if !(0.0..=most).contains(&value) {
            return wrong(option, value.to_string(), "a small number, not negative");
        }
    }
    Ok(())
}

fn run(
    texts: &[(&str, u16)],
    labels: Vec<String>,
    options: &Options,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Classifier, ClassifierError> {
    let n_candidates = match options.learning {
        Learning::Softmax { .. } => SOFTMAX_CANDIDATES,
        Learning::Margin { .. } => MARGIN_CANDIDATES,
        Learning::OwnMargin { .. } => OWN_MARGIN_CANDIDATES,
        Learning::Bayes { .. } => 1,
    };
    let (dictionary, rows) =
        dictionary::build(texts, labels.len(), &options.features, options.rows_min, options.features_max.saturating_mul(n_candidates));
    if dictionary.hashes.is_empty() {
        return Err(ClassifierError::NoFeatures { rows_min: options.rows_min, n_rows: texts.len() });
    }
    let mut held_out: Vec<usize> = (0..texts.len()).filter(|row| fold_of(texts[*row].0, CALIBRATED) == 0).collect();
    held_out.truncate(CALIBRATED_MAX);
    let mut learnt: Vec<usize> = (0..texts.len()).collect();
    learnt.retain(|row| held_out.binary_search(row).is_err());

    let mut trainer = Trainer::new(texts, labels.len(), options, dictionary, rows);
    let calibration = match options.learning {
        Learning::Softmax { lr, decay } => trainer.descend(lr, decay, learnt, &held_out, progress),
        Learning::Margin { cost, by_rarity, by_contrast } => trainer.separate(cost, (by_rarity, by_contrast), learnt, &held_out, progress),
        Learning::OwnMargin { cost } => trainer.separate_own(cost, progress),
        Learning::Bayes { smoothing } => trainer.count(smoothing, &learnt, &held_out, progress),
    };
    Ok(trainer.finish(labels, calibration))
}

/// Puts row numbers into an order that follows from the seed alone.
fn shuffle(rows: &mut [usize], seed: u64) {
    rows.sort_unstable_by_key(|row| (crate::words::mix(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ *row as u64), *row));
}

struct Trainer<'a> {
    texts: &'a [(&'a str, u16)],
    options: &'a Options,
    dictionary: Dictionary,
    rows: Rows,
    /// For each row, what its counts are multiplied by.
    scales: Vec<f32>,
    /// For each label, how much its rows weigh.
    importance: Vec<f32>,
    /// Weights in the order of the dictionary's labels, and the sums of their squared gradients.
    weights: Vec<f32>,
    squares: Vec<f32>,
    bias: Vec<f32>,
    bias_squares: Vec<f32>,
    /// What a count stands for.
    values: [f32; 256],
}

impl<'a> Trainer<'a> {
    fn new(texts: &'a [(&'a str, u16)], n_labels: usize, options: &'a Options, dictionary: Dictionary, rows: Rows) -> Self {
        let mut n_rows_of = vec![0usize; n_labels];
        texts.iter().for_each(|(_, label)| n_rows_of[usize::from(*label)] += 1);
        let even = texts.len() as f32 / n_labels as f32;
        let importance = n_rows_of.iter().map(|n| (even / *n as f32).powf(options.balance)).collect();
        let n_pairs = dictionary.labels.len();
        let mut trainer = Self {
            texts,
            options,
            dictionary,
            rows,
            scales: Vec::new(),
            importance,
            weights: vec![0.0; n_pairs],
            squares: vec![0.0; n_pairs],
            bias: vec![0.0; n_labels],
            bias_squares: vec![0.0; n_labels],
            values: std::array::from_fn(|n| options.features.counting.value(n as u8)),
        };
        trainer.scale();
        trainer
    }

    /// Learns by gradient descent: first over all features, from the middle on over the best. Held-out rows join for the last passes.
    fn descend(
        &mut self,
        lr: f32,
        decay: f32,
        mut learnt: Vec<usize>,
        held_out: &[usize],
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Calibration {
        let epochs = self.options.epochs;
        let (half, last) = (epochs.div_ceil(2), (epochs / 5).max(1));
        let mut calibration = Calibration::default();
        for epoch in 0..epochs {
            if epoch == half {
                self.keep_best(self.options.features_max, &self.spreads());
            }
            if epoch + last == epochs && epoch > 0 {
                calibration = self.calibrate(held_out);
                learnt = (0..self.texts.len()).collect();
            }
            shuffle(&mut learnt, self.options.seed.wrapping_add(epoch as u64));
            let loss = self.epoch(&learnt, epoch, lr, decay);
            progress(Progress { epoch: epoch + 1, epochs, loss, n_features: self.dictionary.hashes.len() });
        }
        self.keep_best(self.options.features_max, &self.spreads());
        calibration
    }

    /// Learns margins: over all features, to know the best; over those, to know the scores' scale; and once more with the held-out rows.
    fn separate(
        &mut self,
        cost: f32,
        weighed: (bool, bool),
        learnt: Vec<usize>,
        held_out: &[usize],
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Calibration {
        if self.dictionary.hashes.len() > self.options.features_max {
            let lengths = self.margins(cost, weighed, &learnt, self.options.epochs.div_ceil(2)).lengths();
            self.keep_best(self.options.features_max, &lengths);
        }
        let mut calibration = Calibration::default();
        if !held_out.is_empty() {
            self.solve(cost, weighed, &learnt);
            calibration = self.calibrate(held_out);
        }
        let losses = self.solve(cost, weighed, &(0..self.texts.len()).collect::<Vec<_>>());
        let (epochs, n_features) = (self.options.epochs, self.dictionary.hashes.len());
        for (loss, epoch) in losses.into_iter().zip(1..) {
            progress(Progress { epoch, epochs, loss, n_features });
        }
        calibration
    }

    /// The same where labels have weights for the features of their own rows only. Rows are too few to know the scores' scale from one
    /// in twenty: every part of them is judged by what the others teach.
    fn separate_own(&mut self, cost: f32, progress: &mut (dyn FnMut(Progress) + Send)) -> Calibration {
        let epochs = self.options.epochs;
        let all: Vec<usize> = (0..self.texts.len()).collect();
        if self.dictionary.hashes.len() > self.options.features_max {
            self.weights = self.solve_own(cost, &all, epochs.div_ceil(2)).weights;
            self.keep_best(self.options.features_max, &self.spreads());
        }
        let part = |row: &usize| fold_of(self.texts[*row].0, CALIBRATED_PARTS * CALIBRATED) % CALIBRATED_PARTS;
        let parts: Vec<usize> = all.iter().map(part).collect();
        let mut judged = Vec::new();
        for held_out in 0..CALIBRATED_PARTS {
            let (tested, learnt): (Vec<usize>, Vec<usize>) = all.iter().partition(|row| parts[**row] == held_out);
            let solved = self.solve_own(cost, &learnt, epochs);
            (self.weights, self.bias) = (solved.weights, solved.bias);
            // A row whose label no other row has says nothing about how far scores can be believed.
            let known: HashSet<u16> = learnt.iter().map(|row| self.texts[*row].1).collect();
            judged.extend(tested.iter().filter(|row| known.contains(&self.texts[**row].1)).map(|row| self.judge(*row)));
        }
        let solved = self.solve_own(cost, &all, epochs);
        (self.weights, self.bias) = (solved.weights, solved.bias);
        let n_features = self.dictionary.hashes.len();
        for (loss, epoch) in solved.losses.into_iter().zip(1..) {
            progress(Progress { epoch, epochs, loss, n_features });
        }
        Calibration::fit(&judged)
    }

    fn solve_own(&self, cost: f32, learnt: &[usize], epochs: usize) -> Solved {
        let labels: Vec<u16> = self.texts.iter().map(|(_, label)| *label).collect();
        let costs = self.importance.iter().map(|i| cost * i).collect();
        let orders = self.orders(learnt, epochs);
        OwnMargins::new((&self.dictionary, &self.rows), (&self.scales, &self.values), &labels, costs, orders).solve()
    }

    /// The rows in a new order for each pass.
    fn orders(&self, learnt: &[usize], epochs: usize) -> Vec<Vec<usize>> {
        let order = |epoch| {
            let mut order = learnt.to_vec();
            shuffle(&mut order, self.options.seed.wrapping_add(epoch));
            order
        };
        (0..epochs as u64).map(order).collect()
    }

    fn margins<'m>(&'m self, cost: f32, weighed: (bool, bool), learnt: &[usize], epochs: usize) -> Margins<'m> {
        let orders = self.orders(learnt, epochs);
        let costs = self.importance.iter().map(|i| cost * i).collect();
        let labels = self.texts.iter().map(|(_, label)| *label).collect();
        Margins::new(&self.rows, &self.scales, &self.values, labels, costs, orders, self.dictionary.hashes.len(), weighed)
    }

    fn solve(&mut self, cost: f32, weighed: (bool, bool), learnt: &[usize]) -> Vec<f64> {
        let solved = self.margins(cost, weighed, learnt, self.options.epochs).solve(self.options.prune);
        self.dictionary.starts = solved.starts;
        self.dictionary.labels = solved.labels;
        self.weights = solved.weights;
        self.squares = vec![0.0; self.weights.len()];
        self.bias = solved.bias;
        solved.losses
    }

    /// Counts rows: those that are not held out, to know the scores' scale, and then all.
    fn count(&mut self, smoothing: f32, learnt: &[usize], held_out: &[usize], progress: &mut (dyn FnMut(Progress) + Send)) -> Calibration {
        let labels: Vec<u16> = self.texts.iter().map(|(_, label)| *label).collect();
        let weights = |rows: &[usize]| bayes::weights(&self.dictionary, &self.rows, &labels, rows, smoothing);
        let all: Vec<usize> = (0..labels.len()).collect();
        let of_all = weights(&all);
        self.weights = weights(learnt);
        let calibration = self.calibrate(held_out);
        self.weights = of_all;
        progress(Progress { epoch: 1, epochs: 1, loss: 0.0, n_features: self.dictionary.hashes.len() });
        calibration
    }

    fn scale(&mut self) {
        let counting = self.options.features.counting;
        let scale = |row| counting.scale(self.rows.counts(row).iter().map(|n| self.values[usize::from(*n)]));
        self.scales = (0..self.rows.n_rows()).map(scale).collect();
    }

    /// The labels' scores for a row.
    fn scores(&self, row: usize, scores: &mut [f32]) {
        scores.copy_from_slice(&self.bias);
        for (feature, n) in self.rows.features(row).iter().zip(self.rows.counts(row)) {
            let value = self.values[usize::from(*n)] * self.scales[row];
            let pairs = self.dictionary.pairs(*feature as usize);
            for (label, weight) in self.dictionary.labels[pairs.clone()].iter().zip(&self.weights[pairs]) {
                scores[usize::from(*label)] += value * weight;
            }
        }
    }

    /// Passes over rows once; returns the mean loss.
    fn epoch(&mut self, order: &[usize], epoch: usize, lr: f32, decay: f32) -> f64 {
        let n_labels = self.bias.len();
        let per_row = (self.rows.n_entries() / self.rows.n_rows().max(1)).max(1);
        let batch_rows = (BATCH_ENTRIES / per_row).clamp(BATCH_ROWS.0, BATCH_ROWS.1);
        let steps = order.len().div_ceil(batch_rows) * self.options.epochs;
        let first_step = order.len().div_ceil(batch_rows) * epoch;
        let shards = self.shards();
        let mut gradients = vec![0.0; batch_rows * n_labels];
        let mut losses = vec![0.0; batch_rows];
        let mut total = 0.0;
        for (step, batch) in (first_step..).zip(order.chunks(batch_rows)) {
            let lr = lr * (1.0 - step as f32 / steps as f32);
            let of_rows = gradients.par_chunks_mut(n_labels).zip(losses.par_iter_mut()).zip(batch.par_iter());
            of_rows.with_min_len(4).for_each(|((gradient, loss), row)| {
                self.scores(*row, gradient);
                let label = usize::from(self.texts[*row].1);
                *loss = to_gradient(gradient, label, self.importance[label]);
            });
            total += losses[..batch.len()].iter().sum::<f64>();
            self.apply(batch, &gradients, &shards, lr, decay);
        }
        total / order.len().max(1) as f64
    }

    /// Parts of the features with about as many weights in use each, one a thread.
    fn shards(&self) -> Vec<usize> {
        let mut work = vec![0usize; self.dictionary.hashes.len()];
        for row in 0..self.rows.n_rows() {
            self.rows.features(row).iter().for_each(|f| work[*f as usize] += 1);
        }
        for (feature, work) in work.iter_mut().enumerate() {
            *work *= self.dictionary.pairs(feature).len() + 4;
        }
        let n_shards = rayon::current_num_threads();
        let all: usize = work.iter().sum();
        let (mut ends, mut sum) = (Vec::with_capacity(n_shards), 0);
        for (feature, work) in work.iter().enumerate() {
            sum += work;
            if sum * n_shards >= all * (ends.len() + 1) && ends.len() + 1 < n_shards {
                ends.push(feature + 1);
            }
        }
        ends.push(work.len());
        ends
    }

    fn apply(&mut self, batch: &[usize], gradients: &[f32], shards: &[usize], lr: f32, decay: f32) {
        let n_labels = self.bias.len();
        for (i, _) in batch.iter().enumerate() {
            for (label, gradient) in gradients[i * n_labels..][..n_labels].iter().enumerate().filter(|(_, g)| **g != 0.0) {
                step(&mut self.bias[label], &mut self.bias_squares[label], *gradient, lr * 0.1, 0.0);
            }
        }
        let mut parts = Vec::with_capacity(shards.len());
        let (mut weights, mut squares) = (self.weights.as_mut_slice(), self.squares.as_mut_slice());
        let mut start = 0;
        for end in shards.iter().copied() {
            let n = self.dictionary.starts[end] - self.dictionary.starts[start];
            let (w, rest) = std::mem::take(&mut weights).split_at_mut(n);
            weights = rest;
            let (s, rest) = std::mem::take(&mut squares).split_at_mut(n);
            squares = rest;
            parts.push((start..end, w, s));
            start = end;
        }
        let (dictionary, rows, scales, values) = (&self.dictionary, &self.rows, &self.scales, &self.values);
        parts.into_par_iter().for_each(|(shard, weights, squares)| {
            let first = dictionary.starts[shard.start];
            for (i, row) in batch.iter().enumerate() {
                let gradient = &gradients[i * n_labels..][..n_labels];
                let features = rows.features(*row);
                let start = features.partition_point(|f| (*f as usize) < shard.start);
                let end = features.partition_point(|f| (*f as usize) < shard.end);
                for (feature, n) in features[start..end].iter().zip(&rows.counts(*row)[start..end]) {
                    let value = values[usize::from(*n)] * scales[*row];
                    let pairs = dictionary.pairs(*feature as usize);
                    let at = pairs.start - first..pairs.end - first;
                    let of_feature = dictionary.labels[pairs].iter().zip(&mut weights[at.clone()]).zip(&mut squares[at]);
                    for ((label, weight), square) in of_feature {
                        let g = gradient[usize::from(*label)];
                        if g != 0.0 {
                            step(weight, square, g * value, lr, decay);
                        }
                    }
                }
            }
        });
    }

    /// Keeps the features that matter most: the spread of their weights, by the root of how often they occur. A rare label's rows count as
    /// much together as a common one's, or else a small classifier would know the common ones only.
    fn keep_best(&mut self, features_max: usize, spreads: &[f32]) {
        let n_features = self.dictionary.hashes.len();
        let mut n_rows_of = vec![0f32; self.bias.len()];
        self.texts.iter().for_each(|(_, label)| n_rows_of[usize::from(*label)] += 1.0);
        let mut occurs = vec![0f32; n_features];
        for (row, (_, label)) in self.texts.iter().enumerate() {
            self.rows.features(row).iter().for_each(|f| occurs[*f as usize] += n_rows_of[usize::from(*label)].recip());
        }
        let matters: Vec<f32> = (0..n_features).map(|f| spreads[f] * occurs[f].sqrt()).collect();
        let mut order: Vec<u32> = (0..n_features as u32).filter(|f| matters[*f as usize] > 0.0).collect();
        if order.len() > features_max {
            let by_worth = |a: &u32, b: &u32| matters[*b as usize].total_cmp(&matters[*a as usize]).then(a.cmp(b));
            order.select_nth_unstable_by(features_max, by_worth);
            order.truncate(features_max);
        }
        if order.len() == n_features {
            return;
        }
        let mut marked = vec![false; n_features];
        order.iter().for_each(|f| marked[*f as usize] = true);
        let pairs = (0..n_features).filter(|f| marked[*f]).flat_map(|f| self.dictionary.pairs(f));
        (self.weights, self.squares) = pairs.map(|i| (self.weights[i], self.squares[i])).unzip();
        self.dictionary.keep(&marked, &mut self.rows);
        self.scale();
    }

    /// How far a feature's weights are apart; labels without a weight have 0.
    fn spread(&self, feature: usize) -> f32 {
        let weights = &self.weights[self.dictionary.pairs(feature)];
        let start = if weights.len() < self.bias.len() { (0.0, 0.0) } else { (f32::INFINITY, f32::NEG_INFINITY) };
        let (least, most) = weights.iter().fold(start, |(least, most): (f32, f32), w| (least.min(*w), most.max(*w)));
        most - least
    }

    fn spreads(&self) -> Vec<f32> {
        (0..self.dictionary.hashes.len()).map(|feature| self.spread(feature)).collect()
    }

    fn calibrate(&self, held_out: &[usize]) -> Calibration {
        Calibration::fit(&held_out.par_iter().map(|row| self.judge(*row)).collect::<Vec<_>>())
    }

    fn judge(&self, row: usize) -> Judged {
        let mut scores = vec![0.0; self.bias.len()];
        self.scores(row, &mut scores);
        Judged {
            scores,
            label: usize::from(self.texts[row].1),
            n_features: self.rows.counts(row).iter().map(|n| self.options.features.counting.items(*n)).sum(),
        }
    }

    fn finish(self, labels: Vec<String>, calibration: Calibration) -> Classifier {
        let features = (0..self.dictionary.hashes.len()).map(|feature| {
            let pairs = self.dictionary.pairs(feature);
            let weights = self.dictionary.labels[pairs.clone()].iter().copied().zip(self.weights[pairs].iter().copied()).collect();
            (self.dictionary.hashes[feature], weights)
        });
        Classifier::quantised(self.options.features, labels, self.bias, calibration, features.collect(), self.options.prune)
    }
}

/// Turns scores into the gradient of the loss by them, in place; returns the loss.
fn to_gradient(scores: &mut [f32], label: usize, importance: f32) -> f64 {
    let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for score in scores.iter_mut() {
        *score = (*score - most).exp();
        sum += *score;
    }
    let loss = -(f64::from(scores[label]) / f64::from(sum)).max(1e-30).ln();
    for (i, score) in scores.iter_mut().enumerate() {
        let gradient = *score / sum - if i == label { 1.0 } else { 0.0 };
        *score = if gradient.abs() < GRADIENT_MIN { 0.0 } else { gradient * importance };
    }
    loss
}

/// One step down a gradient, the smaller the more the weight has moved.
fn step(weight: &mut f32, square: &mut f32, gradient: f32, lr: f32, decay: f32) {
    let gradient = gradient + decay * *weight;
    *square += gradient * gradient;
    *weight -= lr * gradient / (square.sqrt() + 1e-6);
}
