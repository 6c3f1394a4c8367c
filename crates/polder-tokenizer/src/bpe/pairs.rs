//! Which symbol two symbols make: a table of eight bytes an entry.
//!
//! A symbol's number is also its rank: bytes are the first 256, and what merges make follows in the order in which it is merged.

use super::NONE;

/// Symbols have 24 bits.
const SYMBOL_BITS: u32 = 24;
/// A symbol's number that none has: of an entry with no symbol, that is all that can be left.
const NO_SYMBOL: u64 = (1 << SYMBOL_BITS) - 1;
const EMPTY: u64 = u64::MAX;
const KEY_BITS: u32 = 2 * SYMBOL_BITS;
/// An entry leaves out the 8 highest bits of its key, which are the highest of its place too: keys that differ there alone have
/// places at least `SLOTS_MIN / 256` apart, farther than any entry lies from its place.
const SLOTS_MIN: usize = 1 << 14;
const REACH: usize = 63;
/// Entries that are compared at once.
const NEAR: usize = 4;

/// Pairs of symbols and what they make.
pub(crate) struct Pairs {
    /// 40 bits of the mixed key, then the symbol that the pair makes.
    entries: Box<[u64]>,
    shift: u32,
    /// What two bytes make.
    of_bytes: Box<[u32; 1 << 16]>,
}

/// Mixes 48 bits so that none is lost: an odd factor and a shifted copy can both be undone.
#[inline]
fn mix(left: u32, right: u32) -> u64 {
    const MASK: u64 = (1 << KEY_BITS) - 1;
    let key = u64::from(left) << SYMBOL_BITS | u64::from(right);
    let mixed = (key ^ key >> 23).wrapping_mul(0x9e37_79b9_7f4b) & MASK;
    mixed ^ mixed >> 25
}

impl Pairs {
    /// Pairs in order of rank; the first makes symbol 256. No pair occurs twice, and no symbol has more than 24 bits.
    pub(super) fn new(pairs: &[(u32, u32)]) -> Self {
        let mut n_slots = (pairs.len() * 2).next_power_of_two().max(SLOTS_MIN);
        loop {
            if let Some(made) = Self::try_with(pairs, n_slots) {
                return made;
            }
            n_slots *= 2;
        }
    }

    fn try_with(pairs: &[(u32, u32)], n_slots: usize) -> Option<Self> {
        // The last places reach beyond the slots.
        let mut entries = vec![EMPTY; n_slots + REACH].into_boxed_slice();
        let mut of_bytes = Box::new([NONE; 1 << 16]);
        let shift = KEY_BITS - n_slots.trailing_zeros();
        for (symbol, (left, right)) in (256u32..).zip(pairs) {
            if *left < 256 && *right < 256 {
                of_bytes[(left << 8 | right) as usize] = symbol;
            }
            let mixed = mix(*left, *right);
            let place = (mixed >> shift) as usize;
            let free = (place..place + REACH).find(|at| entries[*at] == EMPTY)?;
            entries[free] = mixed << SYMBOL_BITS | u64::from(symbol);
        }
        Some(Self { entries, shift, of_bytes })
    }

    /// What two bytes make, or nothing.
    #[inline]
    pub(super) fn of_bytes(&self, left: u8, right: u8) -> u32 {
        self.of_bytes[usize::from(left) << 8 | usize::from(right)]
    }

    /// What two symbols make, or nothing.
    #[inline]
    pub(super) fn get(&self, left: u32, right: u32) -> u32 {
        let mixed = mix(left, right);
        let place = (mixed >> self.shift) as usize;
        let key = mixed << SYMBOL_BITS;
        // Four entries at once: what is left of the one with this key is its symbol, less than anything else. Whether there is one is
        // a branch on purpose: most pairs make nothing, and the processor goes on with that while memory answers.
        let Some(near) = self.entries.get(place..).and_then(|entries| entries.first_chunk::<NEAR>()) else { return NONE };
        let least = near.iter().fold(u64::MAX, |least, entry| least.min(entry ^ key));
        let all_used = near.iter().fold(true, |used, entry| used & (*entry != EMPTY));
        if least < NO_SYMBOL {
            least as u32
        } else if all_used {
            self.get_far(place, key)
        } else {
            NONE
        }
    }

    #[cold]
    fn get_far(&self, place: usize, key: u64) -> u32 {
        let far = self.entries.get(place + NEAR..place + REACH).unwrap_or_default();
        let found = far.iter().take_while(|entry| **entry != EMPTY).find(|entry| (*entry ^ key) >> SYMBOL_BITS == 0);
        found.map_or(NONE, |entry| (entry ^ key) as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn pairs_make_what_they_were_said_to_make(pairs in proptest::collection::btree_set((0u32..400, 0u32..400), 0..3000), other in (0u32..1 << 24, 0u32..1 << 24)) {
            let pairs: Vec<_> = pairs.into_iter().collect();
            let table = Pairs::new(&pairs);
            let made: BTreeMap<_, _> = pairs.iter().copied().zip(256u32..).collect();
            for left in (0..400).step_by(7) {
                for right in 0..400 {
                    let expected = made.get(&(left, right)).copied().unwrap_or(NONE);
                    prop_assert_eq!(table.get(left, right), expected);
                    if left < 256 && right < 256 {
                        prop_assert_eq!(table.of_bytes(left as u8, right as u8), expected);
                    }
                }
            }
            prop_assert_eq!(table.get(other.0, other.1), made.get(&other).copied().unwrap_or(NONE));
        }

        #[test]
        fn mixing_loses_nothing(a in 0u64..1 << 48, b in 0u64..1 << 48) {
            let mixed = |key: u64| mix((key >> 24) as u32, key as u32 & 0xff_ffff);
            prop_assert_eq!(mixed(a) == mixed(b), a == b);
            prop_assert!(mixed(a) < 1 << 48);
        }
    }
}
