//! How much of a text its repeated n-grams take: counted by rolling hashes, n from 2 to 10.

use super::spans::{Span, plus, power, times};

/// Mixes a word's hash into that of a row of words.
const STEP: u64 = 0x07c1_55e0_3a9d_b24f;

/// A set or a count of hashes: open addressing, sized for one text, used again for each n.
struct Table {
    slots: Vec<(u64, u32)>,
    shift: u32,
}

impl Table {
    fn new(n: usize) -> Self {
        let size = (2 * n).next_power_of_two().max(16);
        Self { slots: vec![(0, 0); size], shift: 64 - size.trailing_zeros() }
    }

    fn clear(&mut self) {
        self.slots.fill((0, 0));
    }

    /// The number under a key, and `number` after if there was none.
    #[inline]
    fn number_or(&mut self, key: u64, number: u32) -> Option<u32> {
        // Hashes are below 2^61, so that 0 stays free.
        let key = key + 1;
        let mut at = (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> self.shift) as usize;
        loop {
            let (k, n) = self.slots[at];
            if k == key {
                return Some(n);
            }
            if k == 0 {
                self.slots[at] = (key, number);
                return None;
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }
}

/// The n-grams of a text's words, from n = 2 upwards.
pub(super) struct Ngrams<'a> {
    words: &'a [Span],
    /// Bytes and characters before each word, without what stands between words.
    bytes_before: Vec<usize>,
    chars_before: Vec<usize>,
    table: Table,
    n: usize,
    /// Hash of the n words from each on: as a row, and as one string.
    rows: Vec<u64>,
    strings: Vec<u64>,
    /// Per n-gram, where it was first seen, and there, how often.
    first: Vec<u32>,
    counts: Vec<u32>,
}

impl<'a> Ngrams<'a> {
    pub(super) fn new(words: &'a [Span]) -> Self {
        let running = |of: fn(&Span) -> usize| {
            let mut sum = 0;
            std::iter::once(0)
                .chain(words.iter().map(|w| {
                    sum += of(w);
                    sum
                }))
                .collect::<Vec<_>>()
        };
        Self {
            words,
            bytes_before: running(|w| w.end - w.start),
            chars_before: running(|w| w.n_chars),
            table: Table::new(words.len()),
            n: 1,
            rows: words.iter().map(|w| w.hash).collect(),
            strings: words.iter().map(|w| w.hash).collect(),
            first: vec![0; words.len()],
            counts: vec![0; words.len()],
        }
    }

    /// How many n-grams there are.
    fn len(&self) -> usize {
        (self.words.len() + 1).saturating_sub(self.n)
    }

    /// Whether there are fewer than n words.
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Characters of the words of the n-gram from word `i` on.
    fn chars(&self, i: usize) -> usize {
        self.chars_before[i + self.n] - self.chars_before[i]
    }

    /// Goes on to the next n.
    pub(super) fn longer(&mut self) {
        self.n += 1;
        for i in 0..self.len() {
            self.rows[i] = plus(times(self.words[i].hash, row_power(self.n - 1)), self.rows[i + 1]);
            let behind = self.bytes_before[i + self.n] - self.bytes_before[i + 1];
            self.strings[i] = plus(times(self.words[i].hash, power(behind)), self.strings[i + 1]);
        }
    }

    /// Counts the n-grams as rows of words.
    pub(super) fn count(&mut self) {
        self.table.clear();
        self.counts.fill(0);
        for i in 0..self.len() {
            let at = self.table.number_or(self.rows[i], i as u32).unwrap_or(i as u32);
            self.first[i] = at;
            self.counts[at as usize] += 1;
        }
    }

    /// Where the most frequent n-gram is, and its count: of several the first seen. Needs [`Self::count`].
    pub(super) fn most_frequent(&self) -> Option<(usize, usize)> {
        let counts = &self.counts[..self.len()];
        let most = *counts.iter().max()?;
        counts.iter().position(|c| *c == most).map(|i| (i, most as usize))
    }

    /// Characters of the most frequent n-gram times its count, the first seen of several.
    pub(super) fn top_chars(&self, spaces: usize) -> usize {
        self.most_frequent().map_or(0, |(i, count)| (self.chars(i) + spaces) * count)
    }

    /// The same for the longest of the most frequent ones; none if nothing stands twice.
    pub(super) fn longest_top_chars(&self) -> usize {
        let Some((_, most)) = self.most_frequent().filter(|(_, most)| *most > 1) else { return 0 };
        (0..self.len()).filter(|i| self.counts[*i] as usize == most).map(|i| self.chars(i)).max().map_or(0, |chars| chars * most)
    }

    /// Characters of all n-grams, and of those that stand more than once, each occurrence counted.
    pub(super) fn occurrences(&self) -> (usize, usize) {
        (0..self.len()).fold((0, 0), |(all, repeated), i| {
            let chars = self.chars(i);
            (all + chars, if self.counts[self.first[i] as usize] > 1 { repeated + chars } else { repeated })
        })
    }

    /// Characters of the words that some repeated n-gram covers.
    pub(super) fn covered_chars(&self) -> usize {
        let (mut chars, mut covered_to) = (0, 0);
        for i in 0..self.len() {
            if self.counts[self.first[i] as usize] > 1 {
                let from = covered_to.max(i);
                chars += self.chars_before[i + self.n] - self.chars_before[from];
                covered_to = i + self.n;
            }
        }
        chars
    }

    /// Characters of n-grams that were seen before, each behind the end of the last: equal are those that read the same without spaces.
    pub(super) fn greedy_chars(&mut self) -> usize {
        self.table.clear();
        let (mut i, mut chars) = (0, 0);
        while i < self.len() {
            if self.table.number_or(self.strings[i], 0).is_some() {
                chars += self.chars(i);
                i += self.n;
            } else {
                i += 1;
            }
        }
        chars
    }

    /// Characters, one space between words included, that are newly covered by n-grams seen before.
    pub(super) fn spaced_chars(&self) -> usize {
        let (mut chars, mut overlap) = (0, 0usize);
        for i in 0..self.len() {
            if self.first[i] as usize != i {
                chars += self.chars_before[i + self.n] - self.chars_before[i + overlap] + (self.n - overlap).min(self.n - 1);
                overlap = self.n;
            }
            overlap = overlap.saturating_sub(1);
        }
        chars
    }
}

fn row_power(k: usize) -> u64 {
    (0..k).fold(1, |p, _| times(p, STEP))
}
