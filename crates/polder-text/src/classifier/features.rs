//! From a text to the hashes of its n-grams.
//!
//! A text becomes two streams: characters, with single blanks, and tokens. Each stream gives a hash of 32 bits for every n-gram that
//! [`Features`] asks for, as often as it occurs. Texts are never stored: two n-grams of the same hash are one feature.

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
        let (shortest, longest) = self.char_ngrams;
        if longest > 0 {
            let characters = streams.characters.as_slice();
            for start in 0..characters.len() {
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
        let (shortest, longest) = self.word_ngrams;
        if longest > 0 {
            let tokens = streams.tokens.as_slice();
            for start in 0..tokens.len() {
                let mut hash = TOKENS;
                for (i, token) in tokens.iter().skip(start).take(longest).enumerate() {
                    hash = extend(hash, *token);
                    if i + 1 >= shortest {
                        emit(key(hash));
                    }
                }
            }
        }
    }

    /// Writes both streams. The stream of characters begins and ends with a blank, and no two blanks stand together.
    fn fill(&self, text: &str, streams: &mut Streams) {
        let Streams { characters, tokens } = streams;
        characters.clear();
        tokens.clear();
        characters.push(BLANK);
        let mut token = None;
        for c in text.chars() {
            let class = self.class(c);
            let folded = self.fold(c);
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

    fn class(&self, c: char) -> Class {
        let code = self.tokens == Tokens::Code;
        if c == '\n' && code {
            Class::LineEnd
        } else if c.is_whitespace() || c.is_control() || (self.tokens == Tokens::Letters && !is_letter(c)) {
            Class::Blank
        } else if stands_alone(c) {
            Class::Alone
        } else if is_letter(c) || c.is_numeric() || (code && c == '_') {
            Class::Joins
        } else {
            Class::Alone
        }
    }

    fn fold(&self, c: char) -> u32 {
        if self.fold_digits && c.is_numeric() {
            return u32::from('0');
        }
        if !self.fold_case {
            return u32::from(c);
        }
        if c.is_ascii() {
            return u32::from(c.to_ascii_lowercase());
        }
        // Of the few letters with a longer lower case, the first character stands for all.
        u32::from(c.to_lowercase().next().unwrap_or(c))
    }
}

fn is_blank(c: u32) -> bool {
    c == BLANK || c == LINE_END
}

/// Letters, and the marks that are written on and between them: vowel signs and viramas aren't all alphabetic to Unicode.
pub(super) fn is_letter(c: char) -> bool {
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
