//! Products of a few rows and one packed panel: up to twelve rows times 32 columns, summed in registers.
//!
//! All instruction sets read the same panels (see [`super::panel`]) and differ only in how they cut the tile up. With
//! AVX-512 rows can also be read where they stand, and sums go from registers to where they belong.

use super::panel::{COLUMNS, ROWS};
use super::simd::Level;
use crate::Dtype;
use crate::number::Number;

/// The sums of a tile.
pub type Sums = [f32; ROWS * COLUMNS];

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
        match Level::here() {
            Level::Avx512 => Self::Avx512,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 if std::arch::is_x86_feature_detected!("fma") => Self::Avx2,
            Level::Avx2 | Level::Plain => Self::Portable,
        }
    }
}

impl Kind {
    /// How numbers of this type are multiplied here: bf16 by themselves where the processor can, else as f32.
    pub fn of(dtype: Dtype) -> Self {
        #[cfg(target_arch = "x86_64")]
        if dtype == Dtype::Bf16 && Level::here() == Level::Avx512 && std::arch::is_x86_feature_detected!("avx512bf16") {
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

    /// Tells whether rows of these numbers can be read where they stand.
    fn reads_rows(self, dtype: Dtype) -> bool {
        match self {
            Self::F32(isa) => isa == Isa::Avx512 && dtype == Dtype::F32,
            Self::Bf16 => dtype == Dtype::Bf16,
        }
    }
}

/// The rows of a tile: `steps` of four bytes each.
#[derive(Clone, Copy)]
pub struct Left<'a> {
    bytes: &'a [u8],
    /// Bytes from one row to the next.
    row: usize,
    /// Bytes from one step to the next.
    step: usize,
}

impl<'a> Left<'a> {
    /// A packed panel.
    pub fn packed(panel: &'a [u32]) -> Self {
        Self { bytes: bytemuck::cast_slice(panel), row: 4, step: 4 * ROWS }
    }

    /// Rows where they stand, `stride` numbers apart; `None` where they must be packed to be read, or are better packed.
    pub fn rows<T: Number>(numbers: &'a [T], stride: usize, terms: usize, kind: Kind) -> Option<Self> {
        let row = stride * size_of::<T>();
        // Rows that are far apart by a power of two share few places in the first cache.
        let crowded = row.is_multiple_of(2048);
        let readable = kind.reads_rows(T::DTYPE) && terms.is_multiple_of(kind.terms());
        (readable && !crowded).then(|| Self { bytes: bytemuck::cast_slice(numbers), row, step: 4 })
    }

    /// Lanes that follow each other where they stand, steps `stride` numbers apart; `None` where they must be packed.
    pub fn lanes<T: Number>(numbers: &'a [T], stride: usize, kind: Kind) -> Option<Self> {
        let readable = kind.reads_rows(T::DTYPE) && kind.terms() == 1;
        readable.then(|| Self { bytes: bytemuck::cast_slice(numbers), row: 4, step: 4 * stride })
    }

    /// The same from a row and a step on.
    pub fn from(self, row: usize, step: usize) -> Self {
        Self { bytes: &self.bytes[row * self.row + step * self.step..], ..self }
    }
}

/// Where the sums of a tile go: `out = factor · (before + sums) [+ bias] [+ out]`.
pub struct To<'a, O> {
    /// The first row's first number.
    pub start: *mut O,
    /// Numbers from one row to the next.
    pub stride: usize,
    pub rows: usize,
    pub columns: usize,
    pub factor: f32,
    /// A number for each column, or nothing.
    pub bias: &'a [f32],
    pub add: bool,
    /// The sums of earlier steps.
    pub before: Option<&'a Sums>,
}

