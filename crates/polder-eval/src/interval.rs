//! Estimates with their uncertainty.

use polder_base::Random;
use serde::{Deserialize, Serialize};

/// A figure with its standard error and 95 % interval, both absent where a single observation cannot tell.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Estimate {
    /// The figure.
    pub value: f64,
    /// Its standard error.
    pub stderr: Option<f64>,
    /// Lower end of the interval.
    pub low: Option<f64>,
    /// Upper end of the interval.
    pub high: Option<f64>,
    /// Observations.
    pub n: u64,
}

/// The 97.5 % point of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// A share of hits: Wilson's interval, which is sound for few observations and for shares near 0 and 1.
/// `None` without observations.
///
/// # Source
/// Wilson, Probable inference, the law of succession, and statistical inference, 1927.
pub fn proportion(hits: u64, n: u64) -> Option<Estimate> {
    if n == 0 {
        return None;
    }
    let (p, count) = (hits as f64 / n as f64, n as f64);
    let denominator = 1.0 + Z * Z / count;
    let centre = (p + Z * Z / (2.0 * count)) / denominator;
    let half = Z / denominator * (p * (1.0 - p) / count + Z * Z / (4.0 * count * count)).sqrt();
    Some(Estimate {
        value: p,
        stderr: (n > 1).then(|| (p * (1.0 - p) / (count - 1.0)).sqrt()),
        // At the ends the formula gives them up to rounding.
        low: Some(if hits == 0 { 0.0 } else { (centre - half).max(0.0) }),
        high: Some(if hits == n { 1.0 } else { (centre + half).min(1.0) }),
        n,
    })
}

/// Σx / Σy over pairs: the standard error by the delta method, the interval by resampling whole pairs.
/// `None` where Σy is 0.
///
/// # Source
/// Cochran, Sampling Techniques, ratio estimator; Efron, Bootstrap methods, percentile interval.
pub fn ratio(pairs: &[(f64, f64)], n_resamples: u32, random: &mut Random) -> Option<Estimate> {
    let (sum_x, sum_y) = sums(pairs.iter().copied());
    if sum_y == 0.0 {
        return None;
    }
    let value = sum_x / sum_y;
    let n = pairs.len();
    let mut estimate = Estimate { value, stderr: None, low: None, high: None, n: n as u64 };
    if n < 2 {
        return Some(estimate);
    }
    let squares: f64 = pairs.iter().map(|(x, y)| (x - value * y).powi(2)).sum();
    estimate.stderr = Some((squares * n as f64 / (n as f64 - 1.0)).sqrt() / sum_y.abs());
    let mut resampled: Vec<f64> = (0..n_resamples)
        .filter_map(|_| {
            let (x, y) = sums((0..n).map(|_| pairs[random.below(n as u64) as usize]));
            (y != 0.0).then(|| x / y)
        })
        .collect();
    resampled.sort_by(f64::total_cmp);
    if let (Some(first), Some(last)) = (resampled.first(), resampled.last()) {
        let at = |q: f64| resampled.get((q * (resampled.len() - 1) as f64).round() as usize).copied();
        estimate.low = at(0.025).or(Some(*first));
        estimate.high = at(0.975).or(Some(*last));
    }
    Some(estimate)
}

/// The mean of values; see [`ratio`].
pub fn mean(values: &[f64], n_resamples: u32, random: &mut Random) -> Option<Estimate> {
    let pairs: Vec<(f64, f64)> = values.iter().map(|x| (*x, 1.0)).collect();
    ratio(&pairs, n_resamples, random)
}

fn sums(pairs: impl Iterator<Item = (f64, f64)>) -> (f64, f64) {
    pairs.fold((0.0, 0.0), |(a, b), (x, y)| (a + x, b + y))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilsons_interval_agrees_with_known_values() {
        let e = proportion(8, 10).expect("some");
        assert!((e.low.expect("low") - 0.490_162).abs() < 1e-5 && (e.high.expect("high") - 0.943_318).abs() < 1e-5, "{e:?}");
        assert!((e.stderr.expect("stderr") - 0.133_333).abs() < 1e-5);
        let all = proportion(5, 5).expect("some");
        assert!(all.high == Some(1.0) && all.low.expect("low") < 0.6);
        assert_eq!(proportion(0, 0), None);
        assert_eq!(proportion(1, 1).and_then(|e| e.stderr), None);
    }

    #[test]
    fn the_interval_of_a_ratio_covers_the_truth_about_as_often_as_it_says() {
        let mut covered = 0;
        for trial in 0..300 {
            let mut r = Random::new(trial, "trial");
            let pairs: Vec<(f64, f64)> = (0..60)
                .map(|_| {
                    let y = 1.0 + 9.0 * r.next_f64();
                    (2.0 * y + r.normal(), y)
                })
                .collect();
            let e = ratio(&pairs, 400, &mut Random::new(trial, "bootstrap")).expect("some");
            let (low, high) = (e.low.expect("low"), e.high.expect("high"));
            covered += u32::from(low <= 2.0 && 2.0 <= high);
            let width = (high - low) / (2.0 * Z * e.stderr.expect("stderr"));
            assert!((0.7..1.3).contains(&width), "bootstrap and delta method disagree: {width}");
        }
        assert!((270..=297).contains(&covered), "{covered} of 300");
    }

    #[test]
    fn one_observation_has_no_interval_and_none_has_no_value() {
        let mut random = Random::new(1, "x");
        let one = ratio(&[(3.0, 2.0)], 100, &mut random).expect("some");
        assert_eq!((one.value, one.stderr, one.low), (1.5, None, None));
        assert_eq!(ratio(&[], 100, &mut random), None);
        assert_eq!(mean(&[1.0, 3.0], 0, &mut random).map(|e| (e.value, e.low)), Some((2.0, None)));
    }
}
