//! o200k's expression, with any digit rule:
//! `P?U*W+C?|P?U+W*C?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+` with
//! P `[^\r\n\p{L}\p{N}]`, U `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`, W `[\p{Ll}\p{Lm}\p{Lo}\p{M}]`, C `(?i:'s|'t|'re|'ve|'m|'ll|'d)`.

use super::Digits;
use super::classes::class::{LOWER, MARK, UNCASED, UPPER};
use super::classes::{Classes, LETTERS, NEWLINES, NUMBERS, OTHERS, set};
use super::scan::Scan;

const UPPERS: Classes = set(&[UPPER, UNCASED, MARK]);
const LOWERS: Classes = set(&[LOWER, UNCASED, MARK]);
const BOTH: Classes = UPPERS & LOWERS;

#[inline]
pub(super) fn split<E>(text: &str, digits: Digits, each: &mut impl FnMut(usize, usize) -> Result<(), E>) -> Result<(), E> {
    let scan = Scan::new(text);
    let mut at = 0;
    while at < scan.bytes.len() {
        let end = piece_end(&scan, at, digits);
        each(at, end)?;
        at = end;
    }
    Ok(())
}

#[inline]
fn piece_end(scan: &Scan<'_>, at: usize, digits: Digits) -> usize {
    let (class, n) = scan.class_at(at);
    if class & NUMBERS != 0 {
        return scan.numbers_end(at, digits);
    }
    if class & NEWLINES == 0
        && let Some(end) = word_end(scan, at, class, n)
    {
        return end + scan.contraction_any_case(end);
    }
    if class & OTHERS != 0 || (scan.bytes[at] == b' ' && scan.class_at(at + n).0 & OTHERS != 0) {
        let mut end = scan.run_end(at + n, OTHERS);
        while let Some(b'\r' | b'\n' | b'/') = scan.bytes.get(end) {
            end += 1;
        }
        return end;
    }
    scan.spaces_or_lines_end(at, false)
}

/// The end of `P?U*W+`, else of `P?U+W*`, from a character that is neither number nor line end.
#[inline]
fn word_end(scan: &Scan<'_>, at: usize, class: Classes, n: usize) -> Option<usize> {
    let body = if class & LETTERS == 0 { at + n } else { at };
    let word = Word::at(scan, body);
    // Without its part as P, a mark is a word by itself; that is tried before upper case alone.
    let mark_alone = (class & LETTERS == 0 && class & BOTH != 0).then_some(at + n);
    word.with_lower.or(mark_alone).or((word.uppers_end > body).then_some(word.uppers_end))
}

struct Word {
    /// The end of `U*W+`.
    with_lower: Option<usize>,
    /// The end of `U*`.
    uppers_end: usize,
}

impl Word {
    #[inline]
    fn at(scan: &Scan<'_>, from: usize) -> Self {
        let (mut end, mut after_both) = (from, None);
        loop {
            let (class, n) = scan.class_at(end);
            if class & UPPERS == 0 {
                let with_lower = if class & LOWERS != 0 { Some(scan.run_end(end + n, LOWERS)) } else { after_both };
                return Self { with_lower, uppers_end: end };
            }
            end += n;
            if class & BOTH != 0 {
                // `W+` gives nothing back but needs one: the last that `U*` can leave to it.
                after_both = Some(end);
            }
        }
    }
}
