//! What bends feed-forward layers, gated and plain, and their slopes.

use rayon::prelude::*;

use super::simd::{LANES, apply1, apply2, erf, exp, multiversion, tanh};
use crate::Activation;
use crate::number::Number;

/// Φ(x) and its slope.
#[inline(always)]
fn normal(x: f32) -> (f32, f32) {
    const ROOT_HALF: f32 = std::f32::consts::FRAC_1_SQRT_2;
    const TOP: f32 = 0.398_942_3;
    (0.5 + 0.5 * erf(x * ROOT_HALF), TOP * exp(-0.5 * x * x))
}

#[inline(always)]
fn silu(x: f32) -> f32 {
    x / (1.0 + exp(-x))
}

#[inline(always)]
fn silu_slope(x: f32) -> (f32, f32) {
    let s = 1.0 / (1.0 + exp(-x));
    (x * s, s * (1.0 + x * (1.0 - s)))
}

#[inline(always)]
fn gelu(x: f32) -> f32 {
    x * normal(x).0
}

#[inline(always)]
fn gelu_slope(x: f32) -> (f32, f32) {
    let (cdf, density) = normal(x);
    (x * cdf, cdf + x * density)
}

const ROOT_2_PI: f32 = 0.797_884_6;
const CUBIC: f32 = 0.044_715;

#[inline(always)]
fn gelu_tanh(x: f32) -> f32 {
    0.5 * x * (1.0 + tanh(ROOT_2_PI * (x + CUBIC * x * x * x)))
}

#[inline(always)]
fn gelu_tanh_slope(x: f32) -> f32 {
    let t = tanh(ROOT_2_PI * (x + CUBIC * x * x * x));
    0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * ROOT_2_PI * (1.0 + 3.0 * CUBIC * x * x)
}

#[inline(always)]
fn relu(x: f32) -> f32 {
    if x > 0.0 { x } else { 0.0 }
}

#[inline(always)]
fn tanh_slope(x: f32) -> f32 {
    let t = tanh(x);
    1.0 - t * t
}

#[inline(always)]
fn map<T: Number>(out: &mut [T], x: &[T], f: impl Fn(f32) -> f32) {
    apply1(out, x, |_, x| f(x));
}

#[inline(always)]
fn map_gated<T: Number>(out: &mut [T], x: &[T], f: impl Fn(f32) -> f32) {
    let (gate, up) = x.split_at(out.len());
    apply2(out, gate, up, |_, g, u| f(g) * u);
}

#[inline(always)]
fn slope<T: Number>(dx: &mut [T], dout: &[T], x: &[T], f: impl Fn(f32) -> f32) {
    apply2(dx, dout, x, |_, d, x| d * f(x));
}

#[inline(always)]
fn slope_gated<T: Number>(dx: &mut [T], dout: &[T], x: &[T], f: impl Fn(f32) -> (f32, f32)) {
    let n = dout.len();
    let (dgate, dup) = dx.split_at_mut(n);
    let (gate, up) = x.split_at(n);
    let whole = n / LANES * LANES;
    for at in (0..whole).step_by(LANES) {
        let (Some(dg), Some(du)) = (dgate[at..].first_chunk_mut::<LANES>(), dup[at..].first_chunk_mut::<LANES>()) else { break };
        let (Some(g), Some(u)) = (gate[at..].first_chunk::<LANES>(), up[at..].first_chunk::<LANES>()) else { break };
        let Some(d) = dout[at..].first_chunk::<LANES>() else { break };
        for i in 0..LANES {
            let (y, slope) = f(g[i].get());
            dg[i] = T::of(d[i].get() * u[i].get() * slope);
            du[i] = T::of(d[i].get() * y);
        }
    }
    for i in whole..n {
        let (y, slope) = f(gate[i].get());
        dgate[i] = T::of(dout[i].get() * up[i].get() * slope);
        dup[i] = T::of(dout[i].get() * y);
    }
}

multiversion! {
    fn forward_row<T: Number>(out: &mut [T], x: &[T], activation: Activation) {
        match activation {
            Activation::SwiGlu => map_gated(out, x, silu),
            Activation::GeGlu => map_gated(out, x, gelu),
            Activation::Gelu => map(out, x, gelu),
            Activation::GeluTanh => map(out, x, gelu_tanh),
            Activation::ReluSquared => map(out, x, |x| relu(x) * relu(x)),
            Activation::Tanh => map(out, x, tanh),
        }
    }
}

multiversion! {
    fn backward_row<T: Number>(dx: &mut [T], dout: &[T], x: &[T], activation: Activation) {
        match activation {
            Activation::SwiGlu => slope_gated(dx, dout, x, silu_slope),
            Activation::GeGlu => slope_gated(dx, dout, x, gelu_slope),
            Activation::Gelu => slope(dx, dout, x, |x| gelu_slope(x).1),
            Activation::GeluTanh => slope(dx, dout, x, gelu_tanh_slope),
            Activation::ReluSquared => slope(dx, dout, x, |x| 2.0 * relu(x)),
            Activation::Tanh => slope(dx, dout, x, tanh_slope),
        }
    }
}

/// `out (N, F) = activation(x)`, x (N, F · inputs).
///
/// # Panics
/// When a slice does not have its size.
pub fn activation_forward<T: Number>(out: &mut [T], x: &[T], width: usize, activation: Activation) {
    assert_eq!((x.len(), out.len() % width), (out.len() * activation.n_inputs(), 0), "sizes of an activation");
    if out.len() == width {
        return forward_row(out, x, activation);
    }
    let rows = out.par_chunks_mut(width).zip(x.par_chunks(width * activation.n_inputs())).with_min_len(16);
    rows.for_each(|(out, x)| forward_row(out, x, activation));
}

/// `dx = …` for [`activation_forward`].
///
/// # Panics
/// When a slice does not have its size.
pub fn activation_backward<T: Number>(dx: &mut [T], dout: &[T], x: &[T], width: usize, activation: Activation) {
    let inputs = activation.n_inputs();
    assert_eq!((dx.len(), x.len()), (dout.len() * inputs, dout.len() * inputs), "sizes of an activation's gradient");
    let rows = dx.par_chunks_mut(width * inputs).zip(dout.par_chunks(width)).zip(x.par_chunks(width * inputs)).with_min_len(16);
    rows.for_each(|((dx, dout), x)| backward_row(dx, dout, x, activation));
}
