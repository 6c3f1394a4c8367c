//! Matrices cut into panels, in the order in which [`super::tile`] reads them.
//!
//! A panel of the left matrix holds twelve rows, one of the right 32 columns. It is a row of steps; a step holds, for each
//! of its rows or columns, one f32 or a pair of bf16 that follow each other in the sum. What is missing at the edges is 0.

use std::ops::Range;

use super::simd::multiversion;
use super::tile::{Isa, Kind};
use crate::Dtype;
use crate::number::{Bf16, Number};

/// Rows of a panel of the left matrix.
pub const ROWS: usize = 12;
/// Steps that are packed of all panels before the next ones.
const TOGETHER: usize = 32;
/// Columns of a panel of the right matrix.
pub const COLUMNS: usize = 32;

/// A matrix as a panel sees it: `lanes` are rows of the left matrix or columns of the right, `terms` are what is summed.
#[derive(Clone, Copy)]
pub struct Source<'a, T> {
    /// The numbers, from the first on.
    pub numbers: &'a [T],
    /// Distance from one lane to the next, or from one term to the next: the other one is 1.
    pub stride: usize,
    /// Terms of one lane follow each other in memory; else lanes of one term do.
    pub terms_together: bool,
    /// Count of lanes.
    pub lanes: usize,
    /// Count of terms.
    pub terms: usize,
}

impl<T> Source<'_, T> {
    /// Some of the terms; the end may lie behind the last one.
    pub fn terms(self, range: Range<usize>) -> Self {
        let place = range.start * if self.terms_together { 1 } else { self.stride };
        Self { numbers: self.numbers.get(place..).unwrap_or_default(), terms: range.end.min(self.terms) - range.start, ..self }
    }
}

/// Numbers of 32 bits that the panels of a matrix take.
pub fn packed_len<const W: usize>(lanes: usize, terms: usize, kind: Kind) -> usize {
    lanes.div_ceil(W) * W * kind.steps(terms)
}

/// Packs the panels from number `first` on that `out` has room for.
pub fn pack<T: Number, const W: usize>(out: &mut [u32], source: Source<T>, first: usize, kind: Kind) {
    let panel = W * kind.steps(source.terms);
    if panel == 0 {
        return;
    }
    debug_assert!(out.len().is_multiple_of(panel));
    let lanes = (out.len() / panel * W).min(source.lanes - first * W);
    let start = if source.terms_together { first * W * source.stride } else { first * W };
    let source = Source { numbers: &source.numbers[start..], lanes, ..source };
    if !source.terms_together {
        return apart(out, source.numbers, source.stride, lanes, source.terms, W, kind == Kind::Bf16);
    }
    for (i, out) in out.chunks_exact_mut(panel).enumerate() {
        let numbers = &source.numbers[i * W * source.stride..];
        pack_together::<T, W>(out, Source { numbers, lanes: W.min(lanes - i * W), ..source }, kind);
    }
}

/// Packs one panel of which the terms of a lane follow each other.
fn pack_together<T: Number, const W: usize>(out: &mut [u32], source: Source<T>, kind: Kind) {
    match (T::DTYPE, kind) {
        #[cfg(target_arch = "x86_64")]
        (Dtype::F32, Kind::F32(Isa::Avx512)) | (Dtype::Bf16, Kind::Bf16) => {
            let step = size_of::<u32>() / size_of::<T>();
            let whole = source.terms / (16 * step) * 16;
            // SAFETY: AVX-512 was found; the source holds `lanes` runs of `terms` numbers, `stride` apart.
            unsafe { x86::transpose::<T, W>(out, source.numbers, source.stride, source.lanes, whole) };
            let rest =
                Source { numbers: source.numbers.get(whole * step..).unwrap_or_default(), terms: source.terms - whole * step, ..source };
            together::<T, W>(&mut out[whole * W..], rest, kind);
        }
        _ => together::<T, W>(out, source, kind),
    }
}

#[inline(always)]
fn pair(low: Bf16, high: Bf16) -> u32 {
    u32::from(low.0) | u32::from(high.0) << 16
}

