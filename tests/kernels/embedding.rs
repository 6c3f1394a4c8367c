//! Rows by id, and gradients of rows that occur many times.

use super::{compare, numbers};

fn ids(n: usize, vocab: i32) -> Vec<i32> {
    numbers(9, n).iter().map(|x| (x.abs() * vocab as f32) as i32 % vocab).collect()
}

#[test]
fn rows_and_their_gradients_agree_also_where_ids_repeat() {
    for (n, vocab, channels) in [(1, 1, 1), (5, 3, 7), (300, 40, 24), (100, 1000, 8)] {
        let weights = numbers(1, vocab * channels);
        let ids = [ids(n, vocab as i32)];
        let buffers = [numbers(2, n * channels), weights];
        compare("embedding forward", &buffers, &ids, 1e-7, &|b, v, ids| b.embedding_forward(v[0], v[1], ids[0], channels));
        compare("embedding backward", &buffers, &ids, 1e-6, &|b, v, ids| b.embedding_backward(v[1], v[0], ids[0], channels));
    }
}
