//! Best-fit packing: documents into samples of a fixed length, cutting as few as possible and losing no token.
//!
//! A window is a fixed number of samples and a fixed number of consecutive tokens, so a split's windows and samples are known without
//! looking at one document, and any window is packed by itself when it is first needed. Documents longer than a sample are cut into
//! whole samples; what remains is placed longest first, each into the fullest sample that still has room (best-fit-decreasing). A few
//! samples of a window are spare: without them its samples would be exactly full, and the last pieces be cut into scraps to fill every
//! gap. What still fits nowhere whole is cut over the room that is left; no token is ever lost.
//!
//! # Source
//! H. Ding et al., *Fewer Truncations Improve Language Modeling* (2024), arXiv 2404.10830; the exact fill of a window is ours.

use std::collections::{BTreeSet, VecDeque};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::ShardError;
use crate::reader::Split;

/// Consecutive tokens of one document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Piece {
    /// Its first token's place in the split.
    pub start: u64,
    pub len: usize,
    /// It ends where its document ends.
    pub is_end: bool,
}

impl Piece {
    fn split_at(self, len: usize) -> (Self, Self) {
        let head = Self { start: self.start, len, is_end: false };
        (head, Self { start: self.start + len as u64, len: self.len - len, is_end: self.is_end })
    }
}

/// What packing did to a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PackingReport {
    /// Samples made.
    pub n_samples: u64,
    /// Tokens placed.
    pub n_tokens: u64,
    /// Documents, and parts of documents at the window's ends.
    pub n_documents: u64,
    /// Cuts that the length of a sample made necessary.
    pub n_long_cuts: u64,
    /// Cuts of pieces that would have fitted into a sample and found no room in one.
    pub n_forced_cuts: u64,
    /// Positions without a token.
    pub n_padding: u64,
}

impl PackingReport {
    /// Adds another window's.
    pub fn add(&mut self, other: &Self) {
        self.n_samples += other.n_samples;
        self.n_tokens += other.n_tokens;
        self.n_documents += other.n_documents;
        self.n_long_cuts += other.n_long_cuts;
        self.n_forced_cuts += other.n_forced_cuts;
        self.n_padding += other.n_padding;
    }
}

/// The samples of a window.
#[derive(Debug)]
pub(super) struct WindowPlan {
    /// The pieces of all samples, one sample after the other.
    pieces: Vec<Piece>,
    /// Where each sample's pieces end.
    ends: Vec<u32>,
    pub report: PackingReport,
}

impl WindowPlan {
    /// The pieces of a sample, in the order of the split; none beyond the last.
    pub fn sample(&self, i: usize) -> &[Piece] {
        let start = i.checked_sub(1).and_then(|i| self.ends.get(i)).map_or(0, |end| *end as usize);
        self.ends.get(i).map_or(&[], |end| &self.pieces[start..*end as usize])
    }

    /// Packs the documents of a range of tokens into `n_samples` samples of `ctx`, which have room for all of them.
    pub fn pack(split: &Split, range: Range<u64>, ctx: usize, n_samples: usize) -> Result<Self, ShardError> {
        let mut report = PackingReport { n_samples: n_samples as u64, n_tokens: range.end - range.start, ..PackingReport::default() };
        let mut pieces = Vec::new();
        for span in split.documents(range.start, range.end) {
            let span = span?;
            report.n_documents += 1;
            let len = (span.tokens.end - span.tokens.start) as usize;
            let mut rest = Piece { start: span.tokens.start, len, is_end: span.tokens.end == span.document.end };
            while rest.len > ctx {
                let (head, tail) = rest.split_at(ctx);
                pieces.push(head);
                rest = tail;
                report.n_long_cuts += 1;
            }
            pieces.push(rest);
        }
        let samples = best_fit_decreasing(pieces, ctx, n_samples, &mut report);
        let mut plan = Self { pieces: Vec::new(), ends: Vec::with_capacity(n_samples), report };
        for mut sample in samples {
            // Neighbours in the split lie on the same pages.
            sample.sort_unstable();
            plan.report.n_padding += (ctx - sample.iter().map(|p| p.len).sum::<usize>()) as u64;
            plan.pieces.append(&mut sample);
            plan.ends.push(plan.pieces.len() as u32);
        }
        Ok(plan)
    }
}

