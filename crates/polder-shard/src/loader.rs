//! Batches for training, from one token set or a mixture of several.
//!
//! Everything here is a pure function of the place in one endless order of samples: which set a sample comes from ([`Mixture`]), which of
//! that set's samples it is ([`SampleOrder`]), and what is in it. So a loader's whole state is a number of samples, and the size of batches,
//! the number of machines and the number of readers are only ways to walk the same order. Start with [`Loader::try_new`], then
//! [`Loader::batches`].

mod batch;
mod error;
mod masking;
mod mixture;
mod packing;
mod prefetch;
mod state;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use polder_base::{Digest, Random};
use serde::{Deserialize, Serialize};

pub use batch::{Batch, IGNORED};
pub use error::LoaderError;
pub use masking::{Masking, TokenTable};
pub use mixture::{Mixture, Weight};
pub use packing::PackingReport;
pub use prefetch::{BatchPlan, Batches};
pub use state::{Fingerprint, LoaderState};

use crate::order::{SampleOrder, WindowOrder};
use crate::reader::{DocumentSpan, Split, TokenSet};
use packing::{Piece, Windows};

/// How documents become samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Packing {
    /// One stream, cut every `context` tokens; where documents begin is not looked at, and a sample is one sequence.
    Joined,
    /// The same cuts, with documents kept apart: each part of one is a sequence.
    Contiguous,
    /// Documents placed into samples so that few are cut; kept apart too.
    BestFit {
        /// Samples that are packed together; more of them pack better.
        window_samples: u64,
        /// Samples of each window that its tokens would not need, were all samples full; fewer than `window_samples`. More of them mean
        /// more padding and fewer documents cut.
        spare_samples: u64,
    },
}

impl Packing {
    /// Best-fit in windows of about a million positions, with room for one in 128 more.
    pub fn best_fit(context: usize) -> Self {
        let window_samples = ((1 << 20) / context.max(1) as u64).max(64);
        Self::BestFit { window_samples, spare_samples: window_samples.div_ceil(128) }
    }
}

impl fmt::Display for Packing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Joined => f.write_str("joined"),
            Self::Contiguous => f.write_str("contiguous"),
            Self::BestFit { window_samples, spare_samples } => {
                write!(f, "best-fit in windows of {window_samples} samples, {spare_samples} of them spare")
            }
        }
    }
}

/// In which order samples come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Every epoch its own, by the seed.
    Shuffled,
    /// As they stand.
    Sequential,
}

/// How batches are made.
#[derive(Clone, Debug, PartialEq)]
pub struct LoaderOptions {
    /// Positions a sample.
    pub context: usize,
    /// Fixes order and masks.
    pub seed: u64,
    /// In which order samples come.
    pub order: Order,
    /// How documents become samples.
    pub packing: Packing,
    /// Sequences a sample has room for in `cu_seqlens`; further documents join the last one. `None` for as many as there can be.
    pub sequences_max: Option<usize>,
    /// What stands where no token is.
    pub pad_id: u32,
    /// Masked language modelling instead of guessing the next token.
    pub masking: Option<Masking>,
}

impl LoaderOptions {
    /// Shuffled samples of one stream, for guessing the next token.
    pub fn of_context(context: usize, seed: u64) -> Self {
        Self { context, seed, order: Order::Shuffled, packing: Packing::Joined, sequences_max: None, pad_id: 0, masking: None }
    }

    fn sequences_max(&self) -> usize {
        match self.packing {
            Packing::Joined => 1,
            Packing::Contiguous | Packing::BestFit { .. } => self.sequences_max.unwrap_or(self.context).clamp(1, self.context),
        }
    }
}

/// A part of a set, as one of those that samples come from.
#[derive(Debug)]
pub struct Source {
    name: String,
    part: String,
    digest: Digest,
    split: Split,
    weight: Weight,
}

impl Source {
    /// Opens a part of a set.
    ///
    /// # Errors
    /// Those of [`TokenSet::split`].
    pub fn open(set: &TokenSet, part: &str, weight: Weight) -> Result<Self, LoaderError> {
        let split = set.split(part)?;
        Ok(Self { name: set.manifest().reference.to_string(), part: part.to_owned(), digest: set.fingerprint(), split, weight })
    }

