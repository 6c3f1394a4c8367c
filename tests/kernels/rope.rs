//! Rotation by position: against the reference, that it can be undone, and its gradient; and stretched tables.

use polder_compute::{Dtype, Rope, RopeScaling, cpu};

use super::{TYPES, check_slopes, compare, compare_at_odd_addresses, f32s, numbers};

fn positions(rows: usize, time: usize) -> Vec<i32> {
    (0..rows).map(|r| (r * 7 % time) as i32).collect()
}

#[test]
fn rotations_agree_and_leave_the_values_alone() {
    for (time, head, rows) in [(1, 2, 3), (5, 6, 15), (64, 32, 128)] {
        let shape = Rope { n_rotated: 3, head, row: 4 * head, inverse: false };
        let (x, table) = (numbers(1, rows * 4 * head), Rope::table(time, head, 10_000.0, None));
        let positions = [positions(rows, time)];
        for dtype in TYPES {
            let buffers = [(x.clone(), dtype), (table.clone(), Dtype::F32)];
            compare("rope", &buffers, &positions, 1e-6, &|b, v, p| b.rope(v[0], v[1], p[0], shape));
            compare("rope inverse", &buffers, &positions, 1e-6, &|b, v, p| b.rope(v[0], v[1], p[0], Rope { inverse: true, ..shape }));
        }
        let mut turned = x.clone();
        cpu::rope(&mut turned, &table, &positions[0], shape);
        let values = |x: &[f32]| x.chunks(4 * head).flat_map(|r| r[3 * head..].to_vec()).collect::<Vec<_>>();
        assert_eq!(values(&turned), values(&x));
        cpu::rope(&mut turned, &table, &positions[0], Rope { inverse: true, ..shape });
        assert!(turned.iter().zip(&x).all(|(a, b)| (a - b).abs() < 1e-5));
    }
}

#[test]
fn any_number_of_heads_at_any_address_agrees() {
    for (head, n_rotated, n_heads, shift) in [(128, 5, 6, 0), (16, 1, 1, 0), (48, 9, 9, 0), (16, 5, 7, 1), (64, 8, 8, 3)] {
        let shape = Rope { n_rotated, head, row: n_heads * head, inverse: false };
        for dtype in TYPES {
            let x = (numbers(1, 11 * shape.row + shift), dtype);
            let mut table = vec![0.0; shift];
            table.extend(Rope::table(7, head, 10_000.0, None));
            compare(&format!("{shape:?}"), &[x, (table, Dtype::F32)], &[positions(11, 7)], 1e-6, &|b, v, p| {
                b.rope(v[0].part(shift, v[0].len - shift), v[1].part(shift, v[1].len - shift), p[0], shape);
            });
        }
    }
}

#[test]
fn any_view_may_begin_at_an_odd_address_and_rows_may_be_of_any_length() {
    for (dtype, row) in TYPES.into_iter().flat_map(|d| [48, 51].map(|row| (d, row))) {
        let shape = Rope { n_rotated: 3, head: 16, row, inverse: false };
        let buffers = [(numbers(1, 5 * row), dtype), (Rope::table(7, 16, 10_000.0, None), Dtype::F32)];
        compare_at_odd_addresses("rope", &buffers, &[positions(5, 7)], 1e-6, &|b, v, p| b.rope(v[0], v[1], p[0], shape));
        compare("rope", &buffers, &[positions(5, 7)], 1e-6, &|b, v, p| b.rope(v[0], v[1], p[0], shape));
    }
}

#[test]
fn the_inverse_rotation_is_the_gradient() {
    let shape = Rope { n_rotated: 2, head: 4, row: 12, inverse: false };
    let (x, dout) = (numbers(1, 36), numbers(2, 36));
    let buffers = f32s([x.clone(), Rope::table(9, 4, 100.0, None), dout.clone(), x, dout]);
    check_slopes(
        "rope",
        &buffers,
        &[vec![0, 8, 3]],
        (3, 2),
        &[(0, 4)],
        &|b, v, p| {
            b.copy(v[3], v[0]);
            b.rope(v[3], v[1], p[0], shape);
        },
        &|b, v, p| b.rope(v[4], v[1], p[0], Rope { inverse: true, ..shape }),
    );
}

#[test]
fn long_wavelengths_are_stretched_and_short_ones_left() {
    let scaling = RopeScaling { factor: 8.0, low_frequency_factor: 1.0, high_frequency_factor: 4.0, original_context: 8192.0 };
    let (time, head) = (2, 128);
    let sine = |scaling| Rope::table(time, head, 500_000.0, scaling)[time * head / 2 + head / 2..].to_vec();
    let (plain, stretched) = (sine(None), sine(Some(scaling)));
    assert_eq!(plain[0], stretched[0]);
    let last = head / 2 - 1;
    assert!((plain[last] / stretched[last] - 8.0).abs() < 1e-3, "{} and {}", plain[last], stretched[last]);
}
