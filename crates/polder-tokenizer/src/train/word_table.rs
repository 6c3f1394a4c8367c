//! A map from words to counts that keeps short words in its slots: counting touches one cache line a word.
//!
//! Words of up to 15 bytes, nearly all there are, stand in the slot itself; longer ones in one buffer, compared byte for
//! byte. Nothing is ever removed. The hash is fixed, so the table's shape depends on its words alone, and no result on it.

/// Words up to this long stand in their slot.
const INLINE_BYTES_MAX: usize = 15;
/// The last byte of a slot whose word stands in the buffer; otherwise it is the word's length, 0 where the slot is empty.
const LONG: u8 = 255;
/// A table is never fuller than this many eighths.
const FULL_EIGHTHS: usize = 5;
const SLOTS_MIN: usize = 64;

#[derive(Clone, Copy, Default)]
struct Slot {
    /// The word, or for a long one: 8 bytes of hash, 7 of the place in the buffer. Its length last.
    key: [u8; 16],
    count: u64,
}

/// Words and how often each was counted.
#[derive(Clone, Default)]
pub(super) struct WordTable {
    slots: Vec<Slot>,
    n_words: usize,
    /// Long words, each behind its length.
    long: Vec<u8>,
}

/// A word with its hash.
#[derive(Clone, Copy)]
pub(super) struct Hashed<'a> {
    word: &'a [u8],
    key: [u8; 16],
    hash: u64,
}

const K0: u64 = 0x9e37_79b9_7f4a_7c15;
const K1: u64 = 0xa076_1d64_78bd_642f;

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let wide = u128::from(a) * u128::from(b);
    (wide as u64) ^ ((wide >> 64) as u64)
}

/// The bytes of a short word, the first lowest. Overlapping loads, since a loop over bytes costs more than the probe.
#[inline]
fn load(word: &[u8]) -> u128 {
    let n = word.len();
    if let (Some(first), Some(last)) = (word.first_chunk::<8>(), word.last_chunk::<8>()) {
        u128::from(u64::from_le_bytes(*first)) | u128::from(u64::from_le_bytes(*last)) << (8 * (n - 8))
    } else if let (Some(first), Some(last)) = (word.first_chunk::<4>(), word.last_chunk::<4>()) {
        u128::from(u32::from_le_bytes(*first)) | u128::from(u32::from_le_bytes(*last)) << (8 * (n - 4))
    } else if let (Some(first), Some(last)) = (word.first(), word.last()) {
        u128::from(*first) | u128::from(word[n / 2]) << (8 * (n / 2)) | u128::from(*last) << (8 * (n - 1))
    } else {
        0
    }
}

impl<'a> Hashed<'a> {
    #[inline]
    pub(super) fn new(word: &'a [u8]) -> Self {
        if word.len() <= INLINE_BYTES_MAX {
            let key = load(word) | (word.len() as u128) << 120;
            Self { word, key: key.to_le_bytes(), hash: fold((key as u64) ^ K0, ((key >> 64) as u64) ^ K1) }
        } else {
            Self::long(word)
        }
    }

    fn long(word: &'a [u8]) -> Self {
        let hash = word.chunks(16).fold(K0 ^ word.len() as u64, |hash, chunk| {
            let mut bytes = [0; 16];
            bytes[..chunk.len()].copy_from_slice(chunk);
            let x = u128::from_le_bytes(bytes);
            fold((x as u64) ^ hash, ((x >> 64) as u64) ^ K1)
        });
        let mut key = [0; 16];
        key[..8].copy_from_slice(&hash.to_le_bytes());
        key[15] = LONG;
        Self { word, key, hash: fold(hash, K0) }
    }

    /// Which of `n` parts the word belongs to; independent of where it stands in its table.
    #[inline]
    pub(super) fn part(&self, n: usize) -> usize {
        (self.hash & 0xffff) as usize % n
    }
}

impl WordTable {
    /// Number of different words.
    pub(super) fn len(&self) -> usize {
        self.n_words
    }

