//! A small counter-based generator: the n-th number is a pure function of (key, n).
//!
//! Not for secrets. Used wherever a run must be repeatable: initial weights, sampling, shuffles.

/// A stream of numbers fixed by its key; `at` reads any place without the ones before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Random {
    key: u64,
    counter: u64,
}

impl Random {
    /// Starts the stream that belongs to a seed and a purpose (a tensor's name, a step's name).
    pub fn new(seed: u64, purpose: &str) -> Self {
        // FNV-1a keeps streams of different purposes apart.
        let mut key = 0xcbf2_9ce4_8422_2325u64 ^ mix(seed);
        for byte in purpose.bytes() {
            key = (key ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        Self { key: mix(key), counter: 0 }
    }

    /// Returns the number at a place of the stream.
    pub fn at(&self, n: u64) -> u64 {
        mix(self.key.wrapping_add(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }

    /// Returns the next number.
    pub fn next_u64(&mut self) -> u64 {
        self.counter += 1;
        self.at(self.counter)
    }

    /// Returns the next number in [0, 1).
    pub fn next_f64(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Returns the next number in 0..bound; 0 for bound 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// Returns the next standard normal number (Box–Muller).
    pub fn normal(&mut self) -> f64 {
        let u = 1.0 - self.next_f64();
        let v = self.next_f64();
        (-2.0 * u.ln()).sqrt() * (2.0 * std::f64::consts::PI * v).cos()
    }
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014).
fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_repeatable_and_apart() {
        let mut a = Random::new(1, "a");
        let first: Vec<u64> = (0..4).map(|_| a.next_u64()).collect();
        assert_eq!(first, (1..5).map(|n| Random::new(1, "a").at(n)).collect::<Vec<_>>());
        assert_ne!(first[0], Random::new(1, "b").at(1));
        assert_ne!(first[0], Random::new(2, "a").at(1));
    }

    #[test]
    fn normal_numbers_have_mean_zero_and_variance_one() {
        let mut r = Random::new(7, "normal");
        let xs: Vec<f64> = (0..20_000).map(|_| r.normal()).collect();
        let mean = xs.iter().sum::<f64>() / xs.len() as f64;
        let var = xs.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / xs.len() as f64;
        assert!(mean.abs() < 0.03 && (var - 1.0).abs() < 0.05, "mean {mean}, variance {var}");
    }
}
