//! One token at a time: the same numbers as the matrix product and as attention over whole sequences.

use polder_compute::{Attention, Gemm, cpu};

use super::numbers;

fn close(a: &[f32], b: &[f32]) -> bool {
    a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-4 * (1.0 + b.abs()))
}

#[test]
fn a_matrix_times_a_vector_equals_the_matrix_product() {
    for (n, k) in [(1, 1), (3, 5), (4, 16), (7, 33), (384, 128), (5000, 300)] {
        let (weight, x) = (numbers(1, n * k), numbers(2, k));
        let (mut ours, mut product) = (vec![0f32; n], vec![0f32; n]);
        cpu::gemv(&mut ours, &weight, &x);
        cpu::gemm(&mut product, &x, &weight, None, Gemm { m: 1, n, k, transpose_a: false, transpose_b: true, accumulate: false });
        assert!(close(&ours, &product), "{n} × {k}");
    }
}

#[test]
fn the_last_row_of_attention_equals_one_row_over_the_cache() {
    let shape = Attention { batch: 1, time: 70, n_heads: 4, n_kv_heads: 2, head: 6, causal: true, window: None };
    let qkv = numbers(3, 70 * shape.row());
    let (mut out, mut lse) = (vec![0f32; 70 * 24], vec![0f32; 4 * 70]);
    cpu::attention_forward(&mut out, &mut lse, &qkv, None, shape);
    for h in 0..4 {
        let (key, value) = ((4 + h / 2) * 6, (6 + h / 2) * 6);
        let query = &qkv[69 * shape.row() + h * 6..][..6];
        let (mut row, mut scores) = (vec![0f32; 6], vec![0f32; 70]);
        cpu::attend_row(&mut row, &mut scores, query, &qkv[key..], &qkv[value..], shape.row(), shape.scale() as f32);
        assert!(close(&row, &out[69 * 24 + h * 6..][..6]), "head {h}");
    }
}
