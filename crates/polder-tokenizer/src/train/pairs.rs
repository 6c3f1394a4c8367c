//! Every pair of neighbours with its count and the places where it was seen.
//!
//! Places lie one list behind the other in one buffer, ascending; a pair that was seen once holds its place itself.
//! Lists of pairs that are gone stay until half of the buffer is such, then the buffer is written anew.

use crate::fast_hash::{FastMap, pair_key};

/// Below this size the buffer is not written anew.
const SWEEP_PLACES_MIN: usize = 1 << 20;

#[derive(Clone, Copy)]
struct Entry {
    count: u64,
    /// Where its list begins; the place itself where there is one only.
    first: u32,
    n_places: u32,
}

/// Pairs, counts and places.
#[derive(Default)]
pub(super) struct Pairs {
    entries: FastMap<u64, Entry>,
    places: Vec<u32>,
    /// Places in lists that a pair still has.
    n_live: usize,
}

impl Pairs {
    /// How often a pair stands next to each other; 0 for one that does not.
    pub(super) fn count(&self, pair: (u32, u32)) -> u64 {
        self.entries.get(&pair_key(pair.0, pair.1)).map_or(0, |e| e.count)
    }

    /// All pairs with their counts, in no order that means anything.
    pub(super) fn iter(&self) -> impl Iterator<Item = ((u32, u32), u64)> {
        self.entries.iter().map(|(key, e)| (((key >> 32) as u32, *key as u32), e.count))
    }

    /// Takes a pair out; its places go to `out`.
    pub(super) fn remove(&mut self, pair: (u32, u32), out: &mut Vec<u32>) {
        out.clear();
        if let Some(entry) = self.entries.remove(&pair_key(pair.0, pair.1)) {
            out.extend_from_slice(list(&self.places, &entry));
            self.forget(&entry);
        }
    }

    /// Counts a pair less; it is gone when nothing is left.
    pub(super) fn take(&mut self, pair: (u32, u32), count: u64) {
        let key = pair_key(pair.0, pair.1);
        let Some(entry) = self.entries.get_mut(&key) else { return };
        entry.count = entry.count.saturating_sub(count);
        if entry.count == 0 {
            let entry = *entry;
            self.entries.remove(&key);
            self.forget(&entry);
        }
    }

    /// Counts a pair more, at places that ascend; returns its count.
    pub(super) fn add(&mut self, pair: (u32, u32), count: u64, places: &[u32]) -> u64 {
        let key = pair_key(pair.0, pair.1);
        if let Some(old) = self.entries.get(&key).copied() {
            let mut all = [list(&self.places, &old), places].concat();
            all.sort_unstable();
            self.forget(&old);
            let entry = self.entry(old.count + count, &all);
            self.entries.insert(key, entry);
            return old.count + count;
        }
        let entry = self.entry(count, places);
        self.entries.insert(key, entry);
        count
    }

    /// Sets all pairs of bytes at once: `seen` gives each with its place and count, in order of the places, twice the same.
    pub(super) fn fill(&mut self, seen: impl Fn(&mut dyn FnMut(u32, u32, u32, u64))) {
        const N: usize = 1 << 16;
        let mut counts = vec![0u64; N];
        let mut ends = vec![0u32; N];
        seen(&mut |left, right, _, count| {
            let i = (left << 8 | right) as usize;
            counts[i] += count;
            ends[i] += 1;
        });
        let mut total = 0;
        for n in &mut ends {
            total += std::mem::replace(n, total);
        }
        self.places = vec![0; total as usize];
        seen(&mut |left, right, place, _| {
            let i = (left << 8 | right) as usize;
            self.places[ends[i] as usize] = place;
            ends[i] += 1;
        });
        let mut first = 0;
        for (i, (count, end)) in counts.into_iter().zip(ends).enumerate() {
            let n_places = end - first;
            if n_places == 1 {
                let place = self.places[first as usize];
                self.entries.insert(pair_key(i as u32 >> 8, i as u32 & 255), Entry { count, first: place, n_places });
            } else if n_places > 1 {
                self.entries.insert(pair_key(i as u32 >> 8, i as u32 & 255), Entry { count, first, n_places });
                self.n_live += n_places as usize;
            }
            first = end;
        }
    }

    fn entry(&mut self, count: u64, places: &[u32]) -> Entry {
        let n_places = places.len() as u32;
        if let [place] = places {
            return Entry { count, first: *place, n_places };
        }
        let first = self.places.len() as u32;
        self.places.extend_from_slice(places);
        self.n_live += places.len();
        Entry { count, first, n_places }
    }

    fn forget(&mut self, entry: &Entry) {
        if entry.n_places > 1 {
            self.n_live -= entry.n_places as usize;
        }
    }

    /// Writes the buffer anew when half of it is of no use; `is_at` says whether a pair stands at a place still.
    pub(super) fn sweep(&mut self, is_at: impl Fn((u32, u32), u32) -> bool) {
        if self.places.len() < SWEEP_PLACES_MIN || self.places.len() < 2 * self.n_live {
            return;
        }
        let mut places = Vec::with_capacity(self.n_live);
        for (key, entry) in &mut self.entries {
            if entry.n_places < 2 {
                continue;
            }
            let pair = ((key >> 32) as u32, *key as u32);
            let first = places.len();
            places.extend(list(&self.places, entry).iter().filter(|place| is_at(pair, **place)));
            entry.n_places = (places.len() - first) as u32;
            entry.first = first as u32;
            if entry.n_places == 1 {
                entry.first = places.pop().unwrap_or_default();
            }
        }
        places.shrink_to_fit();
        self.n_live = places.len();
        self.places = places;
    }
}

fn list<'a>(places: &'a [u32], entry: &'a Entry) -> &'a [u32] {
    if entry.n_places == 1 {
        return std::slice::from_ref(&entry.first);
    }
    &places[entry.first as usize..][..entry.n_places as usize]
}
