//! Normalisation of heads within packed rows: [`super::norm`] of each head.

use super::norm::{norm_backward, norm_forward};
use crate::{Norm, NormKind};

fn heads(len: usize, row: usize, first: usize, n_heads: usize, head: usize) -> impl Iterator<Item = usize> {
    (0..len / row).flat_map(move |r| (0..n_heads).map(move |h| r * row + (first + h) * head))
}

#[allow(clippy::too_many_arguments)]
pub fn head_norm_forward(out: &mut [f64], rstd: &mut [f64], x: &[f64], weight: &[f64], row: usize, first: usize, n_heads: usize, eps: f32) {
    let (head, norm) = (weight.len(), Norm { kind: NormKind::Rms, eps });
    for (i, at) in heads(x.len(), row, first, n_heads, head).enumerate() {
        norm_forward(&mut out[at..at + head], &mut rstd[i..=i], &x[at..at + head], weight, None, norm);
    }
}

#[allow(clippy::too_many_arguments)]
pub fn head_norm_backward(
    dx: &mut [f64],
    dweight: &mut [f64],
    x: &[f64],
    weight: &[f64],
    rstd: &[f64],
    row: usize,
    first: usize,
    n_heads: usize,
) {
    let (head, norm) = (weight.len(), Norm { kind: NormKind::Rms, eps: 0.0 });
    for (i, at) in heads(x.len(), row, first, n_heads, head).enumerate() {
        let dout = dx[at..at + head].to_vec();
        dx[at..at + head].fill(0.0);
        norm_backward(&mut dx[at..at + head], dweight, None, &dout, &x[at..at + head], weight, &rstd[i..=i], norm);
    }
}
