//! What training does with gradients: the optimizer's step, and its state in and out.

use polder_compute::{AdamW, Backend, View};

use super::Network;

impl<B: Backend> Network<B> {
    /// Sets all gradients to 0.
    pub fn zero_grads(&mut self) {
        self.backend.fill(self.grads, 0.0);
    }

    /// Copies parameters and both moments in, where a run is continued.
    ///
    /// # Panics
    /// When a slice has another length than the parameters.
    pub fn restore(&mut self, params: &[f32], m: &[f32], v: &[f32]) {
        let (m_view, v_view) = self.moments();
        self.backend.upload(self.params, params);
        self.backend.upload(m_view, m);
        self.backend.upload(v_view, v);
    }

    /// Copies parameters and both moments out.
    pub fn snapshot(&mut self) -> [Vec<f32>; 3] {
        let (m, v) = self.moments();
        [self.params, m, v].map(|view| {
            let mut out = vec![0f32; view.len];
            self.backend.download(view, &mut out);
            out
        })
    }

    fn moments(&mut self) -> (View, View) {
        let len = self.params.len;
        *self.moments.get_or_insert_with(|| (self.backend.alloc(len), self.backend.alloc(len)))
    }

    /// Updates the parameters from the gradients: AdamW with decay on matrices only, gradients clipped by their norm.
    pub fn update(&mut self, step: AdamW) {
        let (m, v) = self.moments();
        let decayed = self.table.n_decayed();
        self.backend.sum_squares(self.norm_squared, self.grads);
        for (offset, len, weight_decay) in [(0, decayed, step.weight_decay), (decayed, self.table.len() - decayed, 0.0)] {
            let part = |view: View| view.part(offset, len);
            let step = AdamW { weight_decay, ..step };
            self.backend.adamw(part(self.params), part(m), part(v), part(self.grads), self.norm_squared, step);
        }
    }

    /// Returns the norm of the gradients that the last update saw, before clipping.
    pub fn grad_norm(&mut self) -> f64 {
        let mut out = [0f32];
        self.backend.download(self.norm_squared, &mut out);
        f64::from(out[0]).sqrt()
    }
}
