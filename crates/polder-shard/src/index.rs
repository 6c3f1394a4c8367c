//! The `MMIDIDX` index, version 1: how long each sequence is and where documents begin.
//!
//! # Source
//! Megatron-LM `megatron/core/datasets/indexed_dataset.py`. Little-endian: magic (9), u64 version, u8 dtype, u64 sequences S,
//! u64 D = documents + 1, then S lengths (i32), S byte offsets (i64), and the first sequence of each document (D, i64).

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::ShardError;
use crate::mapped::MappedFile;

const MAGIC: &[u8; 9] = b"MMIDIDX\0\0";
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

    fn code(self) -> u8 {
        match self {
            Self::U16 => 8,
            Self::I32 => 4,
        }
    }
}

/// Writes the index of documents of one sequence each.
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

/// A checked index over its mapped file.
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
    /// Opens and checks an index.
    ///
    /// # Errors
    /// It cannot be read, or is not an index of sequences that follow each other without gaps.
    pub fn open(path: &Path) -> Result<Self, ShardError> {
        let file = MappedFile::open(path)?;
        Self::check(&file)
            .map_err(|reason| ShardError::Broken { path: path.to_owned(), reason })
            .map(|(dtype, n_sequences, n_documents, n_tokens)| Self { file, dtype, n_sequences, n_documents, n_tokens })
    }

    fn check(bytes: &[u8]) -> Result<(Dtype, usize, usize, u64), String> {
        let short = || format!("{} bytes are too few for its header", bytes.len());
        if bytes.len() < HEADER_BYTES {
            return Err(short());
        }
        if bytes[..9] != MAGIC[..] {
            return Err("it does not begin with MMIDIDX".into());
        }
        let number = |at| le::<8>(bytes, at).map(u64::from_le_bytes).ok_or_else(short);
        let version = number(9)?;
        if version != 1 {
            return Err(format!("its version is {version}, only 1 is known"));
        }
        let dtype = match bytes[17] {
            8 => Dtype::U16,
            4 => Dtype::I32,
            code => return Err(format!("its token type is {code}, only 8 (u16) and 4 (i32) are known")),
        };
        let (s, d) = (number(18)?, number(26)?);
        let wanted = u128::from(s) * 12 + u128::from(d) * 8 + HEADER_BYTES as u128;
        if wanted != bytes.len() as u128 {
            return Err(format!("it has {} bytes, not the {wanted} of {s} sequences and {d} document marks", bytes.len()));
        }
        // Both are below the file's length, so they fit.
        let (s, d) = (s as usize, d as usize);
        let view = View { bytes, s };
        let mut offset = 0i64;
        for i in 0..s {
            let length = view.length(i);
            if length < 0 || view.offset(i) != offset {
                return Err(format!("sequence {i} does not follow the one before it"));
            }
            offset = i64::from(length)
                .checked_mul(dtype.bytes() as i64)
                .and_then(|n| offset.checked_add(n))
                .ok_or_else(|| format!("sequence {i} ends beyond any file"))?;
        }
        let mut last = 0;
        for i in 0..d {
            let first = view.document(i);
            if first < last || (i == 0 && first != 0) {
                return Err(format!("document {i} does not follow the one before it"));
            }
            last = first;
        }
        if d == 0 || last != s as i64 {
            return Err(format!("its documents end at sequence {last} of {s}"));
        }
        Ok((dtype, s, d - 1, offset as u64 / dtype.bytes() as u64))
    }

    fn view(&self) -> View<'_> {
        View { bytes: &self.file, s: self.n_sequences }
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

    /// First token and end of a document; `None` beyond the last.
    pub fn document(&self, doc_idx: usize) -> Option<(u64, u64)> {
        if doc_idx >= self.n_documents {
            return None;
        }
        let start = |sequence: i64| {
            if sequence as usize == self.n_sequences {
                self.n_tokens
            } else {
                self.view().offset(sequence as usize) as u64 / self.dtype.bytes() as u64
            }
        };
        Some((start(self.view().document(doc_idx)), start(self.view().document(doc_idx + 1))))
    }

    /// The document that holds a token; empty documents hold none.
    pub fn document_of(&self, token: u64) -> Option<usize> {
        let (mut low, mut high) = (0, self.n_documents);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.document(middle)?.1 <= token { low = middle + 1 } else { high = middle }
        }
        (low < self.n_documents).then_some(low)
    }
}

/// The three arrays; they are not aligned, so every number is copied out.
struct View<'a> {
    bytes: &'a [u8],
    s: usize,
}

impl View<'_> {
    fn length(&self, i: usize) -> i32 {
        le(self.bytes, HEADER_BYTES + 4 * i).map_or(-1, i32::from_le_bytes)
    }
    fn offset(&self, i: usize) -> i64 {
        le(self.bytes, HEADER_BYTES + 4 * self.s + 8 * i).map_or(-1, i64::from_le_bytes)
    }
    fn document(&self, i: usize) -> i64 {
        le(self.bytes, HEADER_BYTES + 12 * self.s + 8 * i).map_or(-1, i64::from_le_bytes)
    }
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
        assert_eq!([0, 1, 2, 3].map(|i| index.document(i)), [Some((0, 4)), Some((4, 7)), Some((7, 9)), None]);
        assert_eq!([0, 3, 4, 6, 7, 9].map(|t| index.document_of(t)), [Some(0), Some(0), Some(1), Some(1), Some(2), None]);
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
                    let _ = index.document(i);
                }
                let _ = index.document_of(u64::MAX);
            }
        }
    }
}
