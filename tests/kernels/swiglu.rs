//! The gated activation, forward and backward.

use super::{check_slopes, compare, numbers, on_reference};

#[test]
fn both_passes_agree_with_the_reference_also_far_from_zero() {
    for (rows, width, size) in [(1, 1, 1.0), (5, 7, 10.0), (70, 33, 1.0), (3, 16, 100.0)] {
        let gate_up: Vec<f32> = numbers(1, rows * 2 * width).iter().map(|x| x * size).collect();
        let buffers = [vec![0.0; rows * width], gate_up, numbers(2, rows * width), numbers(3, rows * 2 * width)];
        compare("swiglu", &buffers, &[], 1e-6, &|b, v, _| {
            b.swiglu_forward(v[0], v[1], width);
            b.swiglu_backward(v[3], v[2], v[1], width);
        });
    }
}

#[test]
fn gradients_are_slopes() {
    let (rows, width) = (2, 3);
    let dout = numbers(2, rows * width);
    let buffers = [vec![0.0; rows * width], numbers(1, rows * 2 * width), dout.clone(), vec![0.0; rows * 2 * width]];
    let gradients = on_reference(&buffers, &[], &|b, v, _| b.swiglu_backward(v[3], v[2], v[1], width));
    check_slopes("swiglu", &buffers, 0, &dout, 1, &gradients[3], &|b, v, _| b.swiglu_forward(v[0], v[1], width));
}
