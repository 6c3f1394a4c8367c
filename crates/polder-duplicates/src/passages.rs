//! Lines and paragraphs that stood in an earlier document, or earlier in the same one.
//!
//! Two passages are equal if their normalised texts are: white space and Unicode composition make no difference. The
//! first is the one in the document with the least id, and there the first. What is kept of a passage is its digest and
//! its place, 32 bytes; both sorts go to disk where memory does not suffice.

use std::mem::take;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use polder_text::normalized;
use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

use crate::documents::{Documents, PENDING_DOCUMENTS, append};
use crate::partitions::{N_PARTITIONS, Partitions, Writer};
use crate::spill::Spill;
use crate::{Document, DuplicatesError};

/// What a text is cut into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// What stands between line feeds.
    Line,
    /// Lines up to one of white space only.
    Paragraph,
}

/// A passage that is there earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RepeatedPassage<'a> {
    /// Where it stands.
    pub doc_id: &'a str,
    /// Its number there, from 0; passages that are too short are counted.
    pub passage_idx: u32,
    /// Its first character and one past the last, in characters.
    pub start: u32,
    /// See `start`.
    pub end: u32,
    /// Where it stands first.
    pub first_doc_id: &'a str,
    /// Its number there.
    pub first_passage_idx: u32,
}

#[derive(Debug)]
struct Shared {
    passage: Passage,
    chars_min: usize,
    spill: Arc<Spill>,
    documents: Mutex<Documents>,
    /// Two words of digest, then document and number, then start and end.
    found: Partitions<4>,
}

/// A search for repeated passages.
#[derive(Debug)]
pub struct RepeatedPassages {
    shared: Arc<Shared>,
}

/// Reads documents: one for each thread that has some.
#[derive(Debug)]
pub struct PassageReader {
    shared: Arc<Shared>,
    writer: Writer<4>,
    pending: Documents,
    /// Records whose document is counted from the first pending one.
    passages: Vec<[u64; 4]>,
}

/// Repeated passages, in order of document and place, a part at a time.
#[derive(Debug)]
pub struct FoundPassages {
    documents: Documents,
    order: Vec<u32>,
    /// Rank and number, those of the first, start and end.
    rows: Partitions<3>,
}

impl RepeatedPassages {
    /// Starts a search for passages of at least `chars_min` characters, normalised.
    pub fn new(passage: Passage, chars_min: usize, memory_bytes_max: usize, spill_folder: &Path) -> Self {
        let spill = Arc::new(Spill::new(spill_folder, memory_bytes_max));
        let (documents, found) = (Mutex::default(), Partitions::new(spill.clone()));
        Self { shared: Arc::new(Shared { passage, chars_min: chars_min.max(1), spill, documents, found }) }
    }

    /// Makes a reader; each thread has its own.
    pub fn reader(&self) -> PassageReader {
        PassageReader { shared: self.shared.clone(), writer: Writer::new(), pending: Documents::default(), passages: Vec::new() }
    }

    /// Compares what was read, once every reader has finished.
    ///
    /// # Errors
    /// Two documents with one id; the spill file cannot be written or read.
    pub fn finish(self) -> Result<FoundPassages, DuplicatesError> {
        let documents = take(&mut *self.shared.documents.lock().unwrap_or_else(PoisonError::into_inner));
        let order = documents.in_order()?;
        let mut ranks = vec![0u32; order.len()];
        for (rank, doc_idx) in (0u32..).zip(&order) {
            ranks[*doc_idx as usize] = rank;
        }
        let rows = Partitions::new(self.shared.spill.clone());
        (0..N_PARTITIONS).into_par_iter().try_for_each(|partition| {
            let mut words = self.shared.found.take(partition)?;
            let records: &mut [[u64; 4]] = bytemuck::cast_slice_mut(&mut words);
            for record in &mut *records {
                record[2] = u64::from(ranks[(record[2] >> 32) as usize]) << 32 | record[2] & u64::from(u32::MAX);
            }
            records.sort_unstable();
            let mut writer = Writer::new();
            for same in records.chunk_by(|a, b| a[..2] == b[..2]) {
                for record in &same[1..] {
                    let place = (record[2] >> 32) as usize * N_PARTITIONS / order.len();
                    writer.push(&rows, place, [record[2], same[0][2], record[3]])?;
                }
            }
            writer.finish(&rows)
        })?;
        Ok(FoundPassages { documents, order, rows })
    }
}

