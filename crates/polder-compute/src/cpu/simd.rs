//! One body, compiled for several instruction sets and chosen at run time; and an exponential that vectorises.
//!
//! Bodies use no fused multiply-add and sum in fixed lanes, so every instruction set gives the same bits.

use std::sync::atomic::{AtomicU8, Ordering};

use crate::number::Number;

/// Numbers that a loop handles at once; sums keep that many partial sums.
pub const LANES: usize = 16;

/// How much of the processor is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// What every processor of its kind has.
    Plain = 1,
    /// Vectors of 256 bits.
    Avx2 = 2,
    /// Vectors of 512 bits.
    Avx512 = 3,
}

impl Level {
    /// What this processor has, or less where `POLDER_SIMD` says so (`avx2`, `plain`): looked up once.
    #[inline]
    pub fn here() -> Self {
        static HERE: AtomicU8 = AtomicU8::new(0);
        match HERE.load(Ordering::Relaxed) {
            3 => Self::Avx512,
            2 => Self::Avx2,
            1 => Self::Plain,
            _ => {
                let level = Self::detect(std::env::var("POLDER_SIMD").ok().as_deref());
                HERE.store(level as u8, Ordering::Relaxed);
                level
            }
        }
    }

    fn detect(most: Option<&str>) -> Self {
        let most = match most {
            Some("plain") => Self::Plain,
            Some("avx2") => Self::Avx2,
            _ => Self::Avx512,
        };
        let found = Self::Plain;
        #[cfg(target_arch = "x86_64")]
        let found = {
            // The three further ones came with every processor that has the first, but for two server models.
            let wide = std::arch::is_x86_feature_detected!("avx512f")
                && std::arch::is_x86_feature_detected!("avx512bw")
                && std::arch::is_x86_feature_detected!("avx512dq")
                && std::arch::is_x86_feature_detected!("avx512vl");
            match (wide, std::arch::is_x86_feature_detected!("avx2")) {
                (true, _) => Self::Avx512,
                (false, true) => Self::Avx2,
                (false, false) => found,
            }
        };
        found.min(most)
    }
}

/// Defines a function whose body is compiled for AVX-512, AVX2 and the baseline, with the choice made at run time.
macro_rules! multiversion {
    ($(#[$meta:meta])* $vis:vis fn $name:ident $(<$($type:ident: $bound:path),+>)? ($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        $vis fn $name $(<$($type: $bound),+>)? ($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            #[allow(clippy::too_many_arguments)]
            fn body $(<$($type: $bound),+>)? ($($arg: $ty),*) $(-> $ret)? $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
                #[allow(clippy::too_many_arguments)]
                fn avx512 $(<$($type: $bound),+>)? ($($arg: $ty),*) $(-> $ret)? { body($($arg),*) }
                #[target_feature(enable = "avx2")]
                #[allow(clippy::too_many_arguments)]
                fn avx2 $(<$($type: $bound),+>)? ($($arg: $ty),*) $(-> $ret)? { body($($arg),*) }
                match $crate::cpu::simd::Level::here() {
                    // SAFETY: the CPU was found to have AVX-512.
                    $crate::cpu::simd::Level::Avx512 => return unsafe { avx512($($arg),*) },
                    // SAFETY: the CPU was found to have AVX2.
                    $crate::cpu::simd::Level::Avx2 => return unsafe { avx2($($arg),*) },
                    $crate::cpu::simd::Level::Plain => {}
                }
            }
            body($($arg),*)
        }
    };
}
pub(crate) use multiversion;

/// eˣ to about two units in the last place, free of branches; 0 for very negative numbers, huge for very large ones.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    // x = n·ln 2 + r; adding and taking away 1.5·2²³ rounds to the nearest integer.
    const ROUND: f32 = 12_582_912.0;
    let x = if x < -87.0 { -87.0 } else { x };
    let x = if x > 88.0 { 88.0 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    // ln 2 in two parts, so that n·ln 2 is exact enough.
    let r = (x - n * 0.693_359_4) - n * -2.121_944_4e-4;
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_2e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    let e = p * r * r + r + 1.0;
    // The sum's lowest bits hold `n`, within ±127; a cast would not vectorise. Of a NaN they hold anything, and `e` is NaN.
    e * f32::from_bits((shifted.to_bits().wrapping_add(127)) << 23)
}

/// Sums the lanes of a loop in a fixed order.
#[inline(always)]
pub fn reduce(lanes: [f32; LANES]) -> f32 {
    let mut half = [0f32; LANES / 2];
    for i in 0..LANES / 2 {
        half[i] = lanes[i] + lanes[i + LANES / 2];
    }
    ((half[0] + half[4]) + (half[1] + half[5])) + ((half[2] + half[6]) + (half[3] + half[7]))
}

macro_rules! same {
    ($type:ident) => {
        f32
    };
}

