//! Matrix products by the `gemm` crate, whose sums do not depend on how work is split over threads.

use bytemuck::cast_slice;
use gemm::Parallelism;

use super::plain::{add, copy};
use super::scratch;
use super::simd::multiversion;
use crate::number::Number;
use crate::{Dtype, Gemm};

multiversion! {
    fn add_bias<O: Number>(out: &mut [O], bias: &[f32]) {
        for row in out.chunks_exact_mut(bias.len()) {
            for (o, b) in row.iter_mut().zip(bias) {
                *o = O::of(o.get() + b);
            }
        }
    }
}

/// `out (m, n) = a · b [+ bias]`, or `+=`; on the threads of the current rayon pool.
///
/// # Panics
/// When a slice does not have its matrix' size.
pub fn gemm<O: Number, T: Number>(out: &mut [O], a: &[T], b: &[T], bias: Option<&[f32]>, shape: Gemm) {
    let Gemm { m, n, k, accumulate, .. } = shape;
    assert_eq!((out.len(), a.len(), b.len()), (m * n, m * k, k * n), "sizes of {shape:?}");
    assert!(bias.is_none_or(|b| b.len() == n), "sizes of {shape:?}");
    if m == 0 || n == 0 {
        return;
    }
    scratch::with::<f32, _>(m * n, |product| {
        if T::DTYPE == Dtype::F32 {
            product_f32(product, cast_slice(a), cast_slice(b), shape);
        } else {
            scratch::with::<f32, _>(m * k, |wide_a| {
                scratch::with::<f32, _>(k * n, |wide_b| {
                    copy(wide_a, a);
                    copy(wide_b, b);
                    product_f32(product, wide_a, wide_b, shape);
                });
            });
        }
        if let Some(bias) = bias {
            add_bias(product, bias);
        }
        if accumulate { add(out, product) } else { copy(out, product) }
    });
}

fn product_f32(out: &mut [f32], a: &[f32], b: &[f32], shape: Gemm) {
    let Gemm { m, n, k, transpose_a, transpose_b, .. } = shape;
    let stride = |transposed: bool, rows: usize, columns: usize| if transposed { (1, rows) } else { (columns, 1) };
    let (a_row, a_column) = stride(transpose_a, m, k);
    let (b_row, b_column) = stride(transpose_b, k, n);
    // SAFETY: the sizes were checked by the caller, and `out` is borrowed alone.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            n as isize,
            false,
            a.as_ptr(),
            a_column as isize,
            a_row as isize,
            b.as_ptr(),
            b_column as isize,
            b_row as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            Parallelism::Rayon(0),
        );
    }
}
