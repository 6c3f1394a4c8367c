//! Hate, abuse and profanity: how a text scores, and which of its sentences is the worst.
//!
//! A text is cut into passages of a few sentences. An English or German passage is judged by an embedded classifier (its card:
//! `models/README.md`) that reads it as `features.rs` spells it; a passage in another language by that language's word list; and what is too
//! short to be told from English by the English classifier and by the lists of all other languages, whichever scores higher. A text's score
//! is the mean over the worst tenth of it, so that a long text is not flagged for a few rude words; its worst sentence is found anyway.
//!
//! The classifiers learnt from posts. In longer texts, which may be of any kind, they are asked only about passages with words that insults are
//! made with, and their word alone counts half: a listed term in the passage has to bear it out before the text is flagged.
//! The lists know words and the classifier wording; neither knows what is true, meant or quoted.

mod aimed;
mod features;
mod sentences;
mod tongue;

use std::ops::Range;
use std::sync::LazyLock;

use crate::classifier::Classifier;
use crate::language::detect_language;
use crate::profanity::{Hit, all_lexicons, foreign_lexicon, lexicon};
use crate::words::{Word, words};
use tongue::Tongue;

pub use features::hap_features;

/// The label that the classifiers give what offends.
const OFFENSIVE: &str = "offensive";
/// The share of a text, by bytes, whose mean is the text's score.
const WORST_SHARE: f64 = 0.1;
/// What a passage without a listed term counts in a text longer than a post.
const UNLISTED: f64 = 0.5;
/// How many of the worst passages are searched for the worst sentence.
const N_WORST: usize = 4;
/// The share of listed words at which a list's score is one half.
const HALF_SHARE: f64 = 0.02;
/// Shorter passages are scored as if they had this many words, or one ambiguous word would be the whole verdict.
const N_WORDS_MIN: usize = 10;
/// A word and what is between it and the next, in bytes, on average or less.
const WORD_BYTES: usize = 6;
/// How much of a text is asked for its language, in bytes.
const LANGUAGE_BYTES: usize = 4096;

/// The classifiers of English and of German, in this order.
static CLASSIFIERS: LazyLock<[Option<Classifier>; 2]> = LazyLock::new(|| classifiers(include_bytes!("../../models/hap.model")));

/// Reads the classifiers that stand one after the other, each behind its length in four bytes, little endian.
fn classifiers(mut bytes: &[u8]) -> [Option<Classifier>; 2] {
    std::array::from_fn(|_| {
        let (length, rest) = bytes.split_first_chunk()?;
        let (model, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        bytes = rest;
        Classifier::from_bytes(model).ok()
    })
}

/// What [`hap`] says of a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Hap {
    /// From 0 to 1; more than one half is hate, abuse or profanity.
    pub score: f64,
    /// The score of the worst sentence by itself.
    pub sentence_score: f64,
    /// Where the worst sentence begins, in characters.
    pub start: usize,
    /// Where it ends, in characters, one past the last.
    pub end: usize,
    /// The listed terms in the text, each once, in order of first appearance.
    pub terms: Vec<&'static str>,
}

/// Judges texts: with the embedded classifiers, or with others in their place.
pub struct HapJudge<'a> {
    classifiers: [Option<&'a Classifier>; 2],
}

impl Default for HapJudge<'static> {
    fn default() -> Self {
        Self { classifiers: [CLASSIFIERS[0].as_ref(), CLASSIFIERS[1].as_ref()] }
    }
}

/// How a text is read: by which classifier, and which list's terms stand where.
struct Reading<'a> {
    text: &'a str,
    words: Vec<Word>,
    classifier: Option<&'a Classifier>,
    hits: Vec<Hit>,
    /// Terms of other languages, in a text that may be in any.
    foreign: Vec<Hit>,
}

impl<'a> HapJudge<'a> {
    /// Judges by these classifiers of English and German instead, whose labels are `clean` and `offensive`.
    pub fn of(english: &'a Classifier, german: &'a Classifier) -> Self {
        Self { classifiers: [Some(english), Some(german)] }
    }

