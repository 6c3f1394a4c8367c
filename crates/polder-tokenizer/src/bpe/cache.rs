//! What short words become, kept from one text to the next.
//!
//! A word of up to 15 bytes and its length are one number, so that equal numbers are equal words; longer ones are compared byte by
//! byte. No hash decides what comes out.

use std::hash::Hasher;

use crate::fast_hash::FastHasher;

/// The longest word that is kept as a number.
pub(super) const WORD_BYTES_MAX: usize = 15;
/// The longest part that is kept by its bytes.
pub(super) const PART_BYTES_MAX: usize = 64;
/// The most ids of a word that its slot holds; those of others lie outside.
pub(super) const IDS_INSIDE: usize = 4;
/// Slots for words, two to a place: few at first, and at most 8 MiB of them.
const WORD_SLOTS_MIN: usize = 1 << 12;
const WORD_SLOTS_MAX: usize = 1 << 18;
/// Slots for longer parts.
const PART_SLOTS: usize = 1 << 14;
/// Where a packed word says its length.
const LENGTH_SHIFT: u32 = 120;
/// The first id's high byte says how many there are: ids have 24 bits.
const COUNT_SHIFT: u32 = 24;
const ID_MASK: u32 = (1 << COUNT_SHIFT) - 1;
/// When so much lies outside the slots, all is forgotten.
const OUTSIDE_MAX: usize = 1 << 20;

/// Packs the word at `from..to`; 0 if it is too long. No branch but at the end of a text.
#[inline]
pub(super) fn pack(text: &[u8], from: usize, to: usize) -> u128 {
    /// By length: the bytes that count, and the length in its place. A word that is too long has neither.
    const BY_LENGTH: [(u128, u128); WORD_BYTES_MAX + 2] = {
        let mut by_length = [(0, 0); WORD_BYTES_MAX + 2];
        let mut n = 0;
        while n <= WORD_BYTES_MAX {
            by_length[n] = ((1 << (8 * n)) - 1, (n as u128) << LENGTH_SHIFT);
            n += 1;
        }
        by_length
    };
    let (mask, length) = BY_LENGTH[(to - from).min(WORD_BYTES_MAX + 1)];
    let sixteen = match text.get(from..).and_then(|rest| rest.first_chunk::<16>()) {
        Some(sixteen) => u128::from_le_bytes(*sixteen),
        None => pack_at_end(&text[from..]),
    };
    sixteen & mask | length
}

/// The bytes of a packed word, and how many of them are its own.
#[inline]
pub(super) fn unpack(key: u128) -> ([u8; 16], usize) {
    (key.to_le_bytes(), (key >> LENGTH_SHIFT) as usize)
}

#[cold]
fn pack_at_end(rest: &[u8]) -> u128 {
    rest.iter().rev().fold(0, |sixteen, byte| sixteen << 8 | u128::from(*byte))
}

/// A word and its ids, the first of them with their number in its high byte. Where they are too many, the second says where they
/// begin outside. No word has the key 0.
#[derive(Clone, Copy, Default)]
#[repr(align(32))]
struct Slot {
    key: u128,
    ids: [u32; IDS_INSIDE],
}

/// Two words with the same place, in one line of the processor's cache.
#[derive(Clone, Copy, Default)]
#[repr(align(64))]
struct Pair([Slot; 2]);

/// Words and their ids.
#[derive(Default)]
pub(super) struct WordCache {
    pairs: Vec<Pair>,
    outside: Vec<u32>,
    /// Words kept since the slots are as many as they are.
    n_kept: usize,
}

/// Where a word lies, whatever the number of slots.
#[inline]
pub(super) fn place(key: u128) -> usize {
    let (low, high) = (key as u64, (key >> 64) as u64);
    let wide = u128::from(low ^ 0xa076_1d64_78bd_642f) * u128::from(high ^ 0x9e37_79b9_7f4a_7c15);
    ((wide >> 64) as u64 ^ wide as u64) as usize
}

