//! Copies, sums and fills of whole buffers, of any types.

use super::{TYPES, compare, compare_at_odd_addresses, numbers};

#[test]
fn sums_copies_and_fills_agree_with_the_reference() {
    for n in [1, 15, 16, 1000, 40_000] {
        for (out, x) in TYPES.into_iter().flat_map(|o| TYPES.map(|x| (o, x))) {
            let buffers = [(numbers(1, n), out), (numbers(2, n), x)];
            compare("add", &buffers, &[], 1e-7, &|b, v, _| b.add(v[0], v[1]));
            compare("copy", &buffers, &[], 1e-7, &|b, v, _| b.copy(v[0], v[1]));
            compare("fill", &buffers, &[], 0.0, &|b, v, _| b.fill(v[0], 0.75));
        }
    }
}

#[test]
fn any_view_may_begin_at_an_odd_address() {
    for (out, x) in TYPES.into_iter().flat_map(|o| TYPES.map(|x| (o, x))) {
        let buffers = [(numbers(1, 35), out), (numbers(2, 35), x)];
        compare_at_odd_addresses("add", &buffers, &[], 1e-7, &|b, v, _| b.add(v[0], v[1]));
        compare_at_odd_addresses("copy", &buffers, &[], 1e-7, &|b, v, _| b.copy(v[0], v[1]));
        compare_at_odd_addresses("fill", &buffers, &[], 0.0, &|b, v, _| b.fill(v[0], 0.75));
    }
}
