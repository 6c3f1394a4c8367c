//! Runs of words that stood in an earlier document, or earlier in the same one.
//!
//! Windows of half the length asked for are hashed, and of each stretch of them the least hash is kept, so that any two
//! equal runs of that length share one of the kept windows. Places that share one are compared word by word and the run
//! is extended both ways; hashes alone decide nothing. A window that is kept more than [`EARLIER_MAX`] times is compared
//! with its first places and with the one before, so common phrases cost linear time.
//!
//! # Source
//! Schleimer, Wilkerson, Aiken: Winnowing (2003), in its robust form.

use std::collections::VecDeque;
use std::mem::take;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use polder_text::words;
use rayon::prelude::*;

use crate::documents::{Documents, PENDING_DOCUMENTS, PENDING_WORDS, append};
use crate::partitions::{N_PARTITIONS, Partitions, Writer};
use crate::spill::Spill;
use crate::{Document, DuplicatesError};

/// Earlier places that a place is compared with, besides the one just before it.
const EARLIER_MAX: usize = 8;
/// How many times the words of two documents are compared: two that repeat each other in more ways than that repeat one phrase.
const COMPARED_TIMES_MAX: usize = 64;
/// Odd multiplier of the rolling hash.
const ROLL: u64 = 0x9e37_79b9_7f4a_7c15;

/// A run of words that is there earlier; places count characters, and reach to where the next word begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RepeatedRun<'a> {
    /// Where it stands.
    pub doc_id: &'a str,
    /// Its first character.
    pub start: u32,
    /// One past its last character.
    pub end: u32,
    /// Its words.
    pub n_words: u32,
    /// Where it stood earlier.
    pub first_doc_id: &'a str,
    /// Its first character there.
    pub first_start: u32,
    /// One past its last character there.
    pub first_end: u32,
}

#[derive(Debug)]
struct Shared {
    words_min: usize,
    spill: Arc<Spill>,
    documents: Mutex<Documents>,
    /// Hash of a window; document and place.
    windows: Partitions<2>,
}

/// A search for repeated runs of words.
#[derive(Debug)]
pub struct RepeatedRuns {
    shared: Arc<Shared>,
}

/// Reads documents: one for each thread that has some.
#[derive(Debug)]
pub struct RunReader {
    shared: Arc<Shared>,
    writer: Writer<2>,
    pending: Documents,
    /// Of each word 32 bits of its hash and its first character; behind a document's last word a place without one.
    pending_words: Vec<u64>,
    /// Windows whose document is counted from the first pending one.
    windows: Vec<[u64; 2]>,
}

/// Repeated runs, in order of document and place, a part at a time.
#[derive(Debug)]
pub struct FoundRuns {
    shared: Arc<Shared>,
    documents: Documents,
    order: Vec<u32>,
    /// Ranks of a document and of an earlier one; places in both.
    candidates: Partitions<2>,
}

impl RepeatedRuns {
    /// Starts a search for runs of at least `words_min` words.
    pub fn new(words_min: usize, memory_bytes_max: usize, spill_folder: &Path) -> Self {
        let spill = Arc::new(Spill::new(spill_folder, memory_bytes_max));
        let (documents, windows) = (Mutex::default(), Partitions::new(spill.clone()));
        Self { shared: Arc::new(Shared { words_min: words_min.max(2), spill, documents, windows }) }
    }

    /// Makes a reader; each thread has its own.
    pub fn reader(&self) -> RunReader {
        let (pending_words, windows) = (Vec::new(), Vec::new());
        RunReader { shared: self.shared.clone(), writer: Writer::new(), pending: Documents::default(), pending_words, windows }
    }

