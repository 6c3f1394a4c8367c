//! Normalised rows by both formulas, with and without a bias, beside an f32 residual and without.

use polder_compute::{Dtype, Norm, NormKind};

use super::{Data, TYPES, check_slopes, compare, compare_at_odd_addresses, numbers};

const KINDS: [Norm; 2] = [Norm { kind: NormKind::Rms, eps: 1e-5 }, Norm { kind: NormKind::Layer, eps: 1e-5 }];

/// Output, statistics, input, weight, bias, gradients of the output, the input, the weight and the bias; `rows` is the
/// type of rows between operations, `residual` that of the input.
fn buffers(n: usize, channels: usize, norm: Norm, rows: Dtype, residual: Dtype) -> Vec<Data> {
    buffers_of(n, channels, norm, [rows, residual, rows, residual])
}

/// The same with types of output, input, gradient of the output and gradient of the input.
fn buffers_of(n: usize, channels: usize, norm: Norm, [out, input, dout, dx]: [Dtype; 4]) -> Vec<Data> {
    let weight: Vec<f32> = numbers(3, channels).iter().map(|w| 1.0 + 0.5 * w).collect();
    // Rows stand far from zero, where a careless variance cancels.
    let x: Vec<f32> = numbers(1, n * channels).iter().map(|x| x + 3.0).collect();
    vec![
        (vec![0.0; n * channels], out),
        (vec![0.0; n * norm.kind.n_stats()], Dtype::F32),
        (x, input),
        (weight, Dtype::F32),
        (numbers(4, channels), Dtype::F32),
        (numbers(5, n * channels), dout),
        (numbers(6, n * channels), dx),
        (numbers(7, channels), Dtype::F32),
        (numbers(8, channels), Dtype::F32),
    ]
}

#[test]
fn both_passes_agree_with_the_reference() {
    for (n, channels) in [(1, 1), (3, 7), (64, 33), (65, 16), (300, 100)] {
        for norm in KINDS {
            for (rows, residual) in [(Dtype::F32, Dtype::F32), (Dtype::Bf16, Dtype::Bf16), (Dtype::Bf16, Dtype::F32)] {
                for bias in [true, false] {
                    let what = format!("{n} × {channels} {norm:?} {rows:?} {residual:?} {bias}");
                    // With one channel the deviation is 0, and eps alone makes the factor: rounding is multiplied by 300.
                    let tolerance = if channels == 1 { 1e-4 } else { 5e-6 };
                    compare(&what, &buffers(n, channels, norm, rows, residual), &[], tolerance, &|b, v, _| {
                        b.norm_forward(v[0], v[1], v[2], v[3], bias.then_some(v[4]), norm);
                        b.norm_backward(v[6], v[7], bias.then_some(v[8]), v[5], v[2], v[3], v[1], norm);
                    });
                }
            }
        }
    }
}

#[test]
fn rows_of_every_width_agree_with_the_reference() {
    // On both sides of what a warp and a block hold, and of what a thread holds of a row; rows of several steps of a block, and a block of whose
    // threads some are left over.
    let sizes = [(9, 300), (70, 128), (35, 512), (9, 768), (2, 1024), (3, 1025), (17, 1028), (26, 2052), (2, 4096), (3, 4097), (3, 4100)];
    for (i, (n, channels)) in sizes.into_iter().enumerate() {
        for (j, types) in [[Dtype::Bf16; 4], [Dtype::Bf16, Dtype::F32, Dtype::Bf16, Dtype::F32], [Dtype::F32; 4]].into_iter().enumerate() {
            let norm = KINDS[(i + j) % 2];
            let bias = i % 3 != j;
            let what = format!("{n} × {channels} {norm:?} {types:?} {bias}");
            compare(&what, &buffers_of(n, channels, norm, types), &[], 5e-6, &|b, v, _| {
                b.norm_forward(v[0], v[1], v[2], v[3], bias.then_some(v[4]), norm);
                b.norm_backward(v[6], v[7], bias.then_some(v[8]), v[5], v[2], v[3], v[1], norm);
            });
        }
    }
}

#[test]
fn all_types_may_meet_also_where_rows_begin_at_odd_addresses() {
    let norm = KINDS[1];
    for types in 0..16 {
        let types = [0, 1, 2, 3].map(|i| TYPES[types >> i & 1]);
        for shift in [0, 1] {
            let mut buffers = buffers_of(11, 40, norm, types);
            buffers.iter_mut().for_each(|(values, _)| values.splice(0..0, vec![0.0; shift]).for_each(drop));
            compare(&format!("{types:?} from {shift} on"), &buffers, &[], 5e-6, &|b, v, _| {
                let v: Vec<_> = v.iter().map(|v| v.part(shift, v.len - shift)).collect();
                b.norm_forward(v[0], v[1], v[2], v[3], Some(v[4]), norm);
                b.norm_backward(v[6], v[7], Some(v[8]), v[5], v[2], v[3], v[1], norm);
            });
        }
    }
}

