//! Dates of birth: a whole date beside a word of birth.

use super::Scan;
use super::checks::is_day;
use super::context::{BIRTH, BORN};
use crate::ByteSpan;

/// Names of months, and their short forms, in the languages whose words of birth are known.
const MONTHS: [&[&str]; 12] = [
    &["january", "januar", "jänner", "janvier", "enero", "gennaio", "janeiro", "januari", "stycznia", "января", "jan"],
    &["february", "februar", "feber", "février", "febrero", "febbraio", "fevereiro", "februari", "lutego", "февраля", "feb"],
    &["march", "märz", "mars", "marzo", "março", "maart", "marca", "марта", "mar", "mär"],
    &["april", "avril", "abril", "aprile", "kwietnia", "апреля", "apr"],
    &["may", "mai", "mayo", "maggio", "maio", "mei", "maj", "maja", "мая"],
    &["june", "juni", "juin", "junio", "giugno", "junho", "czerwca", "июня", "jun"],
    &["july", "juli", "juillet", "julio", "luglio", "julho", "lipca", "июля", "jul"],
    &["august", "août", "agosto", "augustus", "augusti", "sierpnia", "августа", "aug"],
    &["september", "septembre", "septiembre", "settembre", "setembro", "września", "сентября", "sept", "sep"],
    &["october", "oktober", "octobre", "octubre", "ottobre", "outubro", "października", "октября", "oct", "okt"],
    &["november", "novembre", "noviembre", "novembro", "listopada", "ноября", "nov"],
    &["december", "dezember", "décembre", "diciembre", "dicembre", "dezembro", "grudnia", "декабря", "dec", "dez"],
];
/// Longest name of a month, in bytes.
const MONTH_MAX: usize = 24;
/// Who was born earlier is of history, unless a form says that this is a date of birth.
const LIVING_FROM: u64 = 1905;

/// A date of birth whose first digits are the token `start..end`.
pub(super) fn find(scan: &Scan<'_>, start: usize, end: usize) -> Option<ByteSpan> {
    let (from, to, year) = match end - start {
        1 | 2 => numeric(scan.bytes, start, end).or_else(|| day_first(scan, start, end)).or_else(|| month_first(scan, start, end))?,
        4 => year_first(scan.bytes, start, end)?,
        _ => return None,
    };
    if !super::groups::ends_number(scan.text, to) {
        return None;
    }
    let topics = scan.before(from);
    let holds = topics & BIRTH != 0 && (1850..=2100).contains(&year) || topics & BORN != 0 && (LIVING_FROM..=2100).contains(&year);
    holds.then_some(ByteSpan { kind: "birth_date", start: from, end: to, score: if topics & BIRTH != 0 { 0.9 } else { 0.7 } })
}

fn number(bytes: &[u8], at: usize, max: usize) -> Option<(u64, usize)> {
    let n = bytes.get(at..)?.iter().take(max + 1).take_while(|b| b.is_ascii_digit()).count();
    (1..=max).contains(&n).then(|| (bytes[at..at + n].iter().fold(0, |acc, b| acc * 10 + u64::from(b - b'0')), at + n))
}

/// `12.03.1980`, `3/12/1980`, `12-03-80`, also with blanks behind the dots.
fn numeric(bytes: &[u8], start: usize, end: usize) -> Option<(usize, usize, u64)> {
    let separator = *bytes.get(end).filter(|b| matches!(b, b'.' | b'/' | b'-'))?;
    let blank = |at: usize| at + usize::from(separator == b'.' && bytes.get(at) == Some(&b' '));
    let (first, _) = number(bytes, start, 2)?;
    let (second, at) = number(bytes, blank(end + 1), 2)?;
    (bytes.get(at) == Some(&separator)).then_some(())?;
    let (year, to) = number(bytes, blank(at + 1), 4)?;
    let year = if to - blank(at + 1) == 2 { if year > 30 { 1900 + year } else { 2000 + year } } else { year };
    let exists = is_day(second, first) || is_day(first, second) && separator != b'.';
    exists.then_some((start, to, year))
}

