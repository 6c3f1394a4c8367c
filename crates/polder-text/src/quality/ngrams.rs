//! How much of a text its repeated n-grams take, n from 2 to 10.
//!
//! Most of a text stands once. So only places whose n-gram may stand elsewhere too are looked at: for rows of words those whose shorter
//! n-gram did, for strings those whose first bytes do.

use std::cell::Cell;

use super::spans::{Span, hash, mixed};

/// A set of hashes, with a number each where it counts: open addressing, used again for each n.
#[derive(Default)]
struct Table {
    keys: Vec<u64>,
    numbers: Vec<u32>,
    shift: u32,
}

impl Table {
    /// Empties it, and makes room for `n` keys.
    fn reset(&mut self, n: usize) {
        let size = (2 * n).next_power_of_two().max(16);
        self.keys.clear();
        self.keys.resize(size, 0);
        self.numbers.resize(self.numbers.len().max(size), 0);
        self.shift = 64 - size.trailing_zeros();
    }

    /// Where a key stands, and whether it stood there before.
    #[inline]
    fn place(&mut self, key: u64) -> (usize, bool) {
        // 0 marks a free slot.
        let key = key | 1;
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

/// Which of many keys may be there more than once, told by bits that stay in the inner caches.
#[derive(Default)]
struct Sieve {
    seen: Vec<u64>,
    twice: Vec<u64>,
    /// For each key its bit.
    bits: Vec<u32>,
}

impl Sieve {
    /// So many bits a key, at least.
    const BITS: usize = 16;

    fn fill(&mut self, n: usize, keys: impl Iterator<Item = u64>) {
        let size = (n * Self::BITS).clamp(64, 1 << 31).next_power_of_two();
        let shift = 64 - size.trailing_zeros();
        for words in [&mut self.seen, &mut self.twice] {
            words.clear();
            words.resize(size / 64, 0);
        }
        self.bits.clear();
        for key in keys {
            let bit = key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> shift;
            let (word, mask) = ((bit / 64) as usize, 1 << (bit % 64));
            self.twice[word] |= self.seen[word] & mask;
            self.seen[word] |= mask;
            self.bits.push(bit as u32);
        }
    }

    /// Whether the key of this number may be there again; surely, if it is.
    fn may_repeat(&self, i: usize) -> bool {
        let bit = self.bits[i];
        self.twice[bit as usize / 64] >> (bit % 64) & 1 != 0
    }
}

/// The most first bytes that are asked to tell strings apart.
const LONG_HEAD: usize = 32;
/// The least n for which strings are asked.
const FIRST_STRINGS: usize = 5;

/// The n-grams of a text's words, from n = 2 upwards.
#[derive(Default)]
pub(super) struct Ngrams {
    /// The words' hashes.
    words: Vec<u64>,
    /// The words without anything between them, and `LONG_HEAD` bytes more.
    string: Vec<u8>,
    /// Bytes and characters before each word.
    bytes_before: Vec<usize>,
    chars_before: Vec<usize>,
    table: Table,
    sieve: Sieve,
    n: usize,
    /// Where n-grams stand of which there may be several, in order: as rows of words, and as strings once they were asked for.
    rows: Vec<u32>,
    strings: Vec<u32>,
    /// Per such place, where its n-gram was first seen, and there, how often.
    first: Vec<u32>,
    counts: Vec<u32>,
}

thread_local! {
    /// Memory of the last text's n-grams, for the next one's.
    static SPARE: Cell<Ngrams> = Cell::default();
}

/// The longest text, in bytes, whose memory is kept.
const SPARE_MAX: usize = 1 << 20;

impl Ngrams {
    pub(super) fn new(text: &str, words: &[Span]) -> Self {
        let mut ngrams = SPARE.take();
        let Self { words: hashes, string, bytes_before, chars_before, rows, strings, first, counts, n, .. } = &mut ngrams;
        *n = 1;
        hashes.clear();
        hashes.extend(words.iter().map(|word| word.hash));
        string.clear();
        string.reserve(text.len() + LONG_HEAD);
        bytes_before.clear();
        chars_before.clear();
        let mut chars = 0;
        for word in words {
            bytes_before.push(string.len());
            chars_before.push(chars);
            string.extend_from_slice(word.of(text).as_bytes());
            chars += word.n_chars;
        }
        bytes_before.push(string.len());
        chars_before.push(chars);
        string.extend_from_slice(&[0; LONG_HEAD]);
        rows.clear();
        rows.extend(0..words.len() as u32);
        strings.clear();
        // What they hold is written before it is read.
        first.resize(words.len(), 0);
        counts.resize(words.len(), 0);
        ngrams
    }

    /// Leaves the memory to the next text.
    pub(super) fn leave(self) {
        if self.string.capacity() <= SPARE_MAX {
            SPARE.set(self);
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
        let len = self.len();
        self.rows.retain(|i| (*i as usize) < len);
        let (words, n) = (&self.words, self.n);
        let row = |i: u32| words[i as usize..i as usize + n].iter().fold(0, |row, word| mixed(row, *word));
        if n == 2 {
            // Later on, few are left anyway.
            self.sieve.fill(len, self.rows.iter().map(|i| row(*i)));
            self.rows.retain(|i| self.sieve.may_repeat(*i as usize));
        }
        self.table.reset(self.rows.len());
        for &i in &self.rows {
            self.counts[i as usize] = 0;
            let row = row(i);
            let (at, is_known) = self.table.place(row);
            if !is_known {
                self.table.numbers[at] = i;
            }
            self.first[i as usize] = self.table.numbers[at];
            self.counts[self.table.numbers[at] as usize] += 1;
        }
        self.rows.retain(|i| self.counts[self.first[*i as usize] as usize] > 1);
    }

    /// Where n-grams stand that stand more than once. Needs [`Self::count`].
    fn repeated(&self) -> impl Iterator<Item = usize> {
        self.rows.iter().map(|i| *i as usize)
    }

    /// Where the most frequent n-gram is, and its count: of several the first seen.
    pub(super) fn most_frequent(&self) -> Option<(usize, usize)> {
        let count = |i: usize| self.counts[self.first[i] as usize] as usize;
        // What stands once alone stands first at the beginning.
        let first = (!self.is_empty()).then_some((0, 1));
        self.repeated().fold(first, |best, i| if best.is_none_or(|(_, most)| count(i) > most) { Some((i, count(i))) } else { best })
    }

    /// Characters of the most frequent n-gram times its count, the first seen of several.
    pub(super) fn top_chars(&self, spaces: usize) -> usize {
        self.most_frequent().map_or(0, |(i, count)| (self.chars(i) + spaces) * count)
    }

    /// The same for the longest of the most frequent ones; none if nothing stands twice.
    pub(super) fn longest_top_chars(&self) -> usize {
        let Some((_, most)) = self.most_frequent().filter(|(_, most)| *most > 1) else { return 0 };
        let is_most = |i: &usize| self.counts[self.first[*i] as usize] as usize == most;
        self.repeated().filter(is_most).map(|i| self.chars(i)).max().map_or(0, |chars| chars * most)
    }

    /// Characters of all n-grams, and of those that stand more than once, each occurrence counted.
    pub(super) fn occurrences(&self) -> (usize, usize) {
        ((0..self.len()).map(|i| self.chars(i)).sum(), self.repeated().map(|i| self.chars(i)).sum())
    }

    /// Characters of the words that some repeated n-gram covers.
    pub(super) fn covered_chars(&self) -> usize {
        let (mut chars, mut covered_to) = (0, 0);
        for i in self.repeated() {
            chars += self.chars_before[i + self.n] - self.chars_before[covered_to.max(i)];
            covered_to = i + self.n;
        }
        chars
    }

    /// Characters, one space between words included, that are newly covered by n-grams seen before.
    pub(super) fn spaced_chars(&self) -> usize {
        let (mut chars, mut covered_to) = (0, 0);
        for i in self.repeated().filter(|i| self.first[*i] as usize != *i) {
            let overlap = usize::saturating_sub(covered_to, i);
            chars += self.chars_before[i + self.n] - self.chars_before[i + overlap] + (self.n - overlap).min(self.n - 1);
            covered_to = i + self.n;
        }
        chars
    }

    /// Characters of n-grams that were seen before, each behind the end of the last: equal are those that read the same without spaces.
    pub(super) fn greedy_chars(&mut self) -> usize {
        self.choose_strings();
        let (len, n, before, string) = (self.len(), self.n, &self.bytes_before, &self.string);
        self.table.reset(self.strings.len());
        let (mut next, mut chars) = (0, 0);
        for i in self.strings.iter().map(|i| *i as usize) {
            if i >= next && i < len && self.table.place(hash(&string[before[i]..before[i + n]])).1 {
                chars += self.chars_before[i + n] - self.chars_before[i];
                next = i + n;
            }
        }
        chars
    }

    /// Finds where n-grams of this or a greater n may stand that read like another: those that are short or share their first bytes.
    fn choose_strings(&mut self) {
        match self.n {
            FIRST_STRINGS => {
                self.strings.extend(0..self.len() as u32);
                self.choose_by_head::<16>();
                self.choose_by_head::<8>();
            }
            7 => self.choose_by_head::<24>(),
            9 => self.choose_by_head::<32>(),
            _ => {}
        }
    }

    fn choose_by_head<const HEAD: usize>(&mut self) {
        let (len, n, before, string) = (self.len(), self.n, &self.bytes_before, &self.string);
        self.strings.retain(|i| (*i as usize) < len);
        self.sieve.fill(self.strings.len(), self.strings.iter().map(|i| head::<HEAD>(&string[before[*i as usize]..])));
        let mut k = 0;
        self.strings.retain(|i| {
            k += 1;
            before[*i as usize + n] - before[*i as usize] < HEAD || self.sieve.may_repeat(k - 1)
        });
    }
}

/// A hash of the first bytes, of which there are as many.
#[inline]
fn head<const HEAD: usize>(bytes: &[u8]) -> u64 {
    let (words, _) = bytes.first_chunk::<HEAD>().map_or((&[][..], &[][..]), |head| head.as_chunks::<8>());
    words.iter().fold(0, |hash, word| mixed(hash, u64::from_le_bytes(*word)))
}
