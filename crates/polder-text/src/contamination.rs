//! Which texts of a benchmark stand in a document: runs of `n` words that both hold.
//!
//! Words are those of [`words()`]: lower case, letters and digits, so layout and punctuation hide nothing. Matches that follow one another
//! in both texts are one overlap, with its place in both. An item of fewer than `n` words counts where all of it stands in the document,
//! if it has enough words to mean something. A run that many items share is the benchmark's wording, not its content, and counts for none.
//! Words and runs are compared by 64-bit hashes.
//!
//! # Source
//! 13 words: Brown et al., Language Models are Few-Shot Learners (2020), appendix C, which also removes 200 characters around a match,
//! drops remaining pieces below 200 characters, and documents cut more than ten times.

use std::collections::HashMap;

use crate::words::{Word, mix, words};

/// Words in a run, as GPT-3's authors and lm-evaluation-harness have it.
pub const CONTAMINATION_NGRAM: usize = 13;
/// An item of fewer words is never looked for: it would stand everywhere.
const ITEM_WORDS_MIN: usize = 8;
/// A run that stands in more items than this is wording that the benchmark repeats.
const ITEMS_MAX: usize = 16;
/// Odd multiplier of the rolling hash.
const ROLL: u64 = 0x9e37_79b9_7f4a_7c15;

/// A run of words that a document shares with an item of a benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overlap {
    /// The item, counted in the order in which items were added.
    pub item: usize,
    /// Where it begins in the item, in characters.
    pub item_start: usize,
    /// Where it ends in the item, one past the last character.
    pub item_end: usize,
    /// Where it begins in the document, in characters.
    pub start: usize,
    /// Where it ends in the document, one past the last character.
    pub end: usize,
    /// The same place in the document in bytes.
    pub bytes: (usize, usize),
    /// Its words.
    pub n_words: usize,
}

/// Where runs of words stand, by their hash.
type Grams = HashMap<u64, Vec<(u32, u32)>>;

/// The runs of words of a benchmark's items.
#[derive(Clone, Debug)]
pub struct BenchmarkIndex {
    ngram: usize,
    /// For each item, where its words stand, in characters.
    items: Vec<Vec<(u32, u32)>>,
    /// By length of the runs: where each stands, as (item, word).
    grams: Vec<(usize, Grams)>,
}

impl BenchmarkIndex {
    /// Starts an index over runs of `ngram` words; fewer than eight would find what everybody writes, and count as eight.
    pub fn new(ngram: usize) -> Self {
        Self { ngram: ngram.max(ITEM_WORDS_MIN), items: Vec::new(), grams: Vec::new() }
    }

    /// Adds an item and returns its number.
    pub fn add(&mut self, text: &str) -> usize {
        let item = self.items.len();
        let all: Vec<Word> = words(text).collect();
        self.items.push(in_characters(text, &all));
        let ngram = self.ngram.min(all.len());
        if ngram < ITEM_WORDS_MIN {
            return item;
        }
        let place = self.grams.iter().position(|(n, _)| *n == ngram).unwrap_or_else(|| {
            self.grams.push((ngram, HashMap::new()));
            self.grams.len() - 1
        });
        each_gram(&all, ngram, |word, hash| {
            let places = self.grams[place].1.entry(hash).or_default();
            // One more than is allowed says that there are too many.
            if places.len() <= ITEMS_MAX && places.last().is_none_or(|(last, _)| *last != item as u32) {
                places.push((item as u32, word as u32));
            }
        });
        item
    }

    /// The number of items.
    pub fn n_items(&self) -> usize {
        self.items.len()
    }

    /// The memory that the index holds, about.
    pub fn held_bytes(&self) -> usize {
        let words: usize = self.items.iter().map(Vec::len).sum();
        let grams: usize = self.grams.iter().map(|(_, grams)| grams.len()).sum();
        words * size_of::<(u32, u32)>() + grams * (size_of::<(u64, Vec<(u32, u32)>)>() + 4 * size_of::<(u32, u32)>())
    }

    /// Whether an item is long enough to be looked for.
    pub fn is_searchable(&self, item: usize) -> bool {
        self.items.get(item).is_some_and(|words| words.len() >= ITEM_WORDS_MIN)
    }

