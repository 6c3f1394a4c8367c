//! From a text to the hashes of its n-grams.
//!
//! A text becomes two streams: characters, with single blanks, and tokens. Each stream gives a hash of 32 bits for every n-gram that
//! [`Features`] asks for, as often as it occurs. Texts are never stored: two n-grams of the same hash are one feature.

use std::sync::LazyLock;

use super::options::{Features, Tokens};

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
    pub(super) fn each_run(&self, text: &str, streams: &mut Streams, mut each: impl FnMut(&[u32], u32)) {
        self.fill(text, streams);
        let mut start = 0;
        let mut hash = 0;
        for (i, c) in streams.characters.iter().enumerate().skip(1) {
            if is_blank(*c) {
                each(&streams.characters[start..=i], key(hash));
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
            let mut token = None;
            for c in run.iter().take(last).skip(1) {
                if self.class(about_folded(*c)) == Class::Joins {
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
        let known = ABOUT.as_slice();
        for c in text.chars() {
            let about = known.get(c as usize).copied().unwrap_or_else(|| about(c));
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

/// What is known of a character: its lower case, and what it is.
const LOWER: u32 = (1 << 21) - 1;
const LETTER: u32 = 1 << 21;
const DIGIT: u32 = 1 << 22;
const SPACE: u32 = 1 << 23;
const LINE_FEED: u32 = 1 << 24;
const ALONE: u32 = 1 << 25;
const UNDERSCORE: u32 = 1 << 26;

/// What is known of the characters that all but a few texts are made of.
static ABOUT: LazyLock<Vec<u32>> = LazyLock::new(|| (0..0x1_0000).map(|c| char::from_u32(c).map_or(0, about)).collect());

/// The same of a character that was folded already: that changes nothing of what it is.
fn about_folded(c: u32) -> u32 {
    let known = ABOUT.get(c as usize).copied();
    known.unwrap_or_else(|| char::from_u32(c).map_or(0, about))
}

fn about(c: char) -> u32 {
    let flag = |is: bool, flag: u32| if is { flag } else { 0 };
    // Of the few letters with a longer lower case, the first character stands for all.
    u32::from(c.to_lowercase().next().unwrap_or(c))
        | flag(is_letter_by_rule(c), LETTER)
        | flag(c.is_numeric() && !stands_alone(c), DIGIT)
        | flag(c.is_whitespace() || c.is_control(), SPACE)
        | flag(c == '\n', LINE_FEED)
        | flag(stands_alone(c), ALONE)
        | flag(c == '_', UNDERSCORE)
}

fn is_blank(c: u32) -> bool {
    c == BLANK || c == LINE_END
}

/// Letters, and the marks that are written on and between them: vowel signs and viramas aren't all alphabetic to Unicode.
pub(crate) fn is_letter(c: char) -> bool {
    ABOUT.get(c as usize).copied().unwrap_or_else(|| about(c)) & LETTER != 0
}

fn is_letter_by_rule(c: char) -> bool {
    match u32::from(c) {
        0..0x300 => c.is_alphabetic(),
        0x300..=0x36f | 0x591..=0x5bd | 0x5bf | 0x5c1..=0x5c2 | 0x5c4..=0x5c5 | 0x64b..=0x65f | 0x1ab0..=0x1aff | 0x200c..=0x200d => true,
        0x964..=0x965 | 0xe3f | 0xe4f | 0xe5a..=0xe5b => false,
        0x900..=0xfff | 0x1000..=0x109f | 0x1780..=0x17d3 | 0x1712..=0x1715 => !c.is_numeric(),
        _ => c.is_alphabetic(),
    }
}

/// Whether a character is a token of its own: scripts that put no spaces between words.
pub(super) fn stands_alone(c: char) -> bool {
    matches!(u32::from(c),
        0x0e00..=0x0eff | 0x1000..=0x109f | 0x1780..=0x17ff | 0x3040..=0x30ff | 0x3400..=0x9fff | 0xf900..=0xfaff | 0x20000..=0x3ffff)
}
