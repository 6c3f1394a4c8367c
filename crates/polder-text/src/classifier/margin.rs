//! How weights are learnt with a margin: each label against all others, by dual coordinate descent.
//!
//! A row has a multiplier, and the weights are the rows' sum by their multipliers. A step finds the best multiplier of one row while the others
//! stay. Features may count by their rarity and by their contrast, how unlike their share of a label's rows is to that of all others, and the
//! weights take that in, so that it costs nothing in scoring. A label is one thread's work, so
//! the number of threads makes no difference to any bit of the result.
//!
//! # Source
//! Hsieh, Chang, Lin, Keerthi, Sundararajan: A Dual Coordinate Descent Method for Large-scale Linear SVM (2008), the squared loss. Contrast:
//! Wang, Manning: Baselines and Bigrams (2012), whose features stand for their share's logarithm; here that is added to what they are.

use std::borrow::Cow;

use rayon::prelude::*;

use super::dictionary::Rows;

/// Rows to learn from, as every label sees them.
pub(super) struct Margins<'a> {
    rows: &'a Rows,
    scales: &'a [f32],
    values: &'a [f32; 256],
    labels: Vec<u16>,
    /// For each label, how dear its rows are.
    costs: Vec<f32>,
    /// The rows to learn from, in a new order for each pass.
    orders: Vec<Vec<usize>>,
    /// For each feature, the square of what its rarity counts.
    rarity: Vec<f32>,
    /// For each row, its squared length, with the bias.
    squares: Vec<f32>,
    /// Whether contrast counts beside rarity.
    by_contrast: bool,
}

/// The weights of features by label, and what was lost in each pass.
pub(super) struct Solved {
    pub(super) starts: Vec<usize>,
    pub(super) labels: Vec<u16>,
    pub(super) weights: Vec<f32>,
    pub(super) bias: Vec<f32>,
    pub(super) losses: Vec<f64>,
}

/// One label's weights for all features or for its own, and what was lost in each pass.
pub(super) struct Column {
    pub(super) weights: Vec<f32>,
    pub(super) bias: f32,
    pub(super) losses: Vec<f64>,
}

/// What a feature counts that is as common among a label's rows as among the others, beside one that is e times as common in one of them.
const CONTRAST_LEAST: f32 = 0.5;
/// Labels whose weights are in memory at a time.
const TOGETHER: usize = 16;
/// Every pass of the first and one in so many later look at all rows, the others at those that are near the margin or beyond.
const ALL_ROWS_ONE_IN: usize = 3;

impl<'a> Margins<'a> {
    #[allow(clippy::too_many_arguments)]
    pub(super) fn new(
        rows: &'a Rows,
        scales: &'a [f32],
        values: &'a [f32; 256],
        labels: Vec<u16>,
        costs: Vec<f32>,
        orders: Vec<Vec<usize>>,
        n_features: usize,
        (by_rarity, by_contrast): (bool, bool),
    ) -> Self {
        let mut n_rows_of = vec![0usize; n_features];
        (0..rows.n_rows()).for_each(|row| rows.features(row).iter().for_each(|f| n_rows_of[*f as usize] += 1));
        let rare = |n: &usize| (((1 + rows.n_rows()) as f32 / (1 + n) as f32).ln() + 1.0).powi(2);
        let rarity: Vec<f32> = if by_rarity { n_rows_of.iter().map(rare).collect() } else { vec![1.0; n_features] };
        let mut margins = Self { rows, scales, values, labels, costs, orders, rarity, squares: Vec::new(), by_contrast };
        margins.squares = margins.squares(&margins.rarity);
        margins
    }

    /// The squared lengths of rows whose features count so much, squared.
    fn squares(&self, worth: &[f32]) -> Vec<f32> {
        let square = |row| {
            let counted = self.rows.features(row).iter().zip(self.rows.counts(row));
            let sum: f32 = counted.map(|(f, n)| worth[*f as usize] * self.values[usize::from(*n)] * self.values[usize::from(*n)]).sum();
            sum * self.scales[row] * self.scales[row] + 1.0
        };
        (0..self.rows.n_rows()).map(square).collect()
    }

