//! Who claims copyright in a text, and for which years.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, MatchKind};

/// Longest holder that is believed, in characters, and how much of a line is read for it, in bytes.
const HOLDER_MAX: usize = 120;
const LINE_BYTES_MAX: usize = 1000;
/// Marks one behind the other that are read: `Copyright © (c)`.
const MARKS_MAX: usize = 4;
/// Words of a notice that has no year.
const BARE_WORDS_MAX: usize = 9;

const MARKS: [&str; 8] = ["spdx-filecopyrighttext:", "copyright", "urheberrecht", "&copy;", "©", "(c)", "ⓒ", "copr."];
/// Words that claim copyright; the other marks also number lists and stand in formulas.
const WORDS: [&str; 4] = ["spdx-filecopyrighttext:", "copyright", "urheberrecht", "copr."];

static MARK: LazyLock<Option<AhoCorasick>> =
    LazyLock::new(|| AhoCorasick::builder().ascii_case_insensitive(true).match_kind(MatchKind::LeftmostFirst).build(MARKS).ok());

/// What ends a holder.
const STOPS: [&str; 22] = [
    "All rights",
    "all rights",
    "All Rights",
    "ALL RIGHTS",
    "Alle Rechte",
    "alle Rechte",
    "*/",
    "-->",
    ". ",
    "\\n",
    "\"",
    "Licensed",
    "<br",
    "</",
    " under the ",
    " under a ",
    " | ",
    "; ",
    " — ",
    " See ",
    "http://",
    "https://",
];
/// What begins no holder in a notice without a year: the words of sentences about copyright.
const NO_HOLDER: [&str; 37] = [
    "Notice",
    "Notices",
    "Law",
    "Laws",
    "Act",
    "License",
    "Licence",
    "Holder",
    "Holders",
    "Owner",
    "Owners",
    "Infringement",
    "Protection",
    "Office",
    "Claim",
    "Claims",
    "Status",
    "Statement",
    "Information",
    "Policy",
    "Symbol",
    "Year",
    "Years",
    "And",
    "Or",
    "Is",
    "In",
    "Of",
    "For",
    "On",
    "To",
    "Directive",
    "Clearance",
    "Alliance",
    "Term",
    "Terms",
    "Treaty",
];

/// One notice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CopyrightNotice {
    /// Who holds the right, as written.
    pub holder: String,
    /// The years as written, such as `2014-2021`; empty if none stand there.
    pub years: String,
}

