//! Products on Hopper's copy engine and group products, on the emulation: every layout, edges that are no multiple of a tile, and tiles that are split
//! along k, in plans that are made for small sizes.

use polder_compute::cuda::{Cuda, Emulated, GemmPlan, gemm_planned};
use polder_compute::{Backend, Dtype, Gemm};

use super::{Data, assert_near, emulation, numbers, on_reference, prepare};

/// Runs a product by a plan, `skipped` numbers into a buffer of its output, and compares with the reference.
fn check(shape: Gemm, out: Dtype, bias: bool, skipped: usize, plan: GemmPlan) {
    let Some(library) = emulation() else { return };
    let Gemm { m, n, k, .. } = shape;
    let bf16 = Dtype::Bf16;
    let buffers: [Data; 5] = [
        (numbers(1, skipped + m * n), out),
        (numbers(2, m * k), bf16),
        (numbers(3, k * n), bf16),
        (numbers(4, n), Dtype::F32),
        (numbers(5, m * n + 1), out),
    ];
    // What a product is added to may be its output, or another buffer, from its beginning or not.
    for apart in if shape.accumulate { &[None, Some(0), Some(1)][..] } else { &[None] } {
        check_onto(shape, &buffers, bias, skipped, plan, *apart, library);
    }
}

fn check_onto(shape: Gemm, buffers: &[Data], bias: bool, skipped: usize, plan: GemmPlan, apart: Option<usize>, library: &std::path::Path) {
    let (Gemm { m, n, .. }, out) = (shape, buffers[0].1);
    let what = format!("{shape:?} to {out:?} with bias {bias} by {plan:?}, onto another buffer {apart:?}");
    let truth = on_reference(buffers, &[], &|b, v, _| {
        let (to, added) = (v[0].part(skipped, m * n), bias.then_some(v[3]));
        match apart {
            Some(from) => b.gemm_onto(to, v[4].part(from, m * n), v[1], v[2], added, shape),
            None => b.gemm(to, v[1], v[2], added, shape),
        }
    });
    let run = |seed: u64| -> Vec<Vec<f32>> {
        let device = Emulated::open(library, (9, 0), seed).expect("emulation");
        let mut cuda = Cuda::on(Box::new(device), 0).expect("backend");
        let (views, _) = prepare(&mut cuda, buffers, &[]);
        let to = views[0].part(skipped, m * n);
        let onto = shape.accumulate.then_some(apart.map_or(to, |from| views[4].part(from, m * n)));
        gemm_planned(&mut cuda, to, onto, views[1], views[2], bias.then_some(views[3]), shape, plan);
        let read = |v: &polder_compute::View| {
            let mut values = vec![0f32; v.len];
            cuda.download(*v, &mut values);
            values
        };
        views.iter().map(read).collect()
    };
    let ours = run(1);
    assert_near(&what, &ours, &truth, buffers, 3e-6);
    assert_eq!(run(2), ours, "{what}: the order of threads shows");
}

/// Every tile whole.
fn whole(shape: Gemm, columns: usize) -> GemmPlan {
    GemmPlan { columns, direct: GemmPlan::tiles(shape, columns), processors: 132, least: 16 }
}

#[test]
fn every_layout_agrees_with_the_reference_at_edges_of_tiles() {
    for (transpose_a, transpose_b) in [(false, true), (false, false), (true, false), (true, true)] {
        for (i, out) in [Dtype::Bf16, Dtype::F32].into_iter().enumerate() {
            // Two tiles by two whose last rows and columns are few, then one tile that is not full.
            for (m, n, k, columns) in [(136, 264, 200, 256), (72, 184, 328, 256), (136, 200, 136, 192)] {
                let shape = Gemm { m, n, k, transpose_a, transpose_b, accumulate: false };
                check(shape, out, i == 0, 0, whole(shape, columns));
                check(Gemm { accumulate: true, ..shape }, out, i == 1, 0, whole(shape, columns));
            }
        }
    }
}

#[test]
fn long_sums_and_narrow_parts_agree_with_the_reference() {
    // More steps than a tile that is added to is asked for ahead of, and parts of the narrow tile that become f32.
    let shape = Gemm { m: 8, n: 8, k: 1160, transpose_a: false, transpose_b: true, accumulate: true };
    check(shape, Dtype::F32, false, 0, whole(shape, 192));
    check(Gemm { k: 200, ..shape }, Dtype::F32, true, 0, GemmPlan { columns: 192, direct: 0, processors: 2, least: 1 });
}

#[test]
fn outputs_whose_rows_are_not_aligned_are_written_too() {
    for out in [Dtype::Bf16, Dtype::F32] {
        let shape = Gemm { m: 131, n: 67, k: 72, transpose_a: false, transpose_b: true, accumulate: false };
        check(shape, out, true, 1, whole(shape, 256));
        check(Gemm { accumulate: true, n: 66, ..shape }, out, false, 1, whole(shape, 192));
        check(Gemm { n: 80, ..shape }, out, false, 1, whole(shape, 256));
    }
}

#[test]
fn tiles_that_are_split_along_k_add_up() {
    // (tiles down and across, steps, plan): equal groups; groups and a rest that one processor does in rounds; a rest that is cut again; whole tiles
    // first; more tiles than processors; parts that may not be shorter, a rest that is too short for a part, and fewer parts than blocks.
    let plan = |direct, processors, least| GemmPlan { columns: 256, direct, processors, least };
    for (i, (down, across, steps, plan)) in [
        (1, 1, 3, plan(0, 2, 1)),
        (1, 2, 10, plan(0, 5, 1)),
        (3, 1, 11, plan(0, 5, 1)),
        (2, 2, 7, GemmPlan { columns: 192, ..plan(3, 3, 1) }),
        (3, 1, 4, plan(0, 2, 1)),
        (2, 1, 9, plan(0, 132, 4)),
        (1, 2, 10, plan(0, 5, 3)),
        (1, 1, 3, plan(0, 132, 16)),
    ]
    .into_iter()
    .enumerate()
    {
        let (m, n, k) = (down * 128 - 56, across * plan.columns - 120, steps * 64 - 24);
        let (transpose_a, transpose_b) = [(true, false), (false, true)][i % 2];
        let shape = Gemm { m, n, k, transpose_a, transpose_b, accumulate: i % 3 != 0 };
        check(shape, [Dtype::F32, Dtype::Bf16][i / 2 % 2], i % 2 == 0, i % 2, plan);
    }
}
