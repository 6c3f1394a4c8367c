//! The loss of predicted logits and, in place, its gradient.

use rayon::prelude::*;

use super::simd::{apply0, exp, exp_sum, max_over, multiversion, sum_over, tanh};
use crate::number::Number;
use crate::{CrossEntropy, Dtype};

/// A logit as the loss sees it, and the slope of that.
#[inline(always)]
fn capped(x: f32, cap: f32) -> (f32, f32) {
    let t = tanh(x / cap);
    (cap * t, 1.0 - t * t)
}

multiversion! {
    /// The largest logit and the sum of exponentials below it.
    fn spread<T: Number>(logits: &[T], cap: f32) -> (f32, f32) {
        if cap > 0.0 {
            let max = max_over(logits, |x| capped(x, cap).0);
            (max, sum_over(logits, logits, |x, _| exp(capped(x, cap).0 - max)))
        } else {
            let max = max_over(logits, |x| x);
            (max, sum_over(logits, logits, |x, _| exp(x - max)))
        }
    }
}

multiversion! {
    /// Each logit becomes `factor · e^(logit − max)`, times the slope of the cap.
    fn weigh<T: Number>(logits: &mut [T], max: f32, factor: f32, cap: f32) {
        if cap > 0.0 {
            apply0(logits, |x| {
                let (y, slope) = capped(x, cap);
                exp(y - max) * factor * slope
            });
        } else {
            apply0(logits, |x| exp(x - max) * factor);
        }
    }
}

multiversion! {
    /// The same, and each logit becomes its exponential below the largest.
    fn spread_in_place(logits: &mut [f32]) -> (f32, f32) {
        let max = max_over(logits, |x| x);
        (max, exp_sum(logits, max))
    }
}

multiversion! {
    fn multiply<T: Number>(x: &mut [T], factor: f32) {
        apply0(x, |x| x * factor);
    }
}

fn row<T: Number>(logits: &mut [T], target: i32, scale: Option<f32>, s: CrossEntropy) -> f32 {
    let n_classes = if s.n_classes == 0 { s.vocab } else { s.n_classes };
    let Ok(target) = usize::try_from(target) else {
        if scale.is_some() {
            logits.fill(T::default());
        }
        return 0.0;
    };
    let (logits, padding) = logits.split_at_mut(n_classes);
    let raw = logits[target].get();
    // Exponentials that are stored exactly need not be computed twice.
    let kept = scale.is_some() && s.soft_cap == 0.0 && T::DTYPE == Dtype::F32;
    let (max, sum) = if kept { spread_in_place(bytemuck::cast_slice_mut(logits)) } else { spread(logits, s.soft_cap) };
    let lse = max + sum.ln();
    let (chosen, slope) = if s.soft_cap > 0.0 { capped(raw, s.soft_cap) } else { (raw, 1.0) };
    if let Some(scale) = scale {
        let factor = scale * (1.0 + 2.0 * s.z_loss * lse);
        if kept {
            multiply(logits, factor / sum);
        } else {
            weigh(logits, max, factor / sum, s.soft_cap);
        }
        // From the f32 probability, as the stored one may have been rounded; 1 is taken away first, for near 1 the rest is small.
        let p = exp(chosen - max) / sum;
        logits[target] = T::of(scale * ((p - 1.0) + 2.0 * s.z_loss * lse * p) * slope);
        padding.fill(T::default());
    }
    lse - chosen
}

/// `losses = −ln softmax(logits)[target]`; with a scale, the logits become `scale ·` their gradient.
///
/// # Panics
/// On a target outside the classes.
pub fn cross_entropy<T: Number>(losses: &mut [f32], logits: &mut [T], targets: &[i32], scale: Option<f32>, settings: CrossEntropy) {
    assert_eq!((logits.len(), targets.len()), (losses.len() * settings.vocab, losses.len()), "sizes of a loss");
    let rows = losses.par_iter_mut().zip(logits.par_chunks_mut(settings.vocab)).zip(targets);
    rows.for_each(|((loss, logits), target)| *loss = row(logits, *target, scale, settings));
}