    /// The set's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its tokens.
    pub fn split(&self) -> &Split {
        &self.split
    }
}

/// Which sample stands at a place of the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Number of its set.
    pub source: usize,
    /// How often that set was seen whole before.
    pub epoch: u64,
    /// Which of the set's samples it is.
    pub sample: u64,
}

/// What is in a sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SampleRows<'a> {
    /// Its place in the order of all samples.
    pub position: u64,
    /// The set's name.
    pub set: &'a str,
    /// The part of the set.
    pub part: &'a str,
    /// Which sample it is.
    pub place: Place,
    /// The documents it has tokens of.
    pub documents: Vec<DocumentSpan<'a>>,
}

/// A set with its samples counted.
#[derive(Debug)]
struct Set {
    source: Source,
    n_samples: u64,
    seed: u64,
    windows: Option<Windows>,
}

/// Makes batches of any place of the order. Share it between threads with [`Arc`].
#[derive(Debug)]
pub struct Loader {
    sets: Vec<Set>,
    mixture: Mixture,
    options: LoaderOptions,
}

/// Windows whose samples are mixed with each other.
const WINDOWS_MIXED: u64 = 16;

impl Loader {
    /// Makes a loader; it looks at no token yet.
    ///
    /// # Errors
    /// Settings that cannot be, weights that repeat too late, or a set without one sample.
    pub fn try_new(sources: Vec<Source>, options: LoaderOptions) -> Result<Self, LoaderError> {
        let wrong = |option, value: String| Err(LoaderError::Option { option, value });
        // A row of `cu_seqlens` counts in 31 bits.
        if options.context == 0 || options.context > 1 << 24 {
            return wrong("context", options.context.to_string());
        }
        if let Packing::BestFit { window_samples, spare_samples } = options.packing {
            if window_samples == 0 || window_samples.saturating_mul(options.context as u64) > 1 << 31 {
                return wrong("window_samples", window_samples.to_string());
            }
            if spare_samples >= window_samples {
                return wrong("spare_samples", format!("{spare_samples} of {window_samples}"));
            }
        }
        if let Some(masking) = &options.masking {
            masking.check()?;
        }
        let mixture = Mixture::try_new(&sources.iter().map(|s| s.weight).collect::<Vec<_>>())?;
        let mut sets = Vec::with_capacity(sources.len());
        for (i, source) in sources.into_iter().enumerate() {
            if options.pad_id as usize >= source.split.vocab_size() {
                return wrong("pad_id", format!("{} in a vocabulary of {}", options.pad_id, source.split.vocab_size()));
            }
            sets.push(Set::try_new(source, i, &options)?);
        }
        Ok(Self { sets, mixture, options })
    }

    /// How batches are made.
    pub fn options(&self) -> &LoaderOptions {
        &self.options
    }

    /// The sets it reads.
    pub fn sources(&self) -> impl ExactSizeIterator<Item = &Source> {
        self.sets.iter().map(|s| &s.source)
    }

    /// Samples of all sets, each once.
    pub fn n_samples(&self) -> u64 {
        self.sets.iter().fold(0, |n, s| n.saturating_add(s.n_samples))
    }

