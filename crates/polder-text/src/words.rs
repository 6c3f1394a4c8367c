//! What a word is: a run of letters and digits, in lower case, known by its hash.
//!
//! Everything else separates. Scripts written without spaces (Chinese, Japanese kana, Thai, Lao,
//! Khmer, Burmese) give one word per character, so that word shingles mean something there too.

/// FNV-1a's constants: one multiplication a byte, no tables, the same in any language that writes
/// fingerprints for us.
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

/// For each byte: the lower-case letter or digit, or 0 if it separates.
static LOWER: [u8; 128] = lower_table();

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
}

/// Returns the words of a text in order.
pub fn words(text: &str) -> Words<'_> {
    Words { text, at: 0 }
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
                if LOWER[b as usize] != 0 {
                    break;
                }
                i += 1;
            } else {
                let c = self.char_at(i);
                if c.is_alphanumeric() {
                    break;
                }
                i += c.len_utf8();
            }
        }
        let start = i;
        let mut hash = FNV_OFFSET;
        while let Some(&b) = bytes.get(i) {
            if b < 0x80 {
                let lower = LOWER[b as usize];
                if lower == 0 {
                    break;
                }
                hash = (hash ^ u64::from(lower)).wrapping_mul(FNV_PRIME);
                i += 1;
                continue;
            }
            let c = self.char_at(i);
            let alone = stands_alone(c);
            if !c.is_alphanumeric() || (alone && i > start) {
                break;
            }
            let mut buffer = [0; 4];
            for lower in c.to_lowercase() {
                for b in lower.encode_utf8(&mut buffer).bytes() {
                    hash = (hash ^ u64::from(b)).wrapping_mul(FNV_PRIME);
                }
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

/// Whether a character is a word of its own: scripts that put no spaces between words.
pub(crate) fn stands_alone(c: char) -> bool {
    matches!(u32::from(c),
        0x0e00..=0x0eff | 0x1000..=0x109f | 0x1780..=0x17ff | 0x3040..=0x30ff | 0x3400..=0x9fff | 0xf900..=0xfaff | 0x20000..=0x3ffff)
}

/// Scrambles 64 bits (the finaliser of splitmix64): a bijection in which every bit matters.
pub(crate) fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
