//! Normalisation of rows.

use crate::{Norm, NormKind};

pub fn norm_forward(out: &mut [f64], stats: &mut [f64], x: &[f64], weight: &[f64], bias: Option<&[f64]>, norm: Norm) {
    let c = weight.len();
    let n = x.len() / c;
    for (r, row) in x.chunks(c).enumerate() {
        let mean = match norm.kind {
            NormKind::Rms => 0.0,
            NormKind::Layer => row.iter().sum::<f64>() / c as f64,
        };
        let variance = row.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / c as f64;
        let factor = 1.0 / (variance + f64::from(norm.eps)).sqrt();
        if norm.kind == NormKind::Layer {
            stats[r] = mean;
        }
        stats[(norm.kind.n_stats() - 1) * n + r] = factor;
        for i in 0..c {
            out[r * c + i] = (row[i] - mean) * factor * weight[i] + bias.map_or(0.0, |b| b[i]);
        }
    }
}

#[allow(clippy::too_many_arguments)]
pub fn norm_backward(
    dx: &mut [f64],
    dweight: &mut [f64],
    mut dbias: Option<&mut [f64]>,
    dout: &[f64],
    x: &[f64],
    weight: &[f64],
    stats: &[f64],
    norm: Norm,
) {
    let c = weight.len();
    let n = x.len() / c;
    for r in 0..n {
        let (mean, factor) = match norm.kind {
            NormKind::Rms => (0.0, stats[r]),
            NormKind::Layer => (stats[r], stats[n + r]),
        };
        let at = |i: usize| r * c + i;
        let normal = |i: usize| (x[at(i)] - mean) * factor;
        let slope = |i: usize| dout[at(i)] * weight[i];
        let mean_slope = match norm.kind {
            NormKind::Rms => 0.0,
            NormKind::Layer => (0..c).map(slope).sum::<f64>() / c as f64,
        };
        let mean_product = (0..c).map(|i| slope(i) * normal(i)).sum::<f64>() / c as f64;
        for i in 0..c {
            dx[at(i)] += factor * (slope(i) - mean_slope - normal(i) * mean_product);
            dweight[i] += dout[at(i)] * normal(i);
            if let Some(dbias) = &mut dbias {
                dbias[i] += dout[at(i)];
            }
        }
    }
}
