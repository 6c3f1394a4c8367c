//! A Megatron pair that another program wrote: no manifest, any number of sequences a document.

use std::path::Path;

use crate::error::ShardError;
use crate::index::Index;
use crate::mapped::MappedFile;

/// `PREFIX.bin` and `PREFIX.idx`, mapped. To make a set of it, offer and push its documents to a
/// [`TokenSetWriter`](crate::TokenSetWriter).
#[derive(Debug)]
pub struct MegatronPair {
    index: Index,
    tokens: MappedFile,
}

impl MegatronPair {
    /// Opens a pair by the path of either file, or by what both names begin with.
    ///
    /// # Errors
    /// A file that cannot be read, an index that is not one or is of another type than u16 or i32, or a size that it does not describe.
    pub fn open(prefix: &Path) -> Result<Self, ShardError> {
        let stem = prefix.to_string_lossy();
        let stem = stem.strip_suffix(".bin").or_else(|| stem.strip_suffix(".idx")).unwrap_or(&stem);
        let index = Index::open(Path::new(&format!("{stem}.idx")))?;
        let tokens = MappedFile::open(Path::new(&format!("{stem}.bin")))?;
        let described = u128::from(index.n_tokens()) * index.dtype().bytes() as u128;
        if tokens.len() as u128 != described {
            let reason = format!("it has {} bytes, and its index describes {described}", tokens.len());
            return Err(ShardError::Broken { path: tokens.path().to_owned(), reason });
        }
        Ok(Self { index, tokens })
    }

    /// Its index.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// Replaces `out` by the tokens of a document, whatever vocabulary they are of; a negative one becomes a large one.
    ///
    /// # Errors
    /// No such document, or entries of the index that point nowhere.
    pub fn document(&self, doc_idx: usize, out: &mut Vec<u32>) -> Result<(), ShardError> {
        let range = self.index.document(doc_idx)?;
        let width = self.index.dtype().bytes();
        out.clear();
        let bytes = self.tokens.get(range.start as usize * width..range.end as usize * width).unwrap_or_default();
        self.index.dtype().decode(bytes, out);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        hex.as_bytes().chunks(2).map(|p| u8::from_str_radix(std::str::from_utf8(p).expect("ascii"), 16).expect("hex")).collect()
    }

    #[test]
    fn a_pair_of_megatrons_own_writer_is_read_document_by_document() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let prefix = dir.path().join("other.v1");
        let idx = "4d4d4944494458000001000000000000000804000000000000000400000000000000\
            04000000010000000200000002000000\
            000000000000000008000000000000000a000000000000000e00000000000000\
            0000000000000000010000000000000003000000000000000400000000000000";
        std::fs::write(dir.path().join("other.v1.idx"), bytes(idx)).expect("write");
        let bin = bytes("01000200030050c4070008000900050050c4");
        assert_eq!(polder_base::digest_bytes(&bin).hex(), "89cab67ce624af61f6da189a2a713d96d86d243f7a4b82f3c675b1f83260605f");
        std::fs::write(dir.path().join("other.v1.bin"), &bin).expect("write");
        for path in [prefix.clone(), dir.path().join("other.v1.bin"), dir.path().join("other.v1.idx")] {
            let pair = MegatronPair::open(&path).expect("open");
            let mut out = Vec::new();
            let documents: Vec<Vec<u32>> = (0..pair.index().n_documents())
                .map(|i| {
                    pair.document(i, &mut out).expect("document");
                    out.clone()
                })
                .collect();
            assert_eq!(documents, [vec![1, 2, 3, 50256], vec![7, 8, 9], vec![5, 50256]]);
            assert!(pair.document(3, &mut out).is_err());
        }
        std::fs::write(dir.path().join("other.v1.bin"), &bin[..16]).expect("write");
        assert!(MegatronPair::open(&prefix).expect_err("cut").to_string().contains("has 16 bytes, and its index describes 18"));
    }
}