/// Terms of a lane follow each other.
fn together<T: Number, const W: usize>(out: &mut [u32], source: Source<T>, kind: Kind) {
    let (lanes, terms) = (source.lanes, source.terms);
    if out.is_empty() {
        return;
    }
    if lanes < W {
        out.fill(0);
    }
    for lane in 0..lanes {
        let Some(run) = source.numbers.get(lane * source.stride..).and_then(|x| x.get(..terms)) else { continue };
        let places = out[lane..].iter_mut().step_by(W);
        match kind {
            Kind::F32(_) => places.zip(run).for_each(|(o, x)| *o = x.get().to_bits()),
            Kind::Bf16 => places.zip(run.chunks(2)).for_each(|(o, x)| {
                *o = pair(Bf16::of(x[0].get()), x.get(1).map_or(Bf16::default(), |x| Bf16::of(x.get())));
            }),
        }
    }
}

/// One step of lanes that follow each other.
#[inline(always)]
fn step<T: Number, const W: usize>(out: &mut [u32; W], low: &[T], high: Option<&[T]>, paired: bool) {
    // Whole steps first: their length is known to the compiler.
    match (low.first_chunk::<W>(), high.map(<[T]>::first_chunk::<W>)) {
        (Some(low), None) if !paired => {
            for i in 0..W {
                out[i] = low[i].get().to_bits();
            }
        }
        (Some(low), Some(Some(high))) => {
            for i in 0..W {
                out[i] = pair(Bf16::of(low[i].get()), Bf16::of(high[i].get()));
            }
        }
        _ => {
            out.fill(0);
            for (i, o) in out.iter_mut().enumerate().take(low.len()) {
                let high = high.map_or(Bf16::default(), |h| Bf16::of(h[i].get()));
                *o = if paired { pair(Bf16::of(low[i].get()), high) } else { low[i].get().to_bits() };
            }
        }
    }
}

#[inline(always)]
fn steps<T: Number, const W: usize>(out: &mut [u32], numbers: &[T], stride: usize, lanes: usize, terms: usize, paired: bool) {
    let n_steps = if paired { terms.div_ceil(2) } else { terms };
    // Some steps of all panels before the next ones: what lies between two panels in memory is read once.
    for first in (0..n_steps).step_by(TOGETHER) {
        for (panel, from) in (0..lanes).step_by(W).enumerate() {
            let width = W.min(lanes - from);
            let out = &mut out[(panel * n_steps + first) * W..][..TOGETHER.min(n_steps - first) * W];
            for (out, i) in out.as_chunks_mut::<W>().0.iter_mut().zip(first..) {
                if paired {
                    let low = &numbers[2 * i * stride + from..][..width];
                    let high = (2 * i + 1 < terms).then(|| &numbers[(2 * i + 1) * stride + from..][..width]);
                    step(out, low, high, true);
                } else {
                    step(out, &numbers[i * stride + from..][..width], None, false);
                }
            }
        }
    }
}

