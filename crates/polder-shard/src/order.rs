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

/// An order for samples that are made a window at a time: every epoch visits every sample once, and samples that follow each other come
/// from a few windows, drawn from everywhere.
///
/// Windows are permuted, `n_mixed` of them at a time form a group, and a group's samples are permuted together. The last window, which may
/// be shorter, belongs to the last group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowOrder {
    /// Samples an epoch.
    pub n_samples: u64,
    /// Orders of different seeds have nothing in common.
    pub seed: u64,
    /// Samples a window, at least 1.
    pub window_samples: u64,
    /// Windows whose samples are mixed, at least 1.
    pub n_mixed: u64,
}

impl WindowOrder {
    /// The sample at a position of an epoch; positions beyond the last begin again, without samples it is 0.
    pub fn at(&self, epoch: u64, position: u64) -> u64 {
        if self.n_samples <= 1 {
            return 0;
        }
        let position = position % self.n_samples;
        let window_samples = self.window_samples.max(1);
        let n_mixed = self.n_mixed.max(1);
        let group_samples = window_samples.saturating_mul(n_mixed);
        let group = position / group_samples;
        let n_samples = group_samples.min(self.n_samples - group * group_samples);
        let within = SampleOrder { n_samples, seed: Random::new(self.seed, "group of windows").at(group) };
        let place = within.at(epoch, position % group_samples);
        let (rank, i) = (group * n_mixed + place / window_samples, place % window_samples);
        let n_whole = self.n_samples / window_samples;
        let windows = SampleOrder { n_samples: n_whole, seed: Random::new(self.seed, "windows").at(0) };
        let window = if rank < n_whole { windows.at(epoch, rank) } else { rank };
        window * window_samples + i
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

        #[test]
        fn every_epoch_visits_every_sample_of_every_window_once(
            n_samples in 0u64..2000, window_samples in 1u64..70, n_mixed in 1u64..9, seed in any::<u64>(), epoch in any::<u64>(),
        ) {
            let order = WindowOrder { n_samples, seed, window_samples, n_mixed };
            let sequence: Vec<u64> = (0..n_samples).map(|p| order.at(epoch, p)).collect();
            for group in sequence.chunks((window_samples * n_mixed) as usize) {
                let mut windows: Vec<u64> = group.iter().map(|s| s / window_samples).collect();
                windows.sort_unstable();
                windows.dedup();
                prop_assert!(windows.len() as u64 <= n_mixed + 1, "few windows are open at a time");
            }
            let mut seen = sequence;
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..n_samples).collect::<Vec<_>>());
        }

        #[test]
        fn no_two_positions_of_a_huge_epoch_have_one_sample(
            n_samples in (1u64 << 33)..=u64::MAX, seed in any::<u64>(), at in proptest::collection::hash_set(any::<u64>(), 2..200),
        ) {
            let order = SampleOrder { n_samples, seed };
            let positions: std::collections::HashSet<u64> = at.iter().map(|p| p % n_samples).collect();
            let samples: std::collections::HashSet<u64> = positions.iter().map(|p| order.at(0, *p)).collect();
            prop_assert_eq!(samples.len(), positions.len());
            prop_assert!(samples.iter().all(|s| *s < n_samples));
        }
    }

    #[test]
    fn sizes_beside_powers_of_two_are_permuted_whole() {
        for power in 0..13u32 {
            for n_samples in [(1u64 << power).saturating_sub(1), 1 << power, (1 << power) + 1] {
                let order = SampleOrder { n_samples, seed: 11 };
                let mut seen = vec![false; n_samples as usize];
                (0..n_samples).for_each(|p| assert!(!std::mem::replace(&mut seen[order.at(5, p) as usize], true)));
            }
        }
    }

    #[test]
    fn samples_of_one_window_come_apart() {
        let order = WindowOrder { n_samples: 100_000, seed: 1, window_samples: 100, n_mixed: 16 };
        let windows: Vec<u64> = (0..1600).map(|p| order.at(0, p) / 100).collect();
        let same = windows.windows(2).filter(|w| w[0] == w[1]).count();
        assert!((50..160).contains(&same), "one in sixteen: {same}");
        assert_ne!(windows, (0..1600).map(|p| order.at(1, p) / 100).collect::<Vec<_>>());
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