    /// The square of what each feature counts for a label, and the rows' squared lengths by that.
    fn worth(&self, label: u16) -> (Cow<'_, [f32]>, Cow<'_, [f32]>) {
        if !self.by_contrast {
            return (Cow::Borrowed(&self.rarity), Cow::Borrowed(&self.squares));
        }
        // Rows that have a feature, one more than there are: the label's, and the others'.
        let mut n_rows = [vec![1f32; self.rarity.len()], vec![1f32; self.rarity.len()]];
        for row in self.orders.first().into_iter().flatten() {
            let of = &mut n_rows[usize::from(self.labels[*row] != label)];
            self.rows.features(*row).iter().for_each(|f| of[*f as usize] += 1.0);
        }
        let sums = n_rows.each_ref().map(|of| of.iter().map(|n| f64::from(*n)).sum::<f64>());
        let even = (sums[1] / sums[0].max(1.0)) as f32;
        let contrast = |(own, other): (&f32, &f32)| (own * even / other).ln().abs() + CONTRAST_LEAST;
        let contrasts = n_rows[0].iter().zip(&n_rows[1]).map(contrast);
        let worth: Vec<f32> = contrasts.zip(&self.rarity).map(|(contrast, rarity)| contrast * contrast * rarity).collect();
        let squares = self.squares(&worth);
        (Cow::Owned(worth), Cow::Owned(squares))
    }

    /// One label against the others.
    fn column(&self, label: u16) -> Column {
        let (worth, squares) = self.worth(label);
        let mut weights = vec![0f32; self.rarity.len()];
        let mut bias = 0f32;
        let mut multipliers = vec![0f32; self.rows.n_rows()];
        let mut is_near = vec![true; self.rows.n_rows()];
        let mut losses = Vec::with_capacity(self.orders.len());
        for (pass, order) in self.orders.iter().enumerate() {
            let mut loss = 0f64;
            let all = pass < ALL_ROWS_ONE_IN || pass % ALL_ROWS_ONE_IN == 0;
            for row in order.iter().copied() {
                if !all && !is_near[row] {
                    continue;
                }
                let (features, counts, scale) = (self.rows.features(row), self.rows.counts(row), self.scales[row]);
                let own = self.labels[row];
                let sign = if own == label { 1.0 } else { -1.0 };
                let sum: f32 = features.iter().zip(counts).map(|(f, n)| weights[*f as usize] * self.values[usize::from(*n)]).sum();
                let lack = 1.0 - sign * (sum * scale + bias);
                let ease = 0.5 / self.costs[usize::from(own)];
                let before = multipliers[row];
                let after = (before + (lack - ease * before) / (squares[row] + ease)).max(0.0);
                is_near[row] = after > 0.0;
                loss += f64::from(lack.max(0.0)).powi(2);
                if after != before {
                    multipliers[row] = after;
                    let change = sign * (after - before);
                    bias += change;
                    let change = change * scale;
                    for (f, n) in features.iter().zip(counts) {
                        weights[*f as usize] += change * self.values[usize::from(*n)] * worth[*f as usize];
                    }
                }
            }
            losses.push(loss / order.len().max(1) as f64);
        }
        Column { weights, bias, losses }
    }

    /// Of two labels the second is learnt: the first is its opposite.
    fn labels(&self) -> Vec<u16> {
        if self.costs.len() == 2 { vec![1] } else { (0..self.costs.len() as u16).collect() }
    }

