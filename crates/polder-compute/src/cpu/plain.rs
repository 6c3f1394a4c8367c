//! Copies, sums and rounding of whole buffers.

use rayon::prelude::*;

use super::simd::{multiversion, sum_over};
use crate::number::Number;

/// Numbers that one task handles; waking a thread takes about as long as half of it.
pub(crate) const TASK: usize = 1 << 14;

multiversion! {
    fn add_task<O: Number, X: Number>(out: &mut [O], x: &[X]) {
        for (o, x) in out.iter_mut().zip(x) {
            *o = O::of(o.get() + x.get());
        }
    }
}

multiversion! {
    fn copy_task<O: Number, X: Number>(out: &mut [O], x: &[X]) {
        for (o, x) in out.iter_mut().zip(x) {
            *o = O::of(x.get());
        }
    }
}

multiversion! {
    fn sum_squares_task<X: Number>(x: &[X]) -> f32 {
        sum_over(x, x, |a, b| a * b)
    }
}

/// `out += x`.
///
/// # Panics
/// When the slices differ in length.
pub fn add<O: Number, X: Number>(out: &mut [O], x: &[X]) {
    assert_eq!(out.len(), x.len(), "sizes of a sum");
    if out.len() <= TASK {
        return add_task(out, x);
    }
    out.par_chunks_mut(TASK).zip(x.par_chunks(TASK)).for_each(|(o, x)| add_task(o, x));
}

/// `out = x`, rounded to what `out` stores.
///
/// # Panics
/// When the slices differ in length.
pub fn copy<O: Number, X: Number>(out: &mut [O], x: &[X]) {
    assert_eq!(out.len(), x.len(), "sizes of a copy");
    if out.len() <= TASK {
        return copy_task(out, x);
    }
    out.par_chunks_mut(TASK).zip(x.par_chunks(TASK)).for_each(|(o, x)| copy_task(o, x));
}

/// `out = value`.
pub fn fill<O: Number>(out: &mut [O], value: f32) {
    let value = O::of(value);
    out.par_chunks_mut(1 << 18).for_each(|out| out.fill(value));
}

/// Σ x², by tasks of fixed size added in their order.
pub fn sum_squares<X: Number>(x: &[X]) -> f64 {
    // A task's sum is exact to f32; their total is kept in f64. Collected in blocks so that nothing is allocated.
    let mut total = 0.0;
    for block in x.chunks(64 * TASK) {
        let mut partials = [0f32; 64];
        partials.par_iter_mut().zip(block.par_chunks(TASK)).for_each(|(p, x)| *p = sum_squares_task(x));
        total += partials.iter().map(|p| f64::from(*p)).sum::<f64>();
    }
    total
}
