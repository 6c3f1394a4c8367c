//! The loss of predicted logits and, in place, its gradient.

use rayon::prelude::*;

use super::simd::{exp, exp_sum, max_of, multiversion, sum_over};

multiversion! {
    fn loss_row(logits: &[f32], target: i32) -> f32 {
        if target < 0 {
            return 0.0;
        }
        let max = max_of(logits);
        let sum = sum_over(logits, logits, |x, _| exp(x - max));
        sum.ln() + max - logits[target as usize]
    }
}

multiversion! {
    fn gradient_row(logits: &mut [f32], target: i32, scale: f32) -> f32 {
        if target < 0 {
            logits.fill(0.0);
            return 0.0;
        }
        let max = max_of(logits);
        let chosen = logits[target as usize];
        let sum = exp_sum(logits, max);
        let factor = scale / sum;
        for x in logits.iter_mut() {
            *x *= factor;
        }
        logits[target as usize] -= scale;
        sum.ln() + max - chosen
    }
}

/// `losses = −ln softmax(logits)[target]`, logits untouched.
///
/// # Panics
/// On a target outside the vocabulary.
pub fn cross_entropy_forward(losses: &mut [f32], logits: &[f32], targets: &[i32], vocab: usize) {
    assert_eq!((logits.len(), targets.len()), (losses.len() * vocab, losses.len()), "sizes of a loss");
    losses.par_iter_mut().zip(logits.par_chunks(vocab)).zip(targets).for_each(|((loss, row), target)| *loss = loss_row(row, *target));
}

/// The same, and the logits become `scale ·` their gradient.
///
/// # Panics
/// On a target outside the vocabulary.
pub fn cross_entropy_backward(losses: &mut [f32], logits: &mut [f32], targets: &[i32], vocab: usize, scale: f32) {
    assert_eq!((logits.len(), targets.len()), (losses.len() * vocab, losses.len()), "sizes of a loss");
    let rows = losses.par_iter_mut().zip(logits.par_chunks_mut(vocab)).zip(targets);
    rows.for_each(|((loss, row), target)| *loss = gradient_row(row, *target, scale));
}
