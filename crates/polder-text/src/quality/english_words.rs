//! English words as the tokenizer behind datatrove's filters cuts them: affixes off, infixes out, contractions apart.
//!
//! A word between spaces loses one prefix and one suffix at a time, until it is a special word or nothing comes off. What is left is a
//! special word, an address, or is cut at its infixes. At last, special words that these cuts took apart (`:)`) are joined again.
//! The characters, units and special words are in `lists/english_words.txt`.
//!
//! # Source
//! spaCy's blank English pipeline; `tests/golden/check_quality.py` compares the two.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::characters::{ALPHA, BEFORE_STOP, CURRENCY, Characters, ICON, LIST, LOWER, PREFIX, QUOTE, SPACE, SUFFIX, UPPER};
use super::spans::{Span, n_ascii_letters};
use super::web_address::is_web_address;

/// The bytes of a token.
#[derive(Clone, Copy)]
struct Token {
    start: usize,
    end: usize,
}

/// Words with tokens of their own.
struct Special {
    text: &'static str,
    /// Where its tokens end.
    ends: Vec<usize>,
}

struct Specials {
    words: Vec<Special>,
    /// A bit for each hash that some word has: what most words are not told from stays in the innermost cache.
    has: Vec<u64>,
    /// Open addressing: 0, or a word's index plus one, and some bits of its hash.
    slots: Vec<(u16, u16)>,
    len_max: usize,
    units: Vec<&'static str>,
    unit_len_max: usize,
    /// What affix and infix rules make of special words that they take apart: the ends of the pieces.
    pieces: HashMap<&'static str, Vec<usize>>,
    /// A bit for each pair of bytes between which the rules cut one of those for the first time.
    cuts: Vec<u64>,
}

const SLOTS: usize = 1 << 13;
const HASHES: usize = 1 << 15;

static SPECIALS: LazyLock<Specials> = LazyLock::new(|| {
    let mut specials = Specials {
        words: Vec::new(),
        has: vec![0; HASHES / 64],
        slots: vec![(0, 0); SLOTS],
        len_max: 0,
        units: Vec::new(),
        unit_len_max: 0,
        pieces: HashMap::new(),
        cuts: vec![0; 1 << 10],
    };
    for line in LIST.lines() {
        let mut fields = line.split(' ');
        match (fields.next(), fields.next()) {
            (Some("unit"), Some(first)) => specials.units = std::iter::once(first).chain(fields).collect(),
            (Some("split"), Some(text)) => {
                let mut end = 0;
                let ends = fields.map(|part| {
                    end += part.len();
                    end
                });
                specials.add(Special { text, ends: ends.collect() });
            }
            _ => {}
        }
    }
    specials.unit_len_max = specials.units.iter().map(|u| u.len()).max().unwrap_or(0);
    specials.learn_pieces();
    specials
});

impl Specials {
    fn add(&mut self, word: Special) {
        let hash = hash(word.text.as_bytes());
        let (mut slot, tag) = (hash % SLOTS, (hash >> 13) as u16);
        self.len_max = self.len_max.max(word.text.len());
        self.has[hash % HASHES / 64] |= 1 << (hash % 64);
        while self.slots[slot].0 != 0 {
            slot = (slot + 1) % SLOTS;
        }
        self.words.push(word);
        self.slots[slot] = (u16::try_from(self.words.len()).unwrap_or(0), tag);
    }

    fn learn_pieces(&mut self) {
        let mut pieces = Vec::new();
        for word in &self.words {
            let mut tokens = Vec::new();
            Cutter { specials: self, characters: Characters::get(), joins: false }.cut(word.text, 0, &mut Vec::new(), &mut tokens);
            let ends: Vec<usize> = tokens.iter().map(|t| t.end).collect();
            if ends.len() > 1 {
                pieces.push((word.text, ends));
            }
        }
        for (text, ends) in pieces {
            let pair = pair(text.as_bytes(), ends[0]);
            self.cuts[pair / 64] |= 1 << (pair % 64);
            self.pieces.insert(text, ends);
        }
    }

    #[inline]
    fn get(&self, text: &str) -> Option<&Special> {
        if text.is_empty() || text.len() > self.len_max {
            return None;
        }
        let hash = hash(text.as_bytes());
        if self.has[hash % HASHES / 64] >> (hash % 64) & 1 == 0 {
            return None;
        }
        let (mut slot, tag) = (hash % SLOTS, (hash >> 13) as u16);
        loop {
            let (word, its_tag) = self.slots[slot];
            let word = self.words.get(usize::from(word).checked_sub(1)?)?;
            if its_tag == tag && word.text == text {
                return Some(word);
            }
            slot = (slot + 1) % SLOTS;
        }
    }

