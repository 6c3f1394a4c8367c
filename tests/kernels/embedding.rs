//! Rows by id, and gradients of rows that occur many times or stand for none.

use polder_compute::{Dtype, View};

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
fn wide_rows_at_any_address_agree_with_the_reference() {
    for (channels, shift) in [(264, 0), (520, 0), (1031, 0), (40, 1)] {
        let ids = [ids(50, 70)];
        for (rows, table) in TYPES.into_iter().flat_map(|r| TYPES.map(|t| (r, t))) {
            let buffers = [(numbers(2, 50 * channels + shift), rows), (numbers(1, 70 * channels + shift), table)];
            let what = format!("{channels} from {shift} on");
            let part = |v: View| v.part(shift, v.len - shift);
            compare(&what, &buffers, &ids, 1e-6, &|b, v, ids| b.embedding_forward(part(v[0]), part(v[1]), ids[0], channels, true));
            compare(&what, &buffers, &ids, 1e-6, &|b, v, ids| b.embedding_backward(part(v[1]), part(v[0]), ids[0], channels));
        }
    }
}

#[test]
fn gradients_of_ids_that_occur_hardly_ever_or_all_the_time_agree_with_the_reference() {
    let skewed =
        |n: usize, vocab: i32| -> Vec<i32> { ids(n, vocab).iter().enumerate().map(|(i, id)| if i % 3 == 0 { 1 } else { *id }).collect() };
    let cases: Vec<(&str, usize, usize, Vec<i32>)> = vec![
        ("no id", 5, 8, vec![-1; 40]),
        ("one row", 5, 8, vec![4]),
        ("one id", 1, 8, vec![0; 2100]),
        ("one id of many", 300, 1, vec![299; 700]),
        ("two ids in turn", 2, 12, (0..1000).map(|i| i % 2).collect()),
        ("positions", 96, 4, (0..96 * 32).map(|i| i % 96).collect()),
        ("positions backwards", 7, 4, (0..450).map(|i| 6 - i % 7).collect()),
        ("a favourite", 400, 9, skewed(5000, 400)),
        ("three digits", 70_000, 1, ids(3000, 70_000)),
        ("as many ids as a digit has", 255, 1, ids(600, 255)),
        ("one more", 256, 1, ids(600, 256)),
        ("long runs", 50, 4, skewed(33_000, 50)),
    ];
    let soaked = if std::env::var_os("POLDER_SOAK").is_some() { 60 } else { 0 };
    let random = (0..soaked).map(|i| {
        let (n, vocab) = (1 + i * 311 % 5000, 1 + i * i * 37 % 700);
        ("any", vocab, 1 + i * 5 % 23, skewed(n, vocab as i32).iter().map(|id| id % vocab as i32).collect())
    });
    for (what, vocab, channels, ids) in cases.into_iter().chain(random) {
        for rows in TYPES {
            let buffers = [(numbers(2, ids.len() * channels), rows), (numbers(1, vocab * channels), Dtype::F32)];
            compare(what, &buffers, std::slice::from_ref(&ids), 1e-5, &|b, v, ids| b.embedding_backward(v[1], v[0], ids[0], channels));
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
