//! Words and lines as places in a text, with what the rules ask of each: its length, its kinds of characters, its hash.

use std::sync::LazyLock;

use super::characters::{Characters, SPACE, is_space};

/// A word of a text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) n_chars: usize,
    /// Classes that some character has.
    pub(super) some: u32,
    /// Classes that every character has.
    pub(super) every: u32,
    /// The bytes as one number: see [`hash`].
    pub(super) hash: u64,
    /// Whether a word between spaces begins here.
    pub(super) begins_word: bool,
}

impl Span {
    pub(super) fn new(text: &str, start: usize, end: usize, begins_word: bool, characters: Characters) -> Self {
        let word = &text[start..end];
        let (mut some, mut every, mut n_chars) = (0, u32::MAX, 0);
        if word.is_ascii() {
            for b in word.bytes() {
                let classes = characters.of_ascii(b);
                some |= classes;
                every &= classes;
            }
            n_chars = word.len();
        } else {
            for c in word.chars() {
                let classes = characters.of(c);
                some |= classes;
                every &= classes;
                n_chars += 1;
            }
        }
        Self { start, end, n_chars, some, every, hash: hash(word.as_bytes()), begins_word }
    }

    pub(super) fn of<'a>(&self, text: &'a str) -> &'a str {
        &text[self.start..self.end]
    }
}

/// The prime 2^61 − 1: the remainder takes an addition, and two different texts agree once in 2^61 pairs.
const PRIME: u64 = (1 << 61) - 1;
/// Any number that is far from 0 and has no small order.
const BASE: u64 = 0x0b3a_72f5_91d4_e6c7;

/// `POWERS[k]` is BASE^k.
static POWERS: LazyLock<Vec<u64>> = LazyLock::new(|| std::iter::successors(Some(1), |power| Some(times(*power, BASE))).take(512).collect());

/// For each byte, its part in the hash when k bytes follow it, k from 0 to 7.
static PARTS: LazyLock<Vec<[u64; 8]>> = LazyLock::new(|| (0..256u64).map(|b| std::array::from_fn(|k| times(b + 1, POWERS[k]))).collect());

#[inline]
pub(super) fn times(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    reduced((product as u64 & PRIME) + (product >> 61) as u64)
}

#[inline]
fn reduced(x: u64) -> u64 {
    let x = (x & PRIME) + (x >> 61);
    if x >= PRIME { x - PRIME } else { x }
}

#[inline]
pub(super) fn plus(a: u64, b: u64) -> u64 {
    let sum = a + b;
    if sum >= PRIME { sum - PRIME } else { sum }
}

#[inline]
pub(super) fn minus(a: u64, b: u64) -> u64 {
    if a >= b { a - b } else { a + PRIME - b }
}

/// BASE^k.
#[inline]
pub(super) fn power(k: usize) -> u64 {
    POWERS.get(k).copied().unwrap_or_else(|| {
        let (mut result, mut square, mut k) = (1, BASE, k);
        while k > 0 {
            if k % 2 == 1 {
                result = times(result, square);
            }
            square = times(square, square);
            k /= 2;
        }
        result
    })
}

/// The bytes as the digits of a number to the base BASE, modulo 2^61 − 1, so that the hash of
/// two texts in a row is the first one's times [`power`] of the second one's length, plus the second one's.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    let parts: &[[u64; 8]] = &PARTS;
    // Eight parts below 2^61 fit into 64 bits.
    let value = |part: &[u8]| {
        let n = part.len() - 1;
        reduced(part.iter().enumerate().fold(0, |sum, (i, b)| sum + parts[usize::from(*b)][n - i]))
    };
    let mut chunks = bytes.chunks(8);
    let Some(first) = chunks.next() else { return 0 };
    chunks.fold(value(first), |hash, chunk| plus(times(hash, POWERS[chunk.len()]), value(chunk)))
}

/// Words between white space, as Python's `split`.
pub(super) fn words_between_spaces(text: &str) -> Vec<Span> {
    let characters = Characters::get();
    let mut spans = Vec::with_capacity(text.len() / 6);
    let mut start = None;
    for (i, b) in text.bytes().enumerate() {
        let is_space = if b < 128 {
            characters.of_ascii(b) & SPACE != 0
        } else if b < 0xc0 {
            continue;
        } else {
            text[i..].chars().next().is_some_and(is_space)
        };
        match start {
            Some(from) if is_space => {
                spans.push(Span::new(text, from, i, true, characters));
                start = None;
            }
            None if !is_space => start = Some(i),
            _ => {}
        }
    }
    if let Some(from) = start {
        spans.push(Span::new(text, from, text.len(), true, characters));
    }
    spans
}

/// White space off both ends, as Python's `strip`.
pub(super) fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// Number of characters.
pub(super) fn n_chars(text: &str) -> usize {
    text.bytes().filter(|b| (*b as i8) >= -0x40).count()
}

/// Lines as Python's `splitlines` cuts them: at eleven kinds of line ends, and none behind the last.
pub(super) fn python_lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let bytes = rest.as_bytes();
        let end = bytes.iter().position(|b| is_line_end_byte(*b)).map_or(rest.len(), |from| {
            rest[floor(rest, from)..].char_indices().find(|(_, c)| is_line_end(*c)).map_or(rest.len(), |(i, _)| floor(rest, from) + i)
        });
        let line = &rest[..end];
        let behind = &rest[end..];
        let n = if behind.starts_with("\r\n") { 2 } else { behind.chars().next().map_or(0, char::len_utf8) };
        rest = &behind[n..];
        Some(line)
    })
}

/// Whether a line end may begin with this byte.
fn is_line_end_byte(b: u8) -> bool {
    matches!(b, 0x0a..=0x0d | 0x1c..=0x1e | 0xc2 | 0xe2)
}

fn floor(text: &str, mut i: usize) -> usize {
    while !text.is_char_boundary(i) {
        i -= 1;
    }
    i
}

fn is_line_end(c: char) -> bool {
    matches!(c, '\n'..='\r' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Part of a whole; nothing of nothing.
pub(super) fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// Hashes whole lines, eight bytes at a time.
#[derive(Default)]
pub(super) struct LineHasher(u64);

impl std::hash::Hasher for LineHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (chunks, rest) = bytes.as_chunks::<8>();
        let last = rest.iter().fold(rest.len() as u64 + 1, |n, b| n << 8 | u64::from(*b));
        for part in chunks.iter().map(|c| u64::from_le_bytes(*c)).chain([last]) {
            let product =
                u128::from(self.0 ^ part ^ 0x9e37_79b9_7f4a_7c15) * u128::from(0xd6e8_feb8_6659_fd93_u64 ^ self.0.rotate_left(32));
            self.0 = product as u64 ^ (product >> 64) as u64;
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
