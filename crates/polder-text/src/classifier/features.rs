//! From a text to the hashes of its n-grams.
//!
//! A text becomes two streams: characters, with single blanks, and tokens. Each stream gives a hash of 32 bits for every n-gram that
//! [`Features`] asks for, as often as it occurs. Texts are never stored: two n-grams of the same hash are one feature.

use super::options::{Features, Tokens};
use crate::characters::{ALONE, Characters, DIGIT, LETTER, LINE_FEED, LOWER, SPACE, UNDERSCORE};

/// Where the hash of an n-gram of characters, of a token and of an n-gram of tokens begins.
const CHARACTERS: u64 = 0x243f_6a88_85a3_08d3;
const TOKEN: u64 = 0x1319_8a2e_0370_7344;
const TOKENS: u64 = 0xa409_3822_299f_31d0;
/// An odd number without a pattern: its product spreads low bits to high ones, which are the ones kept.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Adds one more item to the hash of an n-gram.
fn extend(hash: u64, item: u64) -> u64 {
    (hash.rotate_left(5) ^ item).wrapping_mul(SPREAD)
}

fn key(hash: u64) -> u32 {
    (hash >> 32) as u32
}

/// The hash of an n-gram of folded characters, at once.
#[cfg(test)]
pub(super) fn hash_of_characters(ngram: &[char]) -> u32 {
    key(ngram.iter().fold(CHARACTERS, |hash, c| extend(hash, u64::from(*c))))
}

/// The hash of an n-gram of folded tokens, at once.
#[cfg(test)]
pub(super) fn hash_of_tokens(ngram: &[String]) -> u32 {
    key(ngram.iter().fold(TOKENS, |hash, token| extend(hash, token.chars().fold(TOKEN, |hash, c| extend(hash, u64::from(c))))))
}

/// Memory that extraction uses again for the next text.
#[derive(Default)]
pub(super) struct Streams {
    characters: Vec<u32>,
    tokens: Vec<u64>,
}

const BLANK: u32 = ' ' as u32;
const LINE_END: u32 = '\n' as u32;

/// What a character is to a tokenizer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Blank,
    LineEnd,
    /// Joins its neighbours in a token.
    Joins,
    /// A token of its own.
    Alone,
}

impl Features {
    /// Calls `emit` with the hash of every n-gram of the text.
    pub(super) fn each(&self, text: &str, streams: &mut Streams, mut emit: impl FnMut(u32)) {
        self.fill(text, streams);
        self.of_characters(&streams.characters, &mut emit);
        let (shortest, longest) = self.word_ngrams;
        for start in 0..if longest > 0 { streams.tokens.len() } else { 0 } {
            let mut hash = TOKENS;
            for (i, token) in streams.tokens.iter().skip(start).take(longest).enumerate() {
                hash = extend(hash, *token);
                if i + 1 >= shortest {
                    emit(key(hash));
                }
            }
        }
    }

    /// Calls `emit` with the hash of every n-gram of a stream of characters.
    fn of_characters(&self, characters: &[u32], emit: &mut impl FnMut(u32)) {
        let (shortest, longest) = self.char_ngrams;
        for start in 0..if longest > 0 { characters.len() } else { 0 } {
            let mut hash = CHARACTERS;
            for (i, c) in characters.iter().skip(start).take(longest).enumerate() {
                hash = extend(hash, u64::from(*c));
                let blank = is_blank(*c);
                if i + 1 >= shortest && !(blank && i == 0) {
                    emit(key(hash));
                }
                if blank && i > 0 && !self.across_blanks {
                    break;
                }
            }
        }
    }

    /// Whether every n-gram lies within a run of characters and the blanks around it.
    pub(super) fn are_of_runs(&self) -> bool {
        self.tokens != Tokens::Code && !self.across_blanks && self.word_ngrams.1 <= 1
    }