/// Places pieces of at most `ctx` tokens each into `n_samples` samples that have room for all their tokens together.
fn best_fit_decreasing(mut pieces: Vec<Piece>, ctx: usize, n_samples: usize, report: &mut PackingReport) -> Vec<Vec<Piece>> {
    pieces.sort_unstable_by_key(|p| (std::cmp::Reverse(p.len), p.start));
    let mut samples: Vec<Vec<Piece>> = Vec::with_capacity(n_samples);
    // Room and number of every open sample that is not full.
    let mut open: BTreeSet<(usize, usize)> = BTreeSet::new();
    let mut unplaced = Vec::new();
    for piece in pieces {
        let fits = open.range((piece.len, 0)..).next().copied();
        let (room, i) = match fits {
            Some(place) => place,
            None if samples.len() < n_samples => {
                samples.push(Vec::new());
                (ctx, samples.len() - 1)
            }
            None => {
                unplaced.push(piece);
                continue;
            }
        };
        open.remove(&(room, i));
        samples[i].push(piece);
        if room > piece.len {
            open.insert((room - piece.len, i));
        }
    }
    samples.resize_with(n_samples, Vec::new);
    for mut piece in unplaced {
        // The largest room first, for the fewest cuts; together there is room for all.
        while let Some((room, i)) = open.pop_last() {
            if room >= piece.len {
                samples[i].push(piece);
                if room > piece.len {
                    open.insert((room - piece.len, i));
                }
                break;
            }
            let (head, tail) = piece.split_at(room);
            samples[i].push(head);
            piece = tail;
            report.n_forced_cuts += 1;
        }
    }
    leave_none_empty(&mut samples, report);
    samples
}

/// Gives spare samples that nothing was left for something from the others: a sample of padding alone would teach nothing.
fn leave_none_empty(samples: &mut [Vec<Piece>], report: &mut PackingReport) {
    let mut giver = 0;
    for i in 0..samples.len() {
        if !samples[i].is_empty() {
            continue;
        }
        // Every sample gives at most its shortest piece; long ones stand first.
        while giver < samples.len() && samples[giver].len() < 2 {
            giver += 1;
        }
        let given = match samples.get_mut(giver) {
            Some(sample) => sample.pop(),
            None => samples.iter_mut().flatten().max_by_key(|p| p.len).filter(|p| p.len > 1).map(|piece| {
                report.n_forced_cuts += 1;
                let (head, tail) = piece.split_at(piece.len / 2);
                *piece = head;
                tail
            }),
        };
        samples[i].extend(given);
    }
}

/// The windows of a split, and the plans that were used last.
#[derive(Debug)]
pub(super) struct Windows {
    ctx: usize,
    /// Samples of a window, and how many its tokens would fill.
    samples: u64,
    filled: u64,
    plans: Mutex<VecDeque<(u64, Slot)>>,
    n_plans_max: usize,
}

/// A plan that is there, or being made by whoever holds the lock.
type Slot = Arc<Mutex<Option<Arc<WindowPlan>>>>;

impl Windows {
    pub fn new(ctx: usize, samples: u64, spare: u64, n_plans_max: usize) -> Self {
        Self { ctx, samples, filled: samples - spare, plans: Mutex::new(VecDeque::new()), n_plans_max }
    }

    /// Samples of a whole window.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    fn tokens_per_window(&self) -> u64 {
        self.filled * self.ctx as u64
    }

    /// Samples of a split.
    pub fn n_samples(&self, split: &Split) -> u64 {
        let n_whole = split.n_tokens() / self.tokens_per_window();
        n_whole * self.samples + self.samples_of_rest(split.n_tokens() % self.tokens_per_window())
    }

    /// Samples of a last window of so many tokens: its part of the spare ones, rounded down.
    fn samples_of_rest(&self, n_tokens: u64) -> u64 {
        let filled = n_tokens.div_ceil(self.ctx as u64);
        filled + filled * (self.samples - self.filled) / self.filled
    }

    /// Number of windows; the last may be shorter.
    pub fn count(&self, split: &Split) -> u64 {
        split.n_tokens().div_ceil(self.tokens_per_window())
    }

    /// The plan of a window, made now unless it was used lately.
    pub fn plan(&self, split: &Split, window: u64) -> Result<Arc<WindowPlan>, ShardError> {
        // A poisoned lock only means that another reader was stopped; what it guards is whole at every step.
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = match plans.iter().position(|(w, _)| *w == window) {
            Some(i) => plans.remove(i).map(|(_, slot)| slot).unwrap_or_default(),
            None => Slot::default(),
        };
        plans.push_back((window, slot.clone()));
        if plans.len() > self.n_plans_max {
            plans.pop_front();
        }
        drop(plans);
        let mut plan = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(plan) = &*plan {
            return Ok(plan.clone());
        }
        let start = window * self.tokens_per_window();
        let end = (start + self.tokens_per_window()).min(split.n_tokens());
        let is_whole = end - start == self.tokens_per_window();
        let n_samples = if is_whole { self.samples } else { self.samples_of_rest(end - start) };
        let made = Arc::new(WindowPlan::pack(split, start..end, self.ctx, n_samples as usize)?);
        Ok(plan.insert(made).clone())
    }

    /// The window of a sample, and its number there.
    pub fn of_sample(&self, sample: u64) -> (u64, usize) {
        (sample / self.samples, (sample % self.samples) as usize)
    }
}
