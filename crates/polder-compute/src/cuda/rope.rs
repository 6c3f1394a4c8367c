//! Rotation by position.

use super::Cuda;
use super::table::kernels;
use crate::{IdView, Rope, View};

kernels! {
    file "rope"; types t0 t1 t2;

    /// The leading `n_rotated` heads of each row of x (N, row), turned by the row's position; `sign` −1 turns them back.
    rope [F32] [Bf16] (x: Out0, table: InF32, positions: InIds, n: Long, row: Int, head: Int, n_rotated: Int, time: Int, sign: Float)
        threads 256; grid line(ceil(n * ceil(n_rotated.into(), 4) * ceil(i64::from(head) / 2, 16 / t0), 256)); shared 0;
        bytes 2 * n * i64::from(n_rotated) * i64::from(head) * t0; flop 0;
}

pub fn rope(cuda: &mut Cuda, x: View, table: View, positions: IdView, shape: Rope) {
    assert_eq!(x.len, positions.len * shape.row, "sizes of {shape:?}");
    assert!(shape.head.is_multiple_of(2) && shape.n_rotated * shape.head <= shape.row, "sizes of {shape:?}");
    let (to, by, places, n) = (cuda.at(x), cuda.at(table), cuda.ids_at(positions), positions.len as i64);
    let [row, head, n_rotated, time] = [shape.row, shape.head, shape.n_rotated, table.len / shape.head].map(|n| n as i32);
    let sign = if shape.inverse { -1.0 } else { 1.0 };
    launch::rope(cuda.device(), &[x.dtype], to, by, places, n, row, head, n_rotated, time, sign);
}
