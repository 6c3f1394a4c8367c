//! How much of a text its repeated n-grams take: counted by rolling hashes, n from 2 to 10.

use super::spans::{Span, minus, plus, power, times};

/// Mixes a word's hash into that of a row of words.
const STEP: u64 = 0x07c1_55e0_3a9d_b24f;

/// A set of hashes, with a number each where it counts: open addressing, sized for one text, used again for each n.
struct Table {
    keys: Vec<u64>,
    numbers: Vec<u32>,
    shift: u32,
}

impl Table {
    fn new(n: usize) -> Self {
        let size = (2 * n).next_power_of_two().max(16);
        Self { keys: vec![0; size], numbers: vec![0; size], shift: 64 - size.trailing_zeros() }
    }

    fn clear(&mut self) {
        self.keys.fill(0);
    }

    /// Where a key stands, and whether it stood there before.
    #[inline]
    fn place(&mut self, key: u64) -> (usize, bool) {
        // Hashes are below 2^61, so that 0 stays free.
        let key = key + 1;
        let mut at = (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> self.shift) as usize;
        let last = self.keys.len() - 1;
        loop {
            let found = &mut self.keys[at & last];
            if *found == key {
                return (at & last, true);
            }
            if *found == 0 {
                *found = key;
                return (at & last, false);
            }
            at += 1;
        }
    }
}

/// The n-grams of a text's words, from n = 2 upwards.
pub(super) struct Ngrams<'a> {
    words: &'a [Span],
    /// Bytes and characters before each word, without what stands between words, and the hash of those bytes.
    bytes_before: Vec<usize>,
    chars_before: Vec<usize>,
    hash_before: Vec<u64>,
    table: Table,
    n: usize,
    /// Hash of the n words from each on, as a row.
    rows: Vec<u64>,
    /// Per n-gram, where it was first seen, and there, how often.
    first: Vec<u32>,
    counts: Vec<u32>,
}

impl<'a> Ngrams<'a> {
    pub(super) fn new(words: &'a [Span]) -> Self {
        let (mut bytes, mut chars, mut hash) = (0, 0, 0);
        let (mut bytes_before, mut chars_before, mut hash_before) = (vec![0], vec![0], vec![0]);
        for word in words {
            let len = word.end - word.start;
            bytes += len;
            chars += word.n_chars;
            hash = plus(times(hash, power(len)), word.hash);
            bytes_before.push(bytes);
            chars_before.push(chars);
            hash_before.push(hash);
        }
        Self {
            words,
            bytes_before,
            chars_before,
            hash_before,
            table: Table::new(words.len()),
            n: 1,
            rows: words.iter().map(|w| w.hash).collect(),
            first: vec![0; words.len()],
            counts: vec![0; words.len()],
        }
    }

    /// Goes on to the next n.
    pub(super) fn longer(&mut self) {
        self.n += 1;
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

    /// Counts the n-grams as rows of words; those of n - 1 words were counted before.
    pub(super) fn count(&mut self) {
        self.table.clear();
        self.counts.fill(0);
        let step = (1..self.n).fold(1, |power, _| times(power, STEP));
        for i in 0..self.len() {
            self.rows[i] = plus(times(self.words[i].hash, step), self.rows[i + 1]);
            let (at, is_known) = self.table.place(self.rows[i]);
            if !is_known {
                self.table.numbers[at] = i as u32;
            }
            self.first[i] = self.table.numbers[at];
            self.counts[self.first[i] as usize] += 1;
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
            let bytes = self.bytes_before[i + self.n] - self.bytes_before[i];
            let string = minus(self.hash_before[i + self.n], times(self.hash_before[i], power(bytes)));
            if self.table.place(string).1 {
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
