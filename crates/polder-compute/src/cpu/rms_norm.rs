//! Normalisation of rows by their root mean square.

use rayon::prelude::*;

use super::simd::{multiversion, sum_over};

/// Rows that one task handles; fixed, because the weight's gradient is summed task by task.
const ROWS: usize = 64;

multiversion! {
    fn forward_task(out: &mut [f32], rstd: &mut [f32], x: &[f32], weight: &[f32], eps: f32) {
        let channels = weight.len();
        for ((out, x), rstd) in out.chunks_exact_mut(channels).zip(x.chunks_exact(channels)).zip(rstd) {
            *rstd = 1.0 / (sum_over(x, x, |a, b| a * b) / channels as f32 + eps).sqrt();
            for ((o, x), w) in out.iter_mut().zip(x).zip(weight) {
                *o = x * *rstd * w;
            }
        }
    }
}

multiversion! {
    fn backward_task(dx: &mut [f32], dweight: &mut [f32], dout: &[f32], x: &[f32], weight: &[f32], rstd: &[f32]) {
        let channels = weight.len();
        dweight.fill(0.0);
        let rows = dx.chunks_exact_mut(channels).zip(dout.chunks_exact(channels)).zip(x.chunks_exact(channels)).zip(rstd);
        for (((dx, dout), x), rstd) in rows {
            let mut dot = 0.0;
            // Σ dout·weight·x, in two passes so that each is a plain sum.
            for ((chunk_d, chunk_w), chunk_x) in dout.chunks(16).zip(weight.chunks(16)).zip(x.chunks(16)) {
                let mut lanes = [0f32; 16];
                for (lane, ((d, w), x)) in lanes.iter_mut().zip(chunk_d.iter().zip(chunk_w).zip(chunk_x)) {
                    *lane = d * w * x;
                }
                dot += super::simd::reduce(lanes);
            }
            let shared = dot * rstd * rstd * rstd / channels as f32;
            for i in 0..channels {
                dx[i] += dout[i] * weight[i] * rstd - x[i] * shared;
                dweight[i] += dout[i] * x[i] * rstd;
            }
        }
    }
}

/// `out = x · rstd · weight` a row; saves `rstd`.
pub fn rms_norm_forward(out: &mut [f32], rstd: &mut [f32], x: &[f32], weight: &[f32], eps: f32) {
    let task = ROWS * weight.len();
    assert_eq!((out.len(), x.len()), (rstd.len() * weight.len(), out.len()), "sizes of a normalisation");
    if rstd.len() <= ROWS {
        return forward_task(out, rstd, x, weight, eps);
    }
    out.par_chunks_mut(task)
        .zip(rstd.par_chunks_mut(ROWS))
        .zip(x.par_chunks(task))
        .for_each(|((out, rstd), x)| forward_task(out, rstd, x, weight, eps));
}

/// `dx += …`, `dweight += …`; `scratch` grows once to hold a partial sum of `dweight` a task.
pub fn rms_norm_backward(
    dx: &mut [f32],
    dweight: &mut [f32],
    dout: &[f32],
    x: &[f32],
    weight: &[f32],
    rstd: &[f32],
    scratch: &mut Vec<f32>,
) {
    let channels = weight.len();
    let task = ROWS * channels;
    assert_eq!((dx.len(), dout.len(), x.len()), (rstd.len() * channels, dx.len(), dx.len()), "sizes of a normalisation's gradient");
    scratch.resize(rstd.len().div_ceil(ROWS) * channels, 0.0);
    dx.par_chunks_mut(task)
        .zip(scratch.par_chunks_mut(channels))
        .zip(dout.par_chunks(task))
        .zip(x.par_chunks(task))
        .zip(rstd.par_chunks(ROWS))
        .for_each(|((((dx, partial), dout), x), rstd)| backward_task(dx, partial, dout, x, weight, rstd));
    for partial in scratch.chunks_exact(channels) {
        for (total, p) in dweight.iter_mut().zip(partial) {
            *total += p;
        }
    }
}
