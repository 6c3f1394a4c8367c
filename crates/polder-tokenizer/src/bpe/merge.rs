//! The merges over one piece: lowest rank first, leftmost first among equals.
//!
//! Short pieces scan their ranks again after every merge; long ones keep them in a heap, in n log n whatever they hold.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::NONE;
use super::pairs::Pairs;

/// Above this many bytes the heap wins. A word's places are bits of one number.
pub(super) const SHORT_BYTES_MAX: usize = 64;

/// A word's bytes, and one place more.
pub(super) const WORD_LANES: usize = 16;
/// A symbol that no pair has: there are fewer.
const NO_SYMBOL: u32 = (1 << 24) - 1;
/// What [`word_rank`] makes of `NONE` at the first place; no symbol's rank is as high.
const WORD_NONE: i32 = i32::MAX - (WORD_LANES as i32 - 1);

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

/// Merges a word of up to 15 bytes: `word` begins with them. Puts its symbols into `out` and returns how many they are.
///
/// Ranks lie in sixteen lanes that are all looked at, and behind the word and before it stand symbols that no pair has, so that no
/// merge is a special case.
pub(super) fn merge_word(pairs: &Pairs, word: &[u8; WORD_LANES], n: usize, out: &mut [u32; WORD_LANES]) -> usize {
    debug_assert!(n > 0 && n < WORD_LANES);
    // The place before the word is the last.
    let mut symbols = [NO_SYMBOL; 2 * WORD_LANES];
    let mut ranks = [WORD_NONE; 2 * WORD_LANES];
    for (symbol, byte) in symbols.iter_mut().zip(word) {
        *symbol = u32::from(*byte);
    }
    symbols[n] = NO_SYMBOL;
    for (at, pair) in word.windows(2).enumerate() {
        let rank = word_rank(pairs.of_bytes(pair[0], pair[1]), at);
        ranks[at] = if at + 1 < n { rank } else { WORD_NONE };
    }
    let mut alive = (2u32 << n) - 1;
    loop {
        let least = least(&ranks);
        if least >= WORD_NONE {
            break;
        }
        let (symbol, at) = (least as u32 / WORD_LANES as u32, least as usize % WORD_LANES);
        let place = |n_zeros: u32| n_zeros as usize % (2 * WORD_LANES);
        let behind = alive & (u32::MAX << at << 1);
        let gone = place(behind.trailing_zeros());
        let next = place((behind & behind.wrapping_sub(1)).trailing_zeros());
        let previous = place(31u32.wrapping_sub((alive & ((1 << at) - 1)).leading_zeros()));
        symbols[at] = symbol;
        ranks[gone] = WORD_NONE;
        alive &= !(1 << gone);
        ranks[at] = word_rank(pairs.get(symbol, symbols[next]), at);
        ranks[previous] = word_rank(pairs.get(symbols[previous], symbol), previous);
    }
    let mut n_symbols = 0;
    let mut left = alive & ((1 << n) - 1);
    while left != 0 {
        out[n_symbols % WORD_LANES] = symbols[left.trailing_zeros() as usize];
        n_symbols += 1;
        left &= left - 1;
    }
    n_symbols
}

/// Rank and place in one number.
#[inline]
fn word_rank(symbol: u32, at: usize) -> i32 {
    // No symbol has more than 24 bits, but for `NONE`.
    (symbol << 4 & i32::MAX as u32 | (at % WORD_LANES) as u32) as i32
}

#[inline]
fn least(ranks: &[i32; 2 * WORD_LANES]) -> i32 {
    let mut lanes: [i32; WORD_LANES] = std::array::from_fn(|i| ranks[i]);
    for half in [8, 4, 2, 1] {
        for i in 0..half {
            lanes[i] = lanes[i].min(lanes[i + half]);
        }
    }
    lanes[0]
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
