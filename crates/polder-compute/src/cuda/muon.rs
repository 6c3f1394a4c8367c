//! Muon's update: a few matrix products, and what stands between them. The host waits for nothing: the norm stays on the device.

use super::table::{Pointer, kernels};
use super::{Cuda, gemm, plain};
use crate::{Dtype, Gemm, Muon, MuonStep, View};

/// Blocks of the momentum at most, whatever the device, so that the order of its sum is fixed.
const PARTS: i64 = 1024;

/// Matrices whose sides are at least this are worth products of bf16.
const WIDE: usize = 256;

kernels! {
    file "muon"; types t0 t1 t2;

    /// The momentum, what of it is made orthogonal, and sums of that one's squares.
    muon_momentum [F32] [Bf16] (
        x: OutF32, copy: Out0, momentum: OutF32, parts: OutF32, grads: InF32, norm_squared: InF32, step: InF32, n: Long,
    )
        threads 256; grid line(parts_of(n)); shared 0; bytes n * (16 + t0); flop 0;

    /// From the trace of the square: what the matrix in memory is to be multiplied by, the centre, what it grows by.
    muon_trace [] (scalars: OutF32, square: InF32, n: Int, first: Int, a: Float, b: Float, c: Float)
        threads 256; grid line(1); shared 0; bytes i64::from(n) * 4; flop 0;

    /// `square (n, n)`, scaled, less the centre on its diagonal; `out` is its copy, where it is there.
    muon_centre [F32] [Bf16] (out: Out0, square: OutF32, scalars: InF32, n: Int)
        threads 256; grid line(ceil(i64::from(n) * i64::from(n), 256 * 8)); shared 0; bytes i64::from(n) * i64::from(n) * (8 + t0 * i64::from(out != Pointer::NONE)); flop 0;

    /// `out (n) = b' · square + c' · fourth`.
    muon_mix [F32] [Bf16] (out: Out0, square: InF32, fourth: InF32, scalars: InF32, n: Long, b: Float, c: Float)
        threads 256; grid line(ceil(n, 256 * 8)); shared 0; bytes n * (8 + t0); flop 0;

    /// `params (n) = keep · params − rate · x`, and the working copy where it is there.
    muon_update [F32] [Bf16] (params: OutF32, working: Out0, x: InF32, scalars: InF32, step: InF32, n: Long)
        threads 256; grid line(ceil(n, 256 * 8)); shared 0; bytes n * (12 + t0 * i64::from(working != Pointer::NONE)); flop 0;
}

/// Blocks of the momentum: a run of 8 numbers a thread, until there are enough.
fn parts_of(n: i64) -> i64 {
    PARTS.min((n + 2047) / 2048)
}

#[allow(clippy::too_many_arguments)]
pub fn muon(
    cuda: &mut Cuda,
    params: View,
    working: Option<View>,
    momentum: View,
    grads: View,
    scratch: View,
    norm_squared: View,
    step: View,
    matrix: Muon,
) {
    let products = if matrix.rows.min(matrix.columns) >= WIDE { Dtype::Bf16 } else { Dtype::F32 };
    cuda.muon_by(products, params, working, momentum, grads, scratch, norm_squared, step, matrix);
}

impl Cuda {
    /// [`Backend::muon`](crate::Backend::muon) by products of a chosen type; sums are f32 in any case.
    ///
    /// # Panics
    /// When a view does not have its size.
    #[allow(clippy::too_many_arguments)]
    pub fn muon_by(
        &mut self,
        products: Dtype,
        params: View,
        working: Option<View>,
        momentum: View,
        grads: View,
        scratch: View,
        norm_squared: View,
        step: View,
        matrix: Muon,
    ) {
        let Muon { rows, columns } = matrix;
        let (len, tall, n) = (rows * columns, rows > columns, rows.min(columns));
        let sizes = (params.len, momentum.len, grads.len, working.map_or(len, |w| w.len));
        assert_eq!(sizes, (len, len, len, len), "sizes of {matrix:?}");
        assert!(scratch.len >= matrix.scratch_len() && scratch.dtype == Dtype::F32, "sizes of {matrix:?}");
        assert_eq!((step.len, step.dtype), (MuonStep::SCALARS, Dtype::F32), "sizes of an update's scalars");
        // The matrix, its copy that products read, its square and the square's square; in f32 what is mixed takes the square's place.
        let (x, rest) = (scratch.part(0, len), scratch.part(len, scratch.len - len));
        let (copy, square, fourth, mixed) = match products {
            Dtype::F32 => {
                let square = rest.part(len, n * n);
                (rest.part(0, len), square, rest.part(len + n * n, n * n), square)
            }
            Dtype::Bf16 => {
                let halves = rest.part(2 * n * n, (len + n * n).div_ceil(2));
                let halves = View { dtype: Dtype::Bf16, offset: 2 * halves.offset, len: 2 * halves.len, ..halves };
                (halves.part(0, len), rest.part(0, n * n), rest.part(n * n, n * n), halves.part(len, n * n))
            }
        };
        let scalars = self.at(scratch.part(matrix.scratch_len() - Muon::SCALARS, Muon::SCALARS));
        let types = &[products];
        let [to, copied, squared, fourths, mixes] = [x, copy, square, fourth, mixed].map(|v| self.at(v));
        let (count, side) = (len as i64, n as i32);

        let [m, g, norm, step] = [momentum, grads, norm_squared, step].map(|v| self.at(v));
        // The first product may take this memory for itself: by then the sum is made.
        let parts = self.scratch(PARTS as usize * 4);
        launch::muon_momentum(self.device(), types, to, copied, m, parts, g, norm, step, count);
        plain::launch::sum_parts(self.device(), &[], scalars, parts, parts_of(count));

        let ((a, b, c), times) = Muon::NEWTON_SCHULZ;
        let of_squares = Gemm { m: n, n, k: n, transpose_a: false, transpose_b: false, accumulate: false };
        for time in 0..times {
            if time > 0 {
                plain::copy(self, copy, x);
            }
            // The small square of both: x·xᵀ of a wide matrix, xᵀ·x of a tall one.
            let shape = Gemm { k: rows.max(columns), transpose_a: tall, transpose_b: !tall, ..of_squares };
            gemm::gemm(self, square, copy, copy, None, shape);
            launch::muon_trace(self.device(), &[], scalars, squared, side, i32::from(time == 0), a, b, c);
            let rounded = if products == Dtype::F32 { Pointer::NONE } else { mixes };
            launch::muon_centre(self.device(), types, rounded, squared, scalars, side);
            gemm::gemm(self, fourth, mixed, mixed, None, of_squares);
            launch::muon_mix(self.device(), types, mixes, squared, fourths, scalars, i64::from(side) * i64::from(side), b, c);
            let shape = Gemm { m: rows, n: columns, k: n, accumulate: true, ..of_squares };
            let (left, right) = if tall { (copy, mixed) } else { (mixed, copy) };
            gemm::gemm(self, x, left, right, None, shape);
        }
        let (at, types) = (self.at(params), &[working.map_or(Dtype::F32, |w| w.dtype)]);
        let copied = self.at_maybe(working);
        launch::muon_update(self.device(), types, at, copied, to, scalars, step, count);
    }
}