    /// Calls `each` with every run of characters, a blank at both ends, and with the hash of the run.
    pub(super) fn each_run(&self, text: &str, streams: &mut Streams, mut each: impl FnMut(&[u32], u64)) {
        self.fill(text, streams);
        let mut start = 0;
        let mut hash = 0;
        for (i, c) in streams.characters.iter().enumerate().skip(1) {
            if is_blank(*c) {
                each(&streams.characters[start..=i], hash);
                (start, hash) = (i, 0);
            } else {
                hash = extend(hash, u64::from(*c));
            }
        }
    }

    /// Calls `emit` with the hash of every n-gram of a run.
    pub(super) fn of_run(&self, run: &[u32], mut emit: impl FnMut(u32)) {
        // The last blank begins no n-gram of this run.
        let (shortest, longest) = self.char_ngrams;
        let last = run.len().saturating_sub(1);
        for start in 0..if longest > 0 { last } else { 0 } {
            let mut hash = CHARACTERS;
            let end = run.len().min(start + longest);
            for (i, c) in run[start..end].iter().enumerate() {
                hash = extend(hash, u64::from(*c));
                if i + 1 >= shortest && (i > 0 || start > 0) {
                    emit(key(hash));
                }
            }
        }
        if self.word_ngrams.1 == 1 {
            // What was folded already is what it was.
            let (mut token, known) = (None, Characters::get());
            for c in run.iter().take(last).skip(1) {
                if char::from_u32(*c).is_some_and(|c| self.class(known.of(c)) == Class::Joins) {
                    token = Some(extend(token.unwrap_or(TOKEN), u64::from(*c)));
                } else {
                    token.take().into_iter().for_each(|token| emit(key(extend(TOKENS, token))));
                    emit(key(extend(TOKENS, extend(TOKEN, u64::from(*c)))));
                }
            }
            token.into_iter().for_each(|token| emit(key(extend(TOKENS, token))));
        }
    }

    /// Writes both streams. The stream of characters begins and ends with a blank, and no two blanks stand together.
    fn fill(&self, text: &str, streams: &mut Streams) {
        let Streams { characters, tokens } = streams;
        characters.clear();
        tokens.clear();
        characters.push(BLANK);
        let mut token = None;
        let known = Characters::get();
        for c in text.chars() {
            let about = known.of(c);
            let class = self.class(about);
            let folded = self.fold(c, about);
            match class {
                Class::Blank | Class::LineEnd => {
                    let blank = if class == Class::LineEnd { LINE_END } else { BLANK };
                    match characters.last_mut() {
                        // A line's end outlives the blanks around it.
                        Some(last) if is_blank(*last) => *last = (*last).min(blank),
                        _ => characters.push(blank),
                    }
                }
                Class::Joins | Class::Alone => characters.push(folded),
            }
            match class {
                Class::Joins => token = Some(extend(token.unwrap_or(TOKEN), u64::from(folded))),
                _ => {
                    tokens.extend(token.take());
                    match class {
                        Class::Alone => tokens.push(extend(TOKEN, u64::from(folded))),
                        Class::LineEnd => tokens.push(extend(TOKEN, u64::from(LINE_END))),
                        _ => {}
                    }
                }
            }
        }
        tokens.extend(token);
        if characters.last().is_none_or(|last| !is_blank(*last)) {
            characters.push(BLANK);
        }
    }

    fn class(&self, about: u32) -> Class {
        let code = self.tokens == Tokens::Code;
        if about & LINE_FEED != 0 && code {
            Class::LineEnd
        } else if about & SPACE != 0 || (self.tokens == Tokens::Letters && about & LETTER == 0) {
            Class::Blank
        } else if about & ALONE != 0 {
            Class::Alone
        } else if about & (LETTER | DIGIT) != 0 || (code && about & UNDERSCORE != 0) {
            Class::Joins
        } else {
            Class::Alone
        }
    }

    fn fold(&self, c: char, about: u32) -> u32 {
        if self.fold_digits && about & DIGIT != 0 {
            u32::from('0')
        } else if self.fold_case {
            about & LOWER
        } else {
            u32::from(c)
        }
    }
}

fn is_blank(c: u32) -> bool {
    c == BLANK || c == LINE_END
}