    /// What decides the order and the content of samples.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint {
            sets: self.sets.iter().map(|s| (s.source.digest, s.source.part.clone())).collect(),
            weights: self.sets.iter().map(|s| s.source.weight).collect(),
            context: self.options.context,
            packing: self.options.packing,
            order: self.options.order,
            masking: self.options.masking.as_ref().map(Masking::digest),
        }
    }

    /// The state after a number of samples.
    pub fn state(&self, samples: u64) -> LoaderState {
        let drawn = self.mixture.drawn(samples);
        LoaderState {
            seed: self.options.seed,
            epoch: self.sets.iter().zip(drawn).map(|(s, n)| n / s.n_samples).max().unwrap_or(0),
            samples,
            tokens: samples.saturating_mul(self.options.context as u64),
            fingerprint: self.fingerprint(),
        }
    }

    /// Returns where to go on from a state.
    ///
    /// # Errors
    /// The state is one of other data or settings; the error says of which.
    pub fn resume(&self, state: &LoaderState) -> Result<u64, LoaderError> {
        self.fingerprint().accept(&state.fingerprint)?;
        let expected = self.state(state.samples);
        let other = |what, found: u64, expected: u64| {
            Err(LoaderError::OtherState { what, found: found.to_string(), expected: expected.to_string() })
        };
        if state.seed != expected.seed {
            return other("seed", state.seed, expected.seed);
        }
        if (state.epoch, state.tokens) != (expected.epoch, expected.tokens) {
            return other("count of tokens", state.tokens, expected.tokens);
        }
        Ok(state.samples)
    }

    /// Which sample stands at a place of the order, which has no end.
    pub fn place(&self, position: u64) -> Place {
        let (source, nth) = self.mixture.at(position);
        let set = &self.sets[source];
        let (epoch, nth) = (nth / set.n_samples, nth % set.n_samples);
        Place { source, epoch, sample: set.order(&self.options, epoch, nth) }
    }

    /// Walks the order in batches, from a place on.
    ///
    /// # Errors
    /// A plan that cannot be, or a thread that cannot be started.
    pub fn batches(self: &Arc<Self>, from: u64, plan: BatchPlan) -> Result<Batches, LoaderError> {
        Batches::start(self.clone(), from, plan)
    }

    /// Puts the samples of consecutive places of the order into a batch.
    ///
    /// # Errors
    /// A shard that cannot be read or is broken.
    pub fn fill(&self, first: u64, n_samples: usize, batch: &mut Batch) -> Result<(), LoaderError> {
        batch.reset(first, n_samples, self.options.context);
        let mut pieces = Vec::new();
        for i in 0..n_samples {
            let place = self.place(first + i as u64);
            self.sets[place.source].pieces(&self.options, place.sample, &mut pieces)?;
            self.fill_sample(i, place, &pieces, batch)?;
        }
        batch.end_sequences(self.options.sequences_max());
        Ok(())
    }

    fn fill_sample(&self, i: usize, place: Place, pieces: &[Piece], batch: &mut Batch) -> Result<(), LoaderError> {
        let (ctx, sequences_max) = (self.options.context, self.options.sequences_max());
        let split = &self.sets[place.source].source.split;
        let masking = self.options.masking.as_ref().map(|m| (m, self.draws(place)));
        let (start, end) = (i * ctx, (i + 1) * ctx);
        let (mut at, mut n_sequences) = (start, 0);
        for piece in pieces {
            let to = at + piece.len;
            let tokens = &mut batch.tokens[at..to];
            let (targets, loss_mask) = (&mut batch.targets[at..to], &mut batch.loss_mask[at..to]);
            split.read_to(piece.start, tokens)?;
            match &masking {
                Some((masking, draws)) => masking.apply(draws, at - start, tokens, targets, loss_mask),
                None => next_tokens(split, piece, tokens, targets, loss_mask)?,
            }
            count_up(&mut batch.positions[at..to]);
            batch.begin_sequence(at, &mut n_sequences, sequences_max);
            at = to;
        }
        if at < end {
            batch.tokens[at..end].fill(self.options.pad_id);
            batch.targets[at..end].fill(IGNORED);
            batch.loss_mask[at..end].fill(0);
            count_up(&mut batch.positions[at..end]);
            batch.begin_sequence(at, &mut n_sequences, sequences_max);
        }
        Ok(())
    }

    /// The numbers that decide a sample's masks: another sequence for every seed, set, epoch and sample.
    fn draws(&self, place: Place) -> Random {
        let of_set = Random::new(self.sets[place.source].seed, "masks").at(place.epoch);
        Random::new(Random::new(of_set, "sample").at(place.sample), "token")
    }

    /// Says which documents the samples at places of the order have tokens of.
    ///
    /// # Errors
    /// An index that cannot be read or is broken.
    pub fn rows(&self, positions: Range<u64>) -> Result<Vec<SampleRows<'_>>, LoaderError> {
        let mut pieces = Vec::new();
        let mut rows = Vec::new();
        for position in positions {
            let place = self.place(position);
            let set = &self.sets[place.source];
            set.pieces(&self.options, place.sample, &mut pieces)?;
            let mut documents = Vec::new();
            for piece in &pieces {
                for span in set.source.split.documents(piece.start, piece.start + piece.len as u64) {
                    documents.push(span?);
                }
            }
            rows.push(SampleRows { position, set: &set.source.name, part: &set.source.part, place, documents });
        }
        Ok(rows)
    }

    /// What packing does to some windows of a set; `None` beyond the last, or without packing.
    ///
    /// # Errors
    /// An index that cannot be read or is broken.
    pub fn packing_report(&self, source: usize, window: u64) -> Result<Option<PackingReport>, LoaderError> {
        let set = self.sets.get(source).and_then(|s| Some((s, s.windows.as_ref()?)));
        match set.filter(|(s, windows)| window < windows.count(&s.source.split)) {
            Some((set, windows)) => Ok(Some(windows.plan(&set.source.split, window)?.report)),
            None => Ok(None),
        }
    }
}

