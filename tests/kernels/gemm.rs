//! Matrix products of any shape, stored either way round.

use polder_compute::Gemm;
use proptest::prelude::*;

use super::{compare, numbers};

fn check(shape: Gemm) {
    let Gemm { m, n, k, .. } = shape;
    let buffers = [numbers(1, m * n), numbers(2, m * k), numbers(3, k * n)];
    compare(&format!("{shape:?}"), &buffers, &[], 2e-6, &|b, v, _| b.gemm(v[0], v[1], v[2], shape));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn small_products_of_any_shape(m in 1usize..40, n in 1usize..40, k in 1usize..40, a: bool, b: bool, accumulate: bool) {
        check(Gemm { m, n, k, transpose_a: a, transpose_b: b, accumulate });
    }
}

#[test]
fn products_that_are_split_over_threads() {
    for (m, n, k) in [(256, 300, 128), (128, 96, 700), (1, 512, 256), (511, 1, 257)] {
        for (transpose_a, transpose_b) in [(false, true), (false, false), (true, false)] {
            check(Gemm { m, n, k, transpose_a, transpose_b, accumulate: true });
        }
    }
}

#[test]
fn an_empty_product_does_nothing() {
    polder_compute::cpu::gemm(
        &mut [],
        &[],
        &[1.0; 6],
        Gemm { m: 0, n: 3, k: 2, transpose_a: false, transpose_b: false, accumulate: false },
    );
}
