//! Words and lines as places in a text, with what the rules ask of each: its length, its kinds of characters, its hash.

use super::characters::{ALPHA, Characters, LETTER, SPACE, is_space};

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
    /// A hash of its bytes.
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
        Self { start, end, n_chars, some, every, hash: hash_within(text.as_bytes(), start, end), begins_word }
    }

    /// A word of letters of ASCII.
    #[inline]
    pub(super) fn of_letters(text: &str, start: usize, end: usize) -> Self {
        let hash = hash_within(text.as_bytes(), start, end);
        Self { start, end, n_chars: end - start, some: ALPHA | LETTER, every: ALPHA | LETTER, hash, begins_word: true }
    }

    #[inline]
    pub(super) fn of<'a>(&self, text: &'a str) -> &'a str {
        &text[self.start..self.end]
    }
}

/// Stirs a number into another: both halves of their product.
#[inline]
pub(super) fn mixed(a: u64, b: u64) -> u64 {
    let product = u128::from(a ^ 0x9e37_79b9_7f4a_7c15) * u128::from(b.rotate_left(32) ^ 0xd6e8_feb8_6659_fd93);
    product as u64 ^ (product >> 64) as u64
}

/// A hash of bytes, eight at a time.
#[inline]
pub(super) fn hash(bytes: &[u8]) -> u64 {
    let mut hash = bytes.len() as u64;
    let (chunks, rest) = bytes.as_chunks::<8>();
    for chunk in chunks {
        hash = mixed(hash, u64::from_le_bytes(*chunk));
    }
    mixed(hash, number(rest))
}

/// The same of a part of these bytes, without asking for the length of most words.
#[inline]
fn hash_within(bytes: &[u8], start: usize, end: usize) -> u64 {
    let len = end - start;
    match bytes[start..].first_chunk::<8>() {
        Some(eight) if len < 8 => mixed(len as u64, u64::from_le_bytes(*eight) & !(u64::MAX << (8 * len))),
        _ => hash(&bytes[start..end]),
    }
}

/// Fewer than eight bytes as a number, the first the lowest.
#[inline]
fn number(bytes: &[u8]) -> u64 {
    let len = bytes.len();
    match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        (Some(first), Some(last)) => u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << (8 * (len - 4)),
        // One to three bytes: the first, the middle and the last of them.
        _ => match (bytes.first(), bytes.get(len / 2), bytes.last()) {
            (Some(first), Some(middle), Some(last)) => {
                u64::from(*first) | u64::from(*middle) << (8 * (len / 2)) | u64::from(*last) << (8 * (len - 1))
            }
            _ => 0,
        },
    }
}

/// How many letters of ASCII stand from byte `start` on.
#[inline]
pub(super) fn n_ascii_letters(bytes: &[u8], start: usize) -> usize {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    const EACH: u64 = 0x0101_0101_0101_0101;
    let mut at = start;
    while let Some(eight) = bytes[at..].first_chunk::<8>() {
        let eight = u64::from_le_bytes(*eight);
        // Of each byte the highest bit tells: of those in lower case, whether they reach `a`, and whether they pass `z`.
        let lower = (eight | (0x20 * EACH)) & !HIGH;
        let others = !((lower + (0x80 - 0x61) * EACH) & !(lower + (0x80 - 0x7b) * EACH) & !eight) & HIGH;
        if others != 0 {
            return at - start + others.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    at - start + bytes[at..].iter().take_while(|b| b.is_ascii_alphabetic()).count()
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
        let end = bytes.iter().position(|b| IS_LINE_END_BYTE[usize::from(*b)]).map_or(rest.len(), |from| {
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
static IS_LINE_END_BYTE: [bool; 256] = {
    let (mut is, mut b) = ([false; 256], 0);
    while b < 256 {
        is[b] = matches!(b, 0x0a..=0x0d | 0x1c..=0x1e | 0xc2 | 0xe2);
        b += 1;
    }
    is
};

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

/// Hashes whole lines.
#[derive(Default)]
pub(super) struct LineHasher(u64);

impl std::hash::Hasher for LineHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = mixed(self.0, hash(bytes));
    }

    /// What the standard library puts behind a string tells strings in a row apart; here is one alone.
    fn write_u8(&mut self, _: u8) {}

    fn finish(&self) -> u64 {
        self.0
    }
}
