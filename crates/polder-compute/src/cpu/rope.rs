//! Rotation of heads by their position.

use rayon::prelude::*;

use super::simd::multiversion;
use crate::Rope;
use crate::number::Number;

multiversion! {
    fn rotate<T: Number>(heads: &mut [T], cosines: &[f32], sines: &[f32], sign: f32) {
        let half = cosines.len();
        for head in heads.chunks_exact_mut(2 * half) {
            let (low, high) = head.split_at_mut(half);
            for (((l, h), c), s) in low.iter_mut().zip(high).zip(cosines).zip(sines) {
                let (a, b, s) = (l.get(), h.get(), s * sign);
                *l = T::of(a * c - b * s);
                *h = T::of(b * c + a * s);
            }
        }
    }
}

/// Rotates the leading heads of one row that stands at `position` of the table.
pub fn rope_row<T: Number>(row: &mut [T], table: &[f32], position: usize, shape: &Rope) {
    let half = shape.head / 2;
    let (cosines, sines) = table.split_at(table.len() / 2);
    let (cosines, sines) = (&cosines[position * half..][..half], &sines[position * half..][..half]);
    rotate(&mut row[..shape.n_rotated * shape.head], cosines, sines, if shape.inverse { -1.0 } else { 1.0 });
}

/// Rotates the leading heads of each row in place, by the row's position.
///
/// # Panics
/// On a position outside the table.
pub fn rope<T: Number>(x: &mut [T], table: &[f32], positions: &[i32], shape: Rope) {
    assert_eq!(x.len(), positions.len() * shape.row, "sizes of {shape:?}");
    x.par_chunks_mut(shape.row)
        .zip(positions)
        .with_min_len(32)
        .for_each(|(row, position)| rope_row(row, table, *position as usize, &shape));
}
