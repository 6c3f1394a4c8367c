//! Matrix products of any shape, stored either way round, as either type, at any address.

use polder_compute::cuda::{Cuda, Emulated, GemmChoice};
use polder_compute::{Backend, Cpu, Dtype, Gemm};
use proptest::prelude::*;

use super::{assert_near, compare, numbers, on_reference};

/// Types of the output and of both factors.
const TYPES: [(Dtype, Dtype); 3] = [(Dtype::F32, Dtype::F32), (Dtype::Bf16, Dtype::Bf16), (Dtype::F32, Dtype::Bf16)];

const LAYOUTS: [(bool, bool); 4] = [(false, true), (false, false), (true, false), (true, true)];

fn shape(m: usize, n: usize, k: usize, (transpose_a, transpose_b): (bool, bool), accumulate: bool) -> Gemm {
    Gemm { m, n, k, transpose_a, transpose_b, accumulate }
}

/// Output, factors and bias, each within a buffer that begins `before` numbers earlier and ends one later.
fn buffers(Gemm { m, n, k, .. }: Gemm, (out, factors): (Dtype, Dtype), before: [usize; 4]) -> [super::Data; 4] {
    let len = |i: usize, len: usize| numbers(i as u64 + 1, if before[i] > 0 { before[i] + len + 1 } else { len });
    [(len(0, m * n), out), (len(1, m * k), factors), (len(2, k * n), factors), (len(3, n), Dtype::F32)]
}

fn check_at(shape: Gemm, types: (Dtype, Dtype), bias: bool, before: [usize; 4]) {
    let Gemm { m, n, k, .. } = shape;
    compare(&format!("{shape:?} {types:?} {before:?}"), &buffers(shape, types, before), &[], 3e-6, &|b, v, _| {
        let at = |i: usize, len: usize| v[i].part(before[i], len);
        b.gemm(at(0, m * n), at(1, m * k), at(2, k * n), bias.then(|| at(3, n)), shape);
    });
}