/// Multiplies `steps` of some rows with a panel.
///
/// # Panics
/// When the factors do not hold the steps, or the tile is larger than a tile can be.
///
/// # Safety
/// `to` must name `rows` rows of `columns` numbers that nobody else uses meanwhile.
#[inline]
pub unsafe fn tile<O: Number>(to: To<O>, left: Left, right: &[u32], steps: usize, kind: Kind) {
    assert!(right.len() >= steps * COLUMNS && (1..=ROWS).contains(&to.rows) && (1..=COLUMNS).contains(&to.columns), "panels of a tile");
    assert!(steps == 0 || left.bytes.len() >= (to.rows - 1) * left.row + (steps - 1) * left.step + 4, "rows of a tile");
    assert!(to.bias.is_empty() || to.bias.len() >= to.columns, "bias of a tile");
    // SAFETY: `Kind::of` has found the instructions, the lengths have just been checked, and the rest is the caller's promise.
    unsafe {
        match kind {
            #[cfg(target_arch = "x86_64")]
            Kind::Bf16 => x86::bf16(to, left, right, steps),
            #[cfg(target_arch = "x86_64")]
            Kind::F32(Isa::Avx512) => x86::avx512(to, left, right, steps),
            #[cfg(target_arch = "x86_64")]
            Kind::F32(Isa::Avx2) => {
                let mut sums = [0f32; ROWS * COLUMNS];
                x86::avx2(&mut sums, bytemuck::cast_slice(left.bytes), right, to.rows, steps);
                write(to, &sums);
            }
            _ => {
                let mut sums = [0f32; ROWS * COLUMNS];
                portable(&mut sums, bytemuck::cast_slice(left.bytes), right, steps);
                write(to, &sums);
            }
        }
    }
}

/// # Safety
/// That of [`tile`].
unsafe fn write<O: Number>(to: To<O>, sums: &Sums) {
    for r in 0..to.rows {
        // SAFETY: passed on from the caller.
        let out = unsafe { std::slice::from_raw_parts_mut(to.start.add(r * to.stride), to.columns) };
        for (c, o) in out.iter_mut().enumerate() {
            let at = r * COLUMNS + c;
            let mut x = (to.before.map_or(0.0, |b| b[at]) + sums[at]) * to.factor;
            if let Some(bias) = to.bias.get(c) {
                x += bias;
            }
            *o = O::of(if to.add { o.get() + x } else { x });
        }
    }
}

#[inline(always)]
fn multiply_add(x: f32, y: f32, sum: f32) -> f32 {
    // Elsewhere it may be a call to a library.
    if cfg!(target_arch = "aarch64") { x.mul_add(y, sum) } else { x * y + sum }
}