/// `1980-03-12`, `1980/03/12`, `1980年3月12日`.
fn year_first(bytes: &[u8], start: usize, end: usize) -> Option<(usize, usize, u64)> {
    let (year, _) = number(bytes, start, 4)?;
    let (month_at, day_mark): (usize, &[u8]) = match bytes.get(end..)? {
        [b @ (b'-' | b'/' | b'.'), ..] => (
            end + 1,
            if *b == b'-' {
                b"-"
            } else if *b == b'/' {
                b"/"
            } else {
                b"."
            },
        ),
        [0xE5, 0xB9, 0xB4, ..] => (end + 3, "月".as_bytes()),
        _ => return None,
    };
    let (month, at) = number(bytes, month_at, 2)?;
    bytes.get(at..)?.starts_with(day_mark).then_some(())?;
    let (day, to) = number(bytes, at + day_mark.len(), 2)?;
    is_day(month, day).then_some((start, to, year))
}

/// The month a text begins with, and the length of its name.
fn month(text: &str) -> Option<(u64, usize)> {
    let word: String = text.get(..text.floor_char_boundary(MONTH_MAX.min(text.len())))?.chars().take_while(|c| c.is_alphabetic()).collect();
    let lower = word.to_lowercase();
    let n = MONTHS.iter().position(|names| names.contains(&lower.as_str()))?;
    Some((n as u64 + 1, word.len()))
}

/// `12 March 1980`, `3rd of May, 1980`, `12. März 1980`, `12 de marzo de 1980`, `12-Mar-1980`.
fn day_first(scan: &Scan<'_>, start: usize, end: usize) -> Option<(usize, usize, u64)> {
    let bytes = scan.bytes;
    let (day, _) = number(bytes, start, 2)?;
    let mut rest = scan.text.get(end..)?;
    for ordinal in ["st", "nd", "rd", "th", "er", "."] {
        rest = rest.strip_prefix(ordinal).unwrap_or(rest);
    }
    rest = rest.strip_prefix([' ', '-'])?;
    rest = rest.strip_prefix("of ").or(rest.strip_prefix("de ")).unwrap_or(rest);
    let (month, length) = month(rest)?;
    rest = rest.get(length..)?;
    rest = rest.strip_prefix(['.', ',']).unwrap_or(rest).strip_prefix([' ', '-'])?;
    rest = rest.strip_prefix("de ").unwrap_or(rest);
    let at = scan.text.len() - rest.len();
    let (year, to) = number(bytes, at, 4)?;
    (is_day(month, day) && to - at == 4).then_some((start, to, year))
}

/// `March 12, 1980`: the digits are those of the day.
fn month_first(scan: &Scan<'_>, start: usize, end: usize) -> Option<(usize, usize, u64)> {
    let bytes = scan.bytes;
    let (day, _) = number(bytes, start, 2)?;
    let mut rest = scan.text.get(end..)?;
    for ordinal in ["st", "nd", "rd", "th"] {
        rest = rest.strip_prefix(ordinal).unwrap_or(rest);
    }
    rest = rest.strip_prefix(',').unwrap_or(rest).strip_prefix(' ')?;
    let at = scan.text.len() - rest.len();
    let (year, to) = number(bytes, at, 4)?;
    let before = scan.text.get(scan.free..start)?.strip_suffix(' ')?;
    let before = before.strip_suffix('.').unwrap_or(before);
    let name_at = before.len() - before.bytes().rev().take(MONTH_MAX).take_while(u8::is_ascii_alphabetic).count();
    let (month, length) = month(before.get(name_at..)?)?;
    let from = scan.free + name_at;
    (is_day(month, day) && to - at == 4 && name_at + length == before.len()).then_some((from, to, year))
}
