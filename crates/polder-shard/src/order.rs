//! In which order training sees samples: a permutation that is computed, not stored.

use polder_base::Random;

/// Every epoch has its own order of all samples, a pure function of (seed, epoch).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SampleOrder {
    /// Samples an epoch.
    pub n_samples: u64,
    /// Orders of different seeds have nothing in common.
    pub seed: u64,
}

const N_ROUNDS: u64 = 6;

impl SampleOrder {
    /// The sample at a position of an epoch; positions beyond the last begin again, without samples it is 0.
    ///
    /// A Feistel network permutes the next power of four; results beyond the last sample are permuted again until one
    /// is not (cycle walking), fewer than four times on average.
    pub fn at(&self, epoch: u64, position: u64) -> u64 {
        if self.n_samples <= 1 {
            return 0;
        }
        let key = Random::new(self.seed, "sample order").at(epoch);
        let rounds = Random::new(key, "round");
        let bits_of_last = 64 - (self.n_samples - 1).leading_zeros();
        let half_bits = bits_of_last.div_ceil(2);
        let mask = (1u64 << half_bits) - 1;
        let mut x = position % self.n_samples;
        loop {
            let (mut left, mut right) = (x >> half_bits, x & mask);
            for round in 0..N_ROUNDS {
                (left, right) = (right, left ^ (rounds.at(round << 32 | right) & mask));
            }
            x = left << half_bits | right;
            if x < self.n_samples {
                return x;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_epoch_visits_every_sample_once(n_samples in 0u64..3000, seed in any::<u64>(), epoch in any::<u64>()) {
            let order = SampleOrder { n_samples, seed };
            let mut seen: Vec<u64> = (0..n_samples).map(|p| order.at(epoch, p)).collect();
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..n_samples).collect::<Vec<_>>());
        }
    }

    #[test]
    fn epochs_and_seeds_differ_and_nothing_stays_near_its_place() {
        let of = |seed, epoch| (0..1000).map(|p| SampleOrder { n_samples: 1000, seed }.at(epoch, p)).collect::<Vec<_>>();
        assert_ne!(of(1, 0), of(1, 1));
        assert_ne!(of(1, 0), of(2, 0));
        assert_eq!(of(1, 0), of(1, 0));
        let moved: u64 = of(1, 0).iter().enumerate().map(|(p, s)| s.abs_diff(p as u64)).sum();
        // A random permutation of n moves each by n / 3 on average.
        assert!((280_000..390_000).contains(&moved), "{moved}");
    }

    #[test]
    fn huge_sets_and_positions_beyond_the_end_are_defined() {
        let order = SampleOrder { n_samples: u64::MAX, seed: 3 };
        assert_ne!(order.at(0, 0), order.at(0, 1));
        let small = SampleOrder { n_samples: 7, seed: 3 };
        assert_eq!(small.at(0, 9), small.at(0, 2));
        assert_eq!(SampleOrder { n_samples: 0, seed: 3 }.at(5, 5), 0);
    }
}
