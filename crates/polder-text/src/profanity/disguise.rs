//! Listed words in disguise: digits and signs for letters (`sh1t`), stars for vowels, letters held long, letters set apart.
//!
//! With care, since source code and tables are full of such tokens: only words of the Latin alphabet that weigh 1 are looked for; a token
//! must be one whole disguised word; signs that begin a variable, a mention or an emphasis begin no word; digits may stand for at most half of
//! the letters; and letters set apart must all stand in a row with one and the same sign between them, and be that word and no more.

use std::collections::HashMap;

/// Shortest and longest word that is looked for in disguise, in bytes.
const WORD_BYTES: (usize, usize) = (4, 16);
/// Longest token that is looked at, in bytes: letters held long make it longer.
const TOKEN_BYTES_MAX: usize = 40;

/// Words, and their spellings with stars.
#[derive(Default)]
pub(super) struct Disguises {
    words: HashMap<Box<[u8]>, &'static str>,
}

/// What a byte is to a token.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Ends a token.
    Ends,
    Letter,
    /// May stand for a letter.
    Sign,
    /// Part of a token that is no disguise: other digits, `_`, and all that isn't ASCII.
    Other,
}

static CLASSES: [Class; 256] = classes();

const fn classes() -> [Class; 256] {
    let mut table = [Class::Ends; 256];
    let mut b = 0;
    while b < 256 {
        table[b] = match b as u8 {
            b'a'..=b'z' | b'A'..=b'Z' => Class::Letter,
            b'0' | b'1' | b'3' | b'4' | b'5' | b'7' | b'@' | b'$' | b'!' | b'*' => Class::Sign,
            b'0'..=b'9' | b'_' | 0x80.. => Class::Other,
            _ => Class::Ends,
        };
        b += 1;
    }
    table
}

/// The letter that a sign stands for; a `1` may be an i or an l.
fn letter(sign: u8, one: u8) -> u8 {
    match sign {
        b'0' => b'o',
        b'1' | b'!' => one,
        b'3' => b'e',
        b'4' | b'@' => b'a',
        b'5' | b'$' => b's',
        b'7' => b't',
        other => other.to_ascii_lowercase(),
    }
}

/// Letters set apart so far, and where the first stands.
#[derive(Default)]
struct Apart {
    letters: Vec<u8>,
    start: usize,
    end: usize,
    between: u8,
}

impl Disguises {
    pub(super) fn add(&mut self, term: &'static str) {
        let bytes = term.as_bytes();
        if !bytes.iter().all(u8::is_ascii_lowercase) || !(WORD_BYTES.0..=WORD_BYTES.1).contains(&bytes.len()) {
            return;
        }
        let last = bytes.len() - 1;
        let starred = |hides: &dyn Fn(usize) -> bool| -> Box<[u8]> {
            bytes.iter().enumerate().map(|(i, b)| if i > 0 && i < last && hides(i) { b'*' } else { *b }).collect()
        };
        let is_vowel = |i: usize| b"aeiou".contains(&bytes[i]);
        let mut spellings = vec![bytes.into(), starred(&is_vowel), starred(&|_| true)];
        spellings.extend((1..last).filter(|i| is_vowel(*i)).map(|vowel| starred(&|i| i == vowel)));
        // A plain word is never overwritten by another's stars.
        for spelling in spellings {
            self.words.entry(spelling).or_insert(term);
        }
    }

    /// Calls `visit` with the start and the term of every word in disguise.
    pub(super) fn each(&self, text: &str, mut visit: impl FnMut(usize, &'static str)) {
        if self.words.is_empty() {
            return;
        }
        let bytes = text.as_bytes();
        let mut apart = Apart::default();
        let mut i = 0;
        while i < bytes.len() {
            if CLASSES[usize::from(bytes[i])] == Class::Ends {
                i += 1;
                continue;
            }
            let start = i;
            let (mut n_letters, mut n_signs, mut n_others, mut held) = (0, 0, 0, false);
            while let Some(&b) = bytes.get(i) {
                match CLASSES[usize::from(b)] {
                    Class::Ends => break,
                    Class::Letter => {
                        n_letters += 1;
                        held |= i >= start + 2 && bytes[i - 1] == b && bytes[i - 2] == b;
                    }
                    Class::Sign => n_signs += 1,
                    Class::Other => n_others += 1,
                }
                i += 1;
            }
            let token = &bytes[start..i];
            if token.len() == 1 && n_letters == 1 {
                self.set_apart(bytes, start, &mut apart, &mut visit);
                continue;
            }
            self.joined(&mut apart, &mut visit);
            let may_disguise = n_others == 0 && (n_signs > 0 || held) && n_letters >= 2 && token.len() <= TOKEN_BYTES_MAX;
            if may_disguise && let Some(term) = self.word(token) {
                visit(start, term);
            }
        }
        self.joined(&mut apart, &mut visit);
    }

    /// The word that a token disguises; signs may stand behind it.
    fn word(&self, token: &[u8]) -> Option<&'static str> {
        let end = token.iter().rposition(|b| !b"!*".contains(b)).map_or(0, |i| i + 1);
        let token = &token[..end];
        let starts_as_word = token.first().is_some_and(|b| b.is_ascii_alphanumeric());
        if !starts_as_word || token.len() < WORD_BYTES.0 || token.iter().filter(|b| b.is_ascii_alphabetic()).count() * 2 < token.len() {
            return None;
        }
        let mut folded = Vec::with_capacity(token.len());
        let mut find = |one: u8, run_max: usize| {
            folded.clear();
            for b in token {
                let b = letter(*b, one);
                let is_run = folded.len() >= run_max && b != b'*' && folded.iter().rev().take(run_max).all(|last| *last == b);
                if !is_run {
                    folded.push(b);
                }
            }
            if folded.eq_ignore_ascii_case(token) && !token.contains(&b'*') { None } else { self.words.get(folded.as_slice()).copied() }
        };
        find(b'i', 2).or_else(|| find(b'l', 2)).or_else(|| find(b'i', 1))
    }

    /// Adds a single letter to those set apart, if it goes on where they end.
    fn set_apart(&self, bytes: &[u8], at: usize, apart: &mut Apart, visit: &mut impl FnMut(usize, &'static str)) {
        let goes_on = !apart.letters.is_empty()
            && at == apart.end + 1
            && (apart.letters.len() == 1 || bytes[at - 1] == apart.between)
            && b" .-".contains(&bytes[at - 1]);
        if goes_on {
            apart.between = bytes[at - 1];
        } else {
            self.joined(apart, visit);
            apart.start = at;
        }
        apart.letters.push(bytes[at].to_ascii_lowercase());
        apart.end = at + 1;
    }

    /// Looks up the letters that stood apart, and forgets them.
    fn joined(&self, apart: &mut Apart, visit: &mut impl FnMut(usize, &'static str)) {
        if (WORD_BYTES.0..=WORD_BYTES.1).contains(&apart.letters.len())
            && let Some(term) = self.words.get(apart.letters.as_slice())
        {
            visit(apart.start, term);
        }
        apart.letters.clear();
    }
}
