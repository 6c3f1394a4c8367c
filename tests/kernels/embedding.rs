//! Rows by id, and gradients of rows that occur many times or stand for none.

use polder_compute::cuda::{Cuda, Emulated};
use polder_compute::{Backend, Dtype, View};

use super::{TYPES, assert_near, check_slopes, compare, compare_at_odd_addresses, emulation, f32s, numbers, on_emulation, on_reference};

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
fn an_id_of_more_runs_than_a_block_counts_at_once_agrees_with_the_reference() {
    let ids = [(0..9000).map(|i| i32::from(i < 40)).collect()];
    let buffers = f32s([numbers(2, 9000), numbers(1, 2)]);
    compare("300 runs", &buffers, &ids, 5e-5, &|b, v, ids| b.embedding_backward(v[1], v[0], ids[0], 1));
}

#[test]
fn any_view_may_begin_at_an_odd_address() {
    let ids = [ids(70, 5)];
    for (rows, table) in TYPES.into_iter().flat_map(|r| TYPES.map(|t| (r, t))) {
        let buffers = [(numbers(2, 70 * 16), rows), (numbers(1, 5 * 16), table)];
        compare_at_odd_addresses("forward", &buffers, &ids, 1e-7, &|b, v, ids| b.embedding_forward(v[0], v[1], ids[0], 16, true));
        compare_at_odd_addresses("backward", &buffers, &ids, 1e-6, &|b, v, ids| b.embedding_backward(v[1], v[0], ids[0], 16));
    }
}

#[test]
fn on_a_gpu_gradients_of_bf16_tables_are_rounded_once() {
    let Some(library) = emulation() else { return };
    // Ids that reach over many runs of rows, and such as do not.
    for (vocab, channels, ids) in [(1, 8, vec![0; 300]), (3, 12, (0..200).map(|i| i % 3).collect()), (9, 5, ids(100, 9))] {
        for rows in TYPES {
            let buffers = [(numbers(2, ids.len() * channels), rows), (numbers(1, vocab * channels), Dtype::Bf16)];
            let (ids, op): (_, super::Op) = (std::slice::from_ref(&ids), &|b, v, ids| b.embedding_backward(v[1], v[0], ids[0], channels));
            // The processor rounds with every row.
            let truth = on_reference(&buffers, ids, op);
            for seed in [1, 2] {
                assert_near("bf16 table", &on_emulation(library, (8, 0), seed, &buffers, ids, op), &truth, &buffers, 0.0);
            }
        }
    }
}

#[test]
fn on_a_gpu_ids_outside_the_table_stand_for_none() {
    let Some(library) = emulation() else { return };
    let (channels, vocab) = (8, 4);
    let run = |ids: &[i32]| {
        let mut cuda = Cuda::on(Box::new(Emulated::open(library, (9, 0), 1).expect("emulation")), 0).expect("backend");
        let [out, table, gradient] = [ids.len(), vocab, vocab].map(|n| cuda.alloc(n * channels, Dtype::F32));
        let at = cuda.alloc_ids(ids.len());
        cuda.upload(table, &numbers(1, vocab * channels));
        cuda.upload_ids(at, ids);
        cuda.embedding_forward(out, table, at, channels, false);
        cuda.embedding_backward(gradient, table.part(0, ids.len() * channels), at, channels);
        [out, gradient].map(|view| {
            let mut values = vec![0.0; view.len];
            cuda.download(view, &mut values);
            values
        })
    };
    assert_eq!(run(&[1, vocab as i32, 3, i32::MAX]), run(&[1, -1, 3, -1]));
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