    /// Finds the candidates in what was read, once every reader has finished.
    ///
    /// # Errors
    /// Two documents with one id; the spill file cannot be written or read.
    pub fn finish(self) -> Result<FoundRuns, DuplicatesError> {
        let documents = take(&mut *self.shared.documents.lock().unwrap_or_else(PoisonError::into_inner));
        let order = documents.in_order()?;
        let mut ranks = vec![0u32; order.len()];
        for (rank, doc_idx) in (0u32..).zip(&order) {
            ranks[*doc_idx as usize] = rank;
        }
        let candidates = Partitions::new(self.shared.spill.clone());
        (0..N_PARTITIONS).into_par_iter().try_for_each(|partition| {
            let mut words = self.shared.windows.take(partition)?;
            let places: &mut [[u64; 2]] = bytemuck::cast_slice_mut(&mut words);
            for place in &mut *places {
                place[1] = u64::from(ranks[high(place[1]) as usize]) << 32 | u64::from(low(place[1]));
            }
            places.sort_unstable();
            let mut writer = Writer::new();
            for same in places.chunk_by(|a, b| a[0] == b[0]) {
                for (i, [_, later]) in same.iter().enumerate().skip(1) {
                    let before = (i > EARLIER_MAX).then(|| &same[i - 1]);
                    for [_, earlier] in same[..i.min(EARLIER_MAX)].iter().chain(before) {
                        let ranks = u64::from(high(*later)) << 32 | u64::from(high(*earlier));
                        let places = u64::from(low(*later)) << 32 | u64::from(low(*earlier));
                        writer.push(&candidates, high(*later) as usize * N_PARTITIONS / order.len(), [ranks, places])?;
                    }
                }
            }
            writer.finish(&candidates)
        })?;
        Ok(FoundRuns { shared: self.shared, documents, order, candidates })
    }
}

impl RunReader {
    /// Reads one document; its preference says nothing here.
    ///
    /// # Errors
    /// The spill file cannot be written; more documents, or a longer one, than are counted.
    pub fn add(&mut self, document: &Document<'_>) -> Result<(), DuplicatesError> {
        let start = self.pending_words.len();
        let (mut at_byte, mut at_char) = (0, 0u32);
        let mut advance = |to: usize| -> Result<u64, DuplicatesError> {
            let n = u32::try_from(document.text[at_byte..to].chars().count()).map_err(|_| DuplicatesError::TooMany)?;
            at_char = at_char.checked_add(n).ok_or(DuplicatesError::TooMany)?;
            at_byte = to;
            Ok(u64::from(at_char))
        };
        for word in words(document.text) {
            let first = advance(word.start)?;
            self.pending_words.push(mixed(word.hash) >> 32 << 32 | first);
        }
        self.pending_words.push(advance(document.text.len())?);
        let sequence = &self.pending_words[start..];
        let doc_idx = u64::try_from(self.pending.len()).map_err(|_| DuplicatesError::TooMany)?;
        self.windows.extend(kept(sequence, self.shared.words_min).map(|(hash, place)| [hash, doc_idx << 32 | place]));
        self.pending.push(document, 0, start, sequence.len())?;
        if self.pending_words.len() >= PENDING_WORDS || self.pending.len() >= PENDING_DOCUMENTS {
            self.hand_over()?;
        }
        Ok(())
    }

    fn hand_over(&mut self) -> Result<(), DuplicatesError> {
        let pending = take(&mut self.pending);
        let first = append(&self.shared.documents, &self.shared.spill, &pending, &self.pending_words)? as u64;
        self.pending_words.clear();
        for [hash, place] in self.windows.drain(..) {
            self.writer.push(&self.shared.windows, (hash >> 56) as usize, [hash, place + (first << 32)])?;
        }
        Ok(())
    }

    /// Hands over what is left.
    ///
    /// # Errors
    /// Those of [`RunReader::add`].
    pub fn finish(mut self) -> Result<(), DuplicatesError> {
        self.hand_over()?;
        self.writer.finish(&self.shared.windows)
    }
}

/// Runs of one document: place, earlier document, place there, words.
type Runs = Vec<(u32, u32, u32, u32)>;

