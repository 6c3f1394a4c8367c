//! Counts of words: what a tokenizer is trained on.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use super::word_table::{Hashed, WordTable};
use crate::split::Splitter;

/// Tables that words are spread over by their hash, so that threads can put theirs together part by part.
const PARTS: usize = 16;
/// Texts a thread takes at a time.
const TEXTS_TAKEN: usize = 64;

/// How often each word occurs. Adding and merging in any order gives the same counts.
///
/// Counts are exact to 2^64 − 1, and stay there.
#[derive(Clone)]
pub struct WordCounts {
    splitter: Splitter,
    parts: Vec<WordTable>,
}

impl Default for WordCounts {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for WordCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WordCounts").field("splitter", &self.splitter).field("words", &self.len()).finish()
    }
}

impl WordCounts {
    /// Starts with no words; texts will be cut as GPT-2 cuts them.
    pub fn new() -> Self {
        Self::with_splitter(Splitter::default())
    }

    /// Starts with no words; texts will be cut by the splitter that training is given too.
    pub fn with_splitter(splitter: Splitter) -> Self {
        Self { splitter, parts: vec![WordTable::default(); PARTS] }
    }

    /// How texts are cut.
    pub fn splitter(&self) -> &Splitter {
        &self.splitter
    }

    /// Counts the words of a text.
    pub fn add(&mut self, text: &str) {
        let Self { splitter, parts } = self;
        count(parts, text, splitter);
    }

    /// Counts the words of a text that is cut by another splitter than the one given at the start.
    pub fn add_cut(&mut self, text: &str, splitter: &Splitter) {
        count(&mut self.parts, text, splitter);
    }

    /// Counts the words of many texts on all threads.
    pub fn add_all<T: AsRef<str> + Sync>(&mut self, texts: &[T]) {
        let next = AtomicUsize::new(0);
        let n_threads = rayon::current_num_threads().min(texts.len().div_ceil(TEXTS_TAKEN));
        let mut counted: Vec<Self> = (0..n_threads)
            .into_par_iter()
            .map(|_| {
                let mut counts = Self::with_splitter(self.splitter.clone());
                loop {
                    let first = next.fetch_add(TEXTS_TAKEN, Ordering::Relaxed);
                    let Some(rest) = texts.get(first..).filter(|rest| !rest.is_empty()) else { return counts };
                    rest.iter().take(TEXTS_TAKEN).for_each(|text| counts.add(text.as_ref()));
                }
            })
            .collect();
        // The largest of them takes the others in, part by part.
        counted.sort_by_key(Self::len);
        if self.is_empty()
            && let Some(largest) = counted.pop()
        {
            self.parts = largest.parts;
        }
        self.parts.par_iter_mut().enumerate().for_each(|(i, part)| counted.iter().for_each(|other| part.merge(&other.parts[i])));
    }

    /// Adds to the count of one word, given as it was cut.
    pub fn add_word(&mut self, word: &[u8], count: u64) {
        if !word.is_empty() && count > 0 {
            let word = Hashed::new(word);
            self.parts[word.part(PARTS)].add(word, count);
        }
    }

    /// Adds all counts of another.
    pub fn merge(&mut self, other: &Self) {
        self.parts.iter_mut().zip(&other.parts).for_each(|(part, other)| part.merge(other));
    }

    /// Number of different words.
    pub fn len(&self) -> usize {
        self.parts.iter().map(WordTable::len).sum()
    }

    /// Says whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets the words and keeps the memory for others.
    pub fn clear(&mut self) {
        self.parts.iter_mut().for_each(WordTable::clear);
    }

    /// Bytes of memory held.
    pub fn memory_bytes(&self) -> usize {
        self.parts.iter().map(WordTable::memory_bytes).sum()
    }

    /// Words and counts, in no order that means anything.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], u64)> {
        self.parts.iter().flat_map(WordTable::iter)
    }

    /// Returns words and counts in order of the words' bytes.
    pub fn sorted(&self) -> Vec<(&[u8], u64)> {
        let mut all: Vec<(&[u8], u64)> = self.iter().collect();
        all.par_sort_unstable();
        all
    }
}

fn count(parts: &mut [WordTable], text: &str, splitter: &Splitter) {
    splitter.split(text, &mut |piece| {
        let word = Hashed::new(piece);
        parts[word.part(PARTS)].add(word, 1);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_do_not_depend_on_order_or_threads() {
        let texts: Vec<String> = (0..2000).map(|i| format!("word{} common text\n{}", i % 7, i % 3)).collect();
        let mut one = WordCounts::new();
        texts.iter().rev().for_each(|t| one.add(t));
        for n_threads in [1, 2, 5] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().expect("threads");
            let mut many = WordCounts::new();
            let (first, second) = texts.split_at(700);
            pool.install(|| many.add_all(first));
            pool.install(|| many.add_all(second));
            assert_eq!(one.sorted(), many.sorted(), "{n_threads} threads");
        }
        assert_eq!(one.sorted().iter().find(|(w, _)| *w == b" common").map(|(_, c)| *c), Some(2000));
        let mut twice = one.clone();
        twice.merge(&one);
        assert!(twice.sorted().iter().zip(one.sorted()).all(|(a, b)| a.0 == b.0 && a.1 == 2 * b.1));
        assert!(WordCounts::new().is_empty() && !one.is_empty());
    }
}
