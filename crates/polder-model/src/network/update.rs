//! What training does with gradients: the optimizers' steps, alone or with other ranks, and their state in and out.

use std::ops::Range;

use polder_compute::{AdamW, Backend, Collective, CollectiveError, Dtype, MuonStep, View};

use super::step::muon_matrices;
use super::{Network, Step};
use crate::table::Group;

impl<B: Backend> Network<B> {
    /// Sets all gradients to 0.
    pub fn zero_grads(&mut self) {
        let grads = self.grads_view();
        self.backend.fill(grads, 0.0);
    }

    /// Makes this network one of several that share the work: it keeps the optimizer's state of its own part of the
    /// parameters only. Call it before anything is learnt.
    ///
    /// # Panics
    /// When moments are there already.
    pub fn join(&mut self, owners: Vec<Range<usize>>, rank: usize) {
        assert!(self.moments.is_none(), "ranks join before they learn");
        self.own = owners[rank].clone();
        self.owners = owners;
    }

    /// Copies parameters and both moments in, where a run is continued.
    ///
    /// # Panics
    /// When a slice has another length than the parameters.
    pub fn restore(&mut self, params: &[f32], m: &[f32], v: &[f32]) {
        let [m_view, v_view] = self.moments();
        self.set_params(params);
        self.backend.upload(m_view, &m[self.own.clone()]);
        self.backend.upload(v_view, &v[self.own.clone()]);
    }

    /// Copies parameters and both moments out: all of them, those of other ranks too. The first rank gets them; all call it.
    /// Gradients are lost.
    ///
    /// # Errors
    /// Another rank does not answer.
    pub fn snapshot(&mut self, ranks: &mut dyn Collective<B>) -> Result<Option<[Vec<f32>; 3]>, CollectiveError> {
        let moments = self.moments();
        let leads = ranks.rank() == 0;
        let mut out = [const { Vec::new() }; 3];
        for (i, (out, view)) in out.iter_mut().zip([self.params, moments[0], moments[1]]).enumerate() {
            let mut all = view;
            if i > 0 && ranks.n_ranks() > 1 {
                // Between steps, gradients are room for what the others have.
                all = self.grads_view();
                self.backend.copy(all.part(self.own.start, self.own.len()), view);
                ranks.share_from_owners(&mut self.backend, all, &self.owners)?;
            }
            if leads {
                *out = vec![0f32; all.len];
                self.backend.download(all, out);
            }
        }
        Ok(leads.then_some(out))
    }

    fn moments(&mut self) -> [View; 2] {
        let len = self.own.len();
        let backend = &mut self.backend;
        *self.moments.get_or_insert_with(|| [0, 1].map(|_| backend.alloc(len, Dtype::F32)))
    }

    /// Sums the gradients of all ranks to their owners and returns the norm of the whole.
    ///
    /// # Errors
    /// Another rank does not answer.
    pub fn sum_grads(&mut self, ranks: &mut dyn Collective<B>) -> Result<f64, CollectiveError> {
        let (grads, own) = (self.grads_view(), self.own.clone());
        ranks.sum_to_owners(&mut self.backend, grads, &self.owners)?;
        self.backend.sum_squares(self.norm_squared, grads.part(own.start, own.len()));
        let one: Vec<Range<usize>> = (0..ranks.n_ranks()).map(|rank| if rank == 0 { 0..1 } else { 1..1 }).collect();
        ranks.sum_to_owners(&mut self.backend, self.norm_squared, &one)?;
        ranks.share_from_owners(&mut self.backend, self.norm_squared, &one)?;
        Ok(self.grad_norm())
    }

    /// Updates the parameters of all ranks from gradients that [`Network::sum_grads`] has summed; with `muon`, as
    /// [`Network::update_with_muon`] does.
    ///
    /// # Errors
    /// Another rank does not answer.
    pub fn update_together(&mut self, ranks: &mut dyn Collective<B>, step: AdamW, muon: Option<MuonStep>) -> Result<(), CollectiveError> {
        self.apply(step, muon);
        if ranks.n_ranks() > 1 {
            ranks.share_from_owners(&mut self.backend, self.params, &self.owners)?;
            self.refresh();
        }
        Ok(())
    }