    fn read<'t>(&'t self, text: &'t str) -> Reading<'t> {
        let mut of_text = Vec::with_capacity(text.len() / WORD_BYTES);
        of_text.extend(words(text));
        let words = of_text;
        let mut foreign = Vec::new();
        let (classifier, language) = match tongue::tongue(text, &words) {
            Tongue::English => (self.classifiers[0], "en"),
            Tongue::Unclear => {
                foreign = foreign_lexicon().hits_among(text, &words);
                (self.classifiers[0], "en")
            }
            Tongue::German => (self.classifiers[1], "de"),
            // Which list it would be makes no difference where none has a term in the text, which is most texts.
            Tongue::Other if !all_lexicons().may_hit(text, &words) => {
                return Reading { text, words, classifier: None, hits: Vec::new(), foreign };
            }
            Tongue::Other => (None, detect_language(start_of(text, LANGUAGE_BYTES)).code),
        };
        let lexicon = lexicon(language).or_else(|| lexicon(""));
        let hits = lexicon.map(|l| l.hits_among(text, &words)).unwrap_or_default();
        Reading { text, words, classifier, hits, foreign }
    }

    /// As [`hap_score`](crate::hap_score()).
    pub fn score(&self, text: &str) -> f64 {
        self.read(text).score().0
    }

    /// As [`hap`](crate::hap()).
    pub fn judge(&self, text: &str) -> Hap {
        let reading = self.read(text);
        let (score, passages) = reading.score();
        let (sentence_score, sentence) = reading.worst_sentence(&passages);
        let mut terms: Vec<&'static str> = Vec::new();
        let mut hits: Vec<&Hit> = reading.hits.iter().chain(&reading.foreign).collect();
        hits.sort_by_key(|h| h.start);
        for hit in hits {
            if !terms.contains(&hit.term) {
                terms.push(hit.term);
            }
        }
        let n_characters = |range: Range<usize>| text.get(range).map_or(0, |t| t.chars().count());
        let start = n_characters(0..sentence.start);
        Hap { score, sentence_score, start, end: start + n_characters(sentence), terms }
    }
}

