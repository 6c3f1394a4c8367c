//! Which set each sample comes from: a mixture by weights that is exact at every prefix.
//!
//! # Source
//! The chairman assignment problem: R. Tijdeman, *The chairman assignment problem*, Discrete Mathematics 32 (1980). For k sets, giving
//! each draw to the set whose next one is due earliest, among those whose next one is not too early, keeps every count within
//! 1 − 1/(2k−2) of its target. Weights are whole numbers here, so the sequence repeats after their sum; one period is kept as a table
//! and any place of the sequence is read from it, whatever came before.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::LoaderError;

/// Millionths.
const UNIT: u64 = 1_000_000;
/// The longest period that is kept as a table.
const PERIOD_MAX: u64 = 1 << 22;

/// How much of a mixture comes from a set, in proportion to the others; exact to a millionth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Weight(u64);

impl Weight {
    /// One part.
    pub const ONE: Self = Self(UNIT);
}

impl TryFrom<f64> for Weight {
    type Error = LoaderError;

    fn try_from(weight: f64) -> Result<Self, LoaderError> {
        let millionths = (weight * UNIT as f64).round();
        // What was written with six places comes back to them; anything finer would be changed in silence.
        let is_exact = (weight * UNIT as f64 - millionths).abs() <= 1e-9 * millionths.max(1.0);
        if is_exact && (1.0..1e15).contains(&millionths) {
            Ok(Self(millionths as u64))
        } else {
            Err(LoaderError::Weight { text: weight.to_string() })
        }
    }
}

impl From<Weight> for f64 {
    fn from(weight: Weight) -> Self {
        weight.0 as Self / UNIT as Self
    }
}

impl FromStr for Weight {
    type Err = LoaderError;

    fn from_str(text: &str) -> Result<Self, LoaderError> {
        let wrong = || LoaderError::Weight { text: text.to_owned() };
        let is_plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        let weight: f64 = if is_plain { text.parse().map_err(|_| wrong())? } else { return Err(wrong()) };
        Self::try_from(weight).map_err(|_| wrong())
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", f64::from(*self))
    }
}

/// The sequence of sets that weights give.
#[derive(Clone, Debug)]
pub struct Mixture {
    /// Samples of each set in one period.
    parts: Vec<u64>,
    /// One period: the set, and how many of it came before in this period.
    period: Vec<(u32, u32)>,
}

impl Mixture {
    /// Computes one period.
    ///
    /// # Errors
    /// No weights, or such that repeat too late.
    pub fn try_new(weights: &[Weight]) -> Result<Self, LoaderError> {
        let divisor = weights.iter().fold(0, |a, w| gcd(a, w.0));
        if divisor == 0 {
            return Err(LoaderError::Option { option: "weights", value: "empty".into() });
        }
        let parts: Vec<u64> = weights.iter().map(|w| w.0 / divisor).collect();
        let samples = parts.iter().fold(0u64, |a, n| a.saturating_add(*n));
        if samples > PERIOD_MAX {
            return Err(LoaderError::Weights { samples, max: PERIOD_MAX });
        }
        let period = period(&parts, samples);
        Ok(Self { parts, period })
    }

    /// The set that the sample at a position comes from, and which of that set's samples it is, counted from 0.
    pub fn at(&self, position: u64) -> (usize, u64) {
        let n = self.period.len() as u64;
        let (set, nth) = self.period[(position % n) as usize];
        (set as usize, position / n * self.parts[set as usize] + u64::from(nth))
    }

    /// How many samples of each set stand before a position.
    pub fn drawn(&self, position: u64) -> Vec<u64> {
        let n = self.period.len() as u64;
        let mut drawn: Vec<u64> = self.parts.iter().map(|part| position / n * part).collect();
        self.period[..(position % n) as usize].iter().for_each(|(set, _)| drawn[*set as usize] += 1);
        drawn
    }
}