impl PassageReader {
    /// Reads one document; its preference says nothing here.
    ///
    /// # Errors
    /// The spill file cannot be written; more documents, or a longer one, than are counted.
    pub fn add(&mut self, document: &Document<'_>) -> Result<(), DuplicatesError> {
        let count = |n: usize| u32::try_from(n).map(u64::from).map_err(|_| DuplicatesError::TooMany);
        let (mut at_byte, mut at_char) = (0, 0);
        for (idx, part) in passages(document.text, self.shared.passage).enumerate() {
            let text = &document.text[part.clone()];
            at_char += document.text[at_byte..part.start].chars().count();
            let start = at_char;
            at_char += text.chars().count();
            at_byte = part.end;
            // White space is no part of a normalised text, so a shorter text cannot have a longer one.
            if text.len() < self.shared.chars_min {
                continue;
            }
            let normal = normalized(text);
            if normal.chars().count() < self.shared.chars_min {
                continue;
            }
            let digest = Sha256::digest(normal.as_bytes());
            let word = |from: usize| digest.iter().skip(from).take(8).fold(0, |all, byte| all << 8 | u64::from(*byte));
            self.passages.push([word(0), word(8), count(self.pending.len())? << 32 | count(idx)?, count(start)? << 32 | count(at_char)?]);
        }
        self.pending.push(document, 0, 0, 0)?;
        if self.pending.len() >= PENDING_DOCUMENTS {
            self.hand_over()?;
        }
        Ok(())
    }

    fn hand_over(&mut self) -> Result<(), DuplicatesError> {
        let pending = take(&mut self.pending);
        let first = append(&self.shared.documents, &self.shared.spill, &pending, &[])? as u64;
        for mut record in self.passages.drain(..) {
            record[2] += first << 32;
            self.writer.push(&self.shared.found, (record[0] >> 56) as usize, record)?;
        }
        Ok(())
    }

    /// Hands over what is left.
    ///
    /// # Errors
    /// Those of [`PassageReader::add`].
    pub fn finish(mut self) -> Result<(), DuplicatesError> {
        self.hand_over()?;
        self.writer.finish(&self.shared.found)
    }
}

impl FoundPassages {
    /// Number of parts in which rows are read.
    pub const N_PARTS: usize = N_PARTITIONS;

    /// Takes a part's rows; parts follow each other in order of id.
    ///
    /// # Errors
    /// The spill file cannot be read.
    pub fn part(&self, part: usize) -> Result<Vec<RepeatedPassage<'_>>, DuplicatesError> {
        let mut words = self.rows.take(part)?;
        let records: &mut [[u64; 3]] = bytemuck::cast_slice_mut(&mut words);
        records.sort_unstable();
        let id = |record: u64| self.documents.id(self.order[(record >> 32) as usize] as usize);
        // What is cut off is the other half.
        let row = |record: &[u64; 3]| RepeatedPassage {
            doc_id: id(record[0]),
            passage_idx: record[0] as u32,
            start: (record[2] >> 32) as u32,
            end: record[2] as u32,
            first_doc_id: id(record[1]),
            first_passage_idx: record[1] as u32,
        };
        Ok(records.iter().map(row).collect())
    }
}

