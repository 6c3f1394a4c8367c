//! The optimizer's update, and the scale that clips its gradients.

use rayon::prelude::*;

use super::plain::TASK;
use super::simd::multiversion;
use crate::AdamW;
use crate::number::Number;

multiversion! {
    #[allow(clippy::too_many_arguments)]
    fn task<W: Number>(
        p: &mut [f32], working: &mut [W], m: &mut [f32], v: &mut [f32], g: &[f32], scale: f32, scalars: [f32; AdamW::SCALARS],
    ) {
        let [beta1, beta2, eps, root, keep, rate, _] = scalars;
        for (((p, m), v), g) in p.iter_mut().zip(m).zip(v).zip(g) {
            let g = g * scale;
            *m = beta1 * *m + (1.0 - beta1) * g;
            *v = beta2 * *v + (1.0 - beta2) * g * g;
            *p = *p * keep - rate * *m / (v.sqrt() * root + eps);
        }
        for (w, p) in working.iter_mut().zip(p) {
            *w = W::of(*p);
        }
    }
}

/// What gradients are multiplied by, so that their norm is at most `clip`; 1 for a clip of 0.
pub fn clip_scale(norm_squared: f64, clip: f32) -> f32 {
    let norm = norm_squared.sqrt();
    if clip > 0.0 && norm > f64::from(clip) { (f64::from(clip) / (norm + 1e-6)) as f32 } else { 1.0 }
}

/// Updates parameters, their rounded copy and both moments from gradients times `scale` (see [`clip_scale`]) by [`AdamW::scalars`].
///
/// # Panics
/// When the slices differ in length.
pub fn adamw<W: Number>(
    params: &mut [f32],
    working: Option<&mut [W]>,
    m: &mut [f32],
    v: &mut [f32],
    grads: &[f32],
    scale: f32,
    scalars: [f32; AdamW::SCALARS],
) {
    assert_eq!((params.len(), params.len(), params.len()), (m.len(), v.len(), grads.len()), "sizes of an update");
    let tasks = params.par_chunks_mut(TASK).zip(m.par_chunks_mut(TASK)).zip(v.par_chunks_mut(TASK)).zip(grads.par_chunks(TASK));
    match working {
        Some(working) => {
            assert_eq!(working.len(), grads.len(), "sizes of an update");
            tasks.zip(working.par_chunks_mut(TASK)).for_each(|((((p, m), v), g), w)| task(p, w, m, v, g, scale, scalars));
        }
        None => tasks.for_each(|(((p, m), v), g)| task::<f32>(p, &mut [], m, v, g, scale, scalars)),
    }
}
