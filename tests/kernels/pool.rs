//! Means over ranges of rows: long, short and empty ones.

use polder_compute::{Dtype, View};

use super::{TYPES, check_slopes, compare, compare_at_odd_addresses, f32s, numbers};

#[test]
fn both_passes_agree_with_the_reference() {
    for channels in [1, 7, 48] {
        let ranges = [vec![0, 1, 1, 40, 40, 40, 45, 100, 0, 100]];
        for (rows, pooled) in TYPES.into_iter().flat_map(|r| TYPES.map(|p| (r, p))) {
            let buffers = [(numbers(1, 5 * channels), pooled), (numbers(2, 100 * channels), rows)];
            compare("pool forward", &buffers, &ranges, 2e-6, &|b, v, r| b.pool_forward(v[0], v[1], r[0], channels));
        }
        // Ranges do not overlap in use; a sum that is rounded twice would not be within one rounding.
        let ranges = [vec![0, 1, 1, 40, 40, 40, 45, 100]];
        for (rows, pooled) in TYPES.into_iter().flat_map(|r| TYPES.map(|p| (r, p))) {
            let buffers = [(numbers(1, 4 * channels), pooled), (numbers(2, 100 * channels), rows)];
            compare("pool backward", &buffers, &ranges, 2e-6, &|b, v, r| b.pool_backward(v[1], v[0], r[0], channels));
        }
    }
}

#[test]
fn wide_rows_many_ranges_and_odd_addresses_agree_with_the_reference() {
    let one_by_one: Vec<i32> = (0..300).flat_map(|i| [i, i + 1]).collect();
    for (channels, shift, ranges) in [(1032, 0, vec![0, 3, 3, 70, 299, 300, 9, 4]), (130, 0, one_by_one.clone()), (16, 1, one_by_one)] {
        let (n_rows, n_pooled) = (300 * channels, ranges.len() / 2 * channels);
        for (rows, pooled) in TYPES.into_iter().flat_map(|r| TYPES.map(|p| (r, p))) {
            let buffers = [(numbers(1, n_pooled + shift), pooled), (numbers(2, n_rows + shift), rows)];
            let part = |v: View| v.part(shift, v.len - shift);
            let ranges = std::slice::from_ref(&ranges);
            compare("pool forward", &buffers, ranges, 2e-6, &|b, v, r| b.pool_forward(part(v[0]), part(v[1]), r[0], channels));
            compare("pool backward", &buffers, ranges, 2e-6, &|b, v, r| b.pool_backward(part(v[1]), part(v[0]), r[0], channels));
        }
    }
}

#[test]
fn any_view_may_begin_at_an_odd_address() {
    let ranges = [vec![0, 3, 3, 20]];
    for (rows, pooled) in TYPES.into_iter().flat_map(|r| TYPES.map(|p| (r, p))) {
        let buffers = [(numbers(1, 2 * 16), pooled), (numbers(2, 20 * 16), rows)];
        compare_at_odd_addresses("pool forward", &buffers, &ranges, 2e-6, &|b, v, r| b.pool_forward(v[0], v[1], r[0], 16));
        compare_at_odd_addresses("pool backward", &buffers, &ranges, 2e-6, &|b, v, r| b.pool_backward(v[1], v[0], r[0], 16));
    }
}

#[test]
fn ranges_may_overlap() {
    let buffers = [(numbers(1, 4 * 20), Dtype::F32), (numbers(2, 200 * 20), Dtype::F32)];
    let ranges = [vec![0, 200, 10, 90, 63, 65, 64, 64]];
    compare("overlap", &buffers, &ranges, 2e-6, &|b, v, r| b.pool_backward(v[1], v[0], r[0], 20));
}

#[test]
fn gradients_are_slopes() {
    let buffers = f32s([vec![0.0; 6], numbers(1, 15), numbers(2, 6), vec![0.0; 15]]);
    check_slopes("pool", &buffers, &[vec![0, 3, 2, 5]], (0, 2), &[(1, 3)], &|b, v, r| b.pool_forward(v[0], v[1], r[0], 3), &|b, v, r| {
        b.pool_backward(v[3], v[2], r[0], 3)
    });
}
