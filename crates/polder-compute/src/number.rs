//! The two ways in which the CPU stores numbers.

use bytemuck::{Pod, Zeroable};

use crate::Dtype;

/// The upper half of an f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(transparent)]
pub struct Bf16(pub u16);

/// A number as it is stored; arithmetic is f32.
pub trait Number: Pod + Default + Send + Sync {
    /// Which type this is.
    const DTYPE: Dtype;

    /// Reads it.
    fn get(self) -> f32;

    /// Rounds to it, to the nearest, ties to even.
    fn of(x: f32) -> Self;
}

impl Number for f32 {
    const DTYPE: Dtype = Dtype::F32;

    #[inline(always)]
    fn get(self) -> f32 {
        self
    }

    #[inline(always)]
    fn of(x: f32) -> Self {
        x
    }
}

impl Number for Bf16 {
    const DTYPE: Dtype = Dtype::Bf16;

    #[inline(always)]
    fn get(self) -> f32 {
        f32::from_bits(u32::from(self.0) << 16)
    }

    #[inline(always)]
    fn of(x: f32) -> Self {
        let bits = x.to_bits();
        // Adding half of what is cut off, less one where the rest is even, carries as rounding does.
        let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1));
        // A NaN's payload could be lost or carried into the sign; the quiet bit keeps it one.
        let bits = if x.is_nan() { bits | 0x0040_0000 } else { rounded };
        Self((bits >> 16) as u16)
    }
}

/// Rounds as storing would.
pub fn round(x: f32, dtype: Dtype) -> f32 {
    match dtype {
        Dtype::F32 => x,
        Dtype::Bf16 => Bf16::of(x).get(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_reads_back_and_numbers_between_go_to_the_nearest() {
        for bits in 0..=u16::MAX {
            let x = Bf16(bits).get();
            let back = Bf16::of(x);
            assert!(back.0 == bits || (x.is_nan() && back.get().is_nan()), "{bits:#06x}");
            let next = Bf16(bits.wrapping_add(1)).get();
            if !x.is_finite() || !next.is_finite() || bits & 0x7fff == 0x7fff {
                continue;
            }
            let between = |part: u32| f32::from_bits((u32::from(bits) << 16) + part);
            let even = if bits & 1 == 0 { bits } else { bits + 1 };
            let found = [0x7fff, 0x8000, 0x8001].map(|part| Bf16::of(between(part)).0);
            assert_eq!(found, [bits, even, bits + 1], "{bits:#06x}");
        }
        assert_eq!(Bf16::of(f32::MAX).get(), f32::INFINITY);
        assert!(Bf16::of(f32::from_bits(0x7f80_0001)).get().is_nan());
    }
}
