//! What the words around a candidate say about it: a number behind "Tel." is a telephone number.
//!
//! A window never reaches over an earlier find, nor past a digit behind the candidate. So what stands there after redaction is never more
//! than what stood there before, and redacting twice changes nothing.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, MatchKind};

pub(super) use super::words::*;

/// The topics that hold only on the candidate's own line.
const SAME_LINE: Topics = CALL | LABEL | NEXT | BORN | THING | VERSION | IDENTITY;
/// The topics that words behind a candidate may speak of.
const BEHIND: Topics = !(CALL | NEXT | BORN | BIRTH | THING | VERSION | PLACE | MACHINE);
/// Words that a person is called at a number with.
const PREPOSITIONS: [&str; 12] = ["at", "on", "to", "an", "auf", "unter", "au", "al", "op", "på", "pod", "под"];
/// How far a word of [`THING`] reaches: an order may be spoken of, and a telephone number follow.
const THING_BYTES: usize = 20;

const BEFORE_BYTES: usize = 64;
const AFTER_BYTES: usize = 24;

struct Lexicon {
    search: AhoCorasick,
    topics: Vec<Topics>,
}

// A table of valid literals: a failure here is a bug that the first test shows.
static LEXICON: LazyLock<Option<Lexicon>> = LazyLock::new(|| {
    let mut merged: Vec<(&str, Topics)> = Vec::new();
    for (topics, words) in WORDS {
        for word in words.split('|') {
            match merged.iter_mut().find(|(w, _)| *w == word) {
                Some((_, known)) => *known |= topics,
                None => merged.push((word, *topics)),
            }
        }
    }
    let search = AhoCorasick::builder()
        .match_kind(MatchKind::LeftmostLongest)
        .kind(Some(aho_corasick::AhoCorasickKind::DFA))
        .ascii_case_insensitive(true)
        .build(merged.iter().map(|(w, _)| w))
        .ok()?;
    Some(Lexicon { search, topics: merged.iter().map(|(_, t)| *t).collect() })
});

/// The topics of the words in front of `start`, from `free` on, and of those behind `end`.
pub(super) fn topics(text: &str, free: usize, start: usize, end: usize) -> Topics {
    before(text, free, start) | after(text, end)
}

/// The topics of the words in front of `start`, from `free` on.
pub(super) fn before(text: &str, free: usize, start: usize) -> Topics {
    let from = text.ceil_char_boundary(free.max(start.saturating_sub(BEFORE_BYTES)));
    let window = text.get(from..start).unwrap_or_default();
    if !has_letters(window) {
        return 0;
    }
    let line = window.rfind('\n').map_or(0, |n| n + 1);
    // A word that the window cuts is none.
    let cut = from > free && text.get(..from).is_some_and(|t| t.chars().next_back().is_some_and(char::is_alphanumeric));
    of(window, |start, end, topics| {
        let gap = window.get(end..).unwrap_or_default();
        let topics = if start < line { topics & !SAME_LINE } else { topics };
        if cut && start == 0 { 0 } else { resolved(topics, gap) }
    })
}

fn after(text: &str, end: usize) -> Topics {
    let to = text.floor_char_boundary((end + AFTER_BYTES).min(text.len()));
    let window = text.get(end..to).unwrap_or_default();
    if !has_letters(window) {
        return 0;
    }
    let stop = window.find(|c: char| c.is_ascii_digit() || matches!(c, '\n' | '<' | '@' | ';' | '|')).unwrap_or(window.len());
    let window = window.get(..stop).unwrap_or_default();
    of(window, |start, _, topics| {
        let close = start <= 3 && !window.get(..start).is_some_and(|gap| gap.contains(char::is_alphanumeric));
        let label = if close && topics & LABEL != 0 { PHONE } else { 0 };
        (topics & BEHIND & !LABEL) | label
    })
}

/// Whether any word can stand in a window: in tables of numbers none does.
fn has_letters(window: &str) -> bool {
    window.bytes().any(|b| b.is_ascii_alphabetic() || b >= 0x80)
}

/// What a word before a candidate comes to, given what stands between.
fn resolved(topics: Topics, gap: &str) -> Topics {
    let mut all = topics & !(LABEL | NEXT);
    let alone = !gap.contains(char::is_alphanumeric);
    let labelled = topics & LABEL != 0 && alone && gap.contains(':');
    let called = topics & CALL != 0 && gap.split_whitespace().next_back().is_some_and(|word| PREPOSITIONS.contains(&word));
    if labelled || called || (topics & NEXT != 0 && alone) {
        all |= PHONE;
    }
    if gap.len() > THING_BYTES { all & !THING } else { all }
}

fn of(window: &str, resolve: impl Fn(usize, usize, Topics) -> Topics) -> Topics {
    let Some(lexicon) = LEXICON.as_ref() else { return 0 };
    let mut all = 0;
    for found in lexicon.search.find_iter(window) {
        let topics = lexicon.topics.get(found.pattern().as_usize()).copied().unwrap_or(0);
        if is_word(window, found.start(), found.end()) {
            all |= resolve(found.start(), found.end(), topics);
        }
    }
    all
}

/// Whether a match is a word of its own, also as a part of `userPhone`, `phone_number` and `phones`.
fn is_word(window: &str, start: usize, end: usize) -> bool {
    let (Some(before), Some(word), Some(after)) = (window.get(..start), window.get(start..end), window.get(end..)) else { return false };
    // Scripts without spaces have no borders to look at.
    if word.chars().next().is_some_and(|c| u32::from(c) >= 0x900) {
        return true;
    }
    let begins = match before.chars().next_back() {
        Some(c) if c.is_alphabetic() => c.is_lowercase() && word.starts_with(|w: char| w.is_ascii_uppercase()),
        _ => true,
    };
    let ends = match after.chars().next() {
        Some(c) if c.is_uppercase() => word.ends_with(|w: char| w.is_lowercase()),
        Some('s') => after.get(1..).is_some_and(|a| !a.starts_with(char::is_alphanumeric)),
        Some(c) => !c.is_alphabetic(),
        None => true,
    };
    begins && ends
}
