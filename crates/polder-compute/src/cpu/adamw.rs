//! The optimizer's update, and the norm that clips its gradients.

use rayon::prelude::*;

use super::elementwise::TASK;
use super::simd::{multiversion, sum_over};
use crate::AdamW;

multiversion! {
    fn sum_squares_task(x: &[f32]) -> f32 {
        sum_over(x, x, |a, b| a * b)
    }
}

multiversion! {
    #[allow(clippy::too_many_arguments)]
    fn adamw_task(p: &mut [f32], m: &mut [f32], v: &mut [f32], g: &[f32], scale: f32, rate: f32, root_correction: f32, s: AdamW) {
        let keep = 1.0 - s.lr * s.weight_decay;
        for (((p, m), v), g) in p.iter_mut().zip(m).zip(v).zip(g) {
            let g = g * scale;
            *m = s.beta1 * *m + (1.0 - s.beta1) * g;
            *v = s.beta2 * *v + (1.0 - s.beta2) * g * g;
            *p = *p * keep - rate * *m / (v.sqrt() * root_correction + s.eps);
        }
    }
}

/// Σ x², by tasks of fixed size added in their order.
pub fn sum_squares(x: &[f32]) -> f64 {
    // A task's sum is exact to f32; their total is kept in f64. Collected in blocks so that nothing is allocated.
    let mut total = 0.0;
    for block in x.chunks(64 * TASK) {
        let mut partials = [0f32; 64];
        partials.par_iter_mut().zip(block.par_chunks(TASK)).for_each(|(p, x)| *p = sum_squares_task(x));
        total += partials.iter().map(|p| f64::from(*p)).sum::<f64>();
    }
    total
}

/// What gradients are multiplied by, so that their norm is at most `clip`; 1 for a clip of 0.
pub fn clip_scale(norm_squared: f64, clip: f32) -> f32 {
    let norm = norm_squared.sqrt();
    if clip > 0.0 && norm > f64::from(clip) { (f64::from(clip) / (norm + 1e-6)) as f32 } else { 1.0 }
}

/// Updates parameters and both moments from gradients times `scale` (see [`clip_scale`]).
///
/// # Panics
/// When the slices differ in length.
pub fn adamw(params: &mut [f32], m: &mut [f32], v: &mut [f32], grads: &[f32], scale: f32, step: AdamW) {
    assert_eq!((params.len(), params.len(), params.len()), (m.len(), v.len(), grads.len()), "sizes of an update");
    let correction = |beta: f32| 1.0 - f64::from(beta).powi(i32::try_from(step.step).unwrap_or(i32::MAX));
    let rate = (f64::from(step.lr) / correction(step.beta1)) as f32;
    let root_correction = (1.0 / correction(step.beta2).sqrt()) as f32;
    params
        .par_chunks_mut(TASK)
        .zip(m.par_chunks_mut(TASK))
        .zip(v.par_chunks_mut(TASK))
        .zip(grads.par_chunks(TASK))
        .for_each(|(((p, m), v), g)| adamw_task(p, m, v, g, scale, rate, root_correction, step));
}