impl Reading<'_> {
    /// The text's score, and its passages with theirs, the worst first.
    fn score(&self) -> (f64, Vec<(f64, Range<usize>)>) {
        let mut scratch = Scratch::default();
        let mut hits = self.hits.as_slice();
        let is_post = sentences::is_post(self.text);
        let mut counted: Vec<(f64, usize)> = Vec::new();
        let mut passages: Vec<(f64, Range<usize>)> = sentences::passages(self.text)
            .map(|passage| {
                let (of_passage, rest) = hits.split_at(hits.partition_point(|h| h.start < passage.end));
                hits = rest;
                let is_plain = of_passage.is_empty() && within(&self.foreign, &passage).is_empty() && !is_post;
                let is_judged = !is_plain || self.is_aimed(&passage);
                let score = if is_judged { self.passage_score(passage.clone(), of_passage, &mut scratch) } else { 0.0 };
                counted.push((if is_plain { UNLISTED * score } else { score }, passage.len()));
                (score, passage)
            })
            .collect();
        passages.sort_by(|a, b| b.0.total_cmp(&a.0));
        counted.sort_by(|a, b| b.0.total_cmp(&a.0));
        let bytes = self.text.len() as f64 * WORST_SHARE;
        let (mut left, mut sum) = (bytes, 0.0);
        for (score, bytes) in counted {
            let bytes = left.min(bytes as f64);
            sum += score * bytes;
            left -= bytes;
            if left <= 0.0 {
                break;
            }
        }
        (if bytes > 0.0 { (sum / bytes).clamp(0.0, 1.0) } else { 0.0 }, passages)
    }

    /// Whether a passage has words that insults are made with, if there is a classifier to ask about it.
    fn is_aimed(&self, passage: &Range<usize>) -> bool {
        if self.classifier.is_none() {
            return false;
        }
        let from = self.words.partition_point(|w| w.end <= passage.start);
        let to = self.words.partition_point(|w| w.start < passage.end);
        let of_passage = self.words.get(from..to).unwrap_or_default();
        let is_cut = of_passage.first().is_some_and(|w| w.start < passage.start) || of_passage.last().is_some_and(|w| w.end > passage.end);
        if is_cut {
            // A word that a passage's end cuts in two is two words.
            return self.text.get(passage.clone()).is_some_and(|t| aimed::is_aimed(words(t)));
        }
        aimed::is_aimed(of_passage.iter().copied())
    }

    fn passage_score(&self, range: Range<usize>, hits: &[Hit], scratch: &mut Scratch) -> f64 {
        let Some(passage) = self.text.get(range.clone()) else { return 0.0 };
        match self.classifier {
            Some(classifier) => {
                features::write(passage, hits, &mut scratch.spelt);
                classifier.scores(&scratch.spelt, &mut scratch.scores);
                let offensive = classifier.labels().iter().position(|l| l == OFFENSIVE);
                let score = offensive.and_then(|i| scratch.scores.get(i)).map_or(0.0, |p| f64::from(*p));
                score.max(listed_score(passage, within(&self.foreign, &range)))
            }
            None => listed_score(passage, hits),
        }
    }

    /// The sentence that scores highest by itself among those of the worst passages.
    fn worst_sentence(&self, passages: &[(f64, Range<usize>)]) -> (f64, Range<usize>) {
        let mut scratch = Scratch::default();
        let mut worst = (0.0, 0..0);
        for (_, passage) in passages.iter().take(N_WORST) {
            let Some(text) = self.text.get(passage.clone()) else { continue };
            for sentence in sentences::sentences(text) {
                let range = trimmed(self.text, passage.start + sentence.start..passage.start + sentence.end);
                let score = self.passage_score(range.clone(), within(&self.hits, &range), &mut scratch);
                if score > worst.0 {
                    worst = (score, range);
                }
            }
        }
        worst
    }
}

/// The hits in a part of the text.
fn within<'h>(hits: &'h [Hit], range: &Range<usize>) -> &'h [Hit] {
    let from = hits.partition_point(|h| h.start < range.start);
    let to = hits.partition_point(|h| h.start < range.end);
    hits.get(from..to).unwrap_or_default()
}

/// The score of a passage by its listed terms alone.
fn listed_score(passage: &str, hits: &[Hit]) -> f64 {
    if hits.is_empty() {
        return 0.0;
    }
    let weight: f64 = hits.iter().map(|h| h.weight).sum();
    let share = weight / words(passage).count().max(N_WORDS_MIN) as f64;
    share / (share + HALF_SHARE)
}

/// Memory that judging a passage uses again.
#[derive(Default)]
struct Scratch {
    spelt: String,
    scores: Vec<f32>,
}

/// At most so many bytes from the start of a text.
fn start_of(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

/// A range of a text without the blanks at its ends.
fn trimmed(text: &str, range: Range<usize>) -> Range<usize> {
    let Some(part) = text.get(range.clone()) else { return range };
    let start = range.start + part.len() - part.trim_start().len();
    start..start + part.trim().len()
}

/// Scores a text's hate, abuse and profanity from 0 to 1: the mean over the worst tenth of its passages, by length.
///
/// More than 0.5 is offensive. English and German are judged by a classifier, other languages by their word lists, short texts that
/// may be in any by both. The empty text scores 0.
pub fn hap_score(text: &str) -> f64 {
    HapJudge::default().score(text)
}

/// Judges a text for hate, abuse and profanity: its score, its worst sentence and the listed terms in it.
///
/// The empty text scores 0, and so does its worst sentence, which is empty.
pub fn hap(text: &str) -> Hap {
    HapJudge::default().judge(text)
}

#[cfg(test)]
mod tests;