impl FoundRuns {
    /// Number of parts in which rows are read.
    pub const N_PARTS: usize = N_PARTITIONS;

    /// Takes a part's rows, verified; parts follow each other in order of id. No row lies inside another.
    ///
    /// # Errors
    /// The spill file cannot be read.
    pub fn part(&self, part: usize) -> Result<Vec<RepeatedRun<'_>>, DuplicatesError> {
        let mut words = self.candidates.take(part)?;
        let candidates: &mut [[u64; 2]] = bytemuck::cast_slice_mut(&mut words);
        candidates.sort_unstable();
        let of_documents: Vec<&[[u64; 2]]> = candidates.chunk_by(|a, b| high(a[0]) == high(b[0])).collect();
        let rows: Result<Vec<Vec<RepeatedRun<'_>>>, _> = of_documents.into_par_iter().map(|of| self.rows(of)).collect();
        Ok(rows?.into_iter().flatten().collect())
    }

    fn sequence(&self, rank: u32, to: &mut Vec<u64>) -> Result<(), DuplicatesError> {
        self.documents.set(self.order[rank as usize] as usize, &self.shared.spill, to)
    }

    /// Verifies the candidates of one document.
    fn rows(&self, candidates: &[[u64; 2]]) -> Result<Vec<RepeatedRun<'_>>, DuplicatesError> {
        let rank = high(candidates[0][0]);
        let (mut later, mut earlier) = (Vec::new(), Vec::new());
        self.sequence(rank, &mut later)?;
        let mut runs = Runs::new();
        for pairs in candidates.chunk_by(|a, b| a[0] == b[0]) {
            let other = low(pairs[0][0]);
            self.sequence(other, &mut earlier)?;
            let mut places: Vec<(i64, u32, u32)> =
                pairs.iter().map(|pair| (i64::from(high(pair[1])) - i64::from(low(pair[1])), high(pair[1]), low(pair[1]))).collect();
            places.sort_unstable();
            let mut done = (i64::MIN, 0);
            let mut words_left = COMPARED_TIMES_MAX * (later.len() + earlier.len());
            for (diagonal, at, at_earlier) in places {
                // The run on this diagonal that was found last reaches beyond this place.
                if done.0 == diagonal && at < done.1 {
                    continue;
                }
                if words_left == 0 {
                    break;
                }
                let (before, after) = extent(&later, at as usize, &earlier, at_earlier as usize);
                done = (diagonal, at + after);
                words_left = words_left.saturating_sub((before + after) as usize);
                if (before + after) as usize >= self.shared.words_min {
                    runs.push((at - before, other, at_earlier - before, before + after));
                }
            }
        }
        // Longest first where runs begin together, of equal ones the first place; a run inside one before it adds nothing.
        runs.sort_unstable_by_key(|(at, other, at_earlier, n)| (*at, u32::MAX - n, *other, *at_earlier));
        let mut reached = 0;
        runs.retain(|(at, _, _, n)| {
            let is_inside = at + n <= reached;
            reached = reached.max(at + n);
            !is_inside
        });
        let mut rows = Vec::new();
        let (mut of_other, mut known) = (Vec::new(), None);
        for (at, other, at_earlier, n) in runs {
            if known.replace(other) != Some(other) {
                self.sequence(other, &mut of_other)?;
            }
            let id = |rank: u32| self.documents.id(self.order[rank as usize] as usize);
            rows.push(RepeatedRun {
                doc_id: id(rank),
                start: low(later[at as usize]),
                end: low(later[(at + n) as usize]),
                n_words: n,
                first_doc_id: id(other),
                first_start: low(of_other[at_earlier as usize]),
                first_end: low(of_other[(at_earlier + n) as usize]),
            });
        }
        Ok(rows)
    }
}

