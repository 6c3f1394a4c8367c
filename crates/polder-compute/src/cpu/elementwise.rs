//! Sums of whole buffers: residuals and gradients of shared tensors.

use rayon::prelude::*;

use super::simd::multiversion;

/// Numbers that one task handles.
pub(crate) const TASK: usize = 1 << 14;

multiversion! {
    fn add_task(out: &mut [f32], x: &[f32]) {
        for (o, x) in out.iter_mut().zip(x) {
            *o += x;
        }
    }
}

/// `out += x`.
pub fn add(out: &mut [f32], x: &[f32]) {
    assert_eq!(out.len(), x.len(), "sizes of a sum");
    // Waking threads takes longer than one task.
    if out.len() <= TASK {
        return add_task(out, x);
    }
    out.par_chunks_mut(TASK).zip(x.par_chunks(TASK)).for_each(|(o, x)| add_task(o, x));
}