/// Finds the notices of a text, each once, in order of place.
///
/// A notice is a mark (`Copyright`, `©`, `(c)`, `Urheberrecht`, `SPDX-FileCopyrightText:`) with years or a second mark and a holder
/// on the same line or, where the line ends behind the years or in `,`, the next. Without years a name must follow that begins with a
/// capital and is all there is. Templates such as `[yyyy] [name]` and sentences about copyright are none.
pub fn copyright_notices(text: &str) -> Vec<CopyrightNotice> {
    let mut notices: Vec<CopyrightNotice> = Vec::new();
    let Some(marks) = MARK.as_ref() else { return notices };
    let mut seen = std::collections::HashSet::new();
    let mut free = 0;
    for found in marks.find_iter(text).filter(|m| !joined(text, m.start())) {
        if found.start() < free {
            continue;
        }
        let rest = text.get(found.start()..text.floor_char_boundary(found.start() + 2 * LINE_BYTES_MAX)).unwrap_or_default();
        let mut lines = rest.lines();
        let line = lines.next().unwrap_or_default();
        if let Some(notice) = parse(line, lines.next(), begins_line(text, found.start())) {
            free = found.start() + line.len();
            if seen.insert(notice.clone()) {
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

/// Whether only comment marks stand before the place on its line.
fn begins_line(text: &str, start: usize) -> bool {
    let before = text.get(text.floor_char_boundary(start.saturating_sub(40))..start).unwrap_or_default();
    before.rsplit('\n').next().unwrap_or_default().chars().all(|c| !c.is_alphanumeric())
}

fn parse(line: &str, next: Option<&str>, begins_line: bool) -> Option<CopyrightNotice> {
    let line = line.get(..line.floor_char_boundary(LINE_BYTES_MAX))?;
    let (mut rest, mut n_marks, mut word_mark, mut sign) = (line, 0, false, false);
    while n_marks < MARKS_MAX {
        rest = rest.trim_start_matches([' ', '\t', ':', ',']);
        let lower = rest.get(..rest.floor_char_boundary(24))?.to_ascii_lowercase();
        let Some(mark) = MARKS.iter().find(|m| lower.starts_with(**m)) else { break };
        word_mark |= WORDS.contains(mark);
        sign |= ["©", "&copy;", "ⓒ"].contains(mark);
        n_marks += if *mark == "spdx-filecopyrighttext:" { 2 } else { 1 };
        rest = rest.get(mark.len()..)?;
        // `Copyrights`, `copyrighted`, `Urheberrechtsgesetz` are words of their own.
        if WORDS.contains(mark) && rest.starts_with(char::is_alphabetic) {
            return None;
        }
    }
    let bracketed = rest.strip_prefix('(').filter(|r| r.starts_with(['1', '2']));
    let (years, rest) = leading_years(bracketed.unwrap_or(rest));
    let rest = rest.trim_start_matches(')').trim_start_matches([' ', '\t', ',', ':', '-', '–', '.']);
    let rest = ["by ", "By ", "bei ", "von "].iter().find_map(|w| rest.strip_prefix(w)).unwrap_or(rest);
    let mut holder = until_stop(rest).to_string();
    if let Some(next) = next.map(bare).filter(|n| goes_on(n, &holder, !years.is_empty())) {
        let gap = if holder.is_empty() { "" } else { " " };
        holder = format!("{holder}{gap}{}", until_stop(next));
    }
    let (holder, years) = if years.is_empty() { trailing_years(&holder) } else { (trimmed(&holder), years) };
    // `(c)` alone is also the third point of a list, and `copyright` alone a word.
    if years.is_empty() && !(n_marks >= 2 && word_mark) && !(begins_line && (word_mark || sign) && is_name(holder)) {
        return None;
    }
    let template = holder.starts_with(['[', '<', '{', '$', '%']) && !holder.contains('@');
    let named = holder.chars().any(char::is_alphabetic) && holder.chars().count() <= HOLDER_MAX;
    (named && !template).then(|| CopyrightNotice { holder: holder.to_string(), years: years.to_string() })
}

fn until_stop(rest: &str) -> &str {
    let end = STOPS.iter().filter_map(|stop| rest.find(stop)).min().unwrap_or(rest.len());
    rest.get(..end).unwrap_or_default().trim().trim_end_matches(['*', '/', '\\', '#', '-', '|', ' ', '\t'])
}

fn trimmed(holder: &str) -> &str {
    holder.trim().trim_end_matches(['.', ',', ';', '*', '/', ' ', '\\', '#', '-', '|', '(', '<', '&']).trim()
}

/// A line without what makes it a comment.
fn bare(line: &str) -> &str {
    line.trim_start_matches(['*', '#', '/', ';', '%', '!', '-', '|', ' ', '\t']).trim_end()
}

/// Whether the next line belongs to the notice: the holder is missing, or a list of holders is open.
fn goes_on(next: &str, holder: &str, has_years: bool) -> bool {
    let lower = next.get(..next.floor_char_boundary(24)).unwrap_or_default().to_ascii_lowercase();
    let other = MARKS.iter().any(|m| lower.starts_with(m))
        || ["all rights", "licensed", "permission", "redistribution", "this "].iter().any(|w| lower.starts_with(w));
    let open = (holder.is_empty() && has_years)
        || (!holder.is_empty() && (holder.ends_with([',', '&']) || holder.ends_with(" and") || holder.ends_with(" und")));
    open && !other && next.len() <= HOLDER_MAX && next.starts_with(|c: char| c.is_uppercase())
}

/// Whether a text is a name and nothing else: it begins with a capital, is short, and no sentence.
fn is_name(holder: &str) -> bool {
    let words: Vec<&str> = holder.split_whitespace().collect();
    let Some(first) = words.first() else { return false };
    let begins = first.starts_with(char::is_uppercase)
        && !NO_HOLDER.iter().any(|w| w.eq_ignore_ascii_case(first.trim_end_matches(|c: char| !c.is_alphanumeric())));
    let small = words
        .iter()
        .filter(|w| w.starts_with(char::is_lowercase))
        .filter(|w| {
            !["of", "the", "and", "its", "de", "van", "von", "der", "und", "la", "contributors", "authors", "for", "e.V", "et", "al"]
                .contains(w)
        })
        .count();
    begins && words.len() <= BARE_WORDS_MAX && small == 0
}

/// Splits off years at the end: `Foo GmbH, 2012-2020`.
fn trailing_years(holder: &str) -> (&str, &str) {
    let trimmed_end = holder.trim_end_matches(['.', ',', ';', ')', ' ', '*', '/', '-']);
    let start = trimmed_end
        .rfind(|c: char| !(c.is_ascii_digit() || matches!(c, ' ' | ',' | '-' | '–')))
        .map_or(0, |at| at + trimmed_end.get(at..).and_then(|r| r.chars().next()).map_or(1, char::len_utf8));
    let candidate = trimmed_end.get(start..).unwrap_or_default().trim_start_matches([' ', ',', '-']);
    let (years, after) = leading_years(candidate);
    match trimmed_end.strip_suffix(candidate).filter(|_| !years.is_empty() && after.is_empty()) {
        Some(before) => (trimmed(before), years),
        None => (trimmed(holder), ""),
    }
}

/// Splits off the years: four digits, alone or in lists and ranges, with an open end or `present` at the end of one.
fn leading_years(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    let (mut end, mut at) = (0, 0);
    loop {
        let rest = text.get(at..).unwrap_or_default();
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let year = digits == 4 && matches!(rest.as_bytes().first(), Some(b'1' | b'2'));
        let short = digits == 2 && end > 0;
        let open =
            ["present", "today", "heute", "now"].iter().find(|w| end > 0 && rest.get(..w.len()).is_some_and(|r| r.eq_ignore_ascii_case(w)));
        if year || short {
            at += digits;
        } else if let Some(word) = open {
            at += word.len();
        } else {
            break;
        }
        end = at;
        let rest = text.get(at..).unwrap_or_default();
        let joined = rest.strip_prefix(" and ").or_else(|| rest.strip_prefix(" to ")).filter(|r| r.starts_with(['1', '2']));
        let gap =
            joined.map_or_else(|| rest.len() - rest.trim_start_matches([' ', ',', '-', '–', '—', '/']).len(), |r| rest.len() - r.len());
        if gap == 0 {
            break;
        }
        at += gap;
    }
    text.split_at_checked(end).unwrap_or(("", text))
}
