//! A list of terms, and where they stand in a text.
//!
//! Terms are matched word by word. Where a script has no spaces each character is a word (see [`words()`]), so terms are found inside runs
//! of such characters; a katakana term must be the whole run of katakana, or it would be found inside foreign names. Korean words carry
//! their particles: there a listed word may also begin a word.

use std::collections::HashMap;

use super::disguise::Disguises;
use crate::words::{ByWord, Word, words};

/// Bits of the table that turns away most words before the map is asked.
const FILTER_BITS: usize = 1 << 14;
/// Korean terms that may have particles behind them have from 2 to so many characters.
const PREFIX_CHARACTERS_MAX: usize = 6;

/// The terms of one or more lists.
pub(crate) struct Lexicon {
    /// Terms by the hash of their first word, longest first.
    terms: HashMap<u64, Vec<Term>, ByWord>,
    filter: Vec<u64>,
    disguises: Disguises,
}

struct Term {
    text: &'static str,
    /// Hashes of the words behind the first.
    rest: Vec<u64>,
    weight: f64,
}

/// A term in a text, and at which byte it begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hit {
    pub(crate) start: usize,
    pub(crate) term: &'static str,
    pub(crate) weight: f64,
}

impl Lexicon {
    /// Reads lists: lines of a weight, a tab and a term.
    pub(super) fn parse(lists: &[&'static str]) -> Self {
        Self::of_lines(lists.iter().flat_map(|l| l.lines()))
    }

    /// Reads the lines of lists.
    pub(super) fn of_lines(lines: impl Iterator<Item = &'static str>) -> Self {
        let mut lexicon = Self { terms: HashMap::default(), filter: vec![0; FILTER_BITS / 64], disguises: Disguises::default() };
        for line in lines.filter(|l| !l.starts_with('#')) {
            let Some((weight, text)) = line.split_once('\t') else { continue };
            let mut hashes = words(text).map(|w| w.hash);
            let (Some(first), Ok(weight)) = (hashes.next(), weight.parse()) else { continue };
            let at = first as usize % FILTER_BITS;
            lexicon.filter[at / 64] |= 1 << (at % 64);
            let terms = lexicon.terms.entry(first).or_default();
            let rest: Vec<u64> = hashes.collect();
            if rest.is_empty() && weight >= 1.0 {
                lexicon.disguises.add(text);
            }
            if !terms.iter().any(|t| t.rest == rest) {
                terms.push(Term { text, rest, weight });
            }
        }
        lexicon.terms.values_mut().for_each(|terms| terms.sort_by_key(|t| std::cmp::Reverse(t.rest.len())));
        lexicon
    }

    /// Returns every listed term in a text, the longest at each place, in the order of their places.
    pub(crate) fn hits(&self, text: &str) -> Vec<Hit> {
        self.hits_among(text, &words(text).collect::<Vec<_>>())
    }

    /// The same for a text and its words.
    pub(crate) fn hits_among(&self, text: &str, words: &[Word]) -> Vec<Hit> {
        let mut hits = Vec::new();
        let mut rest = words;
        while let Some((&word, after)) = rest.split_first() {
            rest = after;
            if let Some((term, n_more)) = self.term_at(text, word, after) {
                hits.push(Hit { start: word.start, term: term.text, weight: term.weight });
                rest = &rest[n_more..];
            } else if is_hangul(text, word.start)
                && let Some(term) = self.begins(text, word)
            {
                hits.push(Hit { start: word.start, term: term.text, weight: term.weight });
            }
        }
        let n_plain = hits.len();
        self.disguises.each(text, |start, term| hits.push(Hit { start, term, weight: 1.0 }));
        if hits.len() > n_plain {
            hits.sort_by_key(|h| h.start);
        }
        hits
    }

    /// Whether a list whose lines are all in this one may have a term in a text; where one has, it may.
    pub(crate) fn may_hit(&self, text: &str, words: &[Word]) -> bool {
        let is_term = |(i, word): (usize, &Word)| {
            self.of_hash(word.hash).is_some_and(|terms| terms.iter().any(|t| follows(&words[i + 1..], &t.rest)))
                || (is_hangul(text, word.start) && self.begins(text, *word).is_some())
        };
        let mut may = words.iter().enumerate().any(is_term);
        if !may {
            self.disguises.each(text, |_, _| may = true);
        }
        may
    }

    fn of_hash(&self, hash: u64) -> Option<&Vec<Term>> {
        let at = hash as usize % FILTER_BITS;
        if self.filter[at / 64] >> (at % 64) & 1 == 0 { None } else { self.terms.get(&hash) }
    }

    fn term_at(&self, text: &str, word: Word, after: &[Word]) -> Option<(&Term, usize)> {
        let term = self.of_hash(word.hash)?.iter().find(|t| follows(after, &t.rest))?;
        if starts_in_katakana(term.text) {
            let end = after[..term.rest.len()].last().map_or(word.end, |w| w.end);
            let before = text.get(..word.start).and_then(|t| t.chars().next_back());
            let behind = text.get(end..).and_then(|t| t.chars().next());
            if [before, behind].into_iter().flatten().any(is_katakana) {
                return None;
            }
        }
        Some((term, term.rest.len()))
    }

    /// The longest listed word that a Korean word begins with.
    fn begins(&self, text: &str, word: Word) -> Option<&Term> {
        let whole = text.get(word.start..word.end)?;
        let begins = whole.char_indices().skip(2).take(PREFIX_CHARACTERS_MAX).filter_map(|(end, _)| {
            let part = words(whole.get(..end)?).next()?;
            self.of_hash(part.hash)?.iter().find(|t| t.rest.is_empty() && t.weight >= 1.0)
        });
        begins.last()
    }
}

fn follows(after: &[Word], rest: &[u64]) -> bool {
    after.len() >= rest.len() && rest.iter().zip(after).all(|(hash, word)| *hash == word.hash)
}

fn is_katakana(c: char) -> bool {
    matches!(c, '\u{30a1}'..='\u{30fa}' | '\u{30fc}')
}

fn starts_in_katakana(term: &str) -> bool {
    term.chars().next().is_some_and(is_katakana)
}

/// Whether a syllable of Hangul begins at a byte: U+AC00 to U+D7A3.
fn is_hangul(text: &str, at: usize) -> bool {
    text.as_bytes().get(at).is_some_and(|b| (0xea..=0xed).contains(b))
        && text.get(at..).and_then(|t| t.chars().next()).is_some_and(|c| ('\u{ac00}'..='\u{d7a3}').contains(&c))
}
