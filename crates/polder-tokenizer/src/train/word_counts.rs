//! Counts of words: what a tokenizer is trained on.

use rayon::prelude::*;

use crate::fast_hash::FastMap;
use crate::split::pieces;

/// How often each word occurs. Adding and merging in any order gives the same counts.
#[derive(Clone, Debug, Default)]
pub struct WordCounts {
    counts: FastMap<Box<[u8]>, u64>,
}

impl WordCounts {
    /// Starts with no words.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts the words of a text, split with GPT-2's pattern.
    pub fn add(&mut self, text: &str) {
        for piece in pieces(text) {
            self.add_word(piece.as_bytes(), 1);
        }
    }

    /// Counts the words of many texts on all threads.
    pub fn add_all<T: AsRef<str> + Sync>(&mut self, texts: &[T]) {
        let counted = texts
            .par_iter()
            .fold(Self::new, |mut counts, text| {
                counts.add(text.as_ref());
                counts
            })
            .reduce(Self::new, |a, b| a.merged(b));
        self.merge(counted);
    }

    /// Adds to the count of one word, given as it was split.
    pub fn add_word(&mut self, word: &[u8], count: u64) {
        if word.is_empty() || count == 0 {
            return;
        }
        if let Some(n) = self.counts.get_mut(word) {
            *n = n.saturating_add(count);
        } else {
            self.counts.insert(word.into(), count);
        }
    }

    /// Adds all counts of another.
    pub fn merge(&mut self, other: Self) {
        for (word, count) in other.counts {
            let n = self.counts.entry(word).or_default();
            *n = n.saturating_add(count);
        }
    }

    fn merged(mut self, mut other: Self) -> Self {
        if self.counts.len() < other.counts.len() {
            std::mem::swap(&mut self, &mut other);
        }
        self.merge(other);
        self
    }

    /// Number of different words.
    pub fn len(&self) -> usize {
        self.counts.len()
    }

    /// Says whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Returns words and counts in order of the words' bytes.
    pub fn sorted(&self) -> Vec<(&[u8], u64)> {
        let mut all: Vec<(&[u8], u64)> = self.counts.iter().map(|(w, c)| (&**w, *c)).collect();
        all.sort_unstable();
        all
    }

    /// Gives the words and counts away, in order of the words' bytes.
    pub fn into_pairs(self) -> Vec<(Box<[u8]>, u64)> {
        let mut all: Vec<_> = self.counts.into_iter().collect();
        all.sort_unstable();
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_do_not_depend_on_order_or_threads() {
        let texts: Vec<String> = (0..200).map(|i| format!("word{} common text\n{}", i % 7, i % 3)).collect();
        let mut one = WordCounts::new();
        texts.iter().rev().for_each(|t| one.add(t));
        let mut many = WordCounts::new();
        many.add_all(&texts);
        assert_eq!(one.sorted(), many.sorted());
        assert_eq!(one.clone().into_pairs().iter().find(|(w, _)| &**w == b" common").map(|(_, c)| *c), Some(200));
        assert!(WordCounts::new().is_empty() && !one.is_empty());
    }
}