    /// Bytes of memory held.
    pub(super) fn memory_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>() + self.long.capacity()
    }

    /// Adds to a word's count, which stays at the most a `u64` holds.
    #[inline]
    pub(super) fn add(&mut self, word: Hashed<'_>, count: u64) {
        if self.n_words * 8 >= self.slots.len() * FULL_EIGHTHS {
            self.grow();
        }
        let mask = self.slots.len() - 1;
        let mut at = (word.hash >> 16) as usize & mask;
        loop {
            let slot = self.slots[at];
            if slot.key[15] == 0 {
                break;
            }
            if slot.key == word.key || (word.key[15] == LONG && self.is_long(&slot, &word)) {
                self.slots[at].count = slot.count.saturating_add(count);
                return;
            }
            at = (at + 1) & mask;
        }
        let mut key = word.key;
        if key[15] == LONG {
            key[8..15].copy_from_slice(&(self.long.len() as u64).to_le_bytes()[..7]);
            self.long.extend_from_slice(&(word.word.len() as u64).to_le_bytes());
            self.long.extend_from_slice(word.word);
        }
        self.slots[at] = Slot { key, count };
        self.n_words += 1;
    }

    fn is_long(&self, slot: &Slot, word: &Hashed<'_>) -> bool {
        slot.key[15] == LONG && slot.key[..8] == word.key[..8] && self.long_word(slot) == word.word
    }

    fn long_word(&self, slot: &Slot) -> &[u8] {
        let mut place = [0; 8];
        place[..7].copy_from_slice(&slot.key[8..15]);
        let rest = self.long.get(u64::from_le_bytes(place) as usize..).unwrap_or_default();
        match rest.split_first_chunk::<8>() {
            Some((n, rest)) => rest.get(..u64::from_le_bytes(*n) as usize).unwrap_or_default(),
            None => &[],
        }
    }

    fn word<'a>(&'a self, slot: &'a Slot) -> &'a [u8] {
        match slot.key[15] {
            LONG => self.long_word(slot),
            n => &slot.key[..usize::from(n)],
        }
    }

    /// Words and counts in no order that means anything.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], u64)> {
        self.slots.iter().filter(|slot| slot.key[15] != 0).map(|slot| (self.word(slot), slot.count))
    }

    /// Forgets the words and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.slots.fill(Slot::default());
        self.long.clear();
        self.n_words = 0;
    }

    /// Adds all counts of another.
    pub(super) fn merge(&mut self, other: &Self) {
        other.iter().for_each(|(word, count)| self.add(Hashed::new(word), count));
    }

    #[cold]
    fn grow(&mut self) {
        let old = std::mem::take(&mut self.slots);
        self.slots = vec![Slot::default(); (old.len() * 2).max(SLOTS_MIN)];
        let mask = self.slots.len() - 1;
        for slot in old.into_iter().filter(|slot| slot.key[15] != 0) {
            let hash = match slot.key[15] {
                LONG => {
                    let mut hash = [0; 8];
                    hash.copy_from_slice(&slot.key[..8]);
                    fold(u64::from_le_bytes(hash), K0)
                }
                _ => {
                    let key = u128::from_le_bytes(slot.key);
                    fold((key as u64) ^ K0, ((key >> 64) as u64) ^ K1)
                }
            };
            let mut at = (hash >> 16) as usize & mask;
            while self.slots[at].key[15] != 0 {
                at = (at + 1) & mask;
            }
            self.slots[at] = slot;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn the_table_counts_as_a_map_does(
            words in proptest::collection::vec((proptest::collection::vec(0u8..3, 1..20), 1u64..9), 0..400),
        ) {
            let mut table = WordTable::default();
            let mut map: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
            for (word, count) in &words {
                table.add(Hashed::new(word), *count);
                *map.entry(word.clone()).or_default() += count;
            }
            prop_assert_eq!(table.len(), map.len());
            let mut found: Vec<(Vec<u8>, u64)> = table.iter().map(|(w, c)| (w.to_vec(), c)).collect();
            found.sort();
            prop_assert_eq!(found, map.into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn words_of_every_length_are_kept_apart() {
        let text: Vec<u8> = (0..100).map(|i| b'a' + i % 26).collect();
        let mut table = WordTable::default();
        for n in 1..=100 {
            (0..n).for_each(|_| table.add(Hashed::new(&text[..n]), 1));
        }
        let mut found: Vec<(usize, u64)> = table.iter().map(|(w, c)| (w.len(), c)).collect();
        found.sort_unstable();
        assert_eq!(found, (1..=100).map(|n| (n, n as u64)).collect::<Vec<_>>());
        table.clear();
        assert!(table.len() == 0 && table.iter().next().is_none() && table.memory_bytes() > 0);
    }
}
