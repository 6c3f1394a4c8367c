//! Normalisation by the root mean square, forward and backward.

use super::{check_slopes, compare, numbers, on_reference};

const EPS: f32 = 1e-5;

#[test]
fn both_passes_agree_with_the_reference() {
    for (rows, channels) in [(1, 1), (3, 7), (64, 16), (200, 33), (130, 128)] {
        let n = rows * channels;
        let buffers = [vec![0.0; n], vec![0.0; rows], numbers(1, n), numbers(2, channels)];
        compare("rms_norm forward", &buffers, &[], 1e-6, &|b, v, _| b.rms_norm_forward(v[0], v[1], v[2], v[3], EPS));
        // dx, dweight, dout, x, weight, rstd, and a place for the forward's output.
        let buffers =
            [numbers(3, n), numbers(4, channels), numbers(5, n), numbers(1, n), numbers(2, channels), vec![0.0; rows], vec![0.0; n]];
        compare("rms_norm backward", &buffers, &[], 3e-6, &|b, v, _| {
            b.rms_norm_forward(v[6], v[5], v[3], v[4], EPS);
            b.rms_norm_backward(v[0], v[1], v[2], v[3], v[4], v[5]);
        });
    }
}

#[test]
fn gradients_are_slopes() {
    let (rows, channels) = (3, 5);
    let n = rows * channels;
    let dout = numbers(5, n);
    let buffers = [vec![0.0; n], vec![0.0; rows], numbers(1, n), numbers(2, channels), vec![0.0; n], vec![0.0; channels], dout.clone()];
    let gradients = on_reference(&buffers, &[], &|b, v, _| {
        b.rms_norm_forward(v[0], v[1], v[2], v[3], EPS);
        b.rms_norm_backward(v[4], v[5], v[6], v[2], v[3], v[1]);
    });
    for (input, gradient) in [(2, 4), (3, 5)] {
        check_slopes("rms_norm", &buffers, 0, &dout, input, &gradients[gradient], &|b, v, _| {
            b.rms_norm_forward(v[0], v[1], v[2], v[3], EPS);
        });
    }
}