    /// Finds what a document shares with the items, in order of its place in the document.
    pub fn overlaps(&self, text: &str) -> Vec<Overlap> {
        let all: Vec<Word> = words(text).collect();
        // (item, word in the item, word in the document, words)
        let mut found: Vec<(u32, usize, usize, usize)> = Vec::new();
        for (ngram, grams) in &self.grams {
            // Overlaps that the run one word before belonged to.
            let mut open: Vec<usize> = Vec::new();
            let mut at = 0;
            each_gram(&all, *ngram, |word, hash| {
                let Some(places) = grams.get(&hash).filter(|places| places.len() <= ITEMS_MAX) else { return };
                if at + 1 != word {
                    open.clear();
                }
                at = word;
                let mut going = Vec::with_capacity(places.len());
                for (item, item_word) in places {
                    let goes_on = |i: &usize| {
                        let (other, start, begin, n) = found[*i];
                        other == *item && start + (word - begin) == *item_word as usize && begin + n + 1 == word + ngram
                    };
                    match open.iter().copied().find(goes_on) {
                        Some(i) => {
                            found[i].3 += 1;
                            going.push(i);
                        }
                        None => {
                            found.push((*item, *item_word as usize, word, *ngram));
                            going.push(found.len() - 1);
                        }
                    }
                }
                open = going;
            });
        }
        if found.is_empty() {
            return Vec::new();
        }
        let places = in_characters(text, &all);
        let mut overlaps: Vec<Overlap> = found
            .into_iter()
            .map(|(item, item_word, word, n_words)| {
                let item_words = &self.items[item as usize];
                Overlap {
                    item: item as usize,
                    item_start: item_words[item_word].0 as usize,
                    item_end: item_words[item_word + n_words - 1].1 as usize,
                    start: places[word].0 as usize,
                    end: places[word + n_words - 1].1 as usize,
                    bytes: (all[word].start, all[word + n_words - 1].end),
                    n_words,
                }
            })
            .collect();
        overlaps.sort_by_key(|o| (o.start, o.end, o.item, o.item_start));
        overlaps
    }
}

/// Gives the hash of every run of `ngram` words with the place of its first word.
fn each_gram(words: &[Word], ngram: usize, mut visit: impl FnMut(usize, u64)) {
    let oldest_weight = (0..ngram).fold(1u64, |w, _| w.wrapping_mul(ROLL));
    let mut rolling = 0u64;
    for (i, word) in words.iter().enumerate() {
        rolling = rolling.wrapping_mul(ROLL).wrapping_add(mix(word.hash));
        if i >= ngram {
            rolling = rolling.wrapping_sub(mix(words[i - ngram].hash).wrapping_mul(oldest_weight));
        }
        if i + 1 >= ngram {
            visit(i + 1 - ngram, mix(rolling));
        }
    }
}

/// Where words stand, counted in characters.
fn in_characters(text: &str, words: &[Word]) -> Vec<(u32, u32)> {
    let (mut at_byte, mut at_char) = (0, 0);
    let mut advance = |to: usize| {
        at_char += text.get(at_byte..to).map_or(0, |s| s.chars().count());
        at_byte = to;
        u32::try_from(at_char).unwrap_or(u32::MAX)
    };
    words.iter().map(|w| (advance(w.start), advance(w.end))).collect()
}

/// Cuts spans (in characters) out of a text, with `window` characters on both sides; pieces of fewer than `piece_min` characters go as well.
/// What stays is joined by line breaks. Without spans the text stays as it is.
pub fn without_spans(text: &str, spans: &[(usize, usize)], window: usize, piece_min: usize) -> String {
    if spans.is_empty() {
        return text.to_owned();
    }
    let mut cuts: Vec<(usize, usize)> =
        spans.iter().map(|(start, end)| (start.saturating_sub(window), end.max(start).saturating_add(window))).collect();
    cuts.sort_unstable();
    let mut pieces: Vec<String> = vec![String::new()];
    let mut next = cuts.iter().peekable();
    let mut until = 0;
    for (i, c) in text.chars().enumerate() {
        while let Some((_, end)) = next.next_if(|(start, _)| *start <= i) {
            until = until.max(*end);
        }
        if i >= until {
            pieces.last_mut().into_iter().for_each(|p| p.push(c));
        } else if pieces.last().is_some_and(|p| !p.is_empty()) {
            pieces.push(String::new());
        }
    }
    let kept = pieces.iter().map(|p| p.trim()).filter(|p| !p.is_empty() && p.chars().count() >= piece_min);
    kept.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests;
