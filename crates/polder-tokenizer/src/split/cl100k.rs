//! The expressions of cl100k and of Llama 3, which differ in trailing white space, with any digit rule. Qwen 2's is Llama 3's with
//! one digit a piece.
//!
//! Llama 3's: `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`;
//! cl100k's has `\s++\z` before `\s*[\r\n]`.

use super::Digits;
use super::classes::{LETTERS, NEWLINES, NUMBERS, OTHERS};
use super::scan::Scan;

#[inline]
pub(super) fn split<E>(
    text: &str,
    digits: Digits,
    whole_at_end: bool,
    each: &mut impl FnMut(usize, usize) -> Result<(), E>,
) -> Result<(), E> {
    let scan = Scan::new(text);
    let mut at = 0;
    while at < scan.bytes.len() {
        let end = piece_end(&scan, at, digits, whole_at_end);
        each(at, end)?;
        at = end;
    }
    Ok(())
}

#[inline]
fn piece_end(scan: &Scan<'_>, at: usize, digits: Digits, whole_at_end: bool) -> usize {
    let (class, n) = scan.class_at(at);
    if class & LETTERS != 0 {
        return scan.letters_end(at + n);
    }
    if class & NUMBERS != 0 {
        return scan.numbers_end(at, digits);
    }
    let contraction = scan.contraction_any_case(at);
    if contraction > 0 {
        return at + contraction;
    }
    let (next, m) = scan.class_at(at + n);
    // Any character but a line end belongs to the letters behind it.
    if class & NEWLINES == 0 && next & LETTERS != 0 {
        return scan.letters_end(at + n + m);
    }
    if class & OTHERS != 0 || (next & OTHERS != 0 && scan.bytes[at] == b' ') {
        return scan.run_end(scan.run_end(at + n, OTHERS), NEWLINES);
    }
    scan.spaces_or_lines_end(at, whole_at_end)
}
