//! Biases and their gradient.

use polder_compute::{Dtype, Gemm};

use super::{TYPES, check_slopes, compare, f32s, numbers};

#[test]
fn sums_over_rows_agree_with_the_reference() {
    for (rows, channels) in [(1, 1), (5, 7), (128, 33), (129, 16), (1000, 48), (259, 264), (40, 1030)] {
        for dtype in TYPES {
            let buffers = [(numbers(1, channels), Dtype::F32), (numbers(2, rows * channels), dtype)];
            compare("bias", &buffers, &[], 2e-6, &|b, v, _| b.bias_backward(v[0], v[1]));
        }
    }
}

#[test]
fn sums_over_very_many_rows_and_at_odd_addresses_agree_with_the_reference() {
    for (rows, channels, tolerance) in [(270_000, 1, 1e-5), (300, 16, 2e-6)] {
        for dtype in TYPES {
            let buffers = [(numbers(1, channels + 1), Dtype::F32), (numbers(2, rows * channels + 1), dtype)];
            compare("bias", &buffers, &[], tolerance, &|b, v, _| b.bias_backward(v[0].part(1, channels), v[1].part(1, rows * channels)));
        }
    }
}

#[test]
fn the_gradients_of_a_product_with_a_bias_are_slopes() {
    let (m, n, k) = (3, 4, 5);
    let buffers =
        f32s([vec![0.0; 12], numbers(1, 15), numbers(2, 20), numbers(3, 4), numbers(4, 12), vec![0.0; 15], vec![0.0; 20], vec![0.0; 4]]);
    let shape = |m, n, k, transpose_a, transpose_b| Gemm { m, n, k, transpose_a, transpose_b, accumulate: false };
    check_slopes(
        "linear",
        &buffers,
        &[],
        (0, 4),
        &[(1, 5), (2, 6), (3, 7)],
        &|b, v, _| b.gemm(v[0], v[1], v[2], Some(v[3]), shape(m, n, k, false, true)),
        &|b, v, _| {
            b.gemm(v[5], v[4], v[2], None, shape(m, k, n, false, false));
            b.gemm(v[6], v[4], v[1], None, shape(n, k, m, true, false));
            b.bias_backward(v[7], v[4]);
        },
    );
}
