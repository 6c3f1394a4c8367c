//! What a network is given, checked before it goes in.

use polder_compute::{Backend, IdView};

use super::{Ids, Network, Step};
use crate::{Head, ModelError};

/// Tokens of whole sequences, with what is known about them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Batch<'a> {
    /// Tokens of one sequence after the other.
    pub tokens: &'a [u32],
    /// For each token what it should give; for a classifier, a class for each document. −1 is ignored.
    pub targets: &'a [i32],
    /// Place of each token in its document; without them, counted from each document's first.
    pub positions: Option<&'a [u32]>,
    /// Where documents begin among the tokens, and the end: 0 first, then ascending, up to the count of tokens, which may be
    /// repeated to fill up. No document goes over the end of a sequence, and tokens see their own document only. Without it,
    /// each sequence is one document.
    pub cu_seqlens: Option<&'a [i32]>,
    /// Segment of each token, for models that know them; 0 without.
    pub token_types: Option<&'a [u32]>,
}

impl<'a> Batch<'a> {
    /// Tokens and what they should give, each sequence one document.
    pub fn new(tokens: &'a [u32], targets: &'a [i32]) -> Self {
        Self { tokens, targets, ..Self::default() }
    }

    /// Tokens alone.
    pub fn of(tokens: &'a [u32]) -> Self {
        Self::new(tokens, &[])
    }
}

/// Which rows pass the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judged {
    /// Those that the loss needs.
    Targets,
    /// All, or of a classifier one a document.
    Logits,
    /// One a document.
    Documents,
}

/// Where batches are replayed, rows that pass the head of a masked model are filled up to a multiple of this part of all rows, and of so many: the
/// count differs from batch to batch by chance, and what is replayed does not.
const JUDGED_PARTS: usize = 32;
const JUDGED_MULTIPLE: usize = 64;

fn wrong<T>(reason: String) -> Result<T, ModelError> {
    Err(ModelError::Input { reason })
}

fn id(x: usize) -> i32 {
    i32::try_from(x).unwrap_or(i32::MAX)
}

impl<B: Backend> Network<B> {
    /// Checks a batch and copies it in.
    pub(super) fn take(&mut self, batch: &Batch<'_>, judged: Judged) -> Result<Step, ModelError> {
        let steps = self.take_all(std::slice::from_ref(batch), judged, self.inputs.values.clone())?;
        Ok(steps[0])
    }

