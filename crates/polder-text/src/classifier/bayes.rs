//! How weights are counted: for each label, how much commoner a feature is in its rows than a feature that was never seen there.
//!
//! A row says once that a feature is in it. Labels are compared by shares of what all their rows hold, so that the label with most rows is
//! not the likeliest for that. A weight is the logarithm of the smoothed share over what smoothing alone gives: labels that a feature was
//! not seen with have 0, and nothing is stored for them.
//!
//! # Source
//! The multinomial model of McCallum, Nigam: A Comparison of Event Models for Naive Bayes Text Classification (1998).

use super::dictionary::{Dictionary, Rows};

/// The weights of the dictionary's pairs of feature and label, counted over some rows; `labels` are those of all rows.
pub(super) fn weights(dictionary: &Dictionary, rows: &Rows, labels: &[u16], counted: &[usize], smoothing: f32) -> Vec<f32> {
    let mut n_rows = vec![0u32; dictionary.labels.len()];
    for row in counted {
        for feature in rows.features(*row) {
            let pairs = dictionary.pairs(*feature as usize);
            if let Ok(at) = dictionary.labels[pairs.clone()].binary_search(&labels[*row]) {
                n_rows[pairs.start + at] += 1;
            }
        }
    }
    let n_labels = labels.iter().max().map_or(0, |most| usize::from(*most) + 1);
    let mut sums = vec![0f64; n_labels];
    dictionary.labels.iter().zip(&n_rows).for_each(|(label, n)| sums[usize::from(*label)] += f64::from(*n));
    let mean = sums.iter().sum::<f64>() / n_labels.max(1) as f64;
    let of_pairs = dictionary.labels.iter().zip(&n_rows);
    of_pairs.map(|(label, n)| (f64::from(*n) * mean / sums[usize::from(*label)].max(1.0) / f64::from(smoothing)).ln_1p() as f32).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::classifier::{Options, dictionary};

    #[test]
    fn weights_are_logarithms_of_how_much_commoner_a_feature_is_than_one_never_seen() {
        let texts = [("red rose", 0), ("red tulip", 0), ("red red sea", 0), ("blue sea", 1), ("blue rose", 1), ("left out", 1)];
        let counted = [0, 1, 2, 3, 4];
        let (dictionary, rows) = dictionary::build(&texts, 2, &Options::language().features, 1, 1000);
        let labels: Vec<u16> = texts.iter().map(|(_, label)| *label).collect();
        let found = weights(&dictionary, &rows, &labels, &counted, 0.25);
        let mut n_rows: BTreeMap<(u32, u16), f64> = BTreeMap::new();
        let mut sums = [0.0; 2];
        for row in counted {
            for feature in rows.features(row) {
                *n_rows.entry((*feature, labels[row])).or_default() += 1.0;
                sums[usize::from(labels[row])] += 1.0;
            }
        }
        let mean = (sums[0] + sums[1]) / 2.0;
        let mut n_seen = 0;
        for feature in 0..dictionary.hashes.len() {
            for pair in dictionary.pairs(feature) {
                let label = dictionary.labels[pair];
                let n = n_rows.get(&(feature as u32, label)).copied().unwrap_or(0.0);
                let expected = ((n / sums[usize::from(label)] * mean + 0.25) / 0.25).ln();
                assert!(
                    (f64::from(found[pair]) - expected).abs() < 1e-5,
                    "feature {feature}, label {label}: {} and {expected}",
                    found[pair]
                );
                n_seen += usize::from(n > 0.0);
            }
        }
        assert_eq!(n_seen, n_rows.len());
    }

    #[test]
    fn a_label_of_many_rows_is_no_likelier_for_that() {
        let mut rows = vec![("ananas", "few"), ("banana", "few")];
        rows.extend((0..50).flat_map(|_| [("cherry", "many"), ("damson", "many")]));
        let options = Options { learning: crate::classifier::Learning::Bayes { smoothing: 0.01 }, ..Options::language() };
        let classifier = crate::classifier::train(&rows, &options, 1, &mut |_| {}).unwrap();
        assert_eq!(classifier.classify("banana").0, "few");
        assert_eq!(classifier.classify("cherry banana ananas").0, "few");
    }
}