#[test]
fn rows_of_every_width_may_be_of_mixed_types() {
    let mixed = (0..16).map(|types| [0, 1, 2, 3].map(|i| TYPES[types >> i & 1]));
    for (i, types) in mixed.enumerate() {
        // Held by a thread in one, two and four vectors, in none, and one by one.
        for channels in [1028, 2052, 4100, 1025] {
            // The types that a pass knows meet each other; those of the two passes need not.
            if types[0] != types[2] {
                continue;
            }
            let norm = KINDS[i % 2];
            compare(&format!("2 × {channels} {types:?}"), &buffers_of(2, channels, norm, types), &[], 5e-6, &|b, v, _| {
                b.norm_forward(v[0], v[1], v[2], v[3], Some(v[4]), norm);
                b.norm_backward(v[6], v[7], Some(v[8]), v[5], v[2], v[3], v[1], norm);
            });
        }
    }
}

#[test]
fn any_view_may_begin_at_an_odd_address() {
    for dtype in TYPES {
        let norm = KINDS[1];
        compare_at_odd_addresses("norm", &buffers_of(3, 40, norm, [dtype; 4]), &[], 5e-6, &|b, v, _| {
            b.norm_forward(v[0], v[1], v[2], v[3], Some(v[4]), norm);
            b.norm_backward(v[6], v[7], Some(v[8]), v[5], v[2], v[3], v[1], norm);
        });
    }
}

#[test]
fn any_view_may_begin_at_an_odd_address_where_the_gradient_is_rounded_too() {
    let norm = KINDS[0];
    let mut buffers = buffers_of(3, 40, norm, [Dtype::Bf16, Dtype::F32, Dtype::Bf16, Dtype::F32]);
    buffers.push((numbers(9, 3 * 40), Dtype::Bf16));
    compare_at_odd_addresses("rounded", &buffers, &[], 5e-6, &|b, v, _| {
        b.norm_forward(v[0], v[1], v[2], v[3], None, norm);
        b.norm_backward_rounded(v[6], v[9], v[7], None, v[5], v[2], v[3], v[1], norm);
    });
}

#[test]
fn any_view_of_any_type_may_begin_at_an_odd_address() {
    let norm = KINDS[0];
    for types in (0..16).map(|types| [0, 1, 2, 3].map(|i| TYPES[types >> i & 1])) {
        let op: super::Op = &|b, v, _| {
            b.norm_forward(v[0], v[1], v[2], v[3], Some(v[4]), norm);
            b.norm_backward(v[6], v[7], Some(v[8]), v[5], v[2], v[3], v[1], norm);
        };
        compare_at_odd_addresses(&format!("{types:?}"), &buffers_of(3, 40, norm, types), &[], 5e-6, op);
        if types[0] == types[2] && types[1] == types[3] {
            compare_at_odd_addresses(&format!("wide {types:?}"), &buffers_of(2, 1032, norm, types), &[], 5e-6, op);
        }
    }
}

#[test]
fn gradients_are_slopes() {
    for norm in KINDS {
        let mut buffers = buffers(3, 5, norm, Dtype::F32, Dtype::F32);
        buffers[6..].iter_mut().for_each(|(b, _)| b.fill(0.0));
        check_slopes(
            &format!("{norm:?}"),
            &buffers,
            &[],
            (0, 5),
            &[(2, 6), (3, 7), (4, 8)],
            &|b, v, _| b.norm_forward(v[0], v[1], v[2], v[3], Some(v[4]), norm),
            &|b, v, _| {
                b.norm_forward(v[0], v[1], v[2], v[3], Some(v[4]), norm);
                b.norm_backward(v[6], v[7], Some(v[8]), v[5], v[2], v[3], v[1], norm);
            },
        );
    }
}

#[test]
fn the_gradient_of_the_residual_stream_is_also_written_rounded() {
    for (i, (n, channels)) in [(9, 128), (5, 1028), (3, 2052), (2, 4100), (7, 33)].into_iter().enumerate() {
        for types in [[Dtype::Bf16, Dtype::F32, Dtype::Bf16, Dtype::F32], [Dtype::F32; 4], [Dtype::Bf16; 4]] {
            let (norm, bias) = (KINDS[i % 2], i % 3 == 0);
            let mut buffers = buffers_of(n, channels, norm, types);
            buffers.push((vec![0.0; n * channels], Dtype::Bf16));
            compare(&format!("{n} × {channels} {norm:?} {types:?} {bias} rounded"), &buffers, &[], 5e-6, &|b, v, _| {
                b.norm_forward(v[0], v[1], v[2], v[3], bias.then_some(v[4]), norm);
                b.norm_backward_rounded(v[6], v[9], v[7], bias.then_some(v[8]), v[5], v[2], v[3], v[1], norm);
            });
        }
    }
}
