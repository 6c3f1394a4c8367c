//! Hate, abuse and profanity by word lists, and a score from how many words of a text stand on them.
//!
//! The lists come from a public one (see NOTICE), each term with a weight: 1 where hardly any other meaning is in use,
//! 0.25 where technical or everyday text uses the word innocently. A list knows words, not intentions:
//! insults without swear words pass, quotations don't.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::words::{Words, words};

static ENGLISH: LazyLock<Lexicon> = LazyLock::new(|| Lexicon::parse(&[include_str!("../lists/profanity_en.txt")]));
static GERMAN: LazyLock<Lexicon> = LazyLock::new(|| Lexicon::parse(&[include_str!("../lists/profanity_de.txt")]));
static ALL: LazyLock<Lexicon> =
    LazyLock::new(|| Lexicon::parse(&[include_str!("../lists/profanity_en.txt"), include_str!("../lists/profanity_de.txt")]));

/// The share of listed words at which the score is one half.
const HALF_SHARE: f64 = 0.02;
/// Shorter texts are scored as if they had this many words, or one ambiguous word would be the whole verdict.
const N_WORDS_MIN: usize = 10;
/// Bits of the table that turns away most words before the map is asked.
const FILTER_BITS: usize = 1 << 14;

struct Term {
    text: &'static str,
    /// Hashes of the words behind the first.
    rest: Vec<u64>,
    weight: f64,
}

struct Lexicon {
    /// Terms by the hash of their first word, longest first.
    terms: HashMap<u64, Vec<Term>>,
    filter: Vec<u64>,
}

struct Hit {
    term: &'static str,
    weight: f64,
}

impl Lexicon {
    fn parse(lists: &[&'static str]) -> Self {
        let mut lexicon = Self { terms: HashMap::new(), filter: vec![0; FILTER_BITS / 64] };
        for line in lists.iter().flat_map(|l| l.lines()).filter(|l| !l.starts_with('#')) {
            let Some((weight, text)) = line.split_once('\t') else { continue };
            let mut hashes = words(text).map(|w| w.hash);
            let (Some(first), Ok(weight)) = (hashes.next(), weight.parse()) else { continue };
            let at = first as usize % FILTER_BITS;
            lexicon.filter[at / 64] |= 1 << (at % 64);
            let terms = lexicon.terms.entry(first).or_default();
            let rest: Vec<u64> = hashes.collect();
            if !terms.iter().any(|t| t.rest == rest) {
                terms.push(Term { text, rest, weight });
            }
        }
        lexicon.terms.values_mut().for_each(|terms| terms.sort_by_key(|t| std::cmp::Reverse(t.rest.len())));
        lexicon
    }

    /// Calls `visit` for every listed term, the longest at each place, and returns the number of words.
    fn scan(&self, text: &str, mut visit: impl FnMut(Hit)) -> usize {
        let mut n_words = 0;
        let mut iter = words(text);
        while let Some(word) = iter.next() {
            n_words += 1;
            let at = word.hash as usize % FILTER_BITS;
            if self.filter[at / 64] >> (at % 64) & 1 == 0 {
                continue;
            }
            let Some(terms) = self.terms.get(&word.hash) else { continue };
            if let Some(term) = terms.iter().find(|t| follows(iter.clone(), &t.rest)) {
                n_words += term.rest.len();
                for _ in &term.rest {
                    iter.next();
                }
                visit(Hit { term: term.text, weight: term.weight });
            }
        }
        n_words
    }
}

fn follows(iter: Words<'_>, rest: &[u64]) -> bool {
    let mut found = iter.take(rest.len()).map(|w| w.hash);
    rest.iter().all(|r| found.next() == Some(*r))
}

/// Returns the listed terms in a text, each once, in order of first appearance.
///
/// `en` and `de` have lists; an empty or undetermined (`und`) language is matched against all of them, any other
/// language has no list and gives nothing.
pub fn profanity(text: &str, language: &str) -> Vec<&'static str> {
    let lexicon = match language {
        "en" => &ENGLISH,
        "de" => &GERMAN,
        "" | "und" => &ALL,
        _ => return Vec::new(),
    };
    let mut found: Vec<&'static str> = Vec::new();
    lexicon.scan(text, |hit| {
        if !found.contains(&hit.term) {
            found.push(hit.term);
        }
    });
    found
}

/// Scores a text from 0 (no listed word) towards 1: s/(s + 0.02), where s is the weighted share of listed terms.
///
/// All lists are used. A text of fewer than ten words counts as ten; the empty text scores 0.
pub fn hap_score(text: &str) -> f64 {
    let mut weight = 0.0;
    let n_words = ALL.scan(text, |hit| weight += hit.weight);
    let share = weight / n_words.max(N_WORDS_MIN) as f64;
    share / (share + HALF_SHARE)
}
