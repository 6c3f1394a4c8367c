//! Normalisation of rows, with and without their mean.

use rayon::prelude::*;

use super::bias::add_partials;
use super::scratch;
use super::simd::{LANES, multiversion, reduce, sum_over};
use crate::number::Number;
use crate::{Norm, NormKind};

/// Rows that one task handles; fixed, because the weight's gradient is summed task by task.
const ROWS: usize = 64;

multiversion! {
    fn rms_task<O: Number, X: Number>(out: &mut [O], factors: &mut [f32], x: &[X], weight: &[f32], bias: &[f32], eps: f32) {
        let channels = weight.len();
        for ((out, x), factor) in out.chunks_exact_mut(channels).zip(x.chunks_exact(channels)).zip(factors) {
            let f = 1.0 / (sum_over(x, x, |a, b| a * b) / channels as f32 + eps).sqrt();
            *factor = f;
            if bias.is_empty() {
                for ((o, x), w) in out.iter_mut().zip(x).zip(weight) {
                    *o = O::of(x.get() * f * w);
                }
            } else {
                for (((o, x), w), b) in out.iter_mut().zip(x).zip(weight).zip(bias) {
                    *o = O::of(x.get() * f * w + b);
                }
            }
        }
    }
}

multiversion! {
    #[allow(clippy::too_many_arguments)]
    fn layer_task<O: Number, X: Number>(
        out: &mut [O], means: &mut [f32], factors: &mut [f32], x: &[X], weight: &[f32], bias: &[f32], eps: f32,
    ) {
        let channels = weight.len();
        for (((out, x), mean), factor) in out.chunks_exact_mut(channels).zip(x.chunks_exact(channels)).zip(means).zip(factors) {
            // Two passes: E[x²] − E[x]² cancels badly in f32 once the mean is much larger than the deviation.
            let m = sum_over(x, x, |a, _| a) / channels as f32;
            let f = 1.0 / (sum_over(x, x, |a, _| (a - m) * (a - m)) / channels as f32 + eps).sqrt();
            (*mean, *factor) = (m, f);
            if bias.is_empty() {
                for ((o, x), w) in out.iter_mut().zip(x).zip(weight) {
                    *o = O::of((x.get() - m) * f * w);
                }
            } else {
                for (((o, x), w), b) in out.iter_mut().zip(x).zip(weight).zip(bias) {
                    *o = O::of((x.get() - m) * f * w + b);
                }
            }
        }
    }
}

multiversion! {
    #[allow(clippy::too_many_arguments)]
    fn rms_backward_task<O: Number, D: Number, X: Number>(
        dx: &mut [O], dweight: &mut [f32], dbias: &mut [f32], dout: &[D], x: &[X], weight: &[f32], factors: &[f32],
    ) {
        let channels = weight.len();
        dweight.fill(0.0);
        dbias.fill(0.0);
        let rows = dx.chunks_exact_mut(channels).zip(dout.chunks_exact(channels)).zip(x.chunks_exact(channels)).zip(factors);
        for (((dx, dout), x), f) in rows {
            let (_, product) = slopes(dout, x, weight, 0.0);
            let shared = product * f * f * f / channels as f32;
            for ((((dx, d), x), w), dw) in dx.iter_mut().zip(dout).zip(x).zip(weight).zip(dweight.iter_mut()) {
                let (d, x) = (d.get(), x.get());
                *dx = O::of(dx.get() + (d * w * f - x * shared));
                *dw += d * x * f;
            }
            for (db, d) in dbias.iter_mut().zip(dout) {
                *db += d.get();
            }
        }
    }
}

multiversion! {
    #[allow(clippy::too_many_arguments)]
    fn layer_backward_task<O: Number, D: Number, X: Number>(
        dx: &mut [O], dweight: &mut [f32], dbias: &mut [f32], dout: &[D], x: &[X], weight: &[f32], means: &[f32], factors: &[f32],
    ) {
        let channels = weight.len();
        dweight.fill(0.0);
        dbias.fill(0.0);
        let rows = dx.chunks_exact_mut(channels).zip(dout.chunks_exact(channels)).zip(x.chunks_exact(channels));
        for (((dx, dout), x), (m, f)) in rows.zip(means.iter().zip(factors)) {
            let (slope, product) = slopes(dout, x, weight, *m);
            let (mean_slope, mean_product) = (slope / channels as f32, product * f / channels as f32);
            for ((((dx, d), x), w), dw) in dx.iter_mut().zip(dout).zip(x).zip(weight).zip(dweight.iter_mut()) {
                let (d, normal) = (d.get(), (x.get() - m) * f);
                *dx = O::of(dx.get() + (d * w - mean_slope - normal * mean_product) * f);
                *dw += d * normal;
            }
            for (db, d) in dbias.iter_mut().zip(dout) {
                *db += d.get();
            }
        }
    }
}

