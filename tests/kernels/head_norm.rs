//! Normalised heads within packed rows; the other heads stay as they are.

use polder_compute::{Backend, Cpu, Dtype};

use super::{Data, TYPES, check_slopes, compare, compare_at_odd_addresses, numbers, stored};

/// (rows, numbers a row, first head, heads, size of a head)
const SHAPES: [(usize, usize, usize, usize, usize); 8] = [
    (1, 4, 0, 1, 4),
    (5, 30, 1, 2, 6),
    (65, 96, 0, 4, 16),
    (200, 160, 2, 3, 32),
    (9, 400, 1, 3, 80),
    (17, 512, 0, 3, 128),
    (5, 776, 1, 2, 256),
    (3, 528, 0, 2, 264),
];

fn buffers(dtype: Dtype, (rows, row, _, heads, head): (usize, usize, usize, usize, usize)) -> Vec<Data> {
    let n = rows * row;
    let rows_of = stored(dtype, [numbers(5, n), numbers(1, n), numbers(2, n)]);
    let [out, x, dx] = rows_of;
    let weight: Vec<f32> = numbers(3, head).iter().map(|w| 1.0 + 0.5 * w).collect();
    let plain = stored(Dtype::F32, [vec![0.0; rows * heads], weight, numbers(4, head)]);
    let [rstd, weight, dweight] = plain;
    vec![out, rstd, x, weight, dx, dweight]
}

#[test]
fn both_passes_agree_with_the_reference() {
    for shape in SHAPES {
        let (_, row, first, heads, _) = shape;
        for dtype in TYPES {
            compare(&format!("{shape:?}"), &buffers(dtype, shape), &[], 3e-6, &|b, v, _| {
                b.head_norm_forward(v[0], v[1], v[2], v[3], row, first, heads, 1e-5);
                b.head_norm_backward(v[4], v[5], v[2], v[3], v[1], row, first, heads);
            });
        }
    }
}

#[test]
fn heads_that_begin_at_odd_addresses_agree_with_the_reference() {
    for dtype in TYPES {
        let mut buffers = buffers(dtype, (7, 64, 1, 2, 16));
        buffers.iter_mut().for_each(|(values, _)| values.insert(0, 0.0));
        compare("heads", &buffers, &[], 3e-6, &|b, v, _| {
            let v: Vec<_> = v.iter().map(|v| v.part(1, v.len - 1)).collect();
            b.head_norm_forward(v[0], v[1], v[2], v[3], 64, 1, 2, 1e-5);
            b.head_norm_backward(v[4], v[5], v[2], v[3], v[1], 64, 1, 2);
        });
    }
}

#[test]
fn any_view_may_begin_at_an_odd_address_and_rows_may_be_of_any_length() {
    for (dtype, row) in TYPES.into_iter().flat_map(|d| [64, 67].map(|row| (d, row))) {
        let buffers = buffers(dtype, (7, row, 1, 2, 16));
        let op: super::Op = &|b, v, _| {
            b.head_norm_forward(v[0], v[1], v[2], v[3], row, 1, 2, 1e-5);
            b.head_norm_backward(v[4], v[5], v[2], v[3], v[1], row, 1, 2);
        };
        compare("heads", &buffers, &[], 3e-6, op);
        compare_at_odd_addresses("heads", &buffers, &[], 3e-6, op);
    }
}

#[test]
fn more_heads_than_are_summed_at_once_agree_with_the_reference() {
    let shape = (25_500, 64, 0, 8, 8);
    compare("many heads", &buffers(Dtype::Bf16, shape), &[], 2e-5, &|b, v, _| {
        b.head_norm_forward(v[0], v[1], v[2], v[3], 64, 0, 8, 1e-5);
        b.head_norm_backward(v[4], v[5], v[2], v[3], v[1], 64, 0, 8);
    });
}

#[test]
fn gradients_are_slopes() {
    let (rows, row, first, heads) = (2, 9, 1, 2);
    let mut buffers = buffers(Dtype::F32, (rows, row, first, heads, 3));
    // All heads count in the loss only where they were written: the rest of `out` is constant.
    buffers[5].0.fill(0.0);
    let dout = numbers(8, rows * row);
    buffers.push((dout.clone(), Dtype::F32));
    let inside: Vec<f32> = dout.iter().enumerate().map(|(i, d)| if i % row / 3 >= first { *d } else { 0.0 }).collect();
    buffers[4].0 = inside;
    check_slopes(
        "heads' normalisation",
        &buffers,
        &[],
        (0, 6),
        &[(2, 4), (3, 5)],
        &|b, v, _| b.head_norm_forward(v[0], v[1], v[2], v[3], row, first, heads, 1e-5),
        &|b, v, _| {
            b.head_norm_forward(v[0], v[1], v[2], v[3], row, first, heads, 1e-5);
            b.head_norm_backward(v[4], v[5], v[2], v[3], v[1], row, first, heads);
        },
    );
}

#[test]
fn the_other_heads_stay() {
    let mut cpu = Cpu::new();
    let [out, x] = [cpu.alloc(60, Dtype::F32), cpu.alloc(60, Dtype::F32)];
    let (rstd, weight) = (cpu.alloc(4, Dtype::F32), cpu.alloc(5, Dtype::F32));
    cpu.fill(out, 7.0);
    cpu.upload(x, &numbers(1, 60));
    cpu.head_norm_forward(out, rstd, x, weight, 30, 2, 2, 1e-6);
    for (i, o) in cpu.slice(out).iter().enumerate() {
        let inside = (2..4).contains(&(i % 30 / 5));
        assert_eq!(*o, if inside { 0.0 } else { 7.0 }, "{i}");
    }
}
