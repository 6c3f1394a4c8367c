//! Products of two packed panels: up to twelve rows times 32 columns, summed in registers.
//!
//! All instruction sets read the same panels (see [`super::panel`]) and differ only in how they cut the tile up.

use super::panel::{COLUMNS, ROWS};
use crate::Dtype;

/// The sums of a tile.
pub type Sums = [f32; ROWS * COLUMNS];

/// Steps that are summed in registers before they are added to the sums so far: keeps long sums exact.
const STEPS: usize = 1024;

/// What one step of a panel is, and who multiplies it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One f32 a step.
    F32(Isa),
    /// Two bf16 a step.
    Bf16,
}

/// Instruction sets that multiply f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// 512 bits, fused.
    Avx512,
    /// 256 bits, fused.
    Avx2,
    /// Whatever the compiler makes of plain loops.
    Portable,
}

impl Isa {
    fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if std::arch::is_x86_feature_detected!("avx512f") {
                return Self::Avx512;
            }
            if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
                return Self::Avx2;
            }
        }
        Self::Portable
    }
}

impl Kind {
    /// How numbers of this type are multiplied here: bf16 by themselves where the processor can, else as f32.
    pub fn of(dtype: Dtype) -> Self {
        #[cfg(target_arch = "x86_64")]
        if dtype == Dtype::Bf16 && std::arch::is_x86_feature_detected!("avx512f") && std::arch::is_x86_feature_detected!("avx512bf16") {
            return Self::Bf16;
        }
        let _ = dtype;
        Self::F32(Isa::detect())
    }

    /// Terms of a sum that one step holds.
    pub fn terms(self) -> usize {
        match self {
            Self::F32(_) => 1,
            Self::Bf16 => 2,
        }
    }

    /// Steps that `k` terms take.
    pub fn steps(self, k: usize) -> usize {
        k.div_ceil(self.terms())
    }
}

