//! Every activation, its slope, and numbers at which a careless formula overflows.

use polder_compute::{Activation, Dtype};

use super::{TYPES, check_slopes, compare, compare_at_odd_addresses, f32s, numbers, stored};

const ALL: [Activation; 6] =
    [Activation::SwiGlu, Activation::GeGlu, Activation::Gelu, Activation::GeluTanh, Activation::ReluSquared, Activation::Tanh];

#[test]
fn both_passes_agree_with_the_reference() {
    for activation in ALL {
        for (rows, width, size) in [(1, 1, 1.0), (3, 5, 4.0), (40, 33, 8.0), (70, 64, 60.0)] {
            let (n, inputs) = (rows * width, rows * width * activation.n_inputs());
            let x: Vec<f32> = numbers(1, inputs).iter().map(|x| x * size).collect();
            for dtype in TYPES {
                let buffers = stored(dtype, [vec![0.0; n], x.clone(), numbers(2, n), vec![0.0; inputs]]);
                let what = format!("{activation:?} {rows} × {width}");
                compare(&what, &buffers, &[], 3e-6, &|b, v, _| b.activation_forward(v[0], v[1], width, activation));
                compare(&what, &buffers, &[], 3e-6, &|b, v, _| b.activation_backward(v[3], v[2], v[1], width, activation));
            }
        }
    }
}

#[test]
fn any_view_may_begin_at_an_odd_address() {
    for dtype in TYPES {
        let buffers = stored(dtype, [vec![0.0; 48], numbers(1, 96), numbers(2, 48), vec![0.0; 96]]);
        compare_at_odd_addresses("swiglu", &buffers, &[], 3e-6, &|b, v, _| {
            b.activation_forward(v[0], v[1], 16, Activation::SwiGlu);
            b.activation_backward(v[3], v[2], v[1], 16, Activation::SwiGlu);
        });
    }
}

#[test]
fn gradients_are_slopes() {
    for activation in ALL {
        let (n, width, inputs) = (10, 5, 10 * activation.n_inputs());
        let x: Vec<f32> = numbers(1, inputs).iter().map(|x| x * 3.0).collect();
        let buffers = f32s([vec![0.0; n], x, numbers(2, n), vec![0.0; inputs]]);
        check_slopes(
            &format!("{activation:?}"),
            &buffers,
            &[],
            (0, 2),
            &[(1, 3)],
            &|b, v, _| b.activation_forward(v[0], v[1], width, activation),
            &|b, v, _| b.activation_backward(v[3], v[2], v[1], width, activation),
        );
    }
}

#[test]
fn far_from_zero_nothing_overflows() {
    for activation in ALL {
        let x = vec![-1e4f32, 1e4, -90.0, 90.0, 0.0, -0.0, 30.0, -30.0];
        let n = x.len() / activation.n_inputs();
        let buffers = [(vec![0.0; n], Dtype::F32), (x, Dtype::F32), (vec![1.0; n], Dtype::F32), (vec![0.0; 8], Dtype::F32)];
        compare("far from zero", &buffers, &[], 3e-6, &|b, v, _| {
            b.activation_forward(v[0], v[1], n, activation);
            b.activation_backward(v[3], v[2], v[1], n, activation);
        });
    }
}
