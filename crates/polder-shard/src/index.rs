//! The `MMIDIDX` index, version 1: how long each sequence is and where documents begin.
//!
//! # Source
//! Megatron-LM `megatron/core/datasets/indexed_dataset.py`. Little-endian: magic (9), u64 version, u8 dtype, u64 sequences S,
//! u64 D = documents + 1, then S lengths (i32), S byte offsets (i64), and the first sequence of each document (D, i64).

use std::ops::Range;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::ShardError;
use crate::mapped::MappedFile;

pub(crate) const MAGIC: &[u8; 9] = b"MMIDIDX\0\0";
const HEADER_BYTES: usize = 34;

/// How tokens are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// Two bytes, for vocabularies below 65 500.
    U16,
    /// Four bytes; the format has no unsigned ones.
    I32,
}

impl Dtype {
    /// The type that Megatron's writer takes for a vocabulary.
    pub fn of_vocab(vocab_size: usize) -> Self {
        if vocab_size < 65_500 { Self::U16 } else { Self::I32 }
    }

    /// Bytes a token.
    pub fn bytes(self) -> usize {
        match self {
            Self::U16 => 2,
            Self::I32 => 4,
        }
    }

    /// Appends the ids that bytes hold; a negative number becomes a large one, which no vocabulary holds.
    pub(crate) fn decode(self, bytes: &[u8], out: &mut Vec<u32>) {
        match self {
            Self::U16 => out.extend(bytes.as_chunks().0.iter().map(|b| u32::from(u16::from_le_bytes(*b)))),
            Self::I32 => out.extend(bytes.as_chunks().0.iter().map(|b| u32::from_le_bytes(*b))),
        }
    }

    pub(crate) fn code(self) -> u8 {
        match self {
            Self::U16 => 8,
            Self::I32 => 4,
        }
    }
}

/// The index of documents of one sequence each, made in memory: what the streamed one is compared with.
#[cfg(test)]
pub(crate) fn index_bytes(dtype: Dtype, lengths: &[i32]) -> Vec<u8> {
    let n = lengths.len() as u64;
    let mut out = Vec::with_capacity(HEADER_BYTES + lengths.len() * 20 + 8);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&1u64.to_le_bytes());
    out.push(dtype.code());
    out.extend_from_slice(&n.to_le_bytes());
    out.extend_from_slice(&(n + 1).to_le_bytes());
    lengths.iter().for_each(|l| out.extend_from_slice(&l.to_le_bytes()));
    let mut offset = 0i64;
    for length in lengths {
        out.extend_from_slice(&offset.to_le_bytes());
        offset += i64::from(*length) * dtype.bytes() as i64;
    }
    (0..=n).for_each(|i| out.extend_from_slice(&i.to_le_bytes()));
    out
}

/// An index over its mapped file.
///
/// Opening looks at the header, the file's size and the last entries, whatever its length. Every other entry is checked where it is
/// used; [`Index::check_all`] looks at all of them.
#[derive(Debug)]
pub struct Index {
    file: MappedFile,
    dtype: Dtype,
    n_sequences: usize,
    n_documents: usize,
    n_tokens: u64,
}

fn le<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

impl Index {
    /// Opens an index, in the same time whatever its size.
    ///
    /// # Errors
    /// It cannot be read, its header is not one, or its size or ends are not those the header says.
    pub fn open(path: &Path) -> Result<Self, ShardError> {
        let file = MappedFile::open(path)?;
        let (dtype, n_sequences, n_documents) = header(&file).map_err(|reason| ShardError::Broken { path: path.to_owned(), reason })?;
        let mut index = Self { file, dtype, n_sequences, n_documents, n_tokens: u64::MAX };
        index.n_tokens = match n_sequences.checked_sub(1) {
            None => 0,
            Some(last) => index.sequence_end(last)?,
        };
        if index.first_sequence(0)? != 0 {
            return Err(index.broken_at(index.document_at(0), "the first document does not begin with the first sequence".into()));
        }
        let end = index.first_sequence(n_documents)?;
        if end != n_sequences {
            let reason = format!("its documents end at sequence {end} of {n_sequences}");
            return Err(index.broken_at(index.document_at(n_documents), reason));
        }
        Ok(index)
    }

    /// Where it stands.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// How its tokens are stored.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// Number of documents.
    pub fn n_documents(&self) -> usize {
        self.n_documents
    }

    /// Number of tokens.
    pub fn n_tokens(&self) -> u64 {
        self.n_tokens
    }

    /// First token and end of a document, counted from the shard's first token.
    ///
    /// # Errors
    /// No such document, or entries that point nowhere.
    pub fn document(&self, doc_idx: usize) -> Result<Range<u64>, ShardError> {
        if doc_idx >= self.n_documents {
            let reason = format!("it has {} documents, and number {doc_idx} was asked for", self.n_documents);
            return Err(ShardError::Broken { path: self.path().to_owned(), reason });
        }
        let (first, end) = (self.first_sequence(doc_idx)?, self.first_sequence(doc_idx + 1)?);
        if first > end {
            return Err(self.broken_at(self.document_at(doc_idx + 1), format!("document {doc_idx} ends before it begins")));
        }
        let (start, stop) = (self.sequence_start(first)?, self.sequence_start(end)?);
        if start > stop {
            return Err(self.broken_at(self.offset_at(first), format!("document {doc_idx} does not precede the next")));
        }
        Ok(start..stop)
    }

