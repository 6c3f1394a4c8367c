//! Who claims copyright in a text, and for which years.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

/// Longest holder that is believed, in characters.
const HOLDER_MAX: usize = 120;

static MARKS: LazyLock<Option<AhoCorasick>> =
    LazyLock::new(|| AhoCorasick::builder().ascii_case_insensitive(true).build(["copyright", "©", "(c)"]).ok());

/// One notice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CopyrightNotice {
    /// Who holds the right, as written.
    pub holder: String,
    /// The years as written, such as `2014-2021`; empty if none stand there.
    pub years: String,
}

/// Finds the notices of a text, each once, in order of place.
///
/// A notice is a mark (`Copyright`, `©`, `(c)`) with a year or a second mark behind it and a holder on the same line.
/// Templates such as `[yyyy] [name]` and sentences about copyright are none.
pub fn copyright_notices(text: &str) -> Vec<CopyrightNotice> {
    let mut notices: Vec<CopyrightNotice> = Vec::new();
    let Some(marks) = MARKS.as_ref() else { return notices };
    let mut free = 0;
    for found in marks.find_iter(text).filter(|m| !joined(text, m.start())) {
        if found.start() < free {
            continue;
        }
        let rest = text.get(found.start()..).unwrap_or_default();
        let line = rest.lines().next().unwrap_or_default();
        if let Some(notice) = parse(line) {
            free = found.start() + line.len();
            if !notices.contains(&notice) {
                notices.push(notice);
            }
        } else {
            // Another mark on this line may still begin a notice; a very long line is looked at from a few only.
            free = found.end() + line.len() / 64;
        }
    }
    notices
}

fn joined(text: &str, start: usize) -> bool {
    text.get(..start).and_then(|before| before.chars().next_back()).is_some_and(|c| c.is_alphanumeric() || c == '_')
}

fn parse(line: &str) -> Option<CopyrightNotice> {
    let line = line.get(..line.floor_char_boundary(HOLDER_MAX * 8))?;
    let (mut rest, mut n_marks, mut word_mark) = (line, 0, false);
    loop {
        rest = rest.trim_start_matches([' ', '\t', ':', ',']);
        let lower = rest.get(..rest.floor_char_boundary(12))?.to_ascii_lowercase();
        let n = ["copyright", "©", "(c)"].iter().find(|m| lower.starts_with(**m)).map(|m| m.len());
        let Some(n) = n else { break };
        word_mark |= n == 9;
        n_marks += 1;
        rest = rest.get(n..)?;
    }
    let (years, rest) = years(rest);
    // `(c)` alone is also the third point of a list, and `copyright` alone a word.
    if years.is_empty() && (n_marks < 2 || !word_mark) {
        return None;
    }
    let rest = rest.trim_start_matches([' ', '\t', ',', ':', '-', '–']);
    let rest = rest.strip_prefix("by ").unwrap_or(rest);
    let mut end = rest.len();
    for stop in ["All rights", "all rights", "All Rights", "*/", "-->", ". ", "\\n", "\"", "Licensed", "<br", " under the "] {
        end = end.min(rest.find(stop).unwrap_or(end));
    }
    let holder = rest.get(..end)?.trim().trim_end_matches(['.', ',', ';', '*', '/', ' ', '\\', '#', '-', '|']).trim();
    let template = holder.starts_with(['[', '<', '{', '$', '%']) && !holder.contains('@');
    let named = holder.chars().any(char::is_alphabetic) && holder.chars().count() <= HOLDER_MAX;
    (named && !template).then(|| CopyrightNotice { holder: holder.to_string(), years: years.to_string() })
}

/// Splits off the years: four digits, alone or in lists and ranges, or `present` at the end of one.
fn years(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    let (mut end, mut at) = (0, 0);
    loop {
        let rest = text.get(at..).unwrap_or_default();
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let year = digits == 4 && matches!(rest.as_bytes().first(), Some(b'1' | b'2'));
        let short = digits == 2 && end > 0;
        if year || short {
            at += digits;
        } else if end > 0 && rest.get(..7).is_some_and(|w| w.eq_ignore_ascii_case("present")) {
            at += 7;
        } else {
            break;
        }
        end = at;
        let rest = text.get(at..).unwrap_or_default();
        let gap = rest.len() - rest.trim_start_matches([' ', ',', '-', '–', '—']).len();
        if gap == 0 {
            break;
        }
        at += gap;
    }
    text.split_at_checked(end).unwrap_or(("", text))
}