    fn is_cut_between(&self, bytes: &[u8], at: usize) -> bool {
        let pair = pair(bytes, at);
        self.cuts[pair / 64] & (1 << (pair % 64)) != 0
    }
}

/// The two bytes around a place, as one number.
fn pair(bytes: &[u8], at: usize) -> usize {
    let byte = |i: usize| bytes.get(i).map_or(0, |b| usize::from(*b));
    byte(at.wrapping_sub(1)) << 8 | byte(at)
}

/// A hash for [`Specials`].
#[inline]
fn hash(bytes: &[u8]) -> usize {
    let number = |part: &[u8; 4]| u64::from(u32::from_le_bytes(*part));
    let key = if let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        u64::from_le_bytes(*first) ^ u64::from_le_bytes(*last).rotate_left(29)
    } else if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        number(first) << 24 ^ number(last)
    } else {
        bytes.iter().fold(0, |n, b| n << 8 | u64::from(*b))
    };
    ((key ^ (bytes.len() as u64) << 56).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize
}

/// Returns the tokens of a text in order.
pub(super) fn english_words(text: &str) -> Vec<Span> {
    let mut words = Vec::new();
    english_words_into(text, &mut words);
    words
}

/// Fills `words` with the tokens of a text in order.
pub(super) fn english_words_into(text: &str, words: &mut Vec<Span>) {
    words.clear();
    words.reserve(text.len() / 4);
    let cutter = Cutter { specials: &SPECIALS, characters: Characters::get(), joins: true };
    let bytes = text.as_bytes();
    let (mut tokens, mut suffixes) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at < bytes.len() {
        // A word between spaces, and whether it has letters of ASCII only.
        let start = at;
        at += n_ascii_letters(bytes, at);
        let end_of_letters = at;
        while let Some(&b) = bytes.get(at) {
            if b < 128 {
                if cutter.characters.of_ascii(b) & SPACE != 0 {
                    break;
                }
                at += 1;
            } else {
                let Some(c) = text.get(at..).and_then(|rest| rest.chars().next()) else { break };
                if cutter.characters.of(c) & SPACE != 0 {
                    break;
                }
                at += c.len_utf8();
            }
        }
        if start < at {
            let word = &text[start..at];
            match cutter.specials.get(word) {
                None if at == end_of_letters => words.push(Span::of_letters(text, start, at)),
                None if at == end_of_letters + 1 && cutter.is_mark_cut_off(word) => {
                    words.push(Span::of_letters(text, start, end_of_letters));
                    words.push(Span::new(text, end_of_letters, at, false, cutter.characters));
                }
                special => {
                    tokens.clear();
                    match special {
                        Some(special) => push_special(special, start, &mut tokens),
                        None => cutter.cut(word, start, &mut suffixes, &mut tokens),
                    }
                    words.extend(tokens.iter().map(|t| Span::new(text, t.start, t.end, t.start == start, cutter.characters)));
                }
            }
        }
        at += match bytes.get(at) {
            Some(b) if *b < 128 => 1,
            _ => text.get(at..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8),
        };
    }
}

fn push_special(special: &Special, start: usize, tokens: &mut Vec<Token>) {
    let mut from = 0;
    for &end in &special.ends {
        tokens.push(Token { start: start + from, end: start + end });
        from = end;
    }
}

struct Cutter<'a> {
    specials: &'a Specials,
    characters: Characters,
    /// Whether special words count.
    joins: bool,
}