impl WordCache {
    /// The ids of a word that has few of them, and how many; `None` if it isn't here or has more. `place` is that of the key.
    #[inline]
    pub(super) fn get_few(&self, key: u128, place: usize) -> Option<([u32; IDS_INSIDE], usize)> {
        let Pair([first, second]) = self.pairs.get(place & self.pairs.len().wrapping_sub(1))?;
        let slot = if first.key == key { first } else { second };
        let n = (slot.ids[0] >> COUNT_SHIFT) as usize;
        // An empty slot has the key of a word that is too long, and no ids.
        if slot.key != key || n.wrapping_sub(1) >= IDS_INSIDE {
            return None;
        }
        let mut ids = slot.ids;
        ids[0] &= ID_MASK;
        Some((ids, n))
    }

    /// Appends the ids of a word; `false` if it isn't here.
    #[inline]
    pub(super) fn get(&self, key: u128, place: usize, out: &mut Vec<u32>) -> bool {
        if let Some((ids, n)) = self.get_few(key, place) {
            out.extend_from_slice(&ids[..n]);
            return true;
        }
        let pair = self.pairs.get(place & self.pairs.len().wrapping_sub(1));
        let Some(slot) = pair.and_then(|pair| pair.0.iter().find(|slot| slot.key == key)) else { return false };
        let n = (slot.ids[0] >> COUNT_SHIFT) as usize;
        out.extend_from_slice(self.outside.get(slot.ids[1] as usize..).and_then(|ids| ids.get(..n)).unwrap_or_default());
        true
    }

    /// Keeps a word; the older of the two in its place goes.
    pub(super) fn insert(&mut self, key: u128, ids: &[u32]) {
        if ids.is_empty() || ids[0] >> COUNT_SHIFT != 0 {
            return;
        }
        let mut slot = Slot { key, ids: [0; IDS_INSIDE] };
        if ids.len() <= IDS_INSIDE {
            slot.ids[..ids.len()].copy_from_slice(ids);
        } else {
            if self.outside.len() + ids.len() > OUTSIDE_MAX {
                self.outside.clear();
                self.pairs.fill(Default::default());
            }
            slot.ids[1] = self.outside.len() as u32;
            self.outside.extend_from_slice(ids);
        }
        slot.ids[0] |= (ids.len() as u32) << COUNT_SHIFT;
        self.make_room();
        self.put(slot);
    }

    fn put(&mut self, slot: Slot) {
        let place = place(slot.key) & self.pairs.len().wrapping_sub(1);
        if let Some(Pair([first, second])) = self.pairs.get_mut(place) {
            // The same word twice would only send another away.
            if first.key != slot.key {
                *second = *first;
            }
            *first = slot;
        }
    }

    /// Quadruples the slots when as many words were kept.
    fn make_room(&mut self) {
        self.n_kept += 1;
        if self.pairs.is_empty() {
            self.pairs.resize(WORD_SLOTS_MIN / 2, Default::default());
        } else if self.n_kept > 2 * self.pairs.len() && 2 * self.pairs.len() < WORD_SLOTS_MAX {
            let n_pairs = (4 * self.pairs.len()).min(WORD_SLOTS_MAX / 2);
            let old = std::mem::replace(&mut self.pairs, vec![Default::default(); n_pairs]);
            self.n_kept = 0;
            old.into_iter().flat_map(|pair| pair.0).rev().filter(|slot| slot.key != 0).for_each(|slot| self.put(slot));
        }
    }
}

/// Where the bytes and the ids of a part begin, and how many there are; no part is empty.
#[derive(Clone, Copy, Default)]
struct PartSlot {
    hash: u64,
    bytes_at: u32,
    ids_at: u32,
    n_bytes: u8,
    n_ids: u8,
}

/// Parts too long for [`WordCache`], found by a hash and told apart by their bytes.
#[derive(Default)]
pub(super) struct PartCache {
    slots: Vec<PartSlot>,
    bytes: Vec<u8>,
    ids: Vec<u32>,
}

impl PartCache {
    fn hash(part: &[u8]) -> u64 {
        let mut hasher = FastHasher::default();
        hasher.write(part);
        hasher.finish()
    }

