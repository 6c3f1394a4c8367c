//! A training step as the device sees it: what goes in by one copy, the gradients of several batches as calls that are replayed whole, the update as
//! others, and what comes out by one copy.

use polder_compute::{AdamW, Backend, IdView, Muon, MuonStep, View};

use super::activations::{NORM_ROOM, aligned};
use super::batch::Judged;
use super::{Batch, Ids, Loss, Network, NetworkOptions, Step};
use crate::table::Group;
use crate::{ModelConfig, ModelError, Param, ParamTable};

/// Batches that are put down together at most: a step of more takes several copies in, replays and copies out. More would save little, for a wait
/// costs microseconds, and what is put down takes memory of its own.
pub const BATCHES_AT_ONCE_MAX: usize = 8;

/// What some batches are of a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepPart {
    /// What losses are multiplied by before gradients are taken.
    pub scale: f32,
    /// They are its first: gradients begin at 0.
    pub is_first: bool,
    /// The sum of squares of the gradients, theirs among them, is wanted.
    pub measures: bool,
    /// The update that may follow, where it is known: its scalars go in with the ids.
    pub update: Option<(AdamW, Option<MuonStep>)>,
}

/// What batches gave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepGrads {
    /// Of all of them.
    pub loss: Loss,
    /// The norm of all gradients so far, where it was asked for.
    pub norm: Option<f64>,
}

/// Room for what goes in: ids of several batches, and the step's scalars.
pub(super) struct Inputs {
    /// Each batch's ids after the other's.
    pub ids: IdView,
    /// What gradients are multiplied by; AdamW's scalars with decay and without; those of each of Muon's matrices.
    pub scalars: View,
    /// What stands in `scalars`.
    pub values: Vec<f32>,
}

/// Matrices that Muon may update.
pub(super) fn muon_matrices(table: &ParamTable) -> impl Iterator<Item = (usize, Muon)> {
    let blocks = table.iter().filter(|p| p.group == Group::Hidden).flat_map(Param::blocks);
    blocks.map(|(offset, [rows, columns])| (offset, Muon { rows, columns }))
}

impl Inputs {
    /// Words of ids and of scalars.
    pub fn lens(config: &ModelConfig, table: &ParamTable, options: &NetworkOptions) -> (usize, usize) {
        let n_scalars = 1 + 2 * AdamW::SCALARS + MuonStep::SCALARS * muon_matrices(table).count();
        let ids = batch_ids(config, options) * batches_at_once(options);
        (ids, if options.frozen { 1 } else { n_scalars })
    }

    pub fn new<B: Backend>(backend: &mut B, config: &ModelConfig, table: &ParamTable, options: &NetworkOptions) -> Self {
        let (n_ids, n_scalars) = Self::lens(config, table, options);
        let (ids, scalars) = backend.alloc_inputs(n_ids, n_scalars);
        Self { ids, scalars, values: vec![0.0; n_scalars] }
    }

    pub fn scale(&self) -> View {
        self.scalars.part(0, 1)
    }

    /// AdamW's scalars for what decays, and for what does not.
    pub fn adamw(&self, decays: bool) -> View {
        self.scalars.part(1 + if decays { 0 } else { AdamW::SCALARS }, AdamW::SCALARS)
    }

    /// Those of one of [`muon_matrices`].
    pub fn muon(&self, i: usize) -> View {
        self.scalars.part(1 + 2 * AdamW::SCALARS + i * MuonStep::SCALARS, MuonStep::SCALARS)
    }
}

/// Batches that there is room for at once.
pub(super) fn batches_at_once(options: &NetworkOptions) -> usize {
    if options.frozen { 1 } else { options.batches_at_once.clamp(1, BATCHES_AT_ONCE_MAX) }
}

/// Words of a batch's ids.
fn batch_ids(config: &ModelConfig, options: &NetworkOptions) -> usize {
    let kinds = if config.parts().n_token_types > 0 { 9 } else { 8 };
    kinds * aligned(options.batch * options.time)
}

impl Ids {
    /// Where those of a batch stand among all.
    pub(super) fn of(all: IdView, config: &ModelConfig, options: &NetworkOptions, slot: usize) -> Self {
        let (n, mut at) = (options.batch * options.time, slot * batch_ids(config, options));
        let mut next = |times: usize| {
            let view = all.part(at, times * n);
            at += times * aligned(n);
            view
        };
        let token_types = (config.parts().n_token_types > 0).then(|| next(1));
        Self { token_types, tokens: next(1), positions: next(1), rows: next(1), targets: next(1), ranges: next(2), documents: next(2) }
    }
}

