//! How weights are learnt with a margin where labels are many and their rows few: a label has weights for the features of its own rows only.
//!
//! Each label is told from all others, as in `margin.rs`. What a label's rows don't have can't speak against it, so that nothing is learnt
//! from what happens to stand in the others, and weights are as sparse as rows are. Features count by their rarity, and a row by its
//! length in those terms, which scoring doesn't know: there its length without rarity stands for it, and weights are made larger or
//! smaller by what that makes of the mean row. A label is one thread's work, so the number of threads makes no difference to any bit of
//! the result.
//!
//! # Source
//! Hsieh, Chang, Lin, Keerthi, Sundararajan: A Dual Coordinate Descent Method for Large-scale Linear SVM (2008), the squared loss.

use rayon::prelude::*;

use super::dictionary::{Dictionary, Rows};
use super::margin::Column;

/// Every pass of the first and one in so many later look at all rows, the others at those that are near the margin or beyond.
const ALL_ROWS_ONE_IN: usize = 3;

/// What is learnt from, by features.
pub(super) struct OwnMargins<'a> {
    dictionary: &'a Dictionary,
    /// The label of each row, also of those that are not learnt from.
    labels: &'a [u16],
    /// For each label, how dear its rows are.
    costs: Vec<f32>,
    /// The rows to learn from, in a new order for each pass.
    orders: Vec<Vec<usize>>,
    rarity: Vec<f32>,
    /// How much longer the mean row is to scoring than here.
    stretch: f32,
    /// Where a feature's rows begin, and after all of them where the last ones end.
    starts: Vec<usize>,
    /// The rows that have a feature, and what it counts in them.
    entries: Vec<(u32, f32)>,
}

/// Weights in the order of the dictionary's pairs, and what was lost in each pass.
pub(super) struct Solved {
    pub(super) weights: Vec<f32>,
    pub(super) bias: Vec<f32>,
    pub(super) losses: Vec<f64>,
}

/// Rows in terms of one label's features.
struct OwnRows {
    starts: Vec<usize>,
    entries: Vec<(u32, f32)>,
}

