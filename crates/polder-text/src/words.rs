//! What a word is: a run of letters and digits, in lower case, known by its hash.
//!
//! Everything else separates. Scripts written without spaces (Chinese, Japanese kana, Thai, Lao,
//! Khmer, Burmese) give one word per character, so that word shingles mean something there too.

use std::hash::{BuildHasherDefault, Hasher};

use crate::characters::{ALONE, ALPHANUMERIC, Characters, LONG_LOWER, LOWER};

/// FNV-1a's constants: one multiplication a byte, no tables, the same in any language that writes
/// fingerprints for us.
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

/// Adds a character to a hash.
#[inline]
fn extend(hash: u64, c: char) -> u64 {
    let mut buffer = [0; 4];
    c.encode_utf8(&mut buffer).bytes().fold(hash, |hash, b| (hash ^ u64::from(b)).wrapping_mul(FNV_PRIME))
}

/// For each byte: the lower-case letter or digit, or 0 if it separates.
static LOWER_BYTES: [u8; 128] = lower_table();

const fn lower_table() -> [u8; 128] {
    let mut table = [0; 128];
    let mut b = 0u8;
    while b < 128 {
        if b.is_ascii_alphanumeric() {
            table[b as usize] = b.to_ascii_lowercase();
        }
        b += 1;
    }
    table
}

/// One word of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
    /// FNV-1a (64 bits) of the lower-case word in UTF-8.
    pub hash: u64,
}

/// Iterates over the words of a text; see [`words`].
#[derive(Clone, Debug)]
pub struct Words<'a> {
    text: &'a str,
    at: usize,
    characters: Characters,
}

/// Returns the words of a text in order.
pub fn words(text: &str) -> Words<'_> {
    Words { text, at: 0, characters: Characters::get() }
}

impl Words<'_> {
    fn char_at(&self, i: usize) -> char {
        // `i` always stands on a character: the iterator only moves by whole ones.
        self.text.get(i..).and_then(|rest| rest.chars().next()).unwrap_or('\u{fffd}')
    }
}

impl Iterator for Words<'_> {
    type Item = Word;

    fn next(&mut self) -> Option<Word> {
        let bytes = self.text.as_bytes();
        let mut i = self.at;
        loop {
            let b = *bytes.get(i)?;
            if b < 0x80 {
                if LOWER_BYTES[b as usize] != 0 {
                    break;
                }
                i += 1;
            } else {
                let c = self.char_at(i);
                if self.characters.is(c, ALPHANUMERIC) {
                    break;
                }
                i += c.len_utf8();
            }
        }
        let start = i;
        let mut hash = FNV_OFFSET;
        while let Some(&b) = bytes.get(i) {
            if b < 0x80 {
                let lower = LOWER_BYTES[b as usize];
                if lower == 0 {
                    break;
                }
                hash = (hash ^ u64::from(lower)).wrapping_mul(FNV_PRIME);
                i += 1;
                continue;
            }
            let c = self.char_at(i);
            let about = self.characters.of(c);
            let alone = about & ALONE != 0;
            if about & ALPHANUMERIC == 0 || (alone && i > start) {
                break;
            }
            if about & LONG_LOWER == 0 {
                hash = extend(hash, char::from_u32(about & LOWER).unwrap_or(c));
            } else {
                hash = c.to_lowercase().fold(hash, extend);
            }
            i += c.len_utf8();
            if alone {
                break;
            }
        }
        self.at = i;
        Some(Word { start, end: i, hash })
    }
}

/// Keys of a map that are hashes of words already.
pub(crate) type ByWord = BuildHasherDefault<WordHasher>;

#[derive(Default)]
pub(crate) struct WordHasher(u64);

impl Hasher for WordHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, b| (hash ^ u64::from(*b)).wrapping_mul(FNV_PRIME));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// Scrambles 64 bits (the finaliser of splitmix64): a bijection in which every bit matters.
pub(crate) fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
