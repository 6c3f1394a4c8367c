//! The gated activation of Llama's feed-forward layer, silu(gate)·up.

use rayon::prelude::*;

use super::simd::{exp, multiversion};

multiversion! {
    fn forward_row(out: &mut [f32], gate: &[f32], up: &[f32]) {
        for ((o, g), u) in out.iter_mut().zip(gate).zip(up) {
            *o = g / (1.0 + exp(-g)) * u;
        }
    }
}

multiversion! {
    fn backward_row(dgate: &mut [f32], dup: &mut [f32], dout: &[f32], gate: &[f32], up: &[f32]) {
        for ((((dg, du), d), g), u) in dgate.iter_mut().zip(dup).zip(dout).zip(gate).zip(up) {
            let s = 1.0 / (1.0 + exp(-g));
            *dg = d * u * s * (1.0 + g * (1.0 - s));
            *du = d * g * s;
        }
    }
}

/// `out (N, F) = silu(gate)·up`, gate_up (N, 2F).
pub fn swiglu_forward(out: &mut [f32], gate_up: &[f32], width: usize) {
    assert_eq!(gate_up.len(), 2 * out.len(), "sizes of a gated activation");
    if out.len() == width {
        let (gate, up) = gate_up.split_at(width);
        return forward_row(out, gate, up);
    }
    out.par_chunks_mut(width).with_min_len(16).zip(gate_up.par_chunks(2 * width)).for_each(|(out, gate_up)| {
        let (gate, up) = gate_up.split_at(width);
        forward_row(out, gate, up);
    });
}

/// `dgate_up = …`.
pub fn swiglu_backward(dgate_up: &mut [f32], dout: &[f32], gate_up: &[f32], width: usize) {
    assert_eq!((dgate_up.len(), gate_up.len()), (2 * dout.len(), 2 * dout.len()), "sizes of a gated activation's gradient");
    let rows = dgate_up.par_chunks_mut(2 * width).with_min_len(16).zip(dout.par_chunks(width)).zip(gate_up.par_chunks(2 * width));
    rows.for_each(|((dgate_up, dout), gate_up)| {
        let (dgate, dup) = dgate_up.split_at_mut(width);
        let (gate, up) = gate_up.split_at(width);
        backward_row(dgate, dup, dout, gate, up);
    });
}