multiversion! {
    /// Lanes of a term follow each other.
    fn apart<T: Number>(out: &mut [u32], numbers: &[T], stride: usize, lanes: usize, terms: usize, width: usize, paired: bool) {
        if width == COLUMNS {
            steps::<T, COLUMNS>(out, numbers, stride, lanes, terms, paired);
        } else {
            steps::<T, ROWS>(out, numbers, stride, lanes, terms, paired);
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    /// Turns runs of 32-bit steps, one a lane, into steps of W lanes; `steps` is a multiple of 16.
    ///
    /// # Safety
    /// The processor must have AVX-512, `numbers` must hold `lanes` runs of `steps` steps, `stride` numbers apart, and
    /// `out` W · `steps`.
    #[target_feature(enable = "avx512f")]
    pub unsafe fn transpose<T, const W: usize>(out: &mut [u32], numbers: &[T], stride: usize, lanes: usize, steps: usize) {
        for group in (0..W).step_by(16) {
            let width = (W - group).min(16);
            let mask = (u32::MAX >> (32 - width)) as __mmask16;
            for first in (0..steps).step_by(16) {
                let mut rows = [_mm512_setzero_si512(); 16];
                for (lane, row) in rows.iter_mut().enumerate().take(width) {
                    if group + lane < lanes {
                        // SAFETY: the run of this lane holds 16 more steps.
                        *row = unsafe { _mm512_loadu_si512(numbers.as_ptr().add((group + lane) * stride).cast::<u32>().add(first).cast()) };
                    }
                }
                for (i, row) in transposed(rows).iter().enumerate() {
                    // SAFETY: step `first + i` of `out` holds W lanes; the mask keeps to those of this group.
                    unsafe { _mm512_mask_storeu_epi32(out.as_mut_ptr().add((first + i) * W + group).cast(), mask, *row) };
                }
            }
        }
    }

    #[target_feature(enable = "avx512f")]
    fn transposed(r: [__m512i; 16]) -> [__m512i; 16] {
        let (mut a, mut b, mut c) = ([r[0]; 16], [r[0]; 16], [r[0]; 16]);
        for i in 0..8 {
            a[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
            a[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
        }
        for i in 0..4 {
            b[4 * i] = _mm512_unpacklo_epi64(a[4 * i], a[4 * i + 2]);
            b[4 * i + 1] = _mm512_unpackhi_epi64(a[4 * i], a[4 * i + 2]);
            b[4 * i + 2] = _mm512_unpacklo_epi64(a[4 * i + 1], a[4 * i + 3]);
            b[4 * i + 3] = _mm512_unpackhi_epi64(a[4 * i + 1], a[4 * i + 3]);
        }
        for i in 0..4 {
            c[i] = _mm512_shuffle_i32x4::<0x88>(b[i], b[4 + i]);
            c[4 + i] = _mm512_shuffle_i32x4::<0xdd>(b[i], b[4 + i]);
            c[8 + i] = _mm512_shuffle_i32x4::<0x88>(b[8 + i], b[12 + i]);
            c[12 + i] = _mm512_shuffle_i32x4::<0xdd>(b[8 + i], b[12 + i]);
        }
        for i in 0..4 {
            a[i] = _mm512_shuffle_i32x4::<0x88>(c[i], c[8 + i]);
            a[4 + i] = _mm512_shuffle_i32x4::<0x88>(c[4 + i], c[12 + i]);
            a[8 + i] = _mm512_shuffle_i32x4::<0xdd>(c[i], c[8 + i]);
            a[12 + i] = _mm512_shuffle_i32x4::<0xdd>(c[4 + i], c[12 + i]);
        }
        a
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: Number + std::fmt::Debug + PartialEq, const W: usize>(kind: Kind) {
        for (lanes, terms) in [(1, 1), (W, 16), (W, 17), (W + 5, 33), (3 * W - 1, 70), (W - 1, 100)] {
            let number = |lane: usize, term: usize| T::of((1 + lane * 257 + term) as f32 / 128.0);
            for terms_together in [true, false] {
                let (stride, n) = if terms_together { (terms + 3, lanes * (terms + 3)) } else { (lanes + 3, terms * (lanes + 3)) };
                let mut numbers = vec![T::default(); n];
                for (lane, term) in (0..lanes).flat_map(|l| (0..terms).map(move |t| (l, t))) {
                    numbers[if terms_together { lane * stride + term } else { term * stride + lane }] = number(lane, term);
                }
                let source = Source { numbers: &numbers, stride, terms_together, lanes, terms };
                let mut out = vec![7u32; W * kind.steps(terms)];
                let mut all = vec![7u32; packed_len::<W>(lanes, terms, kind)];
                pack::<T, W>(&mut all, source, 0, kind);
                for panel in 0..lanes.div_ceil(W) {
                    pack::<T, W>(&mut out, source, panel, kind);
                    assert_eq!(out, all[panel * out.len()..][..out.len()], "panels packed at once and one by one");
                    for (i, x) in out.iter().enumerate() {
                        let (lane, first) = (panel * W + i % W, i / W * kind.terms());
                        let at = |term: usize| if lane < lanes && term < terms { number(lane, term).get() } else { 0.0 };
                        let expected = match kind {
                            Kind::F32(_) => at(first).to_bits(),
                            Kind::Bf16 => pair(Bf16::of(at(first)), Bf16::of(at(first + 1))),
                        };
                        assert_eq!(*x, expected, "{:?} {W} {kind:?} {lanes} × {terms} {terms_together}, panel {panel} at {i}", T::DTYPE);
                    }
                }
            }
        }
    }

    #[test]
    fn panels_hold_every_number_in_its_place_and_zeros_around() {
        for kind in [Kind::of(Dtype::F32), Kind::F32(Isa::Portable), Kind::Bf16] {
            check::<f32, ROWS>(kind);
            check::<f32, COLUMNS>(kind);
            if kind != Kind::Bf16 || Kind::of(Dtype::Bf16) == Kind::Bf16 {
                check::<Bf16, ROWS>(kind);
                check::<Bf16, COLUMNS>(kind);
            }
        }
    }
}
