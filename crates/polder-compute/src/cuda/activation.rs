//! Activations.

use super::Cuda;
use super::table::kernels;
use crate::{Activation, View};

kernels! {
    file "activation"; types t0 t1 t2;

    /// `out (n) = activation(x)`.
    activation_forward [F32] [Bf16] (out: Out0, x: In0, n: Long, width: Long, kind: Int)
        threads 256; grid line(ceil(n * t0, 256 * 16)); shared 0;
        bytes n * t0 * (2 + i64::from(kind < 2)); flop 0;

    /// `dx = dout · activation'(x)`.
    activation_backward [F32] [Bf16] (dx: Out0, dout: In0, x: In0, n: Long, width: Long, kind: Int)
        threads 256; grid line(ceil(n * t0, 256 * 16)); shared 0;
        bytes n * t0 * (3 + 2 * i64::from(kind < 2)); flop 0;
}

/// As `kernels/activation.cu` numbers them.
fn kind(activation: Activation) -> i32 {
    match activation {
        Activation::SwiGlu => 0,
        Activation::GeGlu => 1,
        Activation::Gelu => 2,
        Activation::GeluTanh => 3,
        Activation::ReluSquared => 4,
        Activation::Tanh => 5,
    }
}

pub fn activation_forward(cuda: &mut Cuda, out: View, x: View, width: usize, activation: Activation) {
    assert_eq!((out.dtype, out.len * activation.n_inputs()), (x.dtype, x.len), "sizes of an activation");
    let (at, from) = (cuda.at(out), cuda.at(x));
    launch::activation_forward(cuda.device(), &[x.dtype], at, from, out.len as i64, width as i64, kind(activation));
}

pub fn activation_backward(cuda: &mut Cuda, dx: View, dout: View, x: View, width: usize, activation: Activation) {
    assert_eq!(
        (dx.dtype, dout.dtype, dout.len * activation.n_inputs(), dx.len),
        (x.dtype, x.dtype, x.len, x.len),
        "sizes of an activation"
    );
    let (to, from, at) = (cuda.at(dx), cuda.at(dout), cuda.at(x));
    launch::activation_backward(cuda.device(), &[x.dtype], to, from, at, dout.len as i64, width as i64, kind(activation));
}
