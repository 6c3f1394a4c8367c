//! Rotation of heads by position.

use crate::Rope;

pub fn rope(x: &mut [f64], table: &[f64], positions: &[i32], shape: Rope) {
    let half = shape.head / 2;
    let (cosines, sines) = table.split_at(table.len() / 2);
    for (row, position) in x.chunks_mut(shape.row).zip(positions) {
        for h in 0..shape.n_rotated {
            for i in 0..half {
                let place = *position as usize * half + i;
                let (cos, sin) = (cosines[place], sines[place] * if shape.inverse { -1.0 } else { 1.0 });
                let (low, high) = (h * shape.head + i, h * shape.head + i + half);
                (row[low], row[high]) = (row[low] * cos - row[high] * sin, row[high] * cos + row[low] * sin);
            }
        }
    }
}