/// Where the passages of a text stand, in bytes, without the line feed behind them.
fn passages(text: &str, passage: Passage) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut lines = text.split_inclusive('\n').scan(0, |at, line| {
        let start = *at;
        *at += line.len();
        Some(start..start + line.trim_end_matches(['\n', '\r']).len())
    });
    std::iter::from_fn(move || {
        let mut paragraph: Option<Range<usize>> = None;
        for line in lines.by_ref() {
            let is_blank = text[line.clone()].trim().is_empty();
            match (passage, &mut paragraph) {
                (Passage::Line, _) => return Some(line),
                (Passage::Paragraph, Some(_)) if is_blank => break,
                (Passage::Paragraph, None) if is_blank => {}
                (Passage::Paragraph, Some(open)) => open.end = line.end,
                (Passage::Paragraph, None) => paragraph = Some(line),
            }
        }
        paragraph
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    type Row = (String, u32, String, String, u32);

    fn found(documents: &[(String, String)], passage: Passage, memory_bytes_max: usize, n_readers: usize) -> Vec<Row> {
        let search = RepeatedPassages::new(passage, 4, memory_bytes_max, &std::env::temp_dir());
        let mut readers: Vec<_> = (0..n_readers).map(|_| search.reader()).collect();
        for (i, (id, text)) in documents.iter().enumerate() {
            readers[i % n_readers].add(&Document { id, text, preference: b"" }).unwrap();
        }
        readers.into_iter().for_each(|reader| reader.finish().unwrap());
        let found = search.finish().unwrap();
        let texts: BTreeMap<_, _> = documents.iter().cloned().collect();
        let mut rows = Vec::new();
        for row in (0..FoundPassages::N_PARTS).flat_map(|part| found.part(part).unwrap()) {
            let text = texts[row.doc_id].chars().skip(row.start as usize).take((row.end - row.start) as usize).collect();
            rows.push((row.doc_id.to_owned(), row.passage_idx, text, row.first_doc_id.to_owned(), row.first_passage_idx));
        }
        rows
    }

    /// The slow truth: documents in order of id, what was seen in a map.
    fn truth(documents: &[(String, String)], passage: Passage) -> Vec<Row> {
        let ordered: BTreeMap<_, _> = documents.iter().map(|(id, text)| (id, text)).collect();
        let (mut seen, mut rows) = (BTreeMap::new(), Vec::new());
        for (id, text) in ordered {
            let lines: Vec<&str> = text.lines().collect();
            let parts: Vec<String> = match passage {
                Passage::Line => lines.iter().map(|line| (*line).to_owned()).collect(),
                Passage::Paragraph => {
                    lines.split(|line| line.trim().is_empty()).filter(|part| !part.is_empty()).map(|part| part.join("\n")).collect()
                }
            };
            for (idx, part) in (0u32..).zip(parts) {
                let normal = normalized(&part);
                if normal.chars().count() < 4 {
                    continue;
                }
                match seen.get(&normal) {
                    Some((first, first_idx)) => rows.push((id.clone(), idx, part, String::clone(first), *first_idx)),
                    None => _ = seen.insert(normal, (id.clone(), idx)),
                }
            }
        }
        rows
    }

    #[test]
    fn a_line_seen_before_names_where_and_its_place_counts_characters() {
        let document = |id: &str, text: &str| (id.to_owned(), text.to_owned());
        let documents = [document("b", "Größe\r\nshared  line\nshared line"), document("a", "one\n\nshared line\n")];
        let row = |idx, text: &str| ("b".to_owned(), idx, text.to_owned(), "a".to_owned(), 2);
        assert_eq!(found(&documents, Passage::Line, 0, 1), [row(1, "shared  line"), row(2, "shared line")]);
    }

    proptest! {
        #[test]
        fn passages_are_those_of_a_plain_search(texts in proptest::collection::vec("([ab]{3,5}|ü ab|東京の水|[\\PC]{0,3}|\n|\n \n){0,9}", 0..12), seed in 0usize..9) {
            let documents: Vec<_> = texts.into_iter().enumerate().map(|(i, text)| (format!("{:02}", (i * 7 + seed) % 13), text)).collect();
            for passage in [Passage::Line, Passage::Paragraph] {
                let expected = truth(&documents, passage);
                prop_assert_eq!(&found(&documents, passage, 0, 3), &expected);
                prop_assert_eq!(&found(&documents, passage, 1 << 20, 1), &expected);
            }
        }
    }
}
