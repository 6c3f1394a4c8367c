//! The optimizer over several steps, with clipped gradients and without, with a rounded copy and without.

use polder_compute::{AdamW, Bf16, Dtype, Number, cpu};

use super::{TYPES, compare, f32s, numbers};

#[test]
fn several_updates_agree_with_the_reference() {
    for (n, clip) in [(1, 0.0), (17, 0.1), (40_000, 1.0), (500, 1e6)] {
        for working in [None, Some(Dtype::F32), Some(Dtype::Bf16)] {
            let zeros = vec![0.0; n];
            let mut buffers = f32s([numbers(1, n), zeros.clone(), zeros.clone(), numbers(2, n), vec![0.0]]).to_vec();
            buffers.extend(working.map(|dtype| (zeros, dtype)));
            compare("adamw", &buffers, &[], 2e-6, &|b, v, _| {
                for step in 1..=5 {
                    b.sum_squares(v[4], v[3]);
                    let settings = AdamW { lr: 1e-2, beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.1, step, clip };
                    b.adamw(v[0], v.get(5).copied(), v[1], v[2], v[3], v[4], settings);
                }
            });
        }
    }
}

#[test]
fn the_working_copy_is_the_rounded_parameters() {
    let (mut p, mut m, mut v, g) = (numbers(1, 100), vec![0.0; 100], vec![0.0; 100], numbers(2, 100));
    let mut working = vec![Bf16::default(); 100];
    let step = AdamW { lr: 1e-2, beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.1, step: 1, clip: 0.0 };
    cpu::adamw(&mut p, Some(&mut working), &mut m, &mut v, &g, 1.0, step);
    assert_eq!(working, p.iter().map(|p| Bf16::of(*p)).collect::<Vec<_>>());
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
    for dtype in TYPES {
        let buffers = [(numbers(1, 70_001), dtype), (vec![0.0], Dtype::F32)];
        compare("sum of squares", &buffers, &[], 5e-6, &|b, v, _| b.sum_squares(v[1], v[0]));
    }
}