    /// For each feature, the length of its labels' weights.
    pub(super) fn lengths(&self) -> Vec<f32> {
        let mut sums = vec![0f32; self.rarity.len()];
        for labels in self.labels().chunks(TOGETHER) {
            let columns: Vec<Column> = labels.par_iter().map(|label| self.column(*label)).collect();
            for column in columns {
                sums.iter_mut().zip(&column.weights).for_each(|(sum, weight)| *sum += weight * weight);
            }
        }
        sums.into_iter().map(f32::sqrt).collect()
    }

    /// The weights of all labels, but for those below a share of the label's largest.
    pub(super) fn solve(&self, prune: f32) -> Solved {
        let n_features = self.rarity.len();
        let mut bias = vec![0f32; self.costs.len()];
        let mut losses = vec![0f64; self.orders.len()];
        let mut kept: Vec<Vec<(u16, f32)>> = vec![Vec::new(); n_features];
        for labels in self.labels().chunks(TOGETHER) {
            let columns: Vec<Column> = labels.par_iter().map(|label| self.column(*label)).collect();
            for (label, column) in labels.iter().zip(columns) {
                bias[usize::from(*label)] = column.bias;
                losses.iter_mut().zip(&column.losses).for_each(|(sum, loss)| *sum += loss);
                let least = prune * column.weights.iter().fold(0.0, |most: f32, w| most.max(w.abs()));
                for (kept, weight) in kept.iter_mut().zip(&column.weights).filter(|(_, w)| w.abs() > least) {
                    kept.push((*label, *weight));
                }
            }
        }
        let mut starts = vec![0];
        starts.extend(kept.iter().scan(0, |end, of_feature| {
            *end += of_feature.len();
            Some(*end)
        }));
        let (labels, weights) = kept.into_iter().flatten().unzip();
        Solved { starts, labels, weights, bias, losses }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classifier::{Counting, Options, dictionary};

    #[test]
    fn no_other_weight_nearby_loses_less() {
        let texts = [("red rose", 0), ("red tulip", 0), ("blue sea", 1), ("blue rose", 1), ("green sea", 2), ("green red grass", 2)];
        let options = Options::posts();
        let (dictionary, rows) = dictionary::build(&texts, 3, &options.features, 1, 1000);
        let values: [f32; 256] = std::array::from_fn(|n| Counting::Plain.value(n as u8));
        let scales = vec![0.3; texts.len()];
        let orders = vec![(0..texts.len()).collect::<Vec<_>>(); 300];
        let labels: Vec<u16> = texts.iter().map(|(_, label)| *label).collect();
        let costs = vec![1.0, 2.0, 0.5];
        for (label, weighed) in (0..3).flat_map(|label| [(label, (true, false)), (label, (false, true)), (label, (true, true))]) {
            let n_features = dictionary.hashes.len();
            let margins = Margins::new(&rows, &scales, &values, labels.clone(), costs.clone(), orders.clone(), n_features, weighed);
            let (worth, column) = (margins.worth(label).0, margins.column(label));
            let lost = |weights: &[f32], bias: f32| {
                let size: f32 = weights.iter().zip(worth.iter()).map(|(w, r)| w * w / r).sum::<f32>() + bias * bias;
                let lacks = texts.iter().enumerate().map(|(row, (_, own))| {
                    let counted = rows.features(row).iter().zip(rows.counts(row));
                    let score = counted.map(|(f, n)| weights[*f as usize] * f32::from(*n) * 0.3).sum::<f32>() + bias;
                    let sign = if *own == label { 1.0 } else { -1.0 };
                    margins.costs[usize::from(*own)] * (1.0 - sign * score).max(0.0).powi(2)
                });
                0.5 * size + lacks.sum::<f32>()
            };
            let least = lost(&column.weights, column.bias);
            for change in [-0.05, 0.05] {
                assert!(lost(&column.weights, column.bias + change) > least);
                for feature in 0..column.weights.len() {
                    let mut changed = column.weights.clone();
                    changed[feature] += change;
                    assert!(lost(&changed, column.bias) > least, "label {label}, feature {feature}");
                }
            }
        }
    }
}
