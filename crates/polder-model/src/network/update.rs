//! What training does with gradients: the optimizers' steps, and their state in and out.

use polder_compute::{AdamW, Backend, Dtype, Muon, View};

use super::Network;
use crate::table::Group;

/// The scalars of a step in which hidden matrices go by Muon and all else by AdamW.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MuonStep {
    /// Learning rate; the update's entries have a root mean square of about `0.2 · lr`, as AdamW's have.
    pub lr: f32,
    /// Decay of the momentum.
    pub momentum: f32,
    /// Decoupled weight decay.
    pub weight_decay: f32,
}

impl<B: Backend> Network<B> {
    /// Sets all gradients to 0.
    pub fn zero_grads(&mut self) {
        let grads = self.grads_view();
        self.backend.fill(grads, 0.0);
    }

    /// Copies parameters and both moments in, where a run is continued.
    ///
    /// # Panics
    /// When a slice has another length than the parameters.
    pub fn restore(&mut self, params: &[f32], m: &[f32], v: &[f32]) {
        let [m_view, v_view] = self.moments();
        self.set_params(params);
        self.backend.upload(m_view, m);
        self.backend.upload(v_view, v);
    }

    /// Copies parameters and both moments out.
    pub fn snapshot(&mut self) -> [Vec<f32>; 3] {
        let [m, v] = self.moments();
        [self.params, m, v].map(|view| {
            let mut out = vec![0f32; view.len];
            self.backend.download(view, &mut out);
            out
        })
    }

    fn moments(&mut self) -> [View; 2] {
        let len = self.params.len;
        let backend = &mut self.backend;
        *self.moments.get_or_insert_with(|| [0, 1].map(|_| backend.alloc(len, Dtype::F32)))
    }

    /// Updates the parameters from the gradients: AdamW with decay on matrices only, gradients clipped by their norm.
    pub fn update(&mut self, step: AdamW) {
        self.measure_grads();
        let decayed = self.table.n_decayed();
        self.adamw(0..decayed, step);
        self.adamw(decayed..self.table.len(), AdamW { weight_decay: 0.0, ..step });
    }

    /// The same with Muon for the matrices between hidden states; fused ones move as the matrices they hold.
    pub fn update_with_muon(&mut self, step: AdamW, muon: MuonStep) {
        self.measure_grads();
        let (hidden, output, vectors) = (self.table.range(Group::Hidden), self.table.range(Group::Output), self.table.range(Group::Vector));
        self.adamw(self.table.range(Group::Embedding), step);
        self.adamw(output, step);
        self.adamw(vectors, AdamW { weight_decay: 0.0, ..step });
        let blocks = self.table.iter().filter(|p| hidden.contains(&p.offset)).flat_map(|p| {
            let (rows, columns) = (p.shape[0] / p.n_blocks, p.shape[1]);
            (0..p.n_blocks).map(move |i| (p.offset + i * rows * columns, rows, columns))
        });
        let blocks: Vec<(usize, Muon)> = blocks
            .map(|(offset, rows, columns)| {
                let MuonStep { lr, momentum, weight_decay } = muon;
                (offset, Muon { rows, columns, lr, momentum, weight_decay, clip: step.clip })
            })
            .collect();
        let space = blocks.iter().map(|(_, b)| b.scratch_len()).max().unwrap_or(0);
        let backend = &mut self.backend;
        let scratch = *self.muon_scratch.get_or_insert_with(|| backend.alloc(space, Dtype::F32));
        let ([momentum, _], grads) = (self.moments(), self.grads_view());
        for (offset, block) in blocks {
            let part = |view: View| view.part(offset, block.rows * block.columns);
            let scratch = scratch.part(0, block.scratch_len());
            let working = self.working.map(part);
            self.backend.muon(part(self.params), working, part(momentum), part(grads), scratch, self.norm_squared, block);
        }
    }

    fn measure_grads(&mut self) {
        let grads = self.grads_view();
        self.backend.sum_squares(self.norm_squared, grads);
    }

    /// A range is of matrices or of vectors, never of both.
    fn adamw(&mut self, range: std::ops::Range<usize>, step: AdamW) {
        if range.is_empty() {
            return;
        }
        let ([m, v], grads) = (self.moments(), self.grads_view());
        let part = |view: View| view.part(range.start, range.len());
        let working = self.working.filter(|w| range.end <= w.len).map(part);
        self.backend.adamw(part(self.params), working, part(m), part(v), part(grads), self.norm_squared, step);
    }

    /// Returns the norm of the gradients that the last update saw, before clipping.
    pub fn grad_norm(&mut self) -> f64 {
        let mut out = [0f32];
        self.backend.download(self.norm_squared, &mut out);
        f64::from(out[0]).sqrt()
    }
}
