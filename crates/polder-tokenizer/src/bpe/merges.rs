//! The merges applied to one piece: lowest rank first, leftmost first among equals.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::fast_hash::{FastMap, pair_key};

/// The learned merges: pair of ids → (rank, id of the result).
#[derive(Clone, Debug, Default)]
pub(crate) struct Merges {
    by_pair: FastMap<u64, (u32, u32)>,
}

/// Above this many symbols the heap wins; below, scanning the ranks again after each merge does.
const SCAN_SYMBOLS_MAX: usize = 64;
const NONE: u32 = u32::MAX;

impl Merges {
    pub(crate) fn with_capacity(n: usize) -> Self {
        Self { by_pair: FastMap::with_capacity_and_hasher(n, Default::default()) }
    }

    /// Adds a merge; `false` if the pair has one.
    pub(crate) fn insert(&mut self, left: u32, right: u32, rank: u32, id: u32) -> bool {
        self.by_pair.insert(pair_key(left, right), (rank, id)).is_none()
    }

    #[inline]
    fn get(&self, left: u32, right: u32) -> (u32, u32) {
        self.by_pair.get(&pair_key(left, right)).copied().unwrap_or((NONE, 0))
    }

    /// Merges `symbols` and appends what is left to `out`.
    pub(crate) fn apply(&self, symbols: &mut Vec<u32>, ranks: &mut Vec<(u32, u32)>, out: &mut Vec<u32>) {
        if symbols.len() <= SCAN_SYMBOLS_MAX {
            self.apply_by_scan(symbols, ranks);
            out.extend_from_slice(symbols);
        } else {
            self.apply_by_heap(symbols, out);
        }
    }

    fn apply_by_scan(&self, symbols: &mut Vec<u32>, ranks: &mut Vec<(u32, u32)>) {
        ranks.clear();
        ranks.extend(symbols.windows(2).map(|w| self.get(w[0], w[1])));
        loop {
            let mut best = (NONE, 0);
            for (i, (rank, _)) in ranks.iter().enumerate() {
                if *rank < best.0 {
                    best = (*rank, i);
                }
            }
            let (rank, i) = best;
            if rank == NONE {
                return;
            }
            symbols[i] = ranks[i].1;
            symbols.remove(i + 1);
            ranks.remove(i);
            if i > 0 {
                ranks[i - 1] = self.get(symbols[i - 1], symbols[i]);
            }
            if i + 1 < symbols.len() {
                ranks[i] = self.get(symbols[i], symbols[i + 1]);
            }
        }
    }

    /// The same in n log n: a heap of (rank, place) over a linked list; entries that no longer hold are dropped as they come up.
    fn apply_by_heap(&self, symbols: &mut [u32], out: &mut Vec<u32>) {
        let n = symbols.len();
        let mut next: Vec<u32> = (1..=n as u32).collect();
        let mut previous: Vec<u32> = (0..n as u32).map(|i| i.wrapping_sub(1)).collect();
        let mut heap: BinaryHeap<Reverse<(u32, u32, u32)>> = symbols
            .windows(2)
            .enumerate()
            .filter_map(|(i, w)| {
                let (rank, id) = self.get(w[0], w[1]);
                (rank != NONE).then_some(Reverse((rank, i as u32, id)))
            })
            .collect();
        while let Some(Reverse((rank, at, id))) = heap.pop() {
            let i = at as usize;
            let j = next[i] as usize;
            if symbols[i] == NONE || j >= n || self.get(symbols[i], symbols[j]) != (rank, id) {
                continue;
            }
            symbols[i] = id;
            symbols[j] = NONE;
            next[i] = next[j];
            if let Some(after) = previous.get_mut(next[j] as usize) {
                *after = at;
            }
            let mut push = |left: usize, right: usize| {
                let (rank, id) = self.get(symbols[left], symbols[right]);
                if rank != NONE {
                    heap.push(Reverse((rank, left as u32, id)));
                }
            };
            if previous[i] != NONE {
                push(previous[i] as usize, i);
            }
            if (next[i] as usize) < n {
                push(i, next[i] as usize);
            }
        }
        out.extend(symbols.iter().filter(|s| **s != NONE));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_heap_and_the_scan_agree(
            symbols in proptest::collection::vec(0u32..4, 2..200),
            pairs in proptest::collection::vec((0u32..12, 0u32..12), 1..30),
        ) {
            let mut merges = Merges::default();
            for (i, (a, b)) in pairs.into_iter().enumerate() {
                if !merges.by_pair.contains_key(&pair_key(a, b)) {
                    merges.insert(a, b, i as u32, 4 + i as u32);
                }
            }
            let mut scanned = symbols.clone();
            merges.apply_by_scan(&mut scanned, &mut Vec::new());
            let mut heaped = Vec::new();
            merges.apply_by_heap(&mut symbols.clone(), &mut heaped);
            prop_assert_eq!(scanned, heaped);
        }
    }
}
