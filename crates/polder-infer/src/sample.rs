//! Chooses the next token from logits.

use std::cmp::Ordering;

use polder_base::Random;

use crate::GenerateOptions;

/// The token with the largest logit; of equals the first.
pub(crate) fn greedy(logits: &[f32]) -> u32 {
    let mut best = 0;
    for (i, x) in logits.iter().enumerate() {
        if *x > logits[best] {
            best = i;
        }
    }
    best as u32
}

/// Draws the token at a place of the output; a pure function of logits, options and place.
pub(crate) fn choose(logits: &[f32], options: &GenerateOptions, place: u64) -> u32 {
    if options.temperature == 0.0 {
        return greedy(logits);
    }
    let order = |a: &u32, b: &u32| logits[*b as usize].partial_cmp(&logits[*a as usize]).unwrap_or(Ordering::Equal).then_with(|| a.cmp(b));
    let mut candidates: Vec<u32> = (0..logits.len() as u32).collect();
    if options.top_k > 0 && options.top_k < candidates.len() {
        candidates.select_nth_unstable_by(options.top_k - 1, order);
        candidates.truncate(options.top_k);
    }
    candidates.sort_unstable_by(order);
    let largest = f64::from(logits[candidates[0] as usize]);
    let weight = |id: &u32| ((f64::from(logits[*id as usize]) - largest) / f64::from(options.temperature)).exp();
    let weights: Vec<f64> = candidates.iter().map(weight).collect();
    let total: f64 = weights.iter().sum();
    // The smallest set of the most likely tokens whose probability reaches top-p.
    let mut kept = 0.0;
    let mut n_kept = 0;
    for w in &weights {
        kept += w;
        n_kept += 1;
        if kept >= total * f64::from(options.top_p) {
            break;
        }
    }
    let unit = (Random::new(options.seed, "sample").at(place) >> 11) as f64 / (1u64 << 53) as f64;
    let mut left = unit * kept;
    for (id, w) in candidates[..n_kept].iter().zip(&weights) {
        left -= w;
        if left < 0.0 {
            return *id;
        }
    }
    candidates[n_kept - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(temperature: f32, top_k: usize, top_p: f32) -> GenerateOptions {
        GenerateOptions { temperature, top_k, top_p, seed: 3, ..GenerateOptions::default() }
    }

    #[test]
    fn temperature_zero_takes_the_largest_and_of_equals_the_first() {
        assert_eq!(choose(&[1.0, 3.0, 3.0, 2.0], &options(0.0, 0, 1.0), 0), 1);
    }

    #[test]
    fn frequencies_follow_the_probabilities() {
        let logits: Vec<f32> = [0.5f32, 0.3, 0.15, 0.05].iter().map(|p| p.ln()).collect();
        let mut counts = [0u32; 4];
        (0..20_000).for_each(|place| counts[choose(&logits, &options(1.0, 0, 1.0), place) as usize] += 1);
        for (count, p) in counts.iter().zip([0.5, 0.3, 0.15, 0.05]) {
            assert!((f64::from(*count) / 20_000.0 - p).abs() < 0.015, "{counts:?}");
        }
    }

    #[test]
    fn top_k_and_top_p_keep_the_most_likely_tokens_only() {
        let logits: Vec<f32> = [0.05f32, 0.5, 0.15, 0.3].iter().map(|p| p.ln()).collect();
        let seen = |o: GenerateOptions| (0..500).map(|p| choose(&logits, &o, p)).collect::<std::collections::BTreeSet<_>>();
        assert_eq!(seen(options(1.0, 2, 1.0)).into_iter().collect::<Vec<_>>(), [1, 3]);
        assert_eq!(seen(options(1.0, 0, 0.79)).into_iter().collect::<Vec<_>>(), [1, 3]);
        assert_eq!(seen(options(1.0, 0, 0.4)).into_iter().collect::<Vec<_>>(), [1]);
        assert_eq!(seen(options(1.0, 99, 1.0)).len(), 4);
    }
}
