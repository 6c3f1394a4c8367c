//! Rows by id, and gradients of rows that occur many times or stand for none.

use super::{TYPES, check_slopes, compare, f32s, numbers};

fn ids(n: usize, vocab: i32) -> Vec<i32> {
    numbers(9, n).iter().map(|x| if *x < -0.9 { -1 } else { (x.abs() * vocab as f32) as i32 % vocab }).collect()
}

#[test]
fn rows_and_their_gradients_agree_also_where_ids_repeat() {
    for (n, vocab, channels) in [(1, 1, 1), (5, 3, 7), (300, 40, 24), (100, 1000, 8)] {
        let ids = [ids(n, vocab as i32)];
        for (rows, table) in TYPES.into_iter().flat_map(|r| TYPES.map(|t| (r, t))) {
            let buffers = [(numbers(2, n * channels), rows), (numbers(1, vocab * channels), table)];
            for accumulate in [false, true] {
                compare("embedding forward", &buffers, &ids, 1e-7, &|b, v, ids| {
                    b.embedding_forward(v[0], v[1], ids[0], channels, accumulate);
                });
            }
        }
        for rows in TYPES {
            let buffers = [(numbers(2, n * channels), rows), f32s([numbers(1, vocab * channels)])[0].clone()];
            compare("embedding backward", &buffers, &ids, 1e-6, &|b, v, ids| b.embedding_backward(v[1], v[0], ids[0], channels));
        }
    }
}

#[test]
fn gradients_are_slopes() {
    let buffers = f32s([vec![0.0; 12], numbers(1, 9), numbers(2, 12), vec![0.0; 9]]);
    check_slopes(
        "embedding",
        &buffers,
        &[vec![1, -1, 0, 1]],
        (0, 2),
        &[(1, 3)],
        &|b, v, ids| b.embedding_forward(v[0], v[1], ids[0], 3, false),
        &|b, v, ids| b.embedding_backward(v[3], v[2], ids[0], 3),
    );
}

#[test]
#[should_panic]
fn an_id_outside_the_table_is_a_bug() {
    polder_compute::cpu::embedding_backward(&mut [0.0f32; 6], &[0.0f32; 3], &[2], 3);
}