    /// The document that holds a token; empty documents hold none.
    ///
    /// # Errors
    /// No such token, or entries that point nowhere.
    pub fn document_of(&self, token: u64) -> Result<usize, ShardError> {
        let (mut low, mut high) = (0, self.n_documents);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.document(middle)?.end <= token { low = middle + 1 } else { high = middle }
        }
        // In a damaged index the search may end anywhere.
        match low < self.n_documents && self.document(low)?.contains(&token) {
            true => Ok(low),
            false => Err(ShardError::Broken { path: self.path().to_owned(), reason: format!("no document holds token {token}") }),
        }
    }

    /// Looks at every entry: sequences that follow each other without gaps, and documents that follow each other.
    ///
    /// # Errors
    /// The first entry that does not.
    pub fn check_all(&self) -> Result<(), ShardError> {
        let mut end = 0;
        for i in 0..self.n_sequences {
            if self.sequence_start(i)? != end {
                return Err(self.broken_at(self.offset_at(i), format!("sequence {i} does not follow the one before it")));
            }
            end = self.sequence_end(i)?;
        }
        let mut last = 0;
        for i in 0..=self.n_documents {
            let first = self.first_sequence(i)?;
            if first < last {
                return Err(self.broken_at(self.document_at(i), format!("document {i} does not follow the one before it")));
            }
            last = first;
        }
        Ok(())
    }

    fn broken_at(&self, at: usize, reason: String) -> ShardError {
        ShardError::Broken { path: self.path().to_owned(), reason: format!("at byte {at}: {reason}") }
    }

    fn length_at(&self, sequence: usize) -> usize {
        HEADER_BYTES + 4 * sequence
    }

    fn offset_at(&self, sequence: usize) -> usize {
        HEADER_BYTES + 4 * self.n_sequences + 8 * sequence
    }

    fn document_at(&self, doc_idx: usize) -> usize {
        HEADER_BYTES + 12 * self.n_sequences + 8 * doc_idx
    }

    fn number(&self, at: usize) -> Result<u64, ShardError> {
        let number = le(&self.file, at).map(i64::from_le_bytes);
        number.and_then(|n| u64::try_from(n).ok()).ok_or_else(|| self.broken_at(at, "a number is negative or missing".into()))
    }

    /// The first sequence of a document; for the one after the last, the number of sequences.
    fn first_sequence(&self, doc_idx: usize) -> Result<usize, ShardError> {
        let at = self.document_at(doc_idx);
        let sequence = self.number(at)?;
        if sequence > self.n_sequences as u64 {
            let reason = format!("document {doc_idx} begins at sequence {sequence} of {}", self.n_sequences);
            return Err(self.broken_at(at, reason));
        }
        Ok(sequence as usize)
    }

    /// The first token of a sequence; for the one after the last, the number of tokens.
    fn sequence_start(&self, sequence: usize) -> Result<u64, ShardError> {
        if sequence == self.n_sequences {
            return Ok(self.n_tokens);
        }
        let at = self.offset_at(sequence);
        let bytes = self.number(at)?;
        let token = bytes / self.dtype.bytes() as u64;
        if !bytes.is_multiple_of(self.dtype.bytes() as u64) || token > self.n_tokens {
            return Err(self.broken_at(at, format!("sequence {sequence} begins at byte {bytes}, where no token begins")));
        }
        Ok(token)
    }

    fn sequence_end(&self, sequence: usize) -> Result<u64, ShardError> {
        let at = self.length_at(sequence);
        let length = le(&self.file, at).map_or(-1, i32::from_le_bytes);
        match u64::try_from(length) {
            // An offset is below 2^63 and a length below 2^31.
            Ok(length) => Ok(self.sequence_start(sequence)? + length),
            Err(_) => Err(self.broken_at(at, format!("sequence {sequence} has {length} tokens"))),
        }
    }
}