/// Σ dout·weight and Σ dout·weight·(x − mean), in fixed lanes.
#[inline(always)]
fn slopes<D: Number, X: Number>(dout: &[D], x: &[X], weight: &[f32], mean: f32) -> (f32, f32) {
    let (mut sums, mut products) = ([0f32; LANES], [0f32; LANES]);
    let (d, d_rest) = dout.as_chunks::<LANES>();
    let (x, x_rest) = x.as_chunks::<LANES>();
    let (w, w_rest) = weight.as_chunks::<LANES>();
    for ((d, x), w) in d.iter().zip(x).zip(w) {
        for i in 0..LANES {
            let slope = d[i].get() * w[i];
            sums[i] += slope;
            products[i] += slope * (x[i].get() - mean);
        }
    }
    for (i, ((d, x), w)) in d_rest.iter().zip(x_rest).zip(w_rest).enumerate() {
        let slope = d.get() * w;
        sums[i] += slope;
        products[i] += slope * (x.get() - mean);
    }
    (reduce(sums), reduce(products))
}

/// `out = normalised x · weight [+ bias]` a row; saves `stats`.
///
/// # Panics
/// When a slice does not have its size.
pub fn norm_forward<O: Number, X: Number>(out: &mut [O], stats: &mut [f32], x: &[X], weight: &[f32], bias: Option<&[f32]>, norm: Norm) {
    let n = x.len() / weight.len();
    assert_eq!((out.len(), n * weight.len(), stats.len()), (x.len(), x.len(), n * norm.kind.n_stats()), "sizes of a normalisation");
    let (bias, task) = (bias.unwrap_or_default(), ROWS * weight.len());
    assert!(bias.is_empty() || bias.len() == weight.len(), "sizes of a normalisation's bias");
    let (means, factors) = stats.split_at_mut(stats.len() - n);
    match norm.kind {
        NormKind::Rms if n <= ROWS => rms_task(out, factors, x, weight, bias, norm.eps),
        NormKind::Layer if n <= ROWS => layer_task(out, means, factors, x, weight, bias, norm.eps),
        NormKind::Rms => out
            .par_chunks_mut(task)
            .zip(factors.par_chunks_mut(ROWS))
            .zip(x.par_chunks(task))
            .for_each(|((out, factors), x)| rms_task(out, factors, x, weight, bias, norm.eps)),
        NormKind::Layer => out
            .par_chunks_mut(task)
            .zip(means.par_chunks_mut(ROWS))
            .zip(factors.par_chunks_mut(ROWS))
            .zip(x.par_chunks(task))
            .for_each(|(((out, means), factors), x)| layer_task(out, means, factors, x, weight, bias, norm.eps)),
    }
}

/// `dx += …`, `dweight += …`, `dbias += …` for [`norm_forward`].
///
/// # Panics
/// When a slice does not have its size.
#[allow(clippy::too_many_arguments)]
pub fn norm_backward<O: Number, D: Number, X: Number>(
    dx: &mut [O],
    dweight: &mut [f32],
    dbias: Option<&mut [f32]>,
    dout: &[D],
    x: &[X],
    weight: &[f32],
    stats: &[f32],
    norm: Norm,
) {
    let channels = weight.len();
    let (n, task) = (x.len() / channels, ROWS * channels);
    assert_eq!((dx.len(), dout.len(), dweight.len()), (x.len(), x.len(), channels), "sizes of a normalisation's gradient");
    assert_eq!((n * channels, stats.len()), (x.len(), n * norm.kind.n_stats()), "sizes of a normalisation's gradient");
    let (means, factors) = stats.split_at(stats.len() - n);
    // Without a bias its sums are taken over nothing.
    let n_bias = dbias.as_ref().map_or(0, |b| b.len());
    let n_partial = channels + n_bias;
    scratch::with(n.div_ceil(ROWS) * n_partial, |partials| {
        let tasks = dx.par_chunks_mut(task).zip(partials.par_chunks_mut(n_partial)).zip(dout.par_chunks(task)).zip(x.par_chunks(task));
        tasks.enumerate().for_each(|(i, (((dx, partial), dout), x))| {
            let rows = i * ROWS..(i * ROWS + x.len() / channels);
            let (dweight, dbias) = partial.split_at_mut(channels);
            match norm.kind {
                NormKind::Rms => rms_backward_task(dx, dweight, dbias, dout, x, weight, &factors[rows]),
                NormKind::Layer => layer_backward_task(dx, dweight, dbias, dout, x, weight, &means[rows.clone()], &factors[rows]),
            }
        });
        for partial in partials.chunks_exact(n_partial) {
            add_partials(dweight, &partial[..channels]);
        }
        if let Some(dbias) = dbias {
            for partial in partials.chunks_exact(n_partial) {
                add_partials(dbias, &partial[channels..]);
            }
        }
    });
}