impl Set {
    fn try_new(source: Source, number: usize, options: &LoaderOptions) -> Result<Self, LoaderError> {
        let ctx = options.context;
        let n_tokens = source.split.n_tokens();
        let windows = match options.packing {
            Packing::BestFit { window_samples, spare_samples } => {
                Some(Windows::new(ctx, window_samples, spare_samples, 2 * WINDOWS_MIXED as usize))
            }
            Packing::Joined | Packing::Contiguous => None,
        };
        let (n_samples, needed) = match (&windows, &options.masking) {
            (Some(windows), _) => (windows.n_samples(&source.split), 1),
            // A sample's last target is the next one's first input.
            (_, None) => (source.split.n_samples(ctx), ctx as u64 + 1),
            (_, Some(_)) => (n_tokens / ctx as u64, ctx as u64),
        };
        if n_samples == 0 {
            return Err(LoaderError::TooFewTokens { name: format!("{} of {}", source.part, source.name), n_tokens, needed });
        }
        // Sets of one size would come in one order, were their seeds the same.
        let seed = if number == 0 { options.seed } else { Random::new(options.seed, "set").at(number as u64) };
        Ok(Self { source, n_samples, seed, windows })
    }

    fn order(&self, options: &LoaderOptions, epoch: u64, nth: u64) -> u64 {
        let (n_samples, seed) = (self.n_samples, self.seed);
        match (options.order, &self.windows) {
            (Order::Sequential, _) => nth,
            (Order::Shuffled, Some(windows)) => {
                WindowOrder { n_samples, seed, window_samples: windows.samples(), n_mixed: WINDOWS_MIXED }.at(epoch, nth)
            }
            (Order::Shuffled, None) => SampleOrder { n_samples, seed }.at(epoch, nth),
        }
    }

    /// The pieces of documents that a sample is made of.
    fn pieces(&self, options: &LoaderOptions, sample: u64, pieces: &mut Vec<Piece>) -> Result<(), LoaderError> {
        pieces.clear();
        let split = &self.source.split;
        let start = sample * options.context as u64;
        match (&self.windows, options.packing) {
            (Some(windows), _) => {
                let (window, i) = windows.of_sample(sample);
                pieces.extend_from_slice(windows.plan(split, window)?.sample(i));
            }
            (None, Packing::Joined) => pieces.push(Piece { start, len: options.context, is_end: false }),
            (None, _) => {
                for span in split.documents(start, start + options.context as u64) {
                    let span = span?;
                    let len = (span.tokens.end - span.tokens.start) as usize;
                    pieces.push(Piece { start: span.tokens.start, len, is_end: span.tokens.end == span.document.end });
                }
            }
        }
        Ok(())
    }
}

/// Every token's target is the one after it; after the end of a document there is none.
fn next_tokens(split: &Split, piece: &Piece, tokens: &[u32], targets: &mut [i32], loss_mask: &mut [u8]) -> Result<(), LoaderError> {
    let Some(last) = targets.len().checked_sub(1) else { return Ok(()) };
    for (target, token) in targets.iter_mut().zip(&tokens[1..]) {
        *target = *token as i32;
    }
    loss_mask.fill(1);
    if piece.is_end {
        (targets[last], loss_mask[last]) = (IGNORED, 0);
    } else {
        let mut next = [0];
        split.read_to(piece.start + piece.len as u64, &mut next)?;
        targets[last] = next[0] as i32;
    }
    Ok(())
}

fn count_up(positions: &mut [u32]) {
    positions.iter_mut().enumerate().for_each(|(i, p)| *p = i as u32);
}

#[cfg(test)]
mod tests;
