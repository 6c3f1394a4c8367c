//! Activations and their slopes.

use std::f64::consts::{PI, SQRT_2};

use crate::Activation;

/// The error function by its series of positive terms, exact to a few units in the last place.
pub fn erf(x: f64) -> f64 {
    if x.abs() > 6.0 {
        return x.signum();
    }
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        term *= 2.0 * x * x / f64::from(2 * n + 1);
        sum += term;
    }
    2.0 / PI.sqrt() * (-x * x).exp() * sum
}

fn normal(x: f64) -> f64 {
    0.5 * (1.0 + erf(x / SQRT_2))
}

/// A gate's or plain activation's value and slope.
fn bend(x: f64, activation: Activation) -> (f64, f64) {
    match activation {
        Activation::SwiGlu => {
            let s = 1.0 / (1.0 + (-x).exp());
            (x * s, s + x * s * (1.0 - s))
        }
        Activation::GeGlu | Activation::Gelu => (x * normal(x), normal(x) + x * (-0.5 * x * x).exp() / (2.0 * PI).sqrt()),
        Activation::GeluTanh => {
            let (c, a) = ((2.0 / PI).sqrt(), 0.044715);
            let t = (c * (x + a * x.powi(3))).tanh();
            (0.5 * x * (1.0 + t), 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * c * (1.0 + 3.0 * a * x * x))
        }
        Activation::ReluSquared => (x.max(0.0).powi(2), 2.0 * x.max(0.0)),
        Activation::Tanh => (x.tanh(), 1.0 - x.tanh().powi(2)),
    }
}

pub fn activation_forward(out: &mut [f64], x: &[f64], width: usize, activation: Activation) {
    for (i, o) in out.iter_mut().enumerate() {
        let at = i / width * width * activation.n_inputs() + i % width;
        let (y, _) = bend(x[at], activation);
        *o = if activation.n_inputs() == 2 { y * x[at + width] } else { y };
    }
}

pub fn activation_backward(dx: &mut [f64], dout: &[f64], x: &[f64], width: usize, activation: Activation) {
    for (i, d) in dout.iter().enumerate() {
        let at = i / width * width * activation.n_inputs() + i % width;
        let (y, slope) = bend(x[at], activation);
        if activation.n_inputs() == 2 {
            dx[at] = d * slope * x[at + width];
            dx[at + width] = d * y;
        } else {
            dx[at] = d * slope;
        }
    }
}
