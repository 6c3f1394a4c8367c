//! The optimizer over several steps, with clipped gradients and without.

use polder_compute::{AdamW, cpu};

use super::{compare, numbers};

#[test]
fn several_updates_agree_with_the_reference() {
    for (n, clip) in [(1, 0.0), (17, 0.1), (40_000, 1.0), (500, 1e6)] {
        let zeros = vec![0.0; n];
        let buffers = [numbers(1, n), zeros.clone(), zeros, numbers(2, n), vec![0.0]];
        compare("adamw", &buffers, &[], 2e-6, &|b, v, _| {
            for step in 1..=5 {
                b.sum_squares(v[4], v[3]);
                b.adamw(
                    v[0],
                    v[1],
                    v[2],
                    v[3],
                    v[4],
                    AdamW { lr: 1e-2, beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.1, step, clip },
                );
            }
        });
    }
}

#[test]
fn clipping_scales_to_the_largest_norm_and_leaves_smaller_ones() {
    assert_eq!((cpu::clip_scale(4.0, 0.0), cpu::clip_scale(4.0, 2.0), cpu::clip_scale(4.0, 3.0)), (1.0, 1.0, 1.0));
    assert!((cpu::clip_scale(4.0, 1.0) - 0.5).abs() < 1e-6);
}

#[test]
fn a_sum_of_squares_of_many_numbers_keeps_its_digits() {
    let x = vec![1e-3f32; 3_000_001];
    assert!((cpu::sum_squares(&x) / 3.000_001 - 1.0).abs() < 2e-5);
}