fn check(shape: Gemm, bias: bool) {
    for types in TYPES {
        check_at(shape, types, bias, [0; 4]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn small_products_of_any_shape(m in 1usize..40, n in 1usize..40, k in 1usize..40, a: bool, b: bool, accumulate: bool, bias: bool) {
        check(shape(m, n, k, (a, b), accumulate), bias);
    }
}

/// On the processor alone: sizes that it splits over threads, which say nothing of a GPU's blocks.
#[test]
fn products_that_are_split_over_threads() {
    let on_threads = |threads: usize, buffers: &[super::Data], bias: bool, shape: Gemm| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(|| {
            let mut cpu = Cpu::new();
            let views = buffers.iter().map(|(values, dtype)| {
                let view = cpu.alloc(values.len(), *dtype);
                cpu.upload(view, values);
                view
            });
            let views: Vec<_> = views.collect();
            cpu.gemm(views[0], views[1], views[2], bias.then_some(views[3]), shape);
            let read = |view: &polder_compute::View| {
                let mut values = vec![0f32; view.len];
                cpu.download(*view, &mut values);
                values
            };
            views.iter().map(read).collect::<Vec<_>>()
        })
    };
    for (m, n, k) in [(256, 300, 128), (128, 96, 700), (1, 512, 256), (511, 1, 257), (33, 600, 1), (600, 70, 1030)] {
        for (layout, bias, types) in LAYOUTS.iter().flat_map(|l| [true, false].map(|b| (*l, b))).flat_map(|(l, b)| TYPES.map(|t| (l, b, t)))
        {
            let shape = shape(m, n, k, layout, !bias);
            let buffers = buffers(shape, types, [0; 4]);
            let truth = on_reference(&buffers, &[], &|b, v, _| b.gemm(v[0], v[1], v[2], bias.then_some(v[3]), shape));
            let ours = on_threads(1, &buffers, bias, shape);
            assert_near(&format!("{shape:?} {types:?}"), &ours, &truth, &buffers, 3e-6);
            assert_eq!(on_threads(3, &buffers, bias, shape), ours, "{shape:?} {types:?}: one thread and three differ");
        }
    }
}

#[test]
fn tiles_that_end_one_number_late() {
    // Multiples of eight, which are copied in parts of 16 bytes, and others; one tile and several, of either size.
    for (i, (m, n, k)) in [(1, 1, 1), (65, 64, 33), (72, 56, 40), (129, 136, 32), (136, 264, 72), (257, 129, 17)].into_iter().enumerate() {
        for (j, layout) in LAYOUTS.into_iter().enumerate() {
            for (t, types) in TYPES.into_iter().enumerate() {
                let bias = (i + j + t) % 2 == 0;
                check_at(shape(m, n, k, layout, (i + j / 2) % 2 == 0), types, bias, [0; 4]);
            }
        }
    }
}

#[test]
fn long_sums_of_few_results_are_split() {
    for (j, layout) in LAYOUTS.into_iter().enumerate() {
        for types in TYPES {
            check_at(shape(5, 9, 1100, layout, j % 2 == 0), types, j < 2, [0; 4]);
            check_at(shape(8, 16, 1048, layout, j < 2), types, j % 2 == 0, [0; 4]);
        }
    }
    for (layout, types) in LAYOUTS.into_iter().zip([TYPES[1], TYPES[2], TYPES[0], TYPES[1]]) {
        check_at(shape(8, 136, 1032, layout, true), types, true, [0; 4]);
    }
}

#[test]
fn products_at_any_address() {
    for (j, layout) in LAYOUTS.into_iter().enumerate() {
        for types in TYPES {
            for before in [[0, 1, 0, 0], [0, 0, 3, 0], [1, 8, 16, 1], [3, 2, 7, 2]] {
                check_at(shape(40, 24, 48, layout, j % 2 == 0), types, j < 2, before);
            }
            check_at(shape(19, 21, 23, layout, j % 2 == 1), types, true, [1, 1, 2, 3]);
        }
    }
    // Split, and with the large tile.
    check_at(shape(8, 16, 1056, (true, false), true), TYPES[1], true, [1, 1, 1, 1]);
    check_at(shape(136, 257, 32, (false, true), true), TYPES[2], true, [3, 3, 1, 1]);
}

#[test]
fn an_empty_product_does_nothing_and_an_empty_sum_is_zero() {
    for (m, n, k) in [(0, 3, 2), (2, 0, 3), (2, 3, 0), (0, 0, 0)] {
        for accumulate in [false, true] {
            check(shape(m, n, k, (false, false), accumulate), true);
            check(shape(m, n, k, (true, true), accumulate), false);
        }
    }
    let shape = shape(0, 3, 2, (false, false), false);
    polder_compute::cpu::gemm::<f32, f32>(&mut [], &[], &[1.0; 6], None, shape);
    let mut out = [7f32; 6];
    polder_compute::cpu::gemm::<f32, f32>(&mut out, &[], &[], Some(&[1.0, 2.0, 3.0]), Gemm { m: 2, k: 0, ..shape });
    assert_eq!(out, [1.0, 2.0, 3.0, 1.0, 2.0, 3.0]);
}

#[test]
fn where_cublaslt_cannot_be_used_our_own_kernels_go_on() {
    let Some(library) = super::emulation() else { return };
    let device = Emulated::open(library, (8, 0), 1).expect("emulation");
    let mut cuda = Cuda::on(Box::new(device), 0).expect("backend");
    // An emulation is no GPU, whether the library is there or not.
    assert!(cuda.set_gemm(GemmChoice::CublasLt).is_err());
    let [out, a, b] = [1, 2, 2].map(|n| cuda.alloc(n, Dtype::F32));
    cuda.upload(a, &[2.0, 3.0]);
    cuda.upload(b, &[5.0, 7.0]);
    cuda.gemm(out, a, b, None, shape(1, 1, 2, (false, false), false));
    let mut found = [0.0];
    cuda.download(out, &mut found);
    assert_eq!(found, [31.0]);
}

#[test]
fn larger_products_of_any_shape_and_place() {
    if std::env::var_os("POLDER_SOAK").is_none() {
        println!("skipped: minutes of emulated products run with POLDER_SOAK=1");
        return;
    }
    let mut random = numbers(9, 4000).into_iter().map(|x| (f64::from(x) + 1.0) / 2.0);
    let mut below = |n: usize| (random.next().expect("a number") * n as f64) as usize;
    for _ in 0..60 {
        // Half of the sizes are what rows of 16 bytes are made of.
        let round = if below(2) == 0 { 8 } else { 1 };
        let [m, n, k] = [300, 300, 1600].map(|most| (below(most) + 1).next_multiple_of(round));
        let before = if below(2) == 0 { [0; 4] } else { [below(4), below(9), below(9), below(4)] };
        let shape = shape(m, n, k, (below(2) == 0, below(2) == 0), below(2) == 0);
        check_at(shape, TYPES[below(3)], below(2) == 0, before);
    }
}

#[test]
fn products_are_added_to_another_buffer() {
    for types in [(Dtype::F32, Dtype::F32), (Dtype::F32, Dtype::Bf16), (Dtype::Bf16, Dtype::Bf16)] {
        let shape = Gemm { m: 37, n: 41, k: 65, transpose_a: false, transpose_b: true, accumulate: false };
        let Gemm { m, n, k, .. } = shape;
        let buffers = [
            (numbers(1, m * n), types.0),
            (numbers(2, m * n), types.0),
            (numbers(3, m * k), types.1),
            (numbers(4, k * n), types.1),
            (numbers(5, n), Dtype::F32),
        ];
        compare(&format!("onto {types:?}"), &buffers, &[], 3e-6, &|b, v, _| b.gemm_onto(v[0], v[1], v[2], v[3], Some(v[4]), shape));
    }
}