impl<'a> OwnMargins<'a> {
    /// `scales` and `values` are what scoring multiplies rows by, and what it takes counts for.
    pub(super) fn new(
        (dictionary, rows): (&'a Dictionary, &Rows),
        (scales, values): (&[f32], &[f32; 256]),
        labels: &'a [u16],
        costs: Vec<f32>,
        orders: Vec<Vec<usize>>,
    ) -> Self {
        let mut learnt = orders.first().cloned().unwrap_or_default();
        learnt.sort_unstable();
        let mut starts = vec![0; dictionary.hashes.len() + 1];
        learnt.iter().for_each(|row| rows.features(*row).iter().for_each(|f| starts[*f as usize + 1] += 1));
        let rare = |n: &usize| ((1 + learnt.len()) as f32 / (1 + n) as f32).ln() + 1.0;
        let rarity: Vec<f32> = starts[1..].iter().map(rare).collect();
        accumulate(&mut starts);
        let mut next = starts.clone();
        let mut entries = vec![(0, 0.0); starts.last().copied().unwrap_or(0)];
        let (mut stretches, mut n_rows) = (0f64, 0usize);
        for row in &learnt {
            let counted = || rows.features(*row).iter().zip(rows.counts(*row));
            let worth = |f: u32, n: u8| rarity[f as usize] * values[usize::from(n)];
            let length = counted().map(|(f, n)| worth(*f, *n).powi(2)).sum::<f32>().sqrt();
            if length == 0.0 {
                continue;
            }
            n_rows += 1;
            stretches += f64::from((length * scales[*row]).recip());
            for (f, n) in counted() {
                entries[next[*f as usize]] = (*row as u32, worth(*f, *n) / length);
                next[*f as usize] += 1;
            }
        }
        let stretch = (stretches / n_rows.max(1) as f64) as f32;
        Self { dictionary, labels, costs, orders, rarity, stretch, starts, entries }
    }

    /// The rows in terms of some features.
    fn own_rows(&self, features: &[u32]) -> OwnRows {
        let of_feature = |f: u32| &self.entries[self.starts[f as usize]..self.starts[f as usize + 1]];
        let mut starts = vec![0; self.labels.len() + 1];
        features.iter().for_each(|f| of_feature(*f).iter().for_each(|(row, _)| starts[*row as usize + 1] += 1));
        accumulate(&mut starts);
        let mut next = starts.clone();
        let mut entries = vec![(0, 0.0); starts.last().copied().unwrap_or(0)];
        for (own, f) in (0..).zip(features) {
            for (row, value) in of_feature(*f) {
                entries[next[*row as usize]] = (own, *value);
                next[*row as usize] += 1;
            }
        }
        OwnRows { starts, entries }
    }

    /// One label against the others.
    fn column(&self, label: u16, features: &[u32]) -> Column {
        let OwnRows { starts, entries } = self.own_rows(features);
        let of_row = |row: usize| &entries[starts[row]..starts[row + 1]];
        let n_rows = self.labels.len();
        let squares: Vec<f32> = (0..n_rows).map(|row| of_row(row).iter().map(|(_, value)| value * value).sum::<f32>() + 1.0).collect();
        let (mut weights, mut bias) = (vec![0f32; features.len()], 0f32);
        let (mut multipliers, mut is_near) = (vec![0f32; n_rows], vec![true; n_rows]);
        let mut losses = Vec::with_capacity(self.orders.len());
        for (pass, order) in self.orders.iter().enumerate() {
            let mut loss = 0f64;
            let all = pass < ALL_ROWS_ONE_IN || pass % ALL_ROWS_ONE_IN == 0;
            for row in order.iter().copied().filter(|row| all || is_near[*row]).collect::<Vec<_>>() {
                let own = self.labels[row];
                let sign = if own == label { 1.0 } else { -1.0 };
                let sum: f32 = of_row(row).iter().map(|(f, value)| weights[*f as usize] * value).sum();
                let lack = 1.0 - sign * (sum + bias);
                let ease = 0.5 / self.costs[usize::from(own)];
                let before = multipliers[row];
                let after = (before + (lack - ease * before) / (squares[row] + ease)).max(0.0);
                is_near[row] = after > 0.0;
                loss += f64::from(lack.max(0.0)).powi(2);
                if after != before {
                    multipliers[row] = after;
                    let change = sign * (after - before);
                    bias += change;
                    of_row(row).iter().for_each(|(f, value)| weights[*f as usize] += change * value);
                }
            }
            losses.push(loss / order.len().max(1) as f64);
        }
        Column { weights, bias, losses }
    }

    /// The weights of all labels.
    pub(super) fn solve(&self) -> Solved {
        // For each label its features, and where its weights for them stand.
        let mut own: Vec<(Vec<u32>, Vec<u32>)> = vec![Default::default(); self.costs.len()];
        for feature in 0..self.dictionary.hashes.len() {
            for pair in self.dictionary.pairs(feature) {
                let (features, pairs) = &mut own[usize::from(self.dictionary.labels[pair])];
                features.push(feature as u32);
                pairs.push(pair as u32);
            }
        }
        let columns: Vec<Column> = own.par_iter().enumerate().map(|(label, (features, _))| self.column(label as u16, features)).collect();
        let mut weights = vec![0f32; self.dictionary.labels.len()];
        let mut losses = vec![0f64; self.orders.len()];
        for (column, (features, pairs)) in columns.iter().zip(&own) {
            losses.iter_mut().zip(&column.losses).for_each(|(sum, loss)| *sum += loss);
            for ((feature, pair), weight) in features.iter().zip(pairs).zip(&column.weights) {
                weights[*pair as usize] = weight * self.rarity[*feature as usize] * self.stretch;
            }
        }
        Solved { weights, bias: columns.iter().map(|column| column.bias).collect(), losses }
    }
}

/// Turns numbers of things into where they begin.
fn accumulate(starts: &mut [usize]) {
    let mut end = 0;
    for start in starts {
        end += *start;
        *start = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classifier::{Counting, Options, dictionary};

    #[test]
    fn no_other_weight_nearby_loses_less_and_what_a_label_never_had_has_none() {
        let texts = [("red rose", 0), ("red tulip", 0), ("blue sea", 1), ("blue rose", 1), ("green sea", 2), ("green red grass", 2)];
        let (dictionary, rows) = dictionary::build(&texts, 3, &Options::posts().features, 1, 1000);
        let values: [f32; 256] = std::array::from_fn(|n| Counting::Plain.value(n as u8));
        let labels: Vec<u16> = texts.iter().map(|(_, label)| *label).collect();
        let orders = vec![(0..texts.len()).collect::<Vec<_>>(); 300];
        let costs = vec![1.0, 2.0, 0.5];
        let margins = OwnMargins::new((&dictionary, &rows), (&[0.3; 6], &values), &labels, costs.clone(), orders);
        let solved = margins.solve();
        assert_eq!(solved.weights.len(), dictionary.labels.len());
        let n = |feature: u32| texts.iter().enumerate().filter(|(row, _)| rows.features(*row).contains(&feature)).count();
        let rarity = |feature: u32| (7.0 / (1 + n(feature)) as f32).ln() + 1.0;
        let lengths: Vec<f32> = (0..texts.len())
            .map(|row| {
                rows.features(row).iter().zip(rows.counts(row)).map(|(f, n)| (rarity(*f) * f32::from(*n)).powi(2)).sum::<f32>().sqrt()
            })
            .collect();
        let stretch = lengths.iter().map(|length| (length * 0.3).recip()).sum::<f32>() / 6.0;
        // What is lost by weights of pairs, undone of what scoring needs: the objective as it is written.
        let lost = |label: u16, weights: &[f32], bias: f32| {
            let own = |feature: u32| {
                let mut pairs = dictionary.pairs(feature as usize);
                pairs.find(|pair| dictionary.labels[*pair] == label).map_or(0.0, |pair| weights[pair] / rarity(feature) / stretch)
            };
            let size: f32 = (0..dictionary.hashes.len() as u32).map(|f| own(f).powi(2)).sum::<f32>() + bias * bias;
            let lacks = labels.iter().enumerate().map(|(row, of_row)| {
                let counted = rows.features(row).iter().zip(rows.counts(row));
                let score = counted.map(|(f, n)| own(*f) * rarity(*f) * f32::from(*n)).sum::<f32>() / lengths[row] + bias;
                let sign = if *of_row == label { 1.0 } else { -1.0 };
                costs[usize::from(*of_row)] * (1.0 - sign * score).max(0.0).powi(2)
            });
            0.5 * size + lacks.sum::<f32>()
        };
        for label in 0..3 {
            let bias = solved.bias[usize::from(label)];
            let least = lost(label, &solved.weights, bias);
            for change in [-0.05, 0.05] {
                assert!(lost(label, &solved.weights, bias + change) > least);
                for pair in (0..solved.weights.len()).filter(|pair| dictionary.labels[*pair] == label) {
                    let mut changed = solved.weights.clone();
                    changed[pair] += change;
                    assert!(lost(label, &changed, bias) > least, "label {label}, pair {pair}");
                }
            }
        }
    }

    #[test]
    fn rows_without_any_feature_leave_all_weights_finite() {
        let texts = [("red rose", 0), ("", 0), ("blue sea", 1), ("", 1)];
        let (dictionary, rows) = dictionary::build(&texts, 2, &Options::posts().features, 1, 1000);
        let values: [f32; 256] = std::array::from_fn(|n| Counting::Damped.value(n as u8));
        let orders = vec![vec![3, 0, 1, 2]; 4];
        let solved = OwnMargins::new((&dictionary, &rows), (&[1.0, 0.0, 1.0, 0.0], &values), &[0, 0, 1, 1], vec![1.0; 2], orders).solve();
        assert!(solved.weights.iter().chain(&solved.bias).all(|w| w.is_finite()) && solved.weights.iter().any(|w| *w > 0.0));
    }
}
