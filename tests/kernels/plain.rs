//! Copies, sums and fills of whole buffers, of any types.

use polder_compute::cuda::{Cuda, Emulated};
use polder_compute::{Backend, Dtype};

use super::{TYPES, compare, compare_at_odd_addresses, emulation, numbers};

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

#[test]
fn a_gpu_that_was_cleared_begins_anew() {
    let Some(library) = emulation() else { return };
    let mut cuda = Cuda::on(Box::new(Emulated::open(library, (9, 0), 1).expect("emulation")), 1 << 16).expect("backend");
    for round in 0..3 {
        let x = cuda.alloc(1000, Dtype::F32);
        assert_eq!(x.buffer.0, 0, "round {round}");
        cuda.upload(x, &numbers(round, 1000));
        let sum = cuda.alloc(1, Dtype::F32);
        cuda.sum_squares(sum, x);
        let mut found = [0f32];
        cuda.download(sum, &mut found);
        let expected: f32 = numbers(round, 1000).iter().map(|x| x * x).sum();
        assert!((found[0] / expected - 1.0).abs() < 1e-5, "round {round}: {found:?} {expected}");
        cuda.clear().expect("memory given back");
    }
}
