//! GPT-2's expression: `'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`.

use super::classes::{LETTERS, NUMBERS, OTHERS, SPACES};
use super::scan::Scan;

#[inline]
pub(super) fn split<E>(text: &str, each: &mut impl FnMut(usize, usize) -> Result<(), E>) -> Result<(), E> {
    let scan = Scan::new(text);
    let mut at = 0;
    while at < scan.bytes.len() {
        let end = piece_end(&scan, at);
        each(at, end)?;
        at = end;
    }
    Ok(())
}

#[inline]
fn piece_end(scan: &Scan<'_>, at: usize) -> usize {
    // A space belongs to what follows it, unless that is white space.
    let body = at + usize::from(scan.bytes[at] == b' ');
    let (class, n) = scan.class_at(body);
    if class & LETTERS != 0 {
        return scan.letters_end(body + n);
    }
    if class & OTHERS != 0 {
        let contraction = if body == at { contraction(&scan.bytes[at..]) } else { 0 };
        return if contraction > 0 { at + contraction } else { scan.run_end(body + n, OTHERS) };
    }
    if class & NUMBERS != 0 {
        return scan.run_end(body + n, NUMBERS);
    }
    debug_assert!(body == scan.bytes.len() || class & SPACES != 0);
    scan.spaces_end(at)
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