    /// Updates the parameters from the gradients: AdamW with decay on matrices only, gradients clipped by their norm.
    pub fn update(&mut self, step: AdamW) {
        self.measure_grads();
        self.apply(step, None);
    }

    /// The same with Muon for the matrices between hidden states; fused ones move as the matrices they hold.
    pub fn update_with_muon(&mut self, step: AdamW, muon: MuonStep) {
        self.measure_grads();
        self.apply(step, Some(muon));
    }

    /// Calls the update, or replays it: what differs from step to step stands among the inputs.
    fn apply(&mut self, step: AdamW, muon: Option<MuonStep>) {
        self.put_update(step, muon);
        // Nothing is made while calls are put down.
        self.moments();
        let scratch = muon.map(|_| self.muon_scratch());
        if self.backend.replay(Step::key(&[], if muon.is_some() { "muon" } else { "adamw" })) {
            return;
        }
        match scratch {
            None => {
                let decayed = self.table.n_decayed();
                self.adamw(0..decayed, true);
                self.adamw(decayed..self.table.len(), false);
            }
            Some(scratch) => {
                self.adamw(self.table.range(Group::Embedding), true);
                self.adamw(self.table.range(Group::Output), true);
                self.adamw(self.table.range(Group::Vector), false);
                self.muon(scratch);
            }
        }
        self.backend.record_end();
    }

    /// What the largest matrix of this rank is computed in.
    fn muon_scratch(&mut self) -> View {
        let own = muon_matrices(&self.table).filter(|(offset, _)| self.own.contains(offset));
        let len = own.map(|(_, matrix)| matrix.scratch_len()).max().unwrap_or(0);
        let backend = &mut self.backend;
        *self.muon_scratch.get_or_insert_with(|| backend.alloc(len, Dtype::F32))
    }

    /// Moves this rank's matrices between hidden states.
    fn muon(&mut self, scratch: View) {
        let ([momentum, _], grads) = (self.moments(), self.grads_view());
        let matrices: Vec<_> = muon_matrices(&self.table).enumerate().collect();
        for (i, (offset, matrix)) in matrices.into_iter().filter(|(_, (offset, _))| self.own.contains(offset)) {
            let len = matrix.rows * matrix.columns;
            let part = |view: View| view.part(offset, len);
            let (scratch, momentum) = (scratch.part(0, matrix.scratch_len()), momentum.part(offset - self.own.start, len));
            let (working, scalars) = (self.working.map(part), self.inputs.muon(i));
            self.backend.muon(part(self.params), working, momentum, part(grads), scratch, self.norm_squared, scalars, matrix);
        }
    }

    pub(super) fn measure_grads(&mut self) {
        let grads = self.grads_view();
        self.backend.sum_squares(self.norm_squared, grads);
    }

    /// A range is of matrices or of vectors, never of both. Of it, the part that this rank owns is updated.
    fn adamw(&mut self, range: Range<usize>, decays: bool) {
        let range = range.start.max(self.own.start)..range.end.min(self.own.end);
        if range.is_empty() {
            return;
        }
        let ([m, v], grads) = (self.moments(), self.grads_view());
        let part = |view: View| view.part(range.start, range.len());
        let of_own = |view: View| view.part(range.start - self.own.start, range.len());
        let working = self.working.filter(|w| range.end <= w.len).map(part);
        let scalars = self.inputs.adamw(decays);
        self.backend.adamw(part(self.params), working, of_own(m), of_own(v), part(grads), self.norm_squared, scalars);
    }

    /// Returns the norm of the gradients that the last update saw, before clipping.
    pub fn grad_norm(&mut self) -> f64 {
        let mut out = [0f32];
        self.backend.download(self.norm_squared, &mut out);
        f64::from(out[0]).sqrt()
    }
}
