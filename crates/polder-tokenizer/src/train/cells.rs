//! All words as one row of cells, a cell a byte, in which neighbours are found without links.
//!
//! A symbol covers as many cells as its token has bytes. Its first cell holds its id, its last the id with a mark, the
//! cells between nothing; so the symbol after begins where this one ends, and the one before says in its last cell how
//! long it is. A wall stands between words. Words stand in order of their counts: the count of a place is found among
//! the few places where counts change. That is 4 bytes for every byte of every different word, and nothing else.

use super::Vocabulary;
use crate::error::TokenizerError;

/// Stands before the first word, between words and after the last.
const WALL: u32 = u32::MAX;
/// Inside a symbol.
const INSIDE: u32 = u32::MAX - 1;
/// Marks the last of several cells; ids are below 2^24.
const LAST: u32 = 1 << 31;
/// The most cells, so that places of pairs, two for each cell at most, are numbered in 32 bits.
const CELLS_MAX: usize = 1 << 30;

/// All words' symbols.
pub(super) struct Cells {
    cells: Vec<u32>,
    /// Where words of a count begin, and the count.
    steps: Vec<(u32, u64)>,
}

impl Cells {
    /// Lays out words, the most frequent first.
    ///
    /// # Errors
    /// They take more places than 32 bits can name.
    pub(super) fn try_new(words: &[(&[u8], u64)]) -> Result<Self, TokenizerError> {
        let n: usize = 1 + words.iter().map(|(word, _)| word.len() + 1).sum::<usize>();
        if n > CELLS_MAX {
            return Err(TokenizerError::TooManyWords { n_words: words.len(), bytes: n as u64 });
        }
        let mut cells = Vec::with_capacity(n);
        let mut steps: Vec<(u32, u64)> = Vec::new();
        cells.push(WALL);
        for (word, count) in words {
            if steps.last().is_none_or(|(_, last)| last != count) {
                steps.push((cells.len() as u32, *count));
            }
            cells.extend(word.iter().map(|b| u32::from(*b)));
            cells.push(WALL);
        }
        Ok(Self { cells, steps })
    }

    /// Gives every pair of bytes to `each` with its place and count, in order of the places.
    pub(super) fn pairs(&self, mut each: impl FnMut(u32, u32, u32, u64)) {
        let ends = self.steps.iter().skip(1).map(|(at, _)| *at).chain([self.cells.len() as u32]);
        for ((first, count), end) in self.steps.iter().zip(ends) {
            let row = &self.cells[*first as usize..end as usize];
            for (i, pair) in row.windows(2).enumerate() {
                if pair[0] != WALL && pair[1] != WALL {
                    each(pair[0], pair[1], first + i as u32, *count);
                }
            }
        }
    }

    /// Whether the pair stands at a place still.
    #[inline]
    pub(super) fn is_at(&self, at: u32, (left, right): (u32, u32), left_bytes: u32) -> bool {
        self.cells[at as usize] == left && self.cells[(at + left_bytes) as usize] == right
    }

    /// The symbol before a place, and where it begins.
    #[inline]
    pub(super) fn before(&self, at: u32, vocabulary: &Vocabulary) -> Option<(u32, u32)> {
        let cell = self.cells[at as usize - 1];
        let id = cell & !LAST;
        (cell != WALL).then(|| (id, at - vocabulary.n_bytes(id)))
    }

    /// The symbol that begins at a place, unless a wall stands there.
    #[inline]
    pub(super) fn symbol(&self, at: u32) -> Option<u32> {
        let cell = self.cells[at as usize];
        (cell != WALL).then_some(cell)
    }

    /// Makes one symbol of the two at a place.
    #[inline]
    pub(super) fn join(&mut self, at: u32, left_bytes: u32, right_bytes: u32, id: u32) {
        let (first, middle) = (at as usize, (at + left_bytes) as usize);
        let end = middle + right_bytes as usize;
        // In this order, since with symbols of one byte these are the same cells.
        self.cells[middle - 1] = INSIDE;
        self.cells[middle] = INSIDE;
        self.cells[first] = id;
        self.cells[end - 1] = id | LAST;
    }

    /// A reader of counts for places that ascend.
    pub(super) fn counts(&self) -> Counts<'_> {
        Counts { steps: &self.steps }
    }
}

/// Counts by place; each place asked for is behind the one before.
#[derive(Clone, Copy)]
pub(super) struct Counts<'a> {
    steps: &'a [(u32, u64)],
}

impl Counts<'_> {
    #[inline]
    pub(super) fn at(&mut self, place: u32) -> u64 {
        // Doubling steps first: rare words' places mostly follow their like.
        let mut reach = 1;
        while self.steps.get(reach).is_some_and(|(at, _)| *at <= place) {
            reach *= 2;
        }
        let near = &self.steps[..self.steps.len().min(reach + 1)];
        let n = near.partition_point(|(at, _)| *at <= place);
        self.steps = &self.steps[n.saturating_sub(1)..];
        self.steps.first().map_or(0, |(_, count)| *count)
    }
}