/// `sums = a · b` over the panels' steps; only the first `rows` rows are meaningful.
///
/// # Panics
/// When the panels differ in their steps.
pub fn tile(sums: &mut Sums, a: &[u32], b: &[u32], rows: usize, kind: Kind) {
    let steps = b.len() / COLUMNS;
    assert!(a.len() == steps * ROWS && b.len() == steps * COLUMNS && rows <= ROWS, "panels of different lengths");
    let mut first = 0;
    while first < steps || first == 0 {
        let n = STEPS.min(steps - first);
        let (a, b) = (&a[first * ROWS..][..n * ROWS], &b[first * COLUMNS..][..n * COLUMNS]);
        match kind {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `Kind::of` has found the instructions; the panels hold n steps.
            Kind::Bf16 => unsafe { x86::bf16(sums, a, b, rows, first > 0) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Kind::F32(Isa::Avx512) => unsafe { x86::avx512(sums, a, b, rows, first > 0) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Kind::F32(Isa::Avx2) => unsafe { x86::avx2(sums, a, b, rows, first > 0) },
            _ => portable(sums, a, b, first > 0),
        }
        first += n.max(1);
    }
}

#[inline(always)]
fn multiply_add(x: f32, y: f32, sum: f32) -> f32 {
    // Elsewhere it may be a call to a library.
    if cfg!(target_arch = "aarch64") { x.mul_add(y, sum) } else { x * y + sum }
}

/// Four rows and sixteen columns at a time.
fn portable(sums: &mut Sums, a: &[u32], b: &[u32], add: bool) {
    const R: usize = 4;
    const C: usize = 16;
    for (r, c) in (0..ROWS).step_by(R).flat_map(|r| (0..COLUMNS).step_by(C).map(move |c| (r, c))) {
        let mut part = [[0f32; C]; R];
        for (a, b) in a.as_chunks::<ROWS>().0.iter().zip(b.as_chunks::<COLUMNS>().0) {
            for i in 0..R {
                let x = f32::from_bits(a[r + i]);
                for j in 0..C {
                    part[i][j] = multiply_add(x, f32::from_bits(b[c + j]), part[i][j]);
                }
            }
        }
        for (i, part) in part.iter().enumerate() {
            for (s, p) in sums[(r + i) * COLUMNS + c..][..C].iter_mut().zip(part) {
                *s = if add { *s + p } else { *p };
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{COLUMNS, ROWS, Sums};

    /// Defines a kernel over all rows that a panel can have, each with its own registers.
    macro_rules! by_rows {
        ($name:ident, $rows:ident, $features:literal) => {
            /// # Safety
            /// The processor must have the features.
            #[target_feature(enable = $features)]
            pub unsafe fn $name(sums: &mut Sums, a: &[u32], b: &[u32], rows: usize, add: bool) {
                // SAFETY: passed on from the caller.
                unsafe {
                    match rows {
                        1 => $rows::<1>(sums, a, b, add),
                        2 => $rows::<2>(sums, a, b, add),
                        3 => $rows::<3>(sums, a, b, add),
                        4 => $rows::<4>(sums, a, b, add),
                        5 => $rows::<5>(sums, a, b, add),
                        6 => $rows::<6>(sums, a, b, add),
                        7 => $rows::<7>(sums, a, b, add),
                        8 => $rows::<8>(sums, a, b, add),
                        9 => $rows::<9>(sums, a, b, add),
                        10 => $rows::<10>(sums, a, b, add),
                        11 => $rows::<11>(sums, a, b, add),
                        _ => $rows::<12>(sums, a, b, add),
                    }
                }
            }
        };
    }

    by_rows!(avx512, avx512_rows, "avx512f");
    by_rows!(bf16, bf16_rows, "avx512f,avx512bf16");

    /// # Safety
    /// The processor must have AVX-512; panels hold whole steps.
    #[target_feature(enable = "avx512f")]
    unsafe fn avx512_rows<const R: usize>(sums: &mut Sums, a: &[u32], b: &[u32], add: bool) {
        let mut part = [[_mm512_setzero_ps(); 2]; R];
        let (mut a_at, mut b_at) = (a.as_ptr().cast::<f32>(), b.as_ptr().cast::<f32>());
        for _ in 0..b.len() / COLUMNS {
            // SAFETY: one step of each panel is left.
            unsafe {
                let (left, right) = (_mm512_loadu_ps(b_at), _mm512_loadu_ps(b_at.add(16)));
                for (r, part) in part.iter_mut().enumerate() {
                    let x = _mm512_set1_ps(*a_at.add(r));
                    part[0] = _mm512_fmadd_ps(x, left, part[0]);
                    part[1] = _mm512_fmadd_ps(x, right, part[1]);
                }
                a_at = a_at.add(ROWS);
                b_at = b_at.add(COLUMNS);
            }
        }
        // SAFETY: `sums` has R rows of 32 numbers.
        unsafe { store(sums, part, add) }
    }

    /// # Safety
    /// The processor must have AVX-512 with bf16; panels hold whole steps.
    #[target_feature(enable = "avx512f,avx512bf16")]
    unsafe fn bf16_rows<const R: usize>(sums: &mut Sums, a: &[u32], b: &[u32], add: bool) {
        let mut part = [[_mm512_setzero_ps(); 2]; R];
        let (mut a_at, mut b_at) = (a.as_ptr().cast::<i32>(), b.as_ptr().cast::<i32>());
        for _ in 0..b.len() / COLUMNS {
            // SAFETY: one step of each panel is left; a pair of bf16 is 32 bits of any value.
            unsafe {
                let left: __m512bh = std::mem::transmute(_mm512_loadu_si512(b_at.cast()));
                let right: __m512bh = std::mem::transmute(_mm512_loadu_si512(b_at.add(16).cast()));
                for (r, part) in part.iter_mut().enumerate() {
                    let x: __m512bh = std::mem::transmute(_mm512_set1_epi32(*a_at.add(r)));
                    part[0] = _mm512_dpbf16_ps(part[0], x, left);
                    part[1] = _mm512_dpbf16_ps(part[1], x, right);
                }
                a_at = a_at.add(ROWS);
                b_at = b_at.add(COLUMNS);
            }
        }
        // SAFETY: `sums` has R rows of 32 numbers.
        unsafe { store(sums, part, add) }
    }

    /// # Safety
    /// The processor must have AVX-512; R is at most the rows of `sums`.
    #[target_feature(enable = "avx512f")]
    unsafe fn store<const R: usize>(sums: &mut Sums, part: [[__m512; 2]; R], add: bool) {
        for (r, part) in part.iter().enumerate() {
            for (half, part) in part.iter().enumerate() {
                // SAFETY: row r has 32 numbers.
                unsafe {
                    let place = sums.as_mut_ptr().add(r * COLUMNS + 16 * half);
                    let before = if add { _mm512_loadu_ps(place) } else { _mm512_setzero_ps() };
                    _mm512_storeu_ps(place, _mm512_add_ps(before, *part));
                }
            }
        }
    }

    /// Six rows and sixteen columns at a time.
    ///
    /// # Safety
    /// The processor must have AVX2 and FMA; panels hold whole steps.
    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn avx2(sums: &mut Sums, a: &[u32], b: &[u32], rows: usize, add: bool) {
        const R: usize = 6;
        for (r, c) in (0..rows).step_by(R).flat_map(|r| (0..COLUMNS).step_by(16).map(move |c| (r, c))) {
            let mut part = [[_mm256_setzero_ps(); 2]; R];
            // SAFETY: a step's rows r.. and columns c.. are inside it.
            let (mut a_at, mut b_at) = unsafe { (a.as_ptr().cast::<f32>().add(r), b.as_ptr().cast::<f32>().add(c)) };
            for _ in 0..b.len() / COLUMNS {
                // SAFETY: one step of each panel is left; `wrapping_add` because the last ones point behind it.
                unsafe {
                    let (left, right) = (_mm256_loadu_ps(b_at), _mm256_loadu_ps(b_at.add(8)));
                    for (r, part) in part.iter_mut().enumerate() {
                        let x = _mm256_set1_ps(*a_at.add(r));
                        part[0] = _mm256_fmadd_ps(x, left, part[0]);
                        part[1] = _mm256_fmadd_ps(x, right, part[1]);
                    }
                }
                a_at = a_at.wrapping_add(ROWS);
                b_at = b_at.wrapping_add(COLUMNS);
            }
            for (i, part) in part.iter().enumerate() {
                for (half, part) in part.iter().enumerate() {
                    // SAFETY: row r + i < 12 has 32 numbers.
                    unsafe {
                        let place = sums.as_mut_ptr().add((r + i) * COLUMNS + c + 8 * half);
                        let before = if add { _mm256_loadu_ps(place) } else { _mm256_setzero_ps() };
                        _mm256_storeu_ps(place, _mm256_add_ps(before, *part));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_instruction_sets_here_give_the_same_sums_up_to_rounding() {
        for steps in [0, 1, 7, 300, 2500] {
            let numbers = |n: usize, seed: usize| (0..n).map(|i| ((i * 7919 + seed) % 1009) as f32 / 1009.0 - 0.5).collect::<Vec<_>>();
            let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            let (a, b) = (numbers(steps * ROWS, 1), numbers(steps * COLUMNS, 5));
            for isa in [Isa::detect(), Isa::Avx2, Isa::Portable] {
                #[cfg(target_arch = "x86_64")]
                if isa == Isa::Avx2 && !std::arch::is_x86_feature_detected!("fma") {
                    continue;
                }
                for rows in 1..=ROWS {
                    let mut sums = [7f32; ROWS * COLUMNS];
                    tile(&mut sums, &bits(&a), &bits(&b), rows, Kind::F32(isa));
                    for (r, c) in (0..rows).flat_map(|r| (0..COLUMNS).map(move |c| (r, c))) {
                        let exact: f64 = (0..steps).map(|s| f64::from(a[s * ROWS + r]) * f64::from(b[s * COLUMNS + c])).sum();
                        let ours = f64::from(sums[r * COLUMNS + c]);
                        assert!((ours - exact).abs() < 2e-6 * (steps as f64).sqrt() + 1e-7, "{isa:?} {steps} {r} {c}: {ours} {exact}");
                    }
                }
            }
        }
    }
}
