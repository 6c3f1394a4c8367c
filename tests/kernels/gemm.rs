//! Matrix products of any shape, stored either way round, as either type.

use polder_compute::{Dtype, Gemm};
use proptest::prelude::*;

use super::{compare, numbers};

/// Types of the output and of both factors.
const TYPES: [(Dtype, Dtype); 3] = [(Dtype::F32, Dtype::F32), (Dtype::Bf16, Dtype::Bf16), (Dtype::F32, Dtype::Bf16)];

fn check(shape: Gemm, bias: bool) {
    let Gemm { m, n, k, .. } = shape;
    for (out, factors) in TYPES {
        let buffers = [(numbers(1, m * n), out), (numbers(2, m * k), factors), (numbers(3, k * n), factors), (numbers(4, n), Dtype::F32)];
        let what = format!("{shape:?} {factors:?}");
        compare(&what, &buffers, &[], 3e-6, &|b, v, _| b.gemm(v[0], v[1], v[2], bias.then_some(v[3]), shape));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn small_products_of_any_shape(m in 1usize..40, n in 1usize..40, k in 1usize..40, a: bool, b: bool, accumulate: bool, bias: bool) {
        check(Gemm { m, n, k, transpose_a: a, transpose_b: b, accumulate }, bias);
    }
}

#[test]
fn products_that_are_split_over_threads() {
    for (m, n, k) in [(256, 300, 128), (128, 96, 700), (1, 512, 256), (511, 1, 257), (33, 600, 1), (600, 70, 1030)] {
        for (transpose_a, transpose_b) in [(false, true), (false, false), (true, false), (true, true)] {
            check(Gemm { m, n, k, transpose_a, transpose_b, accumulate: true }, false);
            check(Gemm { m, n, k, transpose_a, transpose_b, accumulate: false }, true);
        }
    }
}

#[test]
fn an_empty_product_does_nothing_and_an_empty_sum_is_zero() {
    let shape = Gemm { m: 0, n: 3, k: 2, transpose_a: false, transpose_b: false, accumulate: false };
    polder_compute::cpu::gemm::<f32, f32>(&mut [], &[], &[1.0; 6], None, shape);
    let mut out = [7f32; 6];
    polder_compute::cpu::gemm::<f32, f32>(&mut out, &[], &[], Some(&[1.0, 2.0, 3.0]), Gemm { m: 2, k: 0, ..shape });
    assert_eq!(out, [1.0, 2.0, 3.0, 1.0, 2.0, 3.0]);
}