/// Defines a loop over slices of one length: `out = f(out, inputs…)`, sixteen numbers at a time.
///
/// Chains of `zip` vectorise less surely.
macro_rules! loops {
    ($(#[$meta:meta])* $name:ident($($arg:ident: $type:ident),*)) => {
        $(#[$meta])*
        #[inline(always)]
        pub fn $name<O: Number, $($type: Number),*>(out: &mut [O], $($arg: &[$type],)* f: impl Fn(f32, $(same!($type)),*) -> f32) {
            let n = out.len();
            $(let $arg = &$arg[..n];)*
            let whole = n / LANES * LANES;
            for at in (0..whole).step_by(LANES) {
                let Some(o) = out[at..].first_chunk_mut::<LANES>() else { break };
                $(let Some($arg) = $arg[at..].first_chunk::<LANES>() else { break };)*
                for i in 0..LANES {
                    o[i] = O::of(f(o[i].get(), $($arg[i].get()),*));
                }
            }
            for i in whole..n {
                out[i] = O::of(f(out[i].get(), $($arg[i].get()),*));
            }
        }
    };
}
loops!(
    /// `out = f(out)`.
    apply0()
);
loops!(
    /// `out = f(out, a)`.
    apply1(a: A)
);
loops!(
    /// `out = f(out, a, b)`.
    apply2(a: A, b: B)
);
/// Σ f(aᵢ, bᵢ) in fixed lanes.
#[inline(always)]
pub fn sum_over<A: Number, B: Number>(a: &[A], b: &[B], f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [0f32; LANES];
    let (whole_a, rest_a) = a.as_chunks::<LANES>();
    let (whole_b, rest_b) = b.as_chunks::<LANES>();
    for (x, y) in whole_a.iter().zip(whole_b) {
        for i in 0..LANES {
            lanes[i] += f(x[i].get(), y[i].get());
        }
    }
    for (i, (x, y)) in rest_a.iter().zip(rest_b).enumerate() {
        lanes[i] += f(x.get(), y.get());
    }
    reduce(lanes)
}

/// The largest f(a), in fixed lanes.
#[inline(always)]
pub fn max_over<A: Number>(a: &[A], f: impl Fn(f32) -> f32) -> f32 {
    let larger = |x: f32, y: f32| if x > y { x } else { y };
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (whole, rest) = a.as_chunks::<LANES>();
    for x in whole {
        for i in 0..LANES {
            lanes[i] = larger(f(x[i].get()), lanes[i]);
        }
    }
    for (i, x) in rest.iter().enumerate() {
        lanes[i] = larger(f(x.get()), lanes[i]);
    }
    let mut n = LANES;
    while n > 1 {
        n /= 2;
        for i in 0..n {
            lanes[i] = larger(lanes[i], lanes[i + n]);
        }
    }
    lanes[0]
}

/// Replaces each number by e^(x − shift) and returns their sum.
#[inline(always)]
pub fn exp_sum(a: &mut [f32], shift: f32) -> f32 {
    let mut lanes = [0f32; LANES];
    let (whole, rest) = a.as_chunks_mut::<LANES>();
    for x in whole {
        for i in 0..LANES {
            x[i] = exp(x[i] - shift);
            lanes[i] += x[i];
        }
    }
    for (i, x) in rest.iter_mut().enumerate() {
        *x = exp(*x - shift);
        lanes[i] += *x;
    }
    reduce(lanes)
}

/// The error function to a few units in the last place, free of branches.
///
/// # Source
/// The rational approximation of Eigen 3.
#[inline(always)]
pub fn erf(x: f32) -> f32 {
    let x = if x < -4.0 { -4.0 } else { x };
    let x = if x > 4.0 { 4.0 } else { x };
    let s = x * x;
    let p = -2.726_142_3e-10;
    let p = p * s + 2.770_681_5e-8;
    let p = p * s + -2.101_024e-6;
    let p = p * s + -5.692_506_5e-5;
    let p = p * s + -7.349_906e-4;
    let p = p * s + -2.954_6e-3;
    let p = p * s + -1.609_603_3e-2;
    let q = -1.456_607_2e-5;
    let q = q * s + -2.133_740_6e-4;
    let q = q * s + -1.682_827e-3;
    let q = q * s + -7.373_329e-3;
    let q = q * s + -1.426_473_9e-2;
    x * p / q
}

/// The hyperbolic tangent to a few units in the last place, free of branches.
///
/// # Source
/// The rational approximation of Eigen 3.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let x = if x < -7.905_311 { -7.905_311 } else { x };
    let x = if x > 7.905_311 { 7.905_311 } else { x };
    let s = x * x;
    let p = -2.760_768_5e-16;
    let p = p * s + 2.000_188e-13;
    let p = p * s + -8.604_672e-11;
    let p = p * s + 5.122_297_1e-8;
    let p = p * s + 1.485_722_4e-5;
    let p = p * s + 6.372_619_3e-4;
    let p = p * s + 4.893_524_6e-3;
    let q = 1.198_258_4e-6;
    let q = q * s + 1.185_347_1e-4;
    let q = q * s + 2.268_434_6e-3;
    let q = q * s + 4.893_525e-3;
    x * p / q
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_is_right_to_a_few_units_in_the_last_place() {
        for i in -8_600..8_700 {
            let x = i as f32 / 100.0;
            let (ours, exact) = (f64::from(exp(x)), f64::from(x).exp());
            assert!((ours / exact - 1.0).abs() < 3e-7, "{x}: {ours} instead of {exact}");
        }
        assert!(exp(f32::NEG_INFINITY) < 1e-37 && exp(f32::NAN).is_nan() && exp(1e30) > 1e38);
    }

    #[test]
    fn the_hyperbolic_tangent_and_the_error_function_are_right() {
        for i in -100_000..=100_000 {
            let x = i as f32 / 10_000.0;
            let (ours, exact) = (f64::from(tanh(x)), f64::from(x).tanh());
            assert!((ours - exact).abs() <= 4e-7 * exact.abs(), "tanh {x}: {ours} instead of {exact}");
            let (ours, exact) = (f64::from(erf(x)), crate::reference::erf(f64::from(x)));
            assert!((ours - exact).abs() <= 8e-7 * exact.abs(), "erf {x}: {ours} instead of {exact}");
        }
        assert!(tanh(f32::NAN).is_nan() && erf(f32::NAN).is_nan());
    }
}