impl Cutter<'_> {
    fn special(&self, text: &str) -> Option<&Special> {
        if self.joins { self.specials.get(text) } else { None }
    }

    /// Whether [`Cutter::cut`] only cuts off the mark behind a word of ASCII letters: most words with a mark are of that kind.
    fn is_mark_cut_off(&self, word: &str) -> bool {
        let Some(([letters @ .., before], mark)) = word.as_bytes().split_last().map(|(mark, stem)| (stem, *mark)) else { return false };
        let is_cut = self.characters.of_ascii(mark) & SUFFIX != 0 && (mark != b'.' || self.characters.of_ascii(*before) & BEFORE_STOP != 0);
        let end = letters.len() + 1;
        is_cut && self.specials.get(&word[..end]).is_none() && !self.specials.is_cut_between(word.as_bytes(), end)
    }

    /// Cuts one word between spaces, which begins at byte `at` of the text.
    fn cut(&self, word: &str, at: usize, suffixes: &mut Vec<(usize, usize)>, tokens: &mut Vec<Token>) {
        let first = tokens.len();
        let push = |from: usize, to: usize, tokens: &mut Vec<Token>| {
            tokens.push(Token { start: at + from, end: at + to });
        };
        let (mut from, mut to) = (0, word.len());
        suffixes.clear();
        while from < to {
            let rest = &word[from..to];
            if self.special(rest).is_some() {
                break;
            }
            let prefix = self.prefix_len(rest);
            if prefix > 0 && self.special(&rest[prefix..]).is_some() {
                push(from, from + prefix, tokens);
                from += prefix;
                break;
            }
            let suffix = self.suffix_len(&rest[prefix..]);
            if suffix > 0 && self.special(&rest[..rest.len() - suffix]).is_some() {
                suffixes.push((to - suffix, to));
                to -= suffix;
                break;
            }
            if prefix == 0 && suffix == 0 {
                break;
            }
            if prefix > 0 {
                push(from, from + prefix, tokens);
                from += prefix;
            }
            if suffix > 0 {
                suffixes.push((to - suffix, to));
                to -= suffix;
            }
        }
        let rest = &word[from..to];
        if let Some(special) = self.special(rest) {
            push_special(special, at + from, tokens);
        } else if !rest.is_empty() {
            if is_web_address(rest, self.characters) {
                push(from, to, tokens);
            } else {
                self.cut_infixes(rest, at + from, tokens);
            }
        }
        suffixes.iter().rev().for_each(|(start, end)| push(*start, *end, tokens));
        if self.joins && tokens.len() > first + 1 {
            self.join(word, at, first, tokens);
        }
    }

    /// Bytes that come off at the beginning.
    fn prefix_len(&self, word: &str) -> usize {
        let Some(c) = word.chars().next() else { return 0 };
        let next = || word.as_bytes().get(1).copied();
        match c {
            '+' => usize::from(!next().is_some_and(|b| b.is_ascii_digit())),
            '.' => Some(dots(word.as_bytes())).filter(|n| *n > 1).unwrap_or(0),
            'U' if word.starts_with("US$") => 3,
            'C' | 'A' if next() == Some(b'$') => 2,
            _ if self.characters.of(c) & PREFIX != 0 => c.len_utf8(),
            _ => 0,
        }
    }

    /// Bytes that come off at the end: the longest of what the rules find.
    fn suffix_len(&self, word: &str) -> usize {
        let mut back = word.chars().rev();
        let Some(last) = back.next() else { return 0 };
        let (before, before_that) = (back.next(), back.next());
        let classes = self.characters.of(last);
        let mut len = if classes & SUFFIX != 0 { last.len_utf8() } else { 0 };
        match last {
            's' | 'S' if matches!(before, Some('\'' | '’')) => len = 1 + before.map_or(0, char::len_utf8),
            '…' if before == Some('…') => len = 2 * '…'.len_utf8(),
            '+' if before.is_some_and(|c| c.is_ascii_digit()) => len = 1,
            '.' if before == Some('.') => return word.bytes().rev().take_while(|b| *b == b'.').count(),
            '.' => {
                let is_cut = self.characters.is(before, BEFORE_STOP)
                    || (self.characters.is(before, UPPER) && self.characters.is(before_that, UPPER))
                    || (matches!(before, Some('F' | 'f' | 'C' | 'c' | 'K' | 'k')) && before_that == Some('°'));
                return usize::from(is_cut);
            }
            _ => {}
        }
        len.max(self.unit_len(word, last, classes))
    }

    /// Bytes of a unit or currency behind a digit at the end.
    fn unit_len(&self, word: &str, last: char, classes: u32) -> usize {
        if !(last.is_alphabetic() || classes & CURRENCY != 0 || matches!(last, '%' | '²' | '³' | '$')) {
            return 0;
        }
        let bytes = word.as_bytes();
        let Some(len) = bytes.iter().rev().take(self.specials.unit_len_max + 1).position(u8::is_ascii_digit).filter(|n| *n > 0) else {
            return 0;
        };
        let unit = &word[word.len() - len..];
        let is_unit = (classes & CURRENCY != 0 && unit.chars().count() == 1)
            || ["US$", "C$", "A$"].contains(&unit)
            || self.specials.units.contains(&unit);
        if is_unit { len } else { 0 }
    }

    fn cut_infixes(&self, word: &str, at: usize, tokens: &mut Vec<Token>) {
        let bytes = word.as_bytes();
        let (mut from, mut i) = (0, 0);
        let push = |from: usize, to: usize, tokens: &mut Vec<Token>| {
            if from < to {
                tokens.push(Token { start: at + from, end: at + to });
            }
        };
        while let Some(&b) = bytes.get(i) {
            if b.is_ascii_alphanumeric() {
                i += 1;
                continue;
            }
            let infix = self.infix_len(word, i);
            if infix > 0 {
                if i > 0 {
                    push(from, i, tokens);
                    push(i, i + infix, tokens);
                    from = i + infix;
                }
                i += infix;
            } else {
                i += word[i..].chars().next().map_or(1, char::len_utf8);
            }
        }
        push(from, word.len(), tokens);
    }

    /// Bytes of the infix at byte `i`.
    fn infix_len(&self, word: &str, i: usize) -> usize {
        let rest = &word[i..];
        let Some(c) = rest.chars().next() else { return 0 };
        let behind = |n: usize| rest.get(n..).and_then(|r| r.chars().next());
        let before = word[..i].chars().next_back();
        let is = |c: Option<char>, classes: u32| self.characters.is(c, classes);
        let after_digit = before.is_some_and(|c| c.is_ascii_digit());
        match c {
            '.' => match dots(rest.as_bytes()) {
                1 => usize::from(is(before, LOWER | QUOTE) && is(behind(1), UPPER | QUOTE)),
                n => n,
            },
            '+' | '-' | '*' | '^' if after_digit && behind(1).is_some_and(|c| c.is_ascii_digit() || c == '-') => 1,
            ',' => usize::from(is(before, ALPHA) && is(behind(1), ALPHA)),
            '-' | '–' | '—' | '~' if after_digit || is(before, ALPHA) => {
                let hyphens: &[&str] = match c {
                    '-' => &["-", "--", "---"],
                    '—' => &["—", "——"],
                    '–' => &["–"],
                    _ => &["~"],
                };
                hyphens.iter().find(|h| rest.starts_with(**h) && is(behind(h.len()), ALPHA)).map_or(0, |h| h.len())
            }
            ':' | '<' | '>' | '=' | '/' => usize::from((after_digit || is(before, ALPHA)) && is(behind(1), ALPHA)),
            '…' => c.len_utf8(),
            _ if self.characters.of(c) & ICON != 0 => c.len_utf8(),
            _ => 0,
        }
    }

    /// Joins pieces of special words among the tokens from `first` on: the longest first, then the foremost.
    fn join(&self, word: &str, at: usize, first: usize, tokens: &mut Vec<Token>) {
        let bytes = word.as_bytes();
        if !tokens[first + 1..].iter().any(|t| self.specials.is_cut_between(bytes, t.start - at)) {
            return;
        }
        let mut found: Vec<(usize, usize, &Special)> = Vec::new();
        for i in first..tokens.len() - 1 {
            if !self.specials.is_cut_between(bytes, tokens[i].end - at) {
                continue;
            }
            let from = tokens[i].start - at;
            for j in i + 1..tokens.len() {
                let text = &word[from..tokens[j].end - at];
                if text.len() > self.specials.len_max {
                    break;
                }
                let is_cut_so = |ends: &Vec<usize>| ends.iter().copied().eq(tokens[i..=j].iter().map(|t| t.end - at - from));
                if let Some(special) = self.specials.get(text)
                    && self.specials.pieces.get(text).is_some_and(is_cut_so)
                {
                    found.push((i, j + 1, special));
                }
            }
        }
        found.sort_by_key(|(i, j, _)| (std::cmp::Reverse(j - i), *i));
        let mut seen = vec![false; tokens.len()];
        found.retain(|&(i, j, _)| {
            let is_free = !seen[i] && !seen[j - 1];
            seen[i..j].fill(true);
            is_free
        });
        found.sort_by_key(|(i, ..)| *i);
        let old = tokens.split_off(first);
        let mut i = first;
        for (from, to, special) in found {
            tokens.extend_from_slice(&old[i - first..from - first]);
            push_special(special, old[from - first].start, tokens);
            i = to;
        }
        tokens.extend_from_slice(&old[i - first..]);
    }
}

/// Full stops at the beginning.
fn dots(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|b| **b == b'.').count()
}