/// How many equal words stand before two places, and how many from them on.
fn extent(later: &[u64], at: usize, earlier: &[u64], at_earlier: usize) -> (u32, u32) {
    let is_equal = |(a, b): &(&u64, &u64)| high(**a) == high(**b);
    let before = later[..at].iter().rev().zip(earlier[..at_earlier].iter().rev()).take_while(is_equal).count();
    // What stands behind a document's last word is no word.
    let (later, earlier) = (&later[at..later.len() - 1], &earlier[at_earlier..earlier.len() - 1]);
    let after = later.iter().zip(earlier).take_while(is_equal).count();
    // Documents have no more words than they have characters, which are counted in 32 bits.
    (before as u32, after as u32)
}

/// The windows of a document that are kept: hash, and place of the first word.
fn kept(sequence: &[u64], words_min: usize) -> impl Iterator<Item = (u64, u64)> + '_ {
    let window = words_min.div_ceil(2);
    let stretch = words_min - window + 1;
    let oldest_weight = (1..window).fold(1u64, |weight, _| weight.wrapping_mul(ROLL));
    let n_words = sequence.len().saturating_sub(1);
    let (mut rolling, mut kept) = (0u64, (usize::MAX, 0));
    // Windows of the current stretch that may be least: places and hashes, ascending.
    let mut least: VecDeque<(usize, u64)> = VecDeque::new();
    (0..n_words).filter_map(move |i| {
        let word = |i: usize| mixed(u64::from(high(sequence[i])));
        if i >= window {
            rolling = rolling.wrapping_sub(word(i - window).wrapping_mul(oldest_weight));
        }
        rolling = rolling.wrapping_mul(ROLL).wrapping_add(word(i));
        let place = (i + 1).checked_sub(window)?;
        let hash = mixed(rolling);
        while least.back().is_some_and(|(_, h)| *h >= hash) {
            least.pop_back();
        }
        least.push_back((place, hash));
        let first = (place + 1).checked_sub(stretch)?;
        while least.front().is_some_and(|(p, _)| *p < first) {
            least.pop_front();
        }
        let front = *least.front()?;
        // Of equal hashes the one that is kept already stays: else a word repeated would keep every window.
        let is_kept = kept.0 != usize::MAX && kept.0 >= first && kept.1 == front.1;
        if !is_kept {
            kept = front;
        }
        (!is_kept).then_some((front.1, front.0 as u64))
    })
}