impl<B: Backend> Network<B> {
    /// How many batches [`Network::step_grads`] takes at once: one where nothing is replayed, so that the caller can look up between two.
    pub fn batches_at_once(&self) -> usize {
        batches_at_once(&self.options)
    }

    /// Makes the ids and losses of a batch the ones that operations see.
    pub(super) fn turn_to(&mut self, slot: usize) {
        self.ids = Ids::of(self.inputs.ids, &self.config, &self.options, slot);
        self.a.losses = self.a.losses_of(slot, self.options.batch * self.options.time);
    }

    /// Computes the losses of batches and adds the gradients of `scale ·` their sum. Ids and scalars go in by one copy, all between is called at
    /// once, or replayed, and what is returned comes out by one copy, which is waited for.
    ///
    /// # Errors
    /// More batches than [`Network::batches_at_once`], sizes or ids that do not fit; a frozen network.
    pub fn step_grads(&mut self, batches: &[Batch<'_>], part: StepPart) -> Result<StepGrads, ModelError> {
        let most = self.batches_at_once();
        if self.grads.is_none() || batches.is_empty() || batches.len() > most {
            let reason = if self.grads.is_none() {
                "a frozen network keeps no gradients".into()
            } else {
                format!("{} batches where 1 to {most} go in", batches.len())
            };
            return Err(ModelError::Input { reason });
        }
        let mut scalars = self.inputs.values.clone();
        scalars[0] = part.scale;
        if let Some((adamw, muon)) = part.update {
            self.write_update(&mut scalars, adamw, muon);
        }
        let steps = self.take_all(batches, Judged::Targets, scalars)?;
        if !self.backend.replay(Step::key(&steps, ("gradients", part.is_first, part.measures))) {
            if part.is_first {
                self.zero_grads();
            }
            for (slot, step) in steps.iter().enumerate() {
                self.turn_to(slot);
                self.forward(*step);
                self.judge(*step, true);
                self.backward(*step);
            }
            if part.measures {
                self.measure_grads();
            }
            self.backend.record_end();
            self.turn_to(0);
        }
        Ok(self.read_step(&steps, batches, part.measures))
    }

    /// Copies out what batches gave.
    fn read_step(&mut self, steps: &[Step], batches: &[Batch<'_>], measures: bool) -> StepGrads {
        let room = aligned(self.options.batch * self.options.time);
        let first = if measures { 0 } else { NORM_ROOM };
        let end = NORM_ROOM + (steps.len() - 1) * room + steps.last().map_or(0, |s| s.n_judged);
        let mut values = vec![0f32; end - first];
        self.backend.download(self.a.results.part(first, values.len()), &mut values);
        let mut loss = Loss::default();
        for (i, (step, batch)) in steps.iter().zip(batches).enumerate() {
            let judged = &values[NORM_ROOM - first + i * room..][..step.n_judged];
            loss += Loss::of(&self.spread_losses(judged, batch.targets), batch.targets);
        }
        StepGrads { loss, norm: measures.then(|| f64::from(values[0]).sqrt()) }
    }

    /// Writes the scalars of an update where it reads them.
    fn write_update(&self, scalars: &mut [f32], adamw: AdamW, muon: Option<MuonStep>) {
        let mut put =
            |view: View, values: &[f32]| scalars[view.offset - self.inputs.scalars.offset..][..values.len()].copy_from_slice(values);
        put(self.inputs.adamw(true), &adamw.scalars());
        put(self.inputs.adamw(false), &AdamW { weight_decay: 0.0, ..adamw }.scalars());
        if let Some(muon) = muon {
            for (i, (_, matrix)) in muon_matrices(&self.table).enumerate() {
                put(self.inputs.muon(i), &muon.scalars(matrix, adamw.clip));
            }
        }
    }

    /// Makes sure that the scalars of an update stand where it reads them; those that went in with the step's ids do.
    pub(super) fn put_update(&mut self, adamw: AdamW, muon: Option<MuonStep>) {
        let mut scalars = self.inputs.values.clone();
        self.write_update(&mut scalars, adamw, muon);
        if scalars != self.inputs.values {
            self.backend.upload(self.inputs.scalars, &scalars);
            self.inputs.values = scalars;
        }
    }
}