/// Token type, sequences and documents, once magic, version and size are right.
fn header(bytes: &[u8]) -> Result<(Dtype, usize, usize), String> {
    let short = || format!("{} bytes are too few for its header of {HEADER_BYTES}", bytes.len());
    if bytes.len() < HEADER_BYTES {
        return Err(short());
    }
    if bytes[..9] != MAGIC[..] {
        return Err("at byte 0: it does not begin with MMIDIDX".into());
    }
    let number = |at| le::<8>(bytes, at).map(u64::from_le_bytes).ok_or_else(short);
    let version = number(9)?;
    if version != 1 {
        return Err(format!("at byte 9: its version is {version}, only 1 is known"));
    }
    let dtype = match bytes[17] {
        8 => Dtype::U16,
        4 => Dtype::I32,
        code => return Err(format!("at byte 17: its token type is {code}, only 8 (u16) and 4 (i32) are known")),
    };
    let (s, d) = (number(18)?, number(26)?);
    let wanted = u128::from(s) * 12 + u128::from(d) * 8 + HEADER_BYTES as u128;
    if wanted != bytes.len() as u128 {
        return Err(format!("at byte 18: it has {} bytes, not the {wanted} of {s} sequences and {d} document marks", bytes.len()));
    }
    if d == 0 {
        return Err("at byte 26: it has no document marks".into());
    }
    // Both are below the file's length, so they fit.
    Ok((dtype, s as usize, d as usize - 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What Megatron's own writer made of documents [1,2,3,50256], [7 | 8,9] (two sequences), [5,50256].
    const GOLDEN: &str = "4d4d4944494458000001000000000000000804000000000000000400000000000000\
        04000000010000000200000002000000\
        000000000000000008000000000000000a000000000000000e00000000000000\
        0000000000000000010000000000000003000000000000000400000000000000";

    fn golden() -> Vec<u8> {
        let hex = GOLDEN.as_bytes();
        hex.chunks(2).map(|p| u8::from_str_radix(std::str::from_utf8(p).expect("ascii"), 16).expect("hex")).collect()
    }

    fn open(bytes: &[u8]) -> Result<Index, ShardError> {
        let dir = tempfile::tempdir().expect("temporary folder");
        let path = dir.path().join("x.idx");
        std::fs::write(&path, bytes).expect("write");
        Index::open(&path)
    }

    #[test]
    fn an_index_of_megatrons_own_writer_is_understood() {
        assert_eq!(polder_base::digest_bytes(&golden()).hex(), "fbff941751e18d3c9fb601387bf318e308807910f195856c9c2e664e9f43e5f3");
        let index = open(&golden()).expect("open");
        assert_eq!((index.dtype(), index.n_documents(), index.n_tokens()), (Dtype::U16, 3, 9));
        assert_eq!([0, 1, 2, 3].map(|i| index.document(i).ok()), [Some(0..4), Some(4..7), Some(7..9), None]);
        assert_eq!([0, 3, 4, 6, 7, 9].map(|t| index.document_of(t).ok()), [Some(0), Some(0), Some(1), Some(1), Some(2), None]);
        index.check_all().expect("whole");
    }

    #[test]
    fn what_is_written_is_what_megatron_would_write_for_one_sequence_a_document() {
        let ours = index_bytes(Dtype::U16, &[4, 1]);
        assert_eq!(ours[..17], golden()[..17]);
        assert_eq!(ours[17..34], [[8, 2].as_slice(), &[0; 7], &[3], &[0; 7]].concat());
        assert_eq!(ours[34..58], [4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(open(&ours).expect("open").n_tokens(), 5);
        assert_eq!(open(&index_bytes(Dtype::I32, &[])).expect("no documents").n_documents(), 0);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(mut at in proptest::collection::vec((0usize..120, any::<u8>()), 0..6), cut in 0usize..130) {
            let mut bytes = golden();
            at.iter_mut().for_each(|(i, b)| { let n = bytes.len(); bytes[*i % n] = *b; });
            bytes.truncate(cut.max(1));
            if let Ok(index) = open(&bytes) {
                for i in 0..=index.n_documents() {
                    if let Ok(document) = index.document(i) {
                        prop_assert!(document.start <= document.end && document.end <= index.n_tokens());
                    }
                }
                for token in (0..index.n_tokens().min(12)).chain([u64::MAX]) {
                    if let Ok(i) = index.document_of(token) {
                        prop_assert!(index.document(i).expect("found").contains(&token));
                    }
                }
                let _ = index.check_all();
            }
        }
    }

    #[test]
    fn an_entry_that_points_nowhere_is_named_by_its_byte_where_it_is_used() {
        // Offset of sequence 1 (2 bytes a token), length of sequence 3, first sequence of document 1.
        for (at, value, said) in
            [(58, 7u8, "at byte 58: sequence 1 begins at byte 7"), (90, 200, "at byte 90: document 1 begins at sequence 200")]
        {
            let mut bytes = golden();
            bytes[at] = value;
            let index = open(&bytes).expect("the ends are right, and no more is looked at");
            assert_eq!(index.document(2).expect("untouched"), 7..9);
            let error = [index.document(0).err(), index.check_all().err()].map(|e| e.expect("broken").to_string());
            assert!(error.iter().all(|e| e.contains(said) && e.contains("x.idx")), "{error:?}");
        }
        let mut bytes = golden();
        bytes[46..50].copy_from_slice(&(-1i32).to_le_bytes());
        assert!(open(&bytes).expect_err("the end is wrong").to_string().contains("at byte 46: sequence 3 has -1 tokens"));
    }
}
