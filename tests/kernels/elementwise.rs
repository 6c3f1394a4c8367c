//! Sums and copies of whole buffers.

use super::{compare, numbers};

#[test]
fn sums_copies_and_fills_agree() {
    for n in [1, 17, 50_000] {
        let buffers = [numbers(1, n), numbers(2, n), numbers(3, n)];
        compare("elementwise", &buffers, &[], 1e-7, &|b, v, _| {
            b.add(v[0], v[1]);
            b.copy(v[2], v[0]);
            b.fill(v[0], 0.5);
        });
    }
}