    /// Appends the ids of a part; else says its hash, for [`PartCache::insert`].
    pub(super) fn get(&self, part: &[u8], out: &mut Vec<u32>) -> Result<(), u64> {
        let hash = Self::hash(part);
        let Some(slot) = self.slots.get(hash as usize % PART_SLOTS) else { return Err(hash) };
        let (bytes_at, ids_at) = (slot.bytes_at as usize, slot.ids_at as usize);
        if slot.hash != hash || self.bytes.get(bytes_at..bytes_at + usize::from(slot.n_bytes)) != Some(part) {
            return Err(hash);
        }
        out.extend_from_slice(self.ids.get(ids_at..ids_at + usize::from(slot.n_ids)).unwrap_or_default());
        Ok(())
    }

    /// Keeps a part of at most [`PART_BYTES_MAX`] bytes in the place of another.
    pub(super) fn insert(&mut self, hash: u64, part: &[u8], ids: &[u32]) {
        if self.slots.is_empty() || self.bytes.len() + part.len() > OUTSIDE_MAX {
            self.slots.clear();
            self.slots.resize(PART_SLOTS, PartSlot::default());
            self.bytes.clear();
            self.ids.clear();
        }
        self.slots[hash as usize % PART_SLOTS] = PartSlot {
            hash,
            bytes_at: self.bytes.len() as u32,
            ids_at: self.ids.len() as u32,
            n_bytes: part.len() as u8,
            n_ids: ids.len() as u8,
        };
        self.bytes.extend_from_slice(part);
        self.ids.extend_from_slice(ids);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_pack_alike_in_the_middle_and_at_the_end_of_a_text() {
        let text = b"the same words, the same";
        assert_eq!(pack(text, 0, 8), pack(text, 16, 24));
        assert_ne!(pack(b"a\0", 0, 1), pack(b"a\0", 0, 2), "the length counts");
        assert_eq!(pack(text, 0, 16), 0);
        assert_eq!(unpack(pack(text, 4, 8)).1, 4);
        assert_eq!(unpack(pack(text, 4, 8)).0[..4], text[4..8]);
    }

    fn words() -> impl Strategy<Value = Vec<(String, Vec<u32>)>> {
        proptest::collection::vec(("[a-c]{1,64}", proptest::collection::vec(0u32..1 << 24, 1..64)), 1..50)
    }

    proptest! {
        #[test]
        fn what_was_kept_comes_back(words in words()) {
            let (mut short, mut long) = (WordCache::default(), PartCache::default());
                for (word, ids) in &words {
                let mut out = vec![7];
                let key = pack(word.as_bytes(), 0, word.len());
                if key != 0 {
                    short.insert(key, ids);
                    prop_assert!(short.get(key, place(key), &mut out));
                    let few = short.get_few(key, place(key)).map(|(few, n)| few[..n].to_vec());
                    prop_assert_eq!(few, (ids.len() <= IDS_INSIDE).then(|| ids.clone()));
                } else {
                    if let Err(hash) = long.get(word.as_bytes(), &mut out) {
                        long.insert(hash, word.as_bytes(), ids);
                    } else {
                        out.truncate(1);
                    }
                    prop_assert_eq!(long.get(word.as_bytes(), &mut out), Ok(()));
                }
                prop_assert_eq!(&out[1..], &ids[..]);
            }
        }
    }

    #[test]
    fn a_cache_that_is_full_forgets_and_stays_right() {
        let (mut short, mut long) = (WordCache::default(), PartCache::default());
        let ids: Vec<u32> = (0..40).collect();
        for i in 0..60_000 {
            let word = format!("w{i}");
            let key = pack(word.as_bytes(), 0, word.len());
            short.insert(key, &ids);
            let mut out = Vec::new();
            assert!(short.get(key, place(key), &mut out) && out == ids, "{word}");
            let part = format!("a part that is longer than words are {i}");
            out.clear();
            let hash = long.get(part.as_bytes(), &mut out).expect_err("not yet");
            long.insert(hash, part.as_bytes(), &ids[..7]);
            assert!(long.get(part.as_bytes(), &mut out).is_ok() && out == ids[..7], "{part}");
        }
        assert!(short.outside.len() <= OUTSIDE_MAX && long.bytes.len() <= OUTSIDE_MAX);
    }
}
