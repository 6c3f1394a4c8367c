//! Records that are written in any order and read back sorted, a partition at a time.
//!
//! A record is `N` words. Whoever writes says which partition it belongs to; partitions are sorted in memory, so records
//! of even spread and a fixed number of partitions keep what is held small beside the whole.

use std::sync::{Arc, Mutex, PoisonError};

use crate::DuplicatesError;
use crate::spill::{Block, Spill};

/// How many partitions there are.
pub(crate) const N_PARTITIONS: usize = 256;
/// Words of a partition that a writer collects before it hands them over.
const BLOCK_WORDS: usize = 4096;

/// Records by partition.
#[derive(Debug)]
pub(crate) struct Partitions<const N: usize> {
    spill: Arc<Spill>,
    blocks: Vec<Mutex<Vec<Block>>>,
}

/// One writer of several.
#[derive(Debug)]
pub(crate) struct Writer<const N: usize> {
    open: Vec<Vec<u64>>,
}

impl<const N: usize> Writer<N> {
    pub(crate) fn new() -> Self {
        Self { open: vec![Vec::new(); N_PARTITIONS] }
    }

    pub(crate) fn push(&mut self, to: &Partitions<N>, partition: usize, record: [u64; N]) -> Result<(), DuplicatesError> {
        let open = &mut self.open[partition];
        open.extend_from_slice(&record);
        if open.len() >= BLOCK_WORDS {
            to.hand_over(partition, open)?;
        }
        Ok(())
    }

    /// Hands over what is left.
    pub(crate) fn finish(mut self, to: &Partitions<N>) -> Result<(), DuplicatesError> {
        let mut open = std::mem::take(&mut self.open);
        open.iter_mut().enumerate().filter(|(_, words)| !words.is_empty()).try_for_each(|(i, words)| to.hand_over(i, words))
    }
}

impl<const N: usize> Partitions<N> {
    pub(crate) fn new(spill: Arc<Spill>) -> Self {
        Self { spill, blocks: (0..N_PARTITIONS).map(|_| Mutex::new(Vec::new())).collect() }
    }

    fn hand_over(&self, partition: usize, words: &mut Vec<u64>) -> Result<(), DuplicatesError> {
        let block = self.spill.put(words)?;
        words.clear();
        self.blocks[partition].lock().unwrap_or_else(PoisonError::into_inner).push(block);
        Ok(())
    }

    /// Takes a partition's records, in no order, as one run of words.
    pub(crate) fn take(&self, partition: usize) -> Result<Vec<u64>, DuplicatesError> {
        let blocks = std::mem::take(&mut *self.blocks[partition].lock().unwrap_or_else(PoisonError::into_inner));
        let mut words = Vec::new();
        for block in blocks {
            self.spill.take(block, &mut words)?;
        }
        Ok(words)
    }
}
