//! How scores become probabilities that can be believed.
//!
//! The softmax of scores learnt from some rows is too sure of itself on others, and texts of many features deserve more confidence than
//! short ones. Scores are therefore stretched by `a · n^b`, `n` the number of the text's features, so that held-out rows are least surprising.

use rayon::prelude::*;

/// What scores are stretched by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Calibration {
    pub(super) stretch: f32,
    pub(super) power: f32,
}

/// A held-out row's scores, its label and how many features it has.
pub(super) struct Judged {
    pub(super) scores: Vec<f32>,
    pub(super) label: usize,
    pub(super) n_features: usize,
}

impl Default for Calibration {
    fn default() -> Self {
        Self { stretch: 1.0, power: 0.0 }
    }
}

/// Steps of the fit, and the ends of what it may find.
const STEPS: usize = 20;
const LN_STRETCH: (f64, f64) = (-4.0, 4.0);
const POWER: (f64, f64) = (0.0, 0.75);

impl Calibration {
    /// Turns scores into probabilities, in place.
    pub(super) fn probabilities(self, scores: &mut [f32], n_features: usize) {
        let stretch = self.stretch * (n_features.max(1) as f32).powf(self.power);
        let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut sum = 0.0;
        for score in scores.iter_mut() {
            *score = ((*score - most) * stretch).exp();
            sum += *score;
        }
        scores.iter_mut().for_each(|score| *score /= sum);
    }

    /// Finds what suits held-out rows best, by damped Newton steps; scores stay as they are when there are none.
    pub(super) fn fit(rows: &[Judged]) -> Self {
        if rows.is_empty() {
            return Self::default();
        }
        let ln_n = |row: &Judged| (row.n_features.max(1) as f64).ln();
        let (mut a, mut b, mut damping) = (0.0, 0.0, 1e-3);
        let mut here = Slopes::at(rows, a, b, ln_n);
        for _ in 0..STEPS {
            let (aa, bb) = (here.aa * (1.0 + damping) + 1e-9, here.bb * (1.0 + damping) + 1e-9);
            let determinant = aa * bb - here.ab * here.ab;
            let next_a = (a - (bb * here.a - here.ab * here.b) / determinant).clamp(LN_STRETCH.0, LN_STRETCH.1);
            let next_b = (b - (aa * here.b - here.ab * here.a) / determinant).clamp(POWER.0, POWER.1);
            let there = Slopes::at(rows, next_a, next_b, ln_n);
            if there.loss < here.loss {
                (a, b, here, damping) = (next_a, next_b, there, damping * 0.3);
            } else {
                damping = damping.max(1e-3) * 10.0;
            }
        }
        Self { stretch: a.exp() as f32, power: b as f32 }
    }
}

/// The loss, and how it changes with ln(stretch) `a` and power `b`.
#[derive(Default)]
struct Slopes {
    loss: f64,
    a: f64,
    b: f64,
    aa: f64,
    ab: f64,
    bb: f64,
}

impl Slopes {
    fn at(rows: &[Judged], a: f64, b: f64, ln_n: impl Fn(&Judged) -> f64 + Sync) -> Self {
        let of_row = |row: &Judged| {
            let x = ln_n(row);
            let stretch = (a + b * x).exp();
            let most = row.scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let (mut sum, mut first, mut second) = (0.0, 0.0, 0.0);
            for score in &row.scores {
                let z = f64::from(score - most);
                let e = (z * stretch).exp();
                sum += e;
                first += e * z;
                second += e * z * z;
            }
            let own = f64::from(row.scores[row.label] - most);
            let mean = first / sum;
            let slope = stretch * (mean - own);
            let bend = stretch * stretch * (second / sum - mean * mean);
            Self { loss: sum.ln() - stretch * own, a: slope, b: slope * x, aa: bend, ab: bend * x, bb: bend * x * x }
        };
        // Collected first: a sum in the order of rows is the same for any number of threads.
        rows.par_iter().map(of_row).collect::<Vec<_>>().iter().fold(Self::default(), |sum, s| Self {
            loss: sum.loss + s.loss,
            a: sum.a + s.a,
            b: sum.b + s.b,
            aa: sum.aa + s.aa,
            ab: sum.ab + s.ab,
            bb: sum.bb + s.bb,
        })
    }
}