    /// Checks batches and copies them in, and the step's scalars, all by one copy.
    pub(super) fn take_all(&mut self, batches: &[Batch<'_>], judged: Judged, scalars: Vec<f32>) -> Result<Vec<Step>, ModelError> {
        let mut words = Vec::new();
        let mut steps = Vec::with_capacity(batches.len());
        for (slot, batch) in batches.iter().enumerate() {
            let ids = Ids::of(self.inputs.ids, &self.config, &self.options, slot);
            steps.push(self.write(batch, judged, &ids, &mut words)?);
        }
        // Of batches that are replayed together, few kinds should occur.
        let (split, most) = (steps.iter().any(|s| s.split), steps.iter().map(|s| s.n_judged).max().unwrap_or(0));
        let coarse = (self.options.batch * self.options.time).div_ceil(JUDGED_PARTS).next_multiple_of(JUDGED_MULTIPLE);
        for step in &mut steps {
            step.split = split;
            if judged == Judged::Targets && self.config.head == Head::MaskedLm && self.backend.replays() {
                step.n_judged = most.max(1).next_multiple_of(coarse).min(step.n);
            }
        }
        let Self { backend, inputs, .. } = self;
        backend.upload_inputs(inputs.ids, &words, inputs.scalars, &scalars);
        inputs.values = scalars;
        Ok(steps)
    }

    /// Checks a batch and writes its ids where they stand among the words of all.
    fn write(&self, batch: &Batch<'_>, judged: Judged, ids: &Ids, words: &mut Vec<i32>) -> Result<Step, ModelError> {
        let (n, time) = (batch.tokens.len(), self.options.time);
        if n == 0 || !n.is_multiple_of(time) || n > self.options.batch * time {
            return wrong(format!("{n} tokens are not 1 to {} sequences of {time}", self.options.batch));
        }
        let mut put = |to: IdView, values: &[i32]| {
            let first = to.offset - self.inputs.ids.offset;
            words.resize(words.len().max(first + values.len()), 0);
            words[first..][..values.len()].copy_from_slice(values);
        };
        put(ids.tokens, &self.checked("token", Some(batch.tokens), n, self.config.vocab_size)?);
        if let Some(view) = ids.token_types {
            put(view, &self.checked("token type", batch.token_types, n, self.parts.n_token_types)?);
        } else if batch.token_types.is_some() {
            return wrong(format!("{} knows no token types", self.config.family.name()));
        }
        let documents = self.documents_of(batch.cu_seqlens, n)?;
        let spans = documents.windows(2).map(|d| (d[0], d[1]));
        let positions = match batch.positions {
            Some(_) => self.checked("position", batch.positions, n, self.config.max_position_embeddings)?,
            None => spans.clone().flat_map(|(first, end)| 0..id(end - first)).collect(),
        };
        put(ids.positions, &positions);
        let (rows, targets) = self.judged(batch, judged, &documents[..documents.len() - 1])?;
        // What fills the rest up is a row of zeros without a target.
        let filled = |ids: &[i32]| ids.iter().copied().chain(std::iter::repeat(-1)).take(n).collect::<Vec<i32>>();
        put(ids.rows, &filled(&rows));
        put(ids.targets, &filled(&targets));
        put(ids.ranges, &spans.clone().flat_map(|(first, end)| [id(first), id(end)]).collect::<Vec<i32>>());
        let of_rows = spans.flat_map(|(first, end)| {
            let sequence = first / time * time;
            std::iter::repeat_n([id(first - sequence), id(end - sequence)], end - first)
        });
        put(ids.documents, &of_rows.flatten().collect::<Vec<i32>>());
        Ok(Step { split: documents.len() - 1 > n / time, n_judged: rows.len(), ..Step::of(n) })
    }

    /// Ids that must be below a bound, one a token; zeros where none are given.
    pub(super) fn checked(&self, what: &str, ids: Option<&[u32]>, n: usize, bound: usize) -> Result<Vec<i32>, ModelError> {
        let Some(ids) = ids else { return Ok(vec![0; n]) };
        if ids.len() != n {
            return wrong(format!("{} {what}s for {n} tokens", ids.len()));
        }
        if let Some(bad) = ids.iter().find(|i| **i as usize >= bound) {
            let of = if what == "token" { format!("the vocabulary of {bound}") } else { format!("the {bound} there are") };
            return wrong(format!("{what} {bad} is outside {of}"));
        }
        Ok(ids.iter().map(|i| *i as i32).collect())
    }

    /// Where documents begin, and the end of the last.
    fn documents_of(&self, cu_seqlens: Option<&[i32]>, n: usize) -> Result<Vec<usize>, ModelError> {
        let time = self.options.time;
        let Some(given) = cu_seqlens else { return Ok((0..=n).step_by(time).collect()) };
        let mut starts: Vec<usize> = given.iter().map(|s| usize::try_from(*s).unwrap_or(usize::MAX)).collect();
        // What fills up is no document.
        while starts.ends_with(&[n, n]) {
            starts.pop();
        }
        if starts.first() != Some(&0) || starts.last() != Some(&n) {
            return wrong(format!("the documents do not span the {n} tokens"));
        }
        for pair in starts.windows(2) {
            if pair[0] >= pair[1] || pair[0] / time != (pair[1] - 1) / time {
                return wrong(format!("a document from {} to {} in sequences of {time}", pair[0], pair[1]));
            }
        }
        Ok(starts)
    }

    /// Which rows pass the head, and their targets.
    fn judged(&self, batch: &Batch<'_>, judged: Judged, firsts: &[usize]) -> Result<(Vec<i32>, Vec<i32>), ModelError> {
        let n = batch.tokens.len();
        let a_document = judged == Judged::Documents || matches!(self.config.head, Head::Classifier { .. });
        let mut rows: Vec<usize> = if a_document { firsts.to_vec() } else { (0..n).collect() };
        let mut targets = Vec::new();
        if judged == Judged::Targets {
            let bound = self.config.n_outputs();
            if self.config.head == Head::Embedding {
                return wrong("this model has no loss, only embeddings".into());
            }
            if batch.targets.len() != rows.len() {
                let what = if a_document { "documents" } else { "tokens" };
                return wrong(format!("{} targets for {} {what}", batch.targets.len(), rows.len()));
            }
            if let Some(t) = batch.targets.iter().find(|t| **t >= 0 && **t as usize >= bound) {
                return wrong(format!("target {t} is outside the {bound} there are"));
            }
            targets = batch.targets.to_vec();
            if self.config.head == Head::MaskedLm {
                rows.retain(|r| batch.targets[*r] >= 0);
                targets.retain(|t| *t >= 0);
            }
        }
        Ok((rows.into_iter().map(id).collect(), targets))
    }
}
