//! Rotation by position: against the reference, and that it can be undone.

use polder_compute::{Rope, cpu};

use super::{compare, numbers};

#[test]
fn rotations_agree_and_leave_the_values_alone() {
    for (time, head, rows) in [(1, 2, 3), (5, 6, 15), (64, 32, 128)] {
        let shape = Rope { time, n_rotated: 3, head, row: 4 * head, inverse: false };
        let buffers = [numbers(1, rows * 4 * head), Rope::table(time, head, 10_000.0)];
        compare("rope", &buffers, &[], 1e-6, &|b, v, _| b.rope(v[0], v[1], shape));
        compare("rope inverse", &buffers, &[], 1e-6, &|b, v, _| b.rope(v[0], v[1], Rope { inverse: true, ..shape }));
        let mut x = buffers[0].clone();
        cpu::rope(&mut x, &buffers[1], shape);
        let values = |x: &[f32]| x.chunks(4 * head).flat_map(|r| r[3 * head..].to_vec()).collect::<Vec<_>>();
        assert_eq!(values(&x), values(&buffers[0]));
        cpu::rope(&mut x, &buffers[1], Rope { inverse: true, ..shape });
        assert!(x.iter().zip(&buffers[0]).all(|(a, b)| (a - b).abs() < 1e-5));
    }
}
