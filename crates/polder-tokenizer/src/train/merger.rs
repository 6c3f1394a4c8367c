//! One merge after the other.
//!
//! A merge visits the places of its pair from first to last. What it does to the pairs on either side is summed up by the
//! neighbour first, in tables by id, so that the map of pairs is asked once a neighbour and not once a place.

use super::Vocabulary;
use super::candidates::Candidates;
use super::cells::Cells;
use super::pairs::Pairs;

/// The words as they stand after the merges so far.
pub(super) struct Merger {
    cells: Cells,
    pairs: Pairs,
    candidates: Candidates,
    places: Vec<u32>,
    before: Neighbours,
    after: Neighbours,
    grouped: Vec<u32>,
}

/// What stands beside the places of one merge: place and neighbour as they come, sums by neighbour.
#[derive(Default)]
struct Neighbours {
    seen: Vec<(u32, u32)>,
    sums: Vec<(u64, u32)>,
    ids: Vec<u32>,
}

impl Neighbours {
    #[inline]
    fn see(&mut self, id: u32, place: u32, count: u64) {
        let sum = &mut self.sums[id as usize];
        if sum.1 == 0 {
            self.ids.push(id);
        }
        sum.0 += count;
        sum.1 += 1;
        self.seen.push((id, place));
    }

    /// Unsees the last one.
    fn unsee(&mut self, count: u64) {
        if let Some((id, _)) = self.seen.pop() {
            let sum = &mut self.sums[id as usize];
            sum.0 -= count;
            sum.1 -= 1;
            if sum.1 == 0 {
                self.ids.retain(|other| *other != id);
            }
        }
    }

    /// Gives each neighbour with its sum and its places to `each`, and forgets all.
    fn drain(&mut self, grouped: &mut Vec<u32>, mut each: impl FnMut(u32, u64, &[u32])) {
        grouped.clear();
        grouped.resize(self.seen.len(), 0);
        let mut first = 0;
        let mut n_places = Vec::with_capacity(self.ids.len());
        for id in &self.ids {
            let n = std::mem::replace(&mut self.sums[*id as usize].1, first);
            n_places.push(n);
            first += n;
        }
        for (id, place) in self.seen.drain(..) {
            let at = &mut self.sums[id as usize].1;
            grouped[*at as usize] = place;
            *at += 1;
        }
        for (id, n) in self.ids.drain(..).zip(n_places) {
            let (sum, end) = std::mem::take(&mut self.sums[id as usize]);
            each(id, sum, &grouped[(end - n) as usize..end as usize]);
        }
    }
}

impl Merger {
    pub(super) fn new(cells: Cells, count_min: u64) -> Self {
        let mut pairs = Pairs::default();
        pairs.fill(|each| cells.pairs(each));
        Self {
            cells,
            pairs,
            candidates: Candidates::new(count_min),
            places: Vec::new(),
            before: Neighbours::default(),
            after: Neighbours::default(),
            grouped: Vec::new(),
        }
    }

    /// The pair that is merged next, if any may be.
    pub(super) fn next(&mut self, vocabulary: &Vocabulary) -> Option<(u32, u32)> {
        self.candidates.take(&self.pairs, vocabulary)
    }

    /// Makes `id` of every such pair, the first first where they overlap.
    pub(super) fn merge(&mut self, pair: (u32, u32), id: u32, vocabulary: &Vocabulary) {
        let (left, right) = pair;
        let (left_bytes, right_bytes) = (vocabulary.n_bytes(left), vocabulary.n_bytes(right));
        self.pairs.remove(pair, &mut self.places);
        for side in [&mut self.before, &mut self.after] {
            side.sums.resize(vocabulary.len(), (0, 0));
        }
        // Two results side by side: the pair between them was `(right, left)`, and is `(id, id)`.
        let (mut twins, mut n_twins) = (Vec::new(), 0u64);
        let mut last: Option<(u32, u32)> = None;
        let mut counts = self.cells.counts();
        let mut joined = Vec::with_capacity(self.places.len());
        for place in &self.places {
            let place = *place;
            if !self.cells.is_at(place, pair, left_bytes) || last.is_some_and(|(_, end)| end > place) {
                continue;
            }
            let end = place + left_bytes + right_bytes;
            let count = counts.at(place);
            joined.push(place);
            match last {
                Some((twin, twin_end)) if twin_end == place => {
                    self.after.unsee(count);
                    twins.push(twin);
                    n_twins += count;
                }
                _ => {
                    if let Some((neighbour, at)) = self.cells.before(place, vocabulary) {
                        self.before.see(neighbour, at, count);
                    }
                }
            }
            if let Some(neighbour) = self.cells.symbol(end) {
                self.after.see(neighbour, place, count);
            }
            last = Some((place, end));
        }
        for place in joined {
            self.cells.join(place, left_bytes, right_bytes, id);
        }
        let Self { pairs, candidates, grouped, before, after, .. } = self;
        let mut grew = |pairs: &mut Pairs, pair, count, places: &[u32]| {
            let count = pairs.add(pair, count, places);
            candidates.risen(pair, count, vocabulary);
        };
        before.drain(grouped, |neighbour, count, places| {
            pairs.take((neighbour, left), count);
            grew(pairs, (neighbour, id), count, places);
        });
        after.drain(grouped, |neighbour, count, places| {
            pairs.take((right, neighbour), count);
            grew(pairs, (id, neighbour), count, places);
        });
        if !twins.is_empty() {
            pairs.take((right, left), n_twins);
            grew(pairs, (id, id), n_twins, &twins);
        }
        self.pairs.sweep(|pair, place| self.cells.is_at(place, pair, vocabulary.n_bytes(pair.0)));
    }
}