/// Four rows and sixteen columns at a time, of a packed panel.
fn portable(sums: &mut Sums, a: &[u32], b: &[u32], steps: usize) {
    const R: usize = 4;
    const C: usize = 16;
    for (r, c) in (0..ROWS).step_by(R).flat_map(|r| (0..COLUMNS).step_by(C).map(move |c| (r, c))) {
        let mut part = [[0f32; C]; R];
        for (a, b) in a.as_chunks::<ROWS>().0.iter().zip(b.as_chunks::<COLUMNS>().0).take(steps) {
            for i in 0..R {
                let x = f32::from_bits(a[r + i]);
                for j in 0..C {
                    part[i][j] = multiply_add(x, f32::from_bits(b[c + j]), part[i][j]);
                }
            }
        }
        for (i, part) in part.iter().enumerate() {
            sums[(r + i) * COLUMNS + c..][..C].copy_from_slice(part);
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{COLUMNS, Dtype, Left, Number, ROWS, Sums, To};

    /// Defines a kernel over all numbers of rows, each with its own registers.
    macro_rules! by_rows {
        ($name:ident, $rows:ident, $features:literal) => {
            /// # Safety
            /// The processor must have the features; that of [`super::tile`], with lengths checked.
            #[target_feature(enable = $features)]
            pub unsafe fn $name<O: Number>(to: To<O>, left: Left, right: &[u32], steps: usize) {
                // SAFETY: passed on from the caller.
                unsafe {
                    match (left.row == 4, to.rows) {
                        (true, 12) => $rows::<O, 12, true>(to, left, right, steps),
                        (false, 12) => $rows::<O, 12, false>(to, left, right, steps),
                        (_, 1) => $rows::<O, 1, false>(to, left, right, steps),
                        (_, 2) => $rows::<O, 2, false>(to, left, right, steps),
                        (_, 3) => $rows::<O, 3, false>(to, left, right, steps),
                        (_, 4) => $rows::<O, 4, false>(to, left, right, steps),
                        (_, 5) => $rows::<O, 5, false>(to, left, right, steps),
                        (_, 6) => $rows::<O, 6, false>(to, left, right, steps),
                        (_, 7) => $rows::<O, 7, false>(to, left, right, steps),
                        (_, 8) => $rows::<O, 8, false>(to, left, right, steps),
                        (_, 9) => $rows::<O, 9, false>(to, left, right, steps),
                        (_, 10) => $rows::<O, 10, false>(to, left, right, steps),
                        _ => $rows::<O, 11, false>(to, left, right, steps),
                    }
                }
            }
        };
    }

    by_rows!(avx512, avx512_rows, "avx512f,avx512bw,avx512vl");
    by_rows!(bf16, bf16_rows, "avx512f,avx512bw,avx512vl,avx512bf16");

    /// `PACKED` rows are four bytes apart.
    ///
    /// # Safety
    /// The processor must have AVX-512; that of [`super::tile`], with lengths checked and R rows.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    unsafe fn avx512_rows<O: Number, const R: usize, const PACKED: bool>(to: To<O>, left: Left, right: &[u32], steps: usize) {
        let mut part = [[_mm512_setzero_ps(); 2]; R];
        let row = if PACKED { 4 } else { left.row };
        let (mut a, mut b) = (left.bytes.as_ptr(), right.as_ptr().cast::<f32>());
        prefetch::<O, R>(&to);
        for _ in 0..steps {
            // SAFETY: one step of each factor is left; `wrapping_add` because the last ones may point behind it.
            unsafe {
                let (low, high) = (_mm512_loadu_ps(b), _mm512_loadu_ps(b.add(16)));
                for (r, part) in part.iter_mut().enumerate() {
                    let x = _mm512_set1_ps(a.add(r * row).cast::<f32>().read_unaligned());
                    part[0] = _mm512_fmadd_ps(x, low, part[0]);
                    part[1] = _mm512_fmadd_ps(x, high, part[1]);
                }
            }
            a = a.wrapping_add(left.step);
            b = b.wrapping_add(COLUMNS);
        }
        // SAFETY: passed on from the caller.
        unsafe { store(to, part) }
    }

    /// The same with pairs of bf16.
    ///
    /// # Safety
    /// The processor must have AVX-512 with bf16; that of [`super::tile`], with lengths checked and R rows.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
    unsafe fn bf16_rows<O: Number, const R: usize, const PACKED: bool>(to: To<O>, left: Left, right: &[u32], steps: usize) {
        let mut part = [[_mm512_setzero_ps(); 2]; R];
        let row = if PACKED { 4 } else { left.row };
        let (mut a, mut b) = (left.bytes.as_ptr(), right.as_ptr());
        prefetch::<O, R>(&to);
        for _ in 0..steps {
            // SAFETY: as above; a pair of bf16 is 32 bits of any value.
            unsafe {
                let low: __m512bh = std::mem::transmute(_mm512_loadu_si512(b.cast()));
                let high: __m512bh = std::mem::transmute(_mm512_loadu_si512(b.add(16).cast()));
                for (r, part) in part.iter_mut().enumerate() {
                    let x: __m512bh = std::mem::transmute(_mm512_set1_epi32(a.add(r * row).cast::<i32>().read_unaligned()));
                    part[0] = _mm512_dpbf16_ps(part[0], x, low);
                    part[1] = _mm512_dpbf16_ps(part[1], x, high);
                }
            }
            a = a.wrapping_add(left.step);
            b = b.wrapping_add(COLUMNS);
        }
        // SAFETY: passed on from the caller.
        unsafe { store(to, part) }
    }

    /// Asks for where the sums go before they are there.
    #[inline(always)]
    fn prefetch<O, const R: usize>(to: &To<O>) {
        for r in 0..R {
            let place = to.start.wrapping_add(r * to.stride).cast::<i8>();
            // SAFETY: a prefetch reads nothing, and no address is wrong for it.
            unsafe {
                _mm_prefetch::<_MM_HINT_T0>(place);
                _mm_prefetch::<_MM_HINT_T0>(place.wrapping_add(size_of::<O>() * COLUMNS - 1));
            }
        }
    }

    /// # Safety
    /// The processor must have AVX-512; that of [`super::tile`], with R rows.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    unsafe fn store<O: Number, const R: usize>(to: To<O>, part: [[__m512; 2]; R]) {
        let factor = _mm512_set1_ps(to.factor);
        let mask = |first: usize| ((1u32 << to.columns.saturating_sub(first).min(16)) - 1) as u16;
        let masks = [mask(0), mask(16)];
        for (r, part) in part.iter().enumerate() {
            for (half, sums) in part.iter().enumerate() {
                let mask = masks[half];
                if mask == 0 {
                    continue;
                }
                let mut x = *sums;
                // SAFETY: row r has the columns of the mask, and so have `before`, which holds a whole tile, and the bias.
                unsafe {
                    if let Some(before) = to.before {
                        x = _mm512_add_ps(_mm512_loadu_ps(before.as_ptr().add(r * COLUMNS + 16 * half)), x);
                    }
                    x = _mm512_mul_ps(x, factor);
                    if !to.bias.is_empty() {
                        x = _mm512_add_ps(x, _mm512_maskz_loadu_ps(mask, to.bias.as_ptr().add(16 * half)));
                    }
                    let place = to.start.add(r * to.stride + 16 * half);
                    if O::DTYPE == Dtype::F32 {
                        let place = place.cast::<f32>();
                        if mask == u16::MAX {
                            let out = if to.add { _mm512_add_ps(_mm512_loadu_ps(place), x) } else { x };
                            _mm512_storeu_ps(place, out);
                        } else {
                            let out = if to.add { _mm512_add_ps(_mm512_maskz_loadu_ps(mask, place), x) } else { x };
                            _mm512_mask_storeu_ps(place, mask, out);
                        }
                    } else {
                        let place = place.cast::<i16>();
                        if to.add {
                            let old = _mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, place)));
                            x = _mm512_add_ps(_mm512_castsi512_ps(old), x);
                        }
                        _mm256_mask_storeu_epi16(place, mask, rounded(x));
                    }
                }
            }
        }
    }

    /// Rounds as [`Bf16::of`](crate::Bf16) does.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    fn rounded(x: __m512) -> __m256i {
        let bits = _mm512_castps_si512(x);
        let odd = _mm512_and_si512(_mm512_srli_epi32::<16>(bits), _mm512_set1_epi32(1));
        let up = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
        let quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x0040_0000));
        let is_nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(x, x);
        _mm512_cvtepi32_epi16(_mm512_srli_epi32::<16>(_mm512_mask_mov_epi32(up, is_nan, quiet)))
    }

    /// Six rows and sixteen columns at a time, of a packed panel.
    ///
    /// # Safety
    /// The processor must have AVX2 and FMA; panels hold the steps.
    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn avx2(sums: &mut Sums, a: &[u32], b: &[u32], rows: usize, steps: usize) {
        const R: usize = 6;
        for (r, c) in (0..rows).step_by(R).flat_map(|r| (0..COLUMNS).step_by(16).map(move |c| (r, c))) {
            let mut part = [[_mm256_setzero_ps(); 2]; R];
            let (mut a_at, mut b_at) = (a.as_ptr().cast::<f32>().wrapping_add(r), b.as_ptr().cast::<f32>().wrapping_add(c));
            for _ in 0..steps {
                // SAFETY: one step of each panel is left; `wrapping_add` because the last ones point behind it.
                unsafe {
                    let (low, high) = (_mm256_loadu_ps(b_at), _mm256_loadu_ps(b_at.add(8)));
                    for (r, part) in part.iter_mut().enumerate() {
                        let x = _mm256_set1_ps(*a_at.add(r));
                        part[0] = _mm256_fmadd_ps(x, low, part[0]);
                        part[1] = _mm256_fmadd_ps(x, high, part[1]);
                    }
                }
                a_at = a_at.wrapping_add(ROWS);
                b_at = b_at.wrapping_add(COLUMNS);
            }
            for (i, part) in part.iter().enumerate() {
                for (half, part) in part.iter().enumerate() {
                    // SAFETY: row r + i < 12 has 32 numbers.
                    unsafe { _mm256_storeu_ps(sums.as_mut_ptr().add((r + i) * COLUMNS + c + 8 * half), *part) };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::number::Bf16;

    /// Every way in which this machine multiplies f32.
    fn isas() -> Vec<Isa> {
        let mut isas = vec![Isa::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            let has_avx2 = std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma");
            isas.extend(has_avx2.then_some(Isa::Avx2));
            isas.extend((Level::here() == Level::Avx512).then_some(Isa::Avx512));
        }
        isas
    }

    fn numbers(n: usize, seed: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 7919 + seed) % 1009) as f32 / 1009.0 - 0.5).collect()
    }

    fn bits(x: &[f32]) -> Vec<u32> {
        x.iter().map(|x| x.to_bits()).collect()
    }

    /// A tile inside a larger matrix of sevens, by every instruction set, against sums in f64.
    fn check<O: Number>(steps: usize, rows: usize, columns: usize, tolerance: f64) {
        const STRIDE: usize = 37;
        let (a, b, before, bias) = (numbers(steps * ROWS, 1), numbers(steps * COLUMNS, 5), numbers(ROWS * COLUMNS, 3), numbers(columns, 8));
        let (a_bits, b_bits) = (bits(&a), bits(&b));
        let before: &Sums = before.as_slice().try_into().expect("a tile");
        for (isa, full) in isas().into_iter().flat_map(|isa| [(isa, false), (isa, true)]) {
            let mut out = vec![O::of(7.0); ROWS * STRIDE];
            let to = To {
                start: out.as_mut_ptr(),
                stride: STRIDE,
                rows,
                columns,
                factor: 0.5,
                bias: if full { &bias } else { &[] },
                add: full,
                before: full.then_some(before),
            };
            // SAFETY: `out` holds twelve rows of 37.
            unsafe { tile(to, Left::packed(&a_bits), &b_bits, steps, Kind::F32(isa)) };
            for (i, ours) in out.iter().enumerate() {
                let (r, c) = (i / STRIDE, i % STRIDE);
                let mut exact = 7.0;
                if r < rows && c < columns {
                    let terms = (0..steps).map(|s| f64::from(a[s * ROWS + r]) * f64::from(b[s * COLUMNS + c]));
                    exact = 0.5 * terms.sum::<f64>();
                    if full {
                        exact += 0.5 * f64::from(before[r * COLUMNS + c]) + f64::from(bias[c]) + 7.0;
                    }
                }
                let ours = f64::from(ours.get());
                assert!((ours - exact).abs() < tolerance, "{isa:?} {:?} {steps} {rows} {columns} {r} {c}: {ours} {exact}", O::DTYPE);
            }
        }
    }

    #[test]
    fn all_instruction_sets_here_give_the_same_sums_up_to_rounding_and_touch_nothing_else() {
        for steps in [0, 1, 7, 300] {
            for (rows, columns) in (1..=ROWS).map(|rows| (rows, COLUMNS)).chain((1..COLUMNS).map(|columns| (5, columns))) {
                check::<f32>(steps, rows, columns, 2e-5);
                check::<Bf16>(steps, rows, columns, 3e-2);
            }
        }
    }

    #[test]
    fn rows_where_they_stand_give_the_bits_of_packed_ones() {
        let kind = Kind::of(Dtype::F32);
        let (steps, stride) = (40, 51);
        let (a, b) = (numbers(ROWS * stride, 2), bits(&numbers(steps * COLUMNS, 5)));
        let Some(standing) = Left::rows(&a, stride, steps, kind) else {
            assert_ne!(kind, Kind::F32(Isa::Avx512), "rows that can be read are read");
            return;
        };
        let packed: Vec<u32> = (0..steps * ROWS).map(|i| a[i % ROWS * stride + i / ROWS].to_bits()).collect();
        for rows in 1..=ROWS {
            let mut sums = [[0f32; ROWS * COLUMNS]; 2];
            for (sums, left) in sums.iter_mut().zip([standing, Left::packed(&packed)]) {
                let start = sums.as_mut_ptr();
                let to = To { start, stride: COLUMNS, rows, columns: COLUMNS, factor: 1.0, bias: &[], add: false, before: None };
                // SAFETY: `sums` is a whole tile.
                unsafe { tile(to, left, &b, steps, kind) };
            }
            assert_eq!(bits(&sums[0]), bits(&sums[1]), "{rows} rows");
        }
    }
}
