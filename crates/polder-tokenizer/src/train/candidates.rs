//! Which pair is merged next: a heap by count, ties to the pair whose bytes come later.
//!
//! Only pairs above a floor are on the heap. When it runs dry, the floor is halved and the pairs above it are looked up;
//! the many that are never frequent enough are never put there. A pair's count on the heap is never below what it is.

use std::cmp::Ordering;

use super::Vocabulary;
use super::pairs::Pairs;

type Pair = (u32, u32);

/// The pairs that may be merged.
pub(super) struct Candidates {
    heap: Vec<(u64, Pair)>,
    floor: u64,
    count_min: u64,
}

/// Later is merged first.
fn order(a: &(u64, Pair), b: &(u64, Pair), vocabulary: &Vocabulary) -> Ordering {
    let bytes = |id: u32| vocabulary.bytes(id);
    let ties = || bytes(a.1.0).cmp(bytes(b.1.0)).then_with(|| bytes(a.1.1).cmp(bytes(b.1.1)));
    a.0.cmp(&b.0).then_with(ties)
}

impl Candidates {
    /// Pairs counted less than `count_min` times are never merged.
    pub(super) fn new(count_min: u64) -> Self {
        Self { heap: Vec::new(), floor: u64::MAX, count_min: count_min.max(1) }
    }

    /// Says that a pair's count has risen.
    pub(super) fn risen(&mut self, pair: Pair, count: u64, vocabulary: &Vocabulary) {
        if count >= self.floor && vocabulary.may_join(pair) {
            self.push((count, pair), vocabulary);
        }
    }

    /// Takes the most frequent pair.
    pub(super) fn take(&mut self, pairs: &Pairs, vocabulary: &Vocabulary) -> Option<Pair> {
        loop {
            while let Some((count, pair)) = self.pop(vocabulary) {
                let now = pairs.count(pair);
                if now == count {
                    return Some(pair);
                }
                // One that has risen has another entry.
                if now < count && now >= self.floor {
                    self.push((now, pair), vocabulary);
                }
            }
            if self.floor <= self.count_min {
                return None;
            }
            let below = pairs.iter().filter(|(pair, count)| *count < self.floor && vocabulary.may_join(*pair));
            let floor = (below.map(|(_, count)| count).max()? / 2).max(self.count_min);
            let found = pairs.iter().filter(|(pair, count)| (floor..self.floor).contains(count) && vocabulary.may_join(*pair));
            let found: Vec<(u64, Pair)> = found.map(|(pair, count)| (count, pair)).collect();
            self.floor = floor;
            found.into_iter().for_each(|entry| self.push(entry, vocabulary));
        }
    }

    fn push(&mut self, entry: (u64, Pair), vocabulary: &Vocabulary) {
        let mut at = self.heap.len();
        self.heap.push(entry);
        while at > 0 {
            let above = (at - 1) / 2;
            if order(&self.heap[at], &self.heap[above], vocabulary) != Ordering::Greater {
                break;
            }
            self.heap.swap(at, above);
            at = above;
        }
    }

    fn pop(&mut self, vocabulary: &Vocabulary) -> Option<(u64, Pair)> {
        if self.heap.is_empty() {
            return None;
        }
        let top = self.heap.swap_remove(0);
        let mut at = 0;
        loop {
            let (left, right) = (2 * at + 1, 2 * at + 2);
            let later = |a: usize, b: usize| order(&self.heap[a], &self.heap[b], vocabulary) == Ordering::Greater;
            let below = if right < self.heap.len() && later(right, left) { right } else { left };
            if below >= self.heap.len() || !later(below, at) {
                return Some(top);
            }
            self.heap.swap(at, below);
            at = below;
        }
    }
}
