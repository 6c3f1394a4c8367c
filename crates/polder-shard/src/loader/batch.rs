//! What a step of training takes: tokens, targets, and where documents begin.

use std::ops::Range;

/// A target that is not guessed: padding, the end of a document, a token that masking left alone.
pub const IGNORED: i32 = -100;

/// Samples as rows of the same length, in one buffer for each kind of number; the buffers are used again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Place of its first sample in the order of all samples.
    pub first: u64,
    /// Number of samples, B.
    pub n_samples: usize,
    /// Positions a sample, T.
    pub context: usize,
    /// Inputs (B, T).
    pub tokens: Vec<u32>,
    /// What is to be guessed at each position (B, T); [`IGNORED`] where nothing is.
    pub targets: Vec<i32>,
    /// 1 where there is a target (B, T).
    pub loss_mask: Vec<u8>,
    /// Position of each token in its document, or in the sample where documents are joined (B, T).
    pub positions: Vec<u32>,
    /// Where the sequences of the batch begin, as one line of B · T tokens, and its end; filled up with the end to a length that
    /// depends on B and the options alone.
    pub cu_seqlens: Vec<i32>,
    /// Sequences in `cu_seqlens` before it is filled up. Padding is a sequence of its own.
    pub n_sequences: usize,
    /// Length of the longest sequence.
    pub max_seqlen: usize,
    /// Documents that had to share the last sequence of their sample, because it had no more than `sequences_max`.
    pub n_merged: usize,
}

impl Batch {
    /// Inputs and targets of some of its samples.
    ///
    /// # Panics
    /// When it has not so many samples.
    pub fn samples(&self, range: Range<usize>) -> (&[u32], &[i32]) {
        let places = range.start * self.context..range.end * self.context;
        (&self.tokens[places.clone()], &self.targets[places])
    }

    /// Makes room for `n_samples` samples of `context`, with old numbers in it.
    pub(super) fn reset(&mut self, first: u64, n_samples: usize, context: usize) {
        let n = n_samples * context;
        (self.first, self.n_samples, self.context) = (first, n_samples, context);
        self.tokens.resize(n, 0);
        self.targets.resize(n, IGNORED);
        self.loss_mask.resize(n, 0);
        self.positions.resize(n, 0);
        self.cu_seqlens.clear();
        (self.n_sequences, self.max_seqlen, self.n_merged) = (0, 0, 0);
    }

    /// Notes a sequence that begins at a place; those beyond `n_max` of their sample join the one before.
    pub(super) fn begin_sequence(&mut self, at: usize, n_of_sample: &mut usize, n_max: usize) {
        if *n_of_sample == n_max {
            self.n_merged += 1;
        } else {
            *n_of_sample += 1;
            self.cu_seqlens.push(at as i32);
        }
    }

    /// Closes the last sequence and fills `cu_seqlens` up to its length.
    pub(super) fn end_sequences(&mut self, sequences_max: usize) {
        let end = (self.n_samples * self.context) as i32;
        self.n_sequences = self.cu_seqlens.len();
        self.cu_seqlens.push(end);
        self.max_seqlen = self.cu_seqlens.windows(2).map(|w| (w[1] - w[0]) as usize).max().unwrap_or(0);
        self.cu_seqlens.resize(self.n_samples * sequences_max + 1, end);
    }
}
