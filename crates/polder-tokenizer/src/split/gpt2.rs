//! GPT-2's expression: `'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`.

use super::bits::{BLOCK_BYTES, Bits, Blocks};
use super::scan::Scan;

#[inline]
pub(super) fn split<E>(text: &str, each: &mut impl FnMut(usize, usize) -> Result<(), E>) -> Result<(), E> {
    let scan = Scan::new(text);
    let (mut blocks, mut begins) = (Blocks::new(scan), Begins::default());
    let mut bits = blocks.next();
    let (mut from, mut at) = (0, 0);
    while at < text.len() {
        let next = blocks.next();
        let mut left = begins.of(&scan, at, &bits, &next);
        while left != 0 {
            let to = at + left.trailing_zeros() as usize;
            left &= left - 1;
            // No piece ends where the text begins.
            if to != 0 {
                each(from, to)?;
            }
            from = to;
        }
        bits = next;
        at += BLOCK_BYTES;
    }
    if text.is_empty() { Ok(()) } else { each(from, text.len()) }
}

/// Where pieces begin, block after block.
#[derive(Default)]
struct Begins {
    before: Bits,
    /// What a contraction at the end of the block before puts into this one, and takes out of it.
    put: u64,
    taken: u64,
}

impl Begins {
    /// A bit for each byte of the block at `at` with which a piece begins.
    #[inline]
    fn of(&mut self, scan: &Scan<'_>, at: usize, bits: &Bits, next: &Bits) -> u64 {
        let before = std::mem::replace(&mut self.before, *bits);
        let follows = |of: fn(&Bits) -> u64| of(bits) << 1 | of(&before) >> 63;
        let starts = |of: fn(&Bits) -> u64| of(bits) & !follows(of);
        // A run begins a piece, unless a space before it does.
        let runs = (starts(|b| b.letters) | starts(|b| b.numbers) | starts(|b| b.others)) & !follows(|b| b.blanks);
        // The last character of white space belongs to what follows, or stands alone.
        let (words, next_words) = (bits.letters | bits.numbers | bits.others, next.letters | next.numbers | next.others);
        let words_behind = |n: usize| words >> n | next_words << (BLOCK_BYTES - n);
        let lasts = bits.spaces_of[0] & words_behind(1) | bits.spaces_of[1] & words_behind(2) | bits.spaces_of[2] & words_behind(3);
        let mut begins = (runs | starts(|b| b.spaces) | lasts) & !self.taken | self.put;
        (self.put, self.taken) = (0, 0);
        // What begins with an apostrophe may be a contraction: the next piece begins behind it.
        let mut quotes = begins & bits.quotes;
        while quotes != 0 {
            let quote = quotes.trailing_zeros() as usize;
            quotes &= quotes - 1;
            let n = contraction(&scan.bytes[at + quote..]);
            if n > 0 {
                let (taken, put) = (1u128 << (quote + 1), 1u128 << (quote + n));
                let whole = at + quote + n == scan.bytes.len();
                begins = begins & !(taken as u64) | if whole { 0 } else { put as u64 };
                (self.taken, self.put) = ((taken >> 64) as u64, if whole { 0 } else { (put >> 64) as u64 });
            }
        }
        begins
    }
}

/// The length of `'s`, `'t`, `'re`, `'ve`, `'m`, `'ll` or `'d` at the start; 0 if there is none.
#[inline]
fn contraction(bytes: &[u8]) -> usize {
    match bytes {
        [b'\'', b's' | b't' | b'm' | b'd', ..] => 2,
        [b'\'', b'r' | b'v', b'e', ..] | [b'\'', b'l', b'l', ..] => 3,
        _ => 0,
    }
}