/// Scrambles 64 bits: a bijection in which every bit matters.
fn mixed(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn high(record: u64) -> u32 {
    (record >> 32) as u32
}

fn low(record: u64) -> u32 {
    // What is cut off is the other half.
    record as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// doc_id, start, end, n_words, first_doc_id, first_start, first_end.
    type Row = (String, u32, u32, u32, String, u32, u32);

    fn found(documents: &[(String, String)], words_min: usize, memory_bytes_max: usize, n_readers: usize) -> Vec<Row> {
        let search = RepeatedRuns::new(words_min, memory_bytes_max, &std::env::temp_dir());
        let mut readers: Vec<_> = (0..n_readers).map(|_| search.reader()).collect();
        for (i, (id, text)) in documents.iter().enumerate() {
            readers[i % n_readers].add(&Document { id, text, preference: b"" }).unwrap();
        }
        readers.into_iter().for_each(|reader| reader.finish().unwrap());
        let found = search.finish().unwrap();
        let own = str::to_owned;
        let row = |r: RepeatedRun<'_>| (own(r.doc_id), r.start, r.end, r.n_words, own(r.first_doc_id), r.first_start, r.first_end);
        (0..FoundRuns::N_PARTS).flat_map(|part| found.part(part).unwrap().into_iter().map(row).collect::<Vec<_>>()).collect()
    }

    fn cut(text: &str, start: u32, end: u32) -> String {
        text.chars().skip(start as usize).take((end - start) as usize).collect()
    }

    /// Documents of random words in which pieces of earlier ones are planted.
    fn planted(seed: u64, n: u64) -> Vec<(String, String)> {
        let draw = |a: u64, b: u64| mixed(seed.wrapping_mul(ROLL) ^ mixed(a << 20 ^ b));
        let mut all: Vec<Vec<String>> = Vec::new();
        for i in 0..n {
            let mut of: Vec<String> = (0..draw(i, 0) % 90).map(|k| format!("w{}", draw(i, 100 + k) % 300)).collect();
            for piece in 0..draw(i, 1) % 3 {
                let from = &all.get((draw(i, 2 + piece) % (i + 1)) as usize).unwrap_or(&of).clone();
                let start = draw(i, 5 + piece) as usize % (from.len() + 1);
                let end = (start + draw(i, 8 + piece) as usize % 40).min(from.len());
                let at = draw(i, 11 + piece) as usize % (of.len() + 1);
                of.splice(at..at, from[start..end].to_vec());
            }
            all.push(of);
        }
        (0u64..).zip(all).map(|(i, of)| (format!("{:03}", mixed(i ^ seed) % 1000 / 10 * 10 + i % 10), of.join(" ö "))).collect()
    }

    #[test]
    fn every_repeated_run_is_covered_and_every_row_is_one() {
        let mut n_rows = 0;
        for seed in 0..30 {
            let mut documents = planted(seed, 10);
            let words_min = 12;
            let rows = found(&documents, words_min, 0, 2);
            n_rows += rows.len();
            documents.sort();
            let sequences: Vec<Vec<u64>> = documents.iter().map(|(_, text)| words(text).map(|w| w.hash).collect()).collect();
            let text = |id: &str| documents.iter().find(|d| d.0 == id).unwrap().1.as_str();
            for row in &rows {
                let hashes = |part: &str| words(part).map(|w| w.hash).collect::<Vec<_>>();
                let (one, other) = (cut(text(&row.0), row.1, row.2), cut(text(&row.4), row.5, row.6));
                assert!(hashes(&one) == hashes(&other) && hashes(&one).len() == row.3 as usize && row.3 as usize >= words_min, "{row:?}");
                assert!((&row.4, row.5) < (&row.0, row.1));
            }
            // The slow truth: each stretch of words that stands earlier, looked for everywhere.
            for (i, sequence) in sequences.iter().enumerate() {
                for (at, stretch) in sequence.windows(words_min).enumerate() {
                    let is_in = |of: &[u64]| of.windows(words_min).any(|w| w == stretch);
                    if sequences[..i].iter().any(|s| is_in(s)) || is_in(&sequence[..at + words_min - 1]) {
                        let place = words(&documents[i].1).nth(at).unwrap().start;
                        let place = documents[i].1[..place].chars().count() as u32;
                        let is_covered = rows.iter().any(|r| r.0 == documents[i].0 && r.1 <= place && place < r.2);
                        assert!(is_covered, "seed {seed}: {stretch:?} at {at} of {}", documents[i].0);
                    }
                }
            }
        }
        assert!(n_rows > 100, "{n_rows}");
    }

    #[test]
    fn order_of_arrival_readers_and_memory_make_no_difference_to_runs() {
        let documents = planted(99, 10);
        let reversed: Vec<_> = documents.iter().rev().cloned().collect();
        assert_eq!(found(&documents, 12, 0, 1), found(&reversed, 12, 1 << 20, 3));
    }

    #[test]
    fn long_copies_and_one_word_a_hundred_thousand_times_take_one_row_each() {
        let long: String = (0..200_000).map(|i| format!("w{i} ")).collect();
        let own = |id: &str, text: String| (id.to_owned(), text);
        let rows = found(&[own("a", long.clone()), own("b", format!("x y {long}"))], 50, 1 << 30, 1);
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].3, rows[0].1), (200_000, 4));
        let rows = found(&[own("a", "no ".repeat(100_000))], 50, 1 << 30, 1);
        assert!(!rows.is_empty() && rows[0].3 > 99_000, "{rows:?}");
        assert!(found(&[own("a", String::new()), own("b", "one two".into())], 2, 0, 1).is_empty());
    }
}
