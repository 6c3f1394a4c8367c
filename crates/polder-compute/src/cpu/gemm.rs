//! Matrix products by the `gemm` crate, whose sums do not depend on how work is split over threads.

use gemm::Parallelism;

use crate::Gemm;

/// A matrix in memory: first element, distance between rows, distance between columns.
#[derive(Clone, Copy)]
pub(crate) struct Matrix {
    pub start: *const f32,
    pub row: usize,
    pub column: usize,
}

/// `dst (m, n) = [dst +] alpha · a (m, k) · b (k, n)`.
///
/// # Safety
/// Every element that the sizes and distances name must be inside live memory, `dst` writable and apart from `a` and `b`,
/// and no other thread may touch `dst`.
#[allow(clippy::too_many_arguments)]
pub(crate) unsafe fn gemm_raw(
    dst: *mut f32,
    dst_row: usize,
    a: Matrix,
    b: Matrix,
    (m, n, k): (usize, usize, usize),
    alpha: f32,
    accumulate: bool,
    parallel: Parallelism,
) {
    // SAFETY: passed on from the caller.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            dst,
            1,
            dst_row as isize,
            accumulate,
            a.start,
            a.column as isize,
            a.row as isize,
            b.start,
            b.column as isize,
            b.row as isize,
            1.0,
            alpha,
            false,
            false,
            false,
            parallel,
        );
    }
}

/// `out (m, n) = a · b`, or `+=`; on the threads of the current rayon pool.
///
/// # Panics
/// When a slice does not have its matrix' size.
pub fn gemm(out: &mut [f32], a: &[f32], b: &[f32], shape: Gemm) {
    let Gemm { m, n, k, transpose_a, transpose_b, accumulate } = shape;
    assert_eq!((out.len(), a.len(), b.len()), (m * n, m * k, k * n), "sizes of {shape:?}");
    if m == 0 || n == 0 {
        return;
    }
    let a_matrix = Matrix { start: a.as_ptr(), row: if transpose_a { 1 } else { k }, column: if transpose_a { m } else { 1 } };
    let b_matrix = Matrix { start: b.as_ptr(), row: if transpose_b { 1 } else { n }, column: if transpose_b { k } else { 1 } };
    // SAFETY: the sizes were checked above, and `out` is borrowed alone.
    unsafe { gemm_raw(out.as_mut_ptr(), n, a_matrix, b_matrix, (m, n, k), 1.0, accumulate, Parallelism::Rayon(0)) }
}
