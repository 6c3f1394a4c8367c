//! A text as bits: 64 bytes at a time, a number for each class that has a bit for each byte.
//!
//! All bytes of a character have its class. Where pieces begin can then be said for 64 bytes at once, without a branch for each
//! character; [`super::scan`] goes from one to the next instead.

use super::classes::{LETTERS, NUMBERS, SPACES};
use super::scan::Scan;

pub(super) const BLOCK_BYTES: usize = 64;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x80 * ONES;

/// The classes of 64 bytes; those beyond the end of the text have none.
#[derive(Clone, Copy, Default)]
pub(super) struct Bits {
    pub(super) letters: u64,
    pub(super) numbers: u64,
    /// White space.
    pub(super) spaces: u64,
    /// Neither letter nor number nor white space.
    pub(super) others: u64,
    /// The space of ASCII.
    pub(super) blanks: u64,
    /// The apostrophe of ASCII.
    pub(super) quotes: u64,
    /// The first bytes of white space of one, two and three bytes; there is none of four.
    pub(super) spaces_of: [u64; 3],
}

/// A text's blocks, one after the other.
pub(super) struct Blocks<'t> {
    scan: Scan<'t>,
    at: usize,
    /// Letters, numbers and white space of the block before.
    before: [u64; 3],
}

impl<'t> Blocks<'t> {
    pub(super) fn new(scan: Scan<'t>) -> Self {
        Self { scan, at: 0, before: [0; 3] }
    }

    /// The next block; beyond the end it is empty.
    #[inline]
    pub(super) fn next(&mut self) -> Bits {
        let rest = self.scan.bytes.get(self.at..).unwrap_or_default();
        match rest.first_chunk() {
            Some(block) => self.bits(block, u64::MAX),
            None => {
                let mut block = [0; BLOCK_BYTES];
                block[..rest.len()].copy_from_slice(rest);
                self.bits(&block, (1 << rest.len()) - 1)
            }
        }
    }

    #[inline]
    fn bits(&mut self, block: &[u8; BLOCK_BYTES], valid: u64) -> Bits {
        let (mut bits, wide) = ascii(block);
        if wide != 0 {
            self.add_wide(block, wide, &mut bits);
        }
        self.before = [bits.letters, bits.numbers, bits.spaces];
        self.at += BLOCK_BYTES;
        bits.others = !(bits.letters | bits.numbers | bits.spaces) & valid;
        bits
    }

    /// Adds the characters of several bytes, where `wide` has bits.
    fn add_wide(&self, block: &[u8; BLOCK_BYTES], wide: u64, bits: &mut Bits) {
        let mut firsts = 0;
        for (i, eight) in block.as_chunks::<8>().0.iter().enumerate() {
            firsts |= gather(u64::from_le_bytes(*eight) << 1) << (8 * i);
        }
        firsts &= wide;
        let mut left = firsts;
        while left != 0 {
            let at = left.trailing_zeros() as usize;
            left &= left - 1;
            let (class, n) = self.scan.class_at(self.at + at);
            let bit = |set| u64::from(class & set != 0) << at;
            bits.letters |= bit(LETTERS);
            bits.numbers |= bit(NUMBERS);
            bits.spaces |= bit(SPACES);
            if class & SPACES != 0 {
                bits.spaces_of[n - 1] |= 1 << at;
            }
        }
        // Their other bytes take over the class of the byte before.
        let others = wide & !firsts;
        for (class, before) in [&mut bits.letters, &mut bits.numbers, &mut bits.spaces].into_iter().zip(self.before) {
            for _ in 0..3 {
                *class |= (*class << 1 | before >> 63) & others;
            }
        }
    }
}

/// The classes of ASCII characters, but for `others`, and where the bytes of others are.
#[inline]
fn ascii(block: &[u8; BLOCK_BYTES]) -> (Bits, u64) {
    let (mut bits, mut wide) = (Bits::default(), 0);
    for (i, eight) in block.as_chunks::<8>().0.iter().enumerate() {
        let eight = u64::from_le_bytes(*eight);
        let low = eight & !HIGH;
        // The high bit of a sum says "at least"; with the high bits clear before, none carries over.
        let at_least = |bytes: u64, least: u8| bytes + (0x80 - u64::from(least)) * ONES;
        let within = |bytes: u64, first: u8, last: u8| at_least(bytes, first) & !at_least(bytes, last + 1);
        let is = |byte: u8| !at_least(low ^ (u64::from(byte) * ONES), 1);
        let put = |into: &mut u64, high_bits: u64| *into |= gather(high_bits & !eight) << (8 * i);
        put(&mut bits.letters, within(low | (0x20 * ONES), b'a', b'z'));
        put(&mut bits.numbers, within(low, b'0', b'9'));
        put(&mut bits.blanks, is(b' '));
        put(&mut bits.spaces, within(low, b'\t', b'\r'));
        put(&mut bits.quotes, is(b'\''));
        wide |= gather(eight) << (8 * i);
    }
    bits.spaces |= bits.blanks;
    bits.spaces_of[0] = bits.spaces;
    (bits, wide)
}

/// The high bits of eight bytes as one byte.
#[inline]
fn gather(eight: u64) -> u64 {
    // Bit 8i goes to 56 + i by the factor's bit 56 − 7i; no two of the other products meet, so that none carries.
    ((eight & HIGH) >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Bits by one character after the other.
    fn slowly(text: &str) -> Vec<(u8, bool, bool)> {
        let scan = Scan::new(text);
        let mut out = Vec::new();
        for (at, c) in text.char_indices() {
            let class = scan.class_at(at).0;
            out.extend((0..c.len_utf8()).map(|_| (class, c == ' ', c == '\'')));
        }
        out
    }

    proptest! {
        #[test]
        fn bits_say_what_one_character_after_the_other_says(text in "([ -~]{0,9}|[\\t\\n\\r '\\u{85}\\u{a0}\\u{3000}]|\\PC|[é中\\u{1f600}²٣]){0,60}") {
            let mut blocks = Blocks::new(Scan::new(&text));
            let slow = slowly(&text);
            for (at, block) in slow.chunks(BLOCK_BYTES).enumerate() {
                let bits = blocks.next();
                for i in 0..BLOCK_BYTES {
                    let (class, blank, quote) = block.get(i).copied().unwrap_or_default();
                    let bit = |bits: u64| bits >> i & 1 == 1;
                    prop_assert_eq!(bit(bits.letters), class & LETTERS != 0, "{}", i);
                    prop_assert_eq!(bit(bits.numbers), class & NUMBERS != 0, "{}", i);
                    prop_assert_eq!(bit(bits.spaces), class & SPACES != 0, "{}", i);
                    prop_assert_eq!(bit(bits.others), class & super::super::classes::OTHERS != 0, "{}", i);
                    prop_assert_eq!((bit(bits.blanks), bit(bits.quotes)), (blank, quote), "{}", i);
                    let first_of = text.get(at * BLOCK_BYTES + i..).and_then(|t| t.chars().next()).filter(|c| c.is_whitespace());
                    for n in 1..4 {
                        prop_assert_eq!(bit(bits.spaces_of[n - 1]), first_of.is_some_and(|c| c.len_utf8() == n), "{}", i);
                    }
                }
            }
            let beyond = blocks.next();
            prop_assert_eq!(beyond.letters | beyond.numbers | beyond.spaces | beyond.others, 0);
        }
    }
}