/// Draws `total` samples, the sum of `parts`.
///
/// With N the total, n a set's part and c its draws so far, its next draw may come at step p (from 1) once n·p/N − c ≥ 1/(2k−2), and must
/// come before n·p/N − c > 1 − 1/(2k−2); both are compared in whole numbers.
fn period(parts: &[u64], total: u64) -> Vec<(u32, u32)> {
    let slack = (2 * parts.len() as u128).saturating_sub(2).max(1);
    let (total_slack, single) = (u128::from(total) * slack, parts.len() == 1);
    let first_step = |set: usize, drawn: u64| {
        let due = u128::from(drawn) * total_slack + if single { 0 } else { u128::from(total) };
        due.div_ceil(u128::from(parts[set]) * slack) as u64
    };
    let last_step = |set: usize, drawn: u64| {
        let due = u128::from(drawn) * total_slack + u128::from(total) * (slack - 1);
        (due / (u128::from(parts[set]) * slack)) as u64 + 1
    };
    let mut waiting: BinaryHeap<Reverse<(u64, usize)>> = (0..parts.len()).map(|set| Reverse((first_step(set, 0), set))).collect();
    let mut ready: BinaryHeap<Reverse<(u64, usize)>> = BinaryHeap::new();
    let mut drawn = vec![0u64; parts.len()];
    let mut out = Vec::with_capacity(total as usize);
    for step in 1..=total {
        while let Some(Reverse((first, set))) = waiting.peek().copied()
            && first <= step
        {
            waiting.pop();
            ready.push(Reverse((last_step(set, drawn[set]), set)));
        }
        // Tijdeman's theorem says that one is always ready.
        let Some(Reverse((_, set))) = ready.pop().or_else(|| waiting.pop()) else { break };
        out.push((set as u32, drawn[set] as u32));
        drawn[set] += 1;
        waiting.push(Reverse((first_step(set, drawn[set]), set)));
    }
    out
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn weights(texts: &[&str]) -> Vec<Weight> {
        texts.iter().map(|t| t.parse().expect("weight")).collect()
    }

    /// Walks a sequence and checks every prefix against the theorem's bound, in whole numbers.
    fn check(parts: &[u64], n_periods: u64) {
        let weights: Vec<Weight> = parts.iter().map(|n| Weight(*n * UNIT)).collect();
        let mixture = Mixture::try_new(&weights).expect("mixture");
        let total: u64 = parts.iter().sum();
        let slack = (2 * parts.len() as i128 - 2).max(1);
        let mut drawn = vec![0u64; parts.len()];
        for position in 0..total * n_periods {
            let (set, nth) = mixture.at(position);
            assert_eq!(nth, drawn[set], "the samples of a set come in their order, without a gap");
            drawn[set] += 1;
            for (n, c) in parts.iter().zip(&drawn) {
                let error = i128::from(*n) * i128::from(position + 1) - i128::from(*c) * i128::from(total);
                assert!(
                    error.abs() * slack <= i128::from(total) * (slack - 1).max(0) + i128::from(parts.len() == 1),
                    "{parts:?} at {position}"
                );
            }
            if position % (total / 40 + 1) == 0 {
                assert_eq!(mixture.drawn(position + 1), drawn);
            }
        }
    }

    proptest! {
        #[test]
        fn every_prefix_of_a_mixture_is_within_one_sample_of_its_target(parts in proptest::collection::vec(1u64..400, 1..12)) {
            check(&parts, 2);
        }
    }

    #[test]
    fn extreme_weights_hold_the_bound_too() {
        for parts in
            [&[1, 999][..], &[999_999, 1], &[1; 40], &[9000, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1], &[1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89], &[7]]
        {
            check(parts, 1);
        }
    }

    #[test]
    fn weights_are_exact_and_read_back() {
        let mixture = Mixture::try_new(&weights(&["0.7", "0.3"])).expect("mixture");
        assert_eq!((mixture.parts.clone(), mixture.period.len()), (vec![7, 3], 10));
        assert_eq!(mixture.drawn(1_000_000_000_000), [700_000_000_000, 300_000_000_000]);
        assert_eq!(mixture.at(10 * (u64::MAX / 100)).1, 7 * (u64::MAX / 100));
        for text in ["0", "-1", "1e3", "0.0000001", "nan", "", "1.2345678"] {
            assert!(text.parse::<Weight>().is_err(), "{text}");
        }
        let weight: Weight = "0.123457".parse().expect("weight");
        assert_eq!((weight.0, weight.to_string()), (123_457, "0.123457".to_owned()));
        assert_eq!(serde_json::from_str::<Weight>(&serde_json::to_string(&weight).expect("json")).expect("json"), weight);
        assert!(matches!(Mixture::try_new(&weights(&["5000000", "0.000001"])), Err(LoaderError::Weights { .. })));
        assert!(Mixture::try_new(&[]).is_err());
    }
}
