//! What the hand-written splitters share: a text as bytes with the class of each character, and runs of classes.

use super::Digits;
use super::classes::{ASCII, ClassTable, Classes, LETTERS, NEWLINES, NUMBERS, SPACES, table};

/// A text that is being cut.
#[derive(Clone, Copy)]
pub(super) struct Scan<'t> {
    pub(super) bytes: &'t [u8],
    table: &'static ClassTable,
}

impl<'t> Scan<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { bytes: text.as_bytes(), table: table() }
    }

    /// The class of the character at `at` and its length in bytes; no class and no length at the end.
    #[inline]
    pub(super) fn class_at(&self, at: usize) -> (Classes, usize) {
        match self.bytes.get(at) {
            None => (0, 0),
            Some(byte) if *byte < 128 => (ASCII[usize::from(*byte)], 1),
            Some(byte) => self.wide_class(at, *byte),
        }
    }

    /// The same for a character of several bytes. The text is UTF-8, so that its first byte tells how many.
    #[inline]
    fn wide_class(&self, at: usize, first: u8) -> (Classes, usize) {
        let tail = |i: usize| u32::from(self.bytes.get(at + i).copied().unwrap_or(0) & 0x3f);
        let first = u32::from(first);
        let (c, n) = match first {
            0..0xe0 => ((first & 0x1f) << 6 | tail(1), 2),
            0xe0..0xf0 => ((first & 0x0f) << 12 | tail(1) << 6 | tail(2), 3),
            _ => ((first & 0x07) << 18 | tail(1) << 12 | tail(2) << 6 | tail(3), 4),
        };
        (self.table.of(c), n)
    }

    /// The end of the run of `set` that begins at `from`.
    #[inline]
    pub(super) fn run_end(&self, from: usize, set: Classes) -> usize {
        let mut at = from;
        loop {
            let (class, n) = self.class_at(at);
            if class & set == 0 {
                return at;
            }
            at += n;
        }
    }

    /// The end of the run of letters that begins at `from`.
    #[inline]
    pub(super) fn letters_end(&self, from: usize) -> usize {
        let mut at = from;
        loop {
            while let Some(eight) = self.bytes.get(at..).and_then(|b| b.first_chunk::<8>()) {
                let n = leading_ascii_letters(u64::from_le_bytes(*eight));
                at += n;
                if n < 8 {
                    break;
                }
            }
            let (class, n) = self.class_at(at);
            if class & LETTERS == 0 {
                return at;
            }
            at += n;
        }
    }

    /// The end of the numbers from `from`, at which one stands, as many as a piece may have.
    #[inline]
    pub(super) fn numbers_end(&self, from: usize, digits: Digits) -> usize {
        let mut at = from;
        for _ in 0..digits.max() {
            let (class, n) = self.class_at(at);
            if class & NUMBERS == 0 {
                break;
            }
            at += n;
        }
        at
    }

    /// The length of `'s`, `'t`, `'re`, `'ve`, `'m`, `'ll` or `'d` at `at`, in any case; 0 if there is none.
    #[inline]
    pub(super) fn contraction_any_case(&self, at: usize) -> usize {
        match self.bytes.get(at..).unwrap_or_default() {
            [b'\'', second, rest @ ..] => match (second | 0x20, rest.first().map(|b| b | 0x20)) {
                (b's' | b't' | b'm' | b'd', _) if second.is_ascii_alphabetic() => 2,
                (b'r' | b'v', Some(b'e')) | (b'l', Some(b'l')) if second.is_ascii_alphabetic() && rest[0].is_ascii_alphabetic() => 3,
                // ſ, the long s, is an s in another case.
                _ if *second == 0xc5 && rest.first() == Some(&0xbf) => 3,
                _ => 0,
            },
            _ => 0,
        }
    }

    /// The end of the piece that the white space at `at` begins, by `\s*[\r\n]+|\s+(?!\S)|\s+`: a run that holds a line end goes up to
    /// the last one; another leaves its last character to what follows, unless nothing does or it is the only one. With
    /// `whole_at_end` a run at the end of the text is one piece before that.
    #[inline]
    pub(super) fn spaces_or_lines_end(&self, at: usize, whole_at_end: bool) -> usize {
        let (mut end, mut after_newline) = (at, at);
        loop {
            let (class, n) = self.class_at(end);
            if class & SPACES == 0 {
                break;
            }
            end += n;
            if class & NEWLINES != 0 {
                after_newline = end;
            }
        }
        if after_newline > at && !(whole_at_end && end == self.bytes.len()) {
            return after_newline;
        }
        self.leave_last(at, end)
    }

    #[inline]
    fn leave_last(&self, at: usize, end: usize) -> usize {
        if end == self.bytes.len() {
            return end;
        }
        let mut last = end - 1;
        while last > at && self.bytes[last] & 0xc0 == 0x80 {
            last -= 1;
        }
        if last == at { end } else { last }
    }
}

/// How many of eight bytes are ASCII letters before the first that isn't.
#[inline]
fn leading_ascii_letters(eight: u64) -> usize {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    const ONES: u64 = 0x0101_0101_0101_0101;
    // Per byte, with its high bit clear so that no sum carries over: the high bit of the sum says "at least".
    let low = (eight | (0x20 * ONES)) & !HIGH;
    let at_least_a = low + (0x80 - b'a' as u64) * ONES;
    let beyond_z = low + (0x80 - b'z' as u64 - 1) * ONES;
    let letters = at_least_a & !beyond_z & !eight & HIGH;
    ((letters ^ HIGH).trailing_zeros() / 8) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_bytes_at_once_find_the_letters_that_one_finds() {
        for byte in 0..=255u8 {
            for at in 0..8 {
                let mut eight = *b"azAZmMqQ";
                eight[at] = byte;
                let expected = eight.iter().take_while(|b| b.is_ascii_alphabetic()).count();
                assert_eq!(leading_ascii_letters(u64::from_le_bytes(eight)), expected, "{eight:?}");
            }
        }
    }
}
