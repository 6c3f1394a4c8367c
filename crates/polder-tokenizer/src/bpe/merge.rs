//! The merges over one piece: lowest rank first, leftmost first among equals.
//!
//! Short pieces scan their ranks again after every merge; long ones keep them in a heap, in n log n whatever they hold.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::NONE;
use super::pairs::Pairs;

/// Above this many bytes the heap wins. A word's places are bits of one number.
pub(super) const SHORT_BYTES_MAX: usize = 64;

/// What merging writes on, kept between pieces.
pub(super) struct Merger {
    symbols: [u32; SHORT_BYTES_MAX],
    /// Rank and place in one number: the least is the next merge. A place without a merge has the highest rank.
    ranks: [u64; SHORT_BYTES_MAX],
    links: Links,
}

impl Default for Merger {
    fn default() -> Self {
        Self { symbols: [0; SHORT_BYTES_MAX], ranks: [0; SHORT_BYTES_MAX], links: Links::default() }
    }
}

impl Merger {
    /// Merges a piece of at most [`SHORT_BYTES_MAX`] bytes.
    pub(super) fn merge_short(&mut self, pairs: &Pairs, piece: &[u8], out: &mut Vec<u32>) {
        let n = piece.len();
        debug_assert!(!piece.is_empty() && n <= SHORT_BYTES_MAX);
        let Self { symbols, ranks, .. } = self;
        let rank = |symbol: u32, at: usize| u64::from(symbol) << 32 | at as u64;
        for (at, byte) in piece.iter().enumerate() {
            symbols[at] = u32::from(*byte);
        }
        for (at, pair) in piece.windows(2).enumerate() {
            ranks[at] = rank(pairs.of_bytes(pair[0], pair[1]), at);
        }
        ranks[n - 1] = u64::MAX;
        let mut alive = u64::MAX >> (64 - n);
        loop {
            let least = ranks[..n].iter().copied().fold(u64::MAX, u64::min);
            let symbol = (least >> 32) as u32;
            if symbol == NONE {
                break;
            }
            let at = least as u32 as usize % SHORT_BYTES_MAX;
            let behind = alive & (u64::MAX << at << 1);
            let gone = behind.trailing_zeros() as usize % SHORT_BYTES_MAX;
            symbols[at] = symbol;
            ranks[gone] = u64::MAX;
            alive &= !(1 << gone);
            let behind = behind & (behind - 1);
            ranks[at] = match behind.trailing_zeros() as usize {
                SHORT_BYTES_MAX.. => u64::MAX,
                next => rank(pairs.get(symbol, symbols[next]), at),
            };
            let before = alive & ((1 << at) - 1);
            if before != 0 {
                let previous = 63 - before.leading_zeros() as usize;
                ranks[previous] = rank(pairs.get(symbols[previous], symbol), previous);
            }
        }
        out.clear();
        while alive != 0 {
            out.push(symbols[alive.trailing_zeros() as usize % SHORT_BYTES_MAX]);
            alive &= alive - 1;
        }
    }

    /// Merges a piece of any length.
    pub(super) fn merge_long(&mut self, pairs: &Pairs, piece: &[u8], out: &mut Vec<u32>) {
        self.links.start(piece.iter().map(|b| u32::from(*b)));
        self.links.merge(&mut |links, left, right| {
            let made = pairs.get(links.symbols[left], links.symbols[right]);
            (made != NONE).then_some((made, made))
        });
        out.clear();
        out.extend(self.links.symbols.iter().filter(|s| **s != NONE));
    }
}

#[cfg(test)]
impl Merger {
    /// How many entries the heap had for the last long piece: what it cost.
    pub(super) fn n_pushed(&self) -> usize {
        self.links.n_pushed
    }
}

/// Symbols linked in one buffer, with the merges that wait in a heap.
#[derive(Default)]
pub(super) struct Links {
    /// `NONE` where a symbol was merged into the one before it.
    pub(super) symbols: Vec<u32>,
    next: Vec<u32>,
    previous: Vec<u32>,
    /// The merge of each symbol with the next: its rank, and what it makes.
    ranks: Vec<(u32, u32)>,
    heap: BinaryHeap<Reverse<u64>>,
    #[cfg(test)]
    n_pushed: usize,
}

impl Links {
    pub(super) fn start(&mut self, symbols: impl Iterator<Item = u32>) {
        self.symbols.clear();
        self.symbols.extend(symbols);
        let n = self.symbols.len() as u32;
        self.next.clear();
        self.next.extend(1..=n);
        self.previous.clear();
        self.previous.extend((0..n).map(|i| i.wrapping_sub(1)));
        self.ranks.clear();
        self.ranks.resize(n as usize, (NONE, NONE));
        self.heap.clear();
        #[cfg(test)]
        {
            self.n_pushed = 0;
        }
    }

    /// Where the symbol after this place begins, or the end.
    pub(super) fn after(&self, at: usize) -> usize {
        self.next[at] as usize
    }

    /// Merges until `find` gives no rank (with what is made) for two places any more; returns the last pair merged.
    pub(super) fn merge(&mut self, find: &mut impl FnMut(&Self, usize, usize) -> Option<(u32, u32)>) -> Option<(u32, u32)> {
        let n = self.symbols.len();
        for at in 1..n {
            self.look(at - 1, at, find);
        }
        let mut last = None;
        while let Some(Reverse(entry)) = self.heap.pop() {
            let (rank, at) = ((entry >> 32) as u32, entry as u32 as usize);
            // An entry that another has replaced.
            if self.symbols[at] == NONE || self.ranks[at].0 != rank {
                continue;
            }
            let gone = self.next[at] as usize;
            last = Some((self.symbols[at], self.symbols[gone]));
            self.symbols[at] = self.ranks[at].1;
            self.symbols[gone] = NONE;
            self.ranks[at] = (NONE, NONE);
            self.next[at] = self.next[gone];
            let behind = self.next[at] as usize;
            if behind < n {
                self.previous[behind] = at as u32;
                self.look(at, behind, find);
            }
            if self.previous[at] != NONE {
                self.look(self.previous[at] as usize, at, find);
            }
        }
        last
    }

    fn look(&mut self, left: usize, right: usize, find: &mut impl FnMut(&Self, usize, usize) -> Option<(u32, u32)>) {
        self.ranks[left] = find(self, left, right).unwrap_or((NONE, NONE));
        if self.ranks[left].0 != NONE {
            self.heap.push(Reverse(u64::from(self.ranks[left].0) << 32 | left as u64));
            #[cfg(test)]
            {
                self.n_pushed += 1;
            }
        }
    }
}
