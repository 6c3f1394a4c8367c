//! `SHARD.sums`: the block sums of a shard's other files, and how often each id occurs in it.
//!
//! Little-endian: magic `PLDRSUMS`, u64 version = 1, u64 bytes a block; then for `.bin`, `.idx` and `.jsonl` in this order u64
//! bytes of the file and three u64 a block (see [`BlockSums`]); then u64 vocabulary and that many counts in LEB128.

use std::fs;
use std::path::Path;

use crate::block_sums::{BLOCK_BYTES, BlockSums};
use crate::error::ShardError;

pub(crate) const ENDING: &str = "sums";
const MAGIC: &[u8; 8] = b"PLDRSUMS";
const VERSION: u64 = 1;

/// The sums of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileSums {
    /// Its size.
    pub bytes: u64,
    /// One entry a block.
    pub blocks: Vec<BlockSums>,
}

/// What a `.sums` file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardSums {
    /// Of `.bin`, `.idx` and `.jsonl`.
    pub files: [FileSums; 3],
    /// How often each id occurs.
    pub token_counts: Vec<u64>,
}

impl ShardSums {
    /// The file's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        let mut number = |n: u64| out.extend_from_slice(&n.to_le_bytes());
        number(VERSION);
        number(BLOCK_BYTES as u64);
        for file in &self.files {
            number(file.bytes);
            file.blocks.iter().for_each(|b| [b.bytes, b.placed, b.squared].into_iter().for_each(&mut number));
        }
        number(self.token_counts.len() as u64);
        for count in &self.token_counts {
            let mut rest = *count;
            while rest >= 0x80 {
                out.push(rest as u8 | 0x80);
                rest >>= 7;
            }
            out.push(rest as u8);
        }
        out
    }

    /// Reads a file's bytes.
    ///
    /// # Errors
    /// What is wrong with them, and where.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let mut at = Bytes { bytes, at: 0 };
        if at.take(MAGIC.len())? != MAGIC {
            return Err("it does not begin with PLDRSUMS".into());
        }
        let (version, block_bytes) = (at.number()?, at.number()?);
        if (version, block_bytes) != (VERSION, BLOCK_BYTES as u64) {
            return Err(format!("version {version} with blocks of {block_bytes} bytes is not known"));
        }
        let mut sums = Self::default();
        for file in &mut sums.files {
            file.bytes = at.number()?;
            let n_blocks = file.bytes.div_ceil(BLOCK_BYTES as u64);
            if n_blocks.saturating_mul(24) > at.left() {
                return Err(format!("byte {}: {n_blocks} blocks are more than the file holds", at.at));
            }
            for _ in 0..n_blocks {
                file.blocks.push(BlockSums { bytes: at.number()?, placed: at.number()?, squared: at.number()? });
            }
        }
        let vocab_size = at.number()?;
        if vocab_size > at.left() {
            return Err(format!("byte {}: counts of {vocab_size} ids are more than the file holds", at.at));
        }
        for _ in 0..vocab_size {
            sums.token_counts.push(at.leb128()?);
        }
        if at.left() > 0 { Err(format!("byte {}: nothing should follow here", at.at)) } else { Ok(sums) }
    }

    /// Reads the sums of a shard.
    ///
    /// # Errors
    /// The file cannot be read, or is not one.
    pub fn read(folder: &Path, shard: &str) -> Result<Self, ShardError> {
        let path = folder.join(format!("{shard}.{ENDING}"));
        let bytes = fs::read(&path).map_err(|source| ShardError::Read { path: path.clone(), source })?;
        Self::parse(&bytes).map_err(|reason| ShardError::Broken { path, reason })
    }
}

/// Bytes being read.
struct Bytes<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Bytes<'a> {
    fn left(&self) -> u64 {
        (self.bytes.len() - self.at) as u64
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8], String> {
        let taken = self.bytes.get(self.at..self.at + n).ok_or_else(|| format!("it ends at byte {}", self.bytes.len()))?;
        self.at += n;
        Ok(taken)
    }

    fn number(&mut self) -> Result<u64, String> {
        Ok(self.take(8)?.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b)))
    }

    fn leb128(&mut self) -> Result<u64, String> {
        let mut out = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            let low = u64::from(byte & 0x7f);
            if low << shift >> shift != low {
                break;
            }
            out |= low << shift;
            if byte & 0x80 == 0 {
                return Ok(out);
            }
        }
        Err(format!("byte {}: a count is too large", self.at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_read_is_what_was_written(counts in proptest::collection::vec(any::<u64>(), 0..20), bytes in 0u64..3_000_000) {
            let block = BlockSums { bytes: 1, placed: u64::MAX, squared: 3 };
            let file = FileSums { bytes, blocks: vec![block; bytes.div_ceil(1 << 20) as usize] };
            let sums = ShardSums { files: [file.clone(), FileSums::default(), file], token_counts: counts };
            prop_assert_eq!(ShardSums::parse(&sums.to_bytes()), Ok(sums));
        }
    }

    #[test]
    fn every_cut_and_every_surplus_is_an_error_with_its_place() {
        let file = FileSums { bytes: 5, blocks: vec![BlockSums::of(b"abcde")] };
        let bytes = ShardSums { files: [file, FileSums::default(), FileSums::default()], token_counts: vec![300, 0] }.to_bytes();
        for n in 0..bytes.len() {
            let reason = ShardSums::parse(&bytes[..n]).expect_err("cut");
            assert!(reason.contains("byte"), "{n}: {reason}");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert!(ShardSums::parse(&longer).expect_err("surplus").contains("nothing should follow"));
    }
}
