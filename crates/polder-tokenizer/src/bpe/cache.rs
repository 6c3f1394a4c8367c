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
const IDS_INSIDE: usize = 4;
/// Slots for words, two to a place: few at first, and at most 8 MiB of them.
const WORD_SLOTS_MIN: usize = 1 << 12;
const WORD_SLOTS_MAX: usize = 1 << 18;
/// Slots for longer parts.
const PART_SLOTS: usize = 1 << 14;
/// The first id's high byte says how many there are: ids have 24 bits.
const COUNT_SHIFT: u32 = 24;
/// When so much lies outside the slots, all is forgotten.
const OUTSIDE_MAX: usize = 1 << 20;

/// Packs the word at `from..to`; `None` if it is too long.
#[inline]
pub(super) fn pack(text: &[u8], from: usize, to: usize) -> Option<u128> {
    const MASKS: [u128; WORD_BYTES_MAX + 1] = {
        let mut masks = [0; WORD_BYTES_MAX + 1];
        let mut n = 0;
        while n <= WORD_BYTES_MAX {
            masks[n] = (1 << (8 * n)) - 1;
            n += 1;
        }
        masks
    };
    let n = to - from;
    let mask = MASKS.get(n)?;
    let word = match text.get(from..).and_then(|rest| rest.first_chunk::<16>()) {
        Some(sixteen) => u128::from_le_bytes(*sixteen) & mask,
        None => pack_at_end(&text[from..to]),
    };
    Some(word | (n as u128) << 120)
}

#[cold]
fn pack_at_end(word: &[u8]) -> u128 {
    let mut sixteen = [0; 16];
    sixteen[..word.len()].copy_from_slice(word);
    u128::from_le_bytes(sixteen)
}

/// A word and its ids, the first of them with their number in its high byte. Where they are too many, the second says where they
/// begin outside. No word has the key 0.
#[derive(Clone, Copy, Default)]
#[repr(align(32))]
struct Slot {
    key: u128,
    ids: [u32; IDS_INSIDE],
}

/// Words and their ids.
#[derive(Default)]
pub(super) struct WordCache {
    slots: Vec<[Slot; 2]>,
    outside: Vec<u32>,
    /// Words kept since the slots are as many as they are.
    n_kept: usize,
}

impl WordCache {
    /// Where a word lies among so many pairs of slots, a power of two.
    #[inline]
    fn place(key: u128, n_pairs: usize) -> usize {
        let (low, high) = (key as u64, (key >> 64) as u64);
        let wide = u128::from(low ^ 0xa076_1d64_78bd_642f) * u128::from(high ^ 0x9e37_79b9_7f4a_7c15);
        (((wide >> 64) as u64 ^ wide as u64) as usize) & n_pairs.wrapping_sub(1)
    }

    /// Appends the ids of a word; `false` if it isn't here.
    #[inline]
    pub(super) fn get(&self, key: u128, out: &mut Vec<u32>) -> bool {
        let Some([first, second]) = self.slots.get(Self::place(key, self.slots.len())) else { return false };
        let slot = match key {
            _ if first.key == key => first,
            _ if second.key == key => second,
            _ => return false,
        };
        let n = (slot.ids[0] >> COUNT_SHIFT) as usize;
        let first = slot.ids[0] & ((1 << COUNT_SHIFT) - 1);
        match n {
            1 => out.push(first),
            2..=IDS_INSIDE => {
                out.push(first);
                out.extend_from_slice(slot.ids.get(1..n).unwrap_or_default());
            }
            _ => out.extend_from_slice(self.outside.get(slot.ids[1] as usize..).and_then(|ids| ids.get(..n)).unwrap_or_default()),
        }
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
                self.slots.fill(Default::default());
            }
            slot.ids[1] = self.outside.len() as u32;
            self.outside.extend_from_slice(ids);
        }
        slot.ids[0] |= (ids.len() as u32) << COUNT_SHIFT;
        self.make_room();
        self.put(slot);
    }

    fn put(&mut self, slot: Slot) {
        let place = Self::place(slot.key, self.slots.len());
        if let Some(pair) = self.slots.get_mut(place) {
            *pair = [slot, pair[0]];
        }
    }

    /// Quadruples the slots when as many words were kept.
    fn make_room(&mut self) {
        self.n_kept += 1;
        if self.slots.is_empty() {
            self.slots.resize(WORD_SLOTS_MIN / 2, Default::default());
        } else if self.n_kept > 2 * self.slots.len() && 2 * self.slots.len() < WORD_SLOTS_MAX {
            let n_pairs = (4 * self.slots.len()).min(WORD_SLOTS_MAX / 2);
            let old = std::mem::replace(&mut self.slots, vec![Default::default(); n_pairs]);
            self.n_kept = 0;
            old.into_iter().flatten().rev().filter(|slot| slot.key != 0).for_each(|slot| self.put(slot));
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
        assert_eq!(pack(text, 0, 16), None);
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
                if let Some(key) = pack(word.as_bytes(), 0, word.len()) {
                    short.insert(key, ids);
                    prop_assert!(short.get(key, &mut out));
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
            let key = pack(word.as_bytes(), 0, word.len()).expect("short");
            short.insert(key, &ids);
            let mut out = Vec::new();
            assert!(short.get(key, &mut out) && out == ids, "{word}");
            let part = format!("a part that is longer than words are {i}");
            out.clear();
            let hash = long.get(part.as_bytes(), &mut out).expect_err("not yet");
            long.insert(hash, part.as_bytes(), &ids[..7]);
            assert!(long.get(part.as_bytes(), &mut out).is_ok() && out == ids[..7], "{part}");
        }
        assert!(short.outside.len() <= OUTSIDE_MAX && long.bytes.len() <= OUTSIDE_MAX);
    }
}
