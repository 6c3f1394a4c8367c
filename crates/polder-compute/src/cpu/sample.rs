//! Draws the next token from logits, as `kernels/sample.cu` does: the same token from the same logits, bit for bit.

use rayon::prelude::*;

use crate::number::Number;

/// How a sequence's tokens are drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// What logits are divided by; 0 takes the largest.
    pub temperature: f32,
    /// Keeps so many of the most likely tokens; 0 keeps all.
    pub top_k: usize,
    /// Keeps the fewest most likely tokens whose probability reaches this, of those that `top_k` keeps.
    pub top_p: f32,
    /// Decides the random numbers, one for each place.
    pub seed: u64,
}

impl Sampling {
    /// Words of [`Self::words`].
    pub const WORDS: usize = 6;

    /// As a kernel reads it.
    pub fn words(&self) -> [i32; Self::WORDS] {
        let halves = |x: u64| [x as i32, (x >> 32) as i32];
        let ([a, b], [c, d]) = (halves(self.share()), halves(self.key()));
        [self.k().to_bits() as i32, i32::try_from(self.top_k).unwrap_or(i32::MAX), a, b, c, d]
    }

    /// Binary orders of probability a unit of a logit; 0 takes the largest.
    fn k(&self) -> f32 {
        let k = (std::f64::consts::LOG2_E / f64::from(self.temperature)) as f32;
        if self.temperature > 0.0 { k.clamp(f32::MIN_POSITIVE, f32::MAX) } else { 0.0 }
    }

    /// `top_p` as a whole number of 2⁻⁶².
    fn share(&self) -> u64 {
        (f64::from(self.top_p.clamp(0.0, 1.0)) * (1u64 << 62) as f64) as u64
    }

    /// The key of [`polder_base::Random`] for the same seed and the purpose `sample`, of which a kernel reads any place.
    fn key(&self) -> u64 {
        let start = 0xcbf2_9ce4_8422_2325 ^ mix(self.seed);
        mix(b"sample".iter().fold(start, |key, byte| (key ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)))
    }
}

/// What [`Sampling::words`] say.
struct Draw {
    k: f32,
    top_k: usize,
    share: u64,
    key: u64,
}

impl Draw {
    fn of(words: &[i32]) -> Self {
        let whole = |at: usize| u64::from(words[at] as u32) | u64::from(words[at + 1] as u32) << 32;
        Self { k: f32::from_bits(words[0] as u32), top_k: usize::try_from(words[1]).unwrap_or(0), share: whole(2), key: whole(4) }
    }

    /// The random number of a place.
    fn random(&self, place: u64) -> u64 {
        mix(self.key.wrapping_add(place.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }
}

/// The finaliser of SplitMix64.
fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Grows as logits become smaller; what is no number comes last, beside −∞.
fn order(x: f32) -> u32 {
    // Both zeros become one.
    let bits = if x.is_nan() { f32::NEG_INFINITY } else { x + 0.0 }.to_bits();
    if bits >> 31 == 1 { bits } else { !bits & 0x7fff_ffff }
}

/// 2^(k · (x − largest)) as a whole number of 2^−bits, by operations that every machine rounds alike.
fn weight(x: f32, largest: f32, k: f32, bits: i32) -> u64 {
    let y = (x - largest) * k;
    // Also what is no number.
    if y.partial_cmp(&(-1.0 - bits as f32)) != Some(std::cmp::Ordering::Greater) {
        return 0;
    }
    let whole = y.round_ties_even();
    let rest = y - whole;
    // The series of 2^rest; see the kernel.
    let series = [1.333_355_8e-3f32, 9.618_129e-3, 5.550_411e-2, 2.402_265e-1, std::f32::consts::LN_2, 1.0];
    let p = series.iter().fold(1.540_353e-4f32, |p, term| p * rest + term);
    let digits = (p * 16_777_216.0) as u64;
    let shift = whole as i32 + bits - 24;
    if shift >= 0 { digits << shift } else { digits >> -shift }
}

fn draw<T: Number>(logits: &[T], s: &Draw, place: u64) -> i32 {
    let n = logits.len();
    let bits = 62 - n.next_power_of_two().trailing_zeros() as i32;
    let tokens = logits.iter().map(|x| order(x.get())).zip(0u32..);
    let (k, logit) = (s.k, |id: u32| logits[id as usize].get());
    let first = tokens.clone().min().map_or(0, |(_, id)| id);
    if k == 0.0 {
        return first as i32;
    }
    let mut tokens: Vec<(u32, u32)> = tokens.collect();
    if s.top_k > 0 && s.top_k < tokens.len() {
        tokens.select_nth_unstable(s.top_k - 1);
        tokens.truncate(s.top_k);
    }
    tokens.sort_unstable();
    let weights: Vec<u64> = tokens.iter().map(|(_, id)| weight(logit(*id), logit(first), k, bits)).collect();
    // The first at which the sum reaches something, and the sum there.
    let reach = |wanted: u64| {
        let sums = weights.iter().scan(0, |sum, w| {
            *sum += w;
            Some(*sum)
        });
        sums.enumerate().find(|(_, sum)| *sum >= wanted)
    };
    let total: u64 = weights.iter().sum();
    let share = (u128::from(total) * u128::from(s.share) + ((1 << 62) - 1)) >> 62;
    let kept = reach((share as u64).max(1)).map_or(0, |(_, sum)| sum);
    let left = (u128::from(s.random(place)) * u128::from(kept)) >> 64;
    // With infinite logits, or none that is a number, there is nothing to draw by.
    reach(left as u64 + 1).map_or(first, |(i, _)| tokens[i].1) as i32
}

/// Draws a token for each row of `vocab` logits, of which the first `n_classes` count: a pure function of the row, its settings
/// ([`Sampling::words`]) and its place.
///
/// # Panics
/// When the slices do not have their sizes.
pub fn sample<T: Number>(tokens: &mut [i32], logits: &[T], settings: &[i32], places: &[i32], vocab: usize, n_classes: usize) {
    let n = tokens.len();
    assert_eq!((logits.len(), settings.len(), places.len()), (n * vocab, n * Sampling::WORDS, n), "sizes of a draw");
    assert!(0 < n_classes && n_classes <= vocab, "sizes of a draw");
    let rows = tokens.par_iter_mut().zip(logits.par_chunks(vocab)).zip(settings.par_chunks(Sampling::WORDS)).zip(places);
    rows.for_each(|(((token, row), words), place)| *token = draw(&row[..n_classes], &Draw::of(words), *place as u64));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_numbers_are_those_of_the_stream() {
        for seed in [0, 3, u64::MAX] {
            let s = Sampling { temperature: 1.0, top_k: 0, top_p: 1.0, seed };
            let stream = polder_base::Random::new(seed, "sample");
            let draw = Draw::of(&s.words());
            assert!((0..20).all(|place| draw.random(place) == stream.at(place)));
        }
    }

    #[test]
    fn weights_are_the_exponentials() {
        for (x, k) in [(0.0f32, 1.0f32), (-0.3, 1.5), (-7.77, 1.5), (-25.0, 1.0), (-100.0, 0.2)] {
            let (ours, truth) = (weight(x, 0.0, k, 44) as f64 / (1u64 << 44) as f64, (f64::from(x) * f64::from(k)).exp2());
            assert!((ours - truth).abs() <= 4e-6 * truth + 1e-13, "{x} {k}: {ours} {truth}");
        }
        assert_eq!([f32::NEG_INFINITY, f32::NAN, -50.0].map(|x| weight(x, 0.0, 1.0, 44)), [0, 0, 0]);
    }
}
