//! Rotation of heads by their position.

use rayon::prelude::*;

use super::simd::multiversion;
use crate::Rope;

multiversion! {
    fn rotate(head: &mut [f32], cosines: &[f32], sines: &[f32], sign: f32) {
        let (low, high) = head.split_at_mut(cosines.len());
        for (((l, h), c), s) in low.iter_mut().zip(high).zip(cosines).zip(sines) {
            let (a, b, s) = (*l, *h, s * sign);
            *l = a * c - b * s;
            *h = b * c + a * s;
        }
    }
}

/// Rotates the leading heads of one row that stands at `position` of the table.
pub fn rope_row(row: &mut [f32], table: &[f32], position: usize, shape: &Rope) {
    let half = shape.head / 2;
    let (cosines, sines) = table.split_at(table.len() / 2);
    let (cosines, sines) = (&cosines[position * half..][..half], &sines[position * half..][..half]);
    let sign = if shape.inverse { -1.0 } else { 1.0 };
    for head in row[..shape.n_rotated * shape.head].chunks_exact_mut(shape.head) {
        rotate(head, cosines, sines, sign);
    }
}

/// Rotates the leading heads of each row in place.
pub fn rope(x: &mut [f32], table: &[f32], shape: Rope) {
    assert_eq!((x.len() % shape.row, table.len()), (0, shape.time * shape.head), "sizes of {shape:?}");
    x.par_chunks_mut(shape.row).with_min_len(32).enumerate().for_each(|(r, row)| rope_row(row, table, r % shape.time, &shape));
}
