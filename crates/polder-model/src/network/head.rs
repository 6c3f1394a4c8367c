//! The head: which rows are judged, what turns them into logits, the loss, and all of it backwards.

use polder_compute::cpu::Sampling;
use polder_compute::{Activation, Backend, View};

use super::{Choices, Network, Step};
use crate::config::{Family, Head, ModelConfig, Pooling};
use crate::table::Linear;

/// What bends the head's first product.
fn activation(config: &ModelConfig) -> Activation {
    match (&config.family, &config.head) {
        (Family::Bert { .. }, Head::Classifier { .. } | Head::Embedding) => Activation::Tanh,
        _ => Activation::Gelu,
    }
}

impl<B: Backend> Network<B> {
    fn width(&self) -> usize {
        self.config.hidden_size
    }

    /// One row a document of the last hidden states.
    fn pool(&mut self, out: View, step: Step, pooling: Pooling) {
        let c = self.width();
        let (hidden, m) = (self.a.hidden.part(0, step.n * c), step.n_judged);
        match pooling {
            Pooling::Cls => self.backend.embedding_forward(out, hidden, self.ids.rows.part(0, m), c, false),
            Pooling::Mean => self.backend.pool_forward(out, hidden, self.ids.ranges.part(0, 2 * m), c),
        }
    }

    /// Computes the rows that the output's product reads.
    fn head_forward(&mut self, step: Step) -> View {
        let c = self.width();
        let len = step.n_judged * c;
        let Some(chosen) = self.a.head.chosen.map(|v| v.part(0, len)) else { return self.a.hidden.part(0, len) };
        if matches!(self.config.head, Head::Classifier { .. }) {
            self.pool(chosen, step, self.config.pooling());
        } else {
            let hidden = self.a.hidden.part(0, step.n * c);
            self.backend.embedding_forward(chosen, hidden, self.ids.rows.part(0, step.n_judged), c, false);
        }
        let (places, h) = (self.table.places().head, &self.a.head);
        let (dense, act, norm, stats) = (h.dense, h.act, h.norm, h.norm_stats);
        let mut rows = chosen;
        if let (Some(at), Some(dense), Some(act)) = (places.dense, dense, act) {
            let (dense, act) = (dense.part(0, len), act.part(0, len));
            self.linear(dense, rows, at);
            self.backend.activation_forward(act, dense, c, activation(&self.config));
            rows = act;
        }
        if let (Some(at), Some(norm), Some(stats)) = (places.norm, norm, stats) {
            let norm = norm.part(0, len);
            self.norm(norm, stats, rows, at);
            rows = norm;
        }
        rows
    }

    /// Computes losses over blocks of rows; where it learns, the gradients down to that of the last layer's output, in
    /// `self.a.dx`.
    pub(super) fn judge(&mut self, step: Step, learns: bool) {
        let Some(output) = self.table.places().head.output else { return };
        let (c, m) = (self.width(), step.n_judged);
        if m > 0 {
            let rows = self.head_forward(step);
            self.for_logits(rows, m, output, &mut |network, logits, first, n| {
                let (scale, settings) = (learns.then(|| network.inputs.scale()), network.cross_entropy());
                let (losses, targets) = (network.a.losses.part(first, n), network.ids.targets.part(first, n));
                network.backend.cross_entropy(losses, logits, targets, scale, settings);
                if learns {
                    let mut dlogits = logits;
                    if let Some(half) = network.a.head.dlogits {
                        dlogits = half.part(0, logits.len);
                        network.backend.copy(dlogits, logits);
                    }
                    let drows = if network.a.head.chosen.is_some() { network.a.head.drows[0] } else { network.a.drow };
                    network.linear_backward(drows.part(first * c, n * c), dlogits, rows.part(first * c, n * c), output, false);
                }
            });
        }
        if learns {
            self.head_backward(step);
        }
    }

    /// Computes losses and the most probable ids over blocks of rows.
    pub(super) fn choose(&mut self, step: Step) {
        let Some(output) = self.table.places().head.output.filter(|_| step.n_judged > 0) else { return };
        let choices = self.choices();
        let rows = self.head_forward(step);
        self.for_logits(rows, step.n_judged, output, &mut |network, logits, first, n| {
            let settings = network.cross_entropy();
            let (losses, targets) = (network.a.losses.part(first, n), network.ids.targets.part(first, n));
            network.backend.cross_entropy(losses, logits, targets, None, settings);
            let greedy = choices.settings.part(first * Sampling::WORDS, n * Sampling::WORDS);
            let (ids, places) = (choices.ids.part(first, n), choices.places.part(first, n));
            network.backend.sample(ids, logits, greedy, places, output.n_out, output.n_out);
        });
    }

    /// Room for the most probable ids, made when they are first asked for.
    fn choices(&mut self) -> Choices {
        let (backend, n) = (&mut self.backend, self.a.losses.len);
        *self.choices.get_or_insert_with(|| {
            let greedy = Sampling { temperature: 0.0, top_k: 0, top_p: 1.0, seed: 0 };
            let settings = backend.alloc_ids(n * Sampling::WORDS);
            backend.upload_ids(settings, &greedy.words().repeat(n));
            Choices { ids: backend.alloc_ids(n), settings, places: backend.alloc_ids(n) }
        })
    }

    /// Computes logits of a block of rows at a time: the block's logits, its first row, and how many.
    pub(super) fn for_logits(&mut self, rows: View, m: usize, output: Linear, receive: &mut dyn FnMut(&mut Self, View, usize, usize)) {
        let Some(space) = self.a.head.logits else { return };
        let (c, v) = (self.width(), output.n_out);
        let most = space.len / v;
        // Equal blocks, so that none is small.
        let block = m.div_ceil(m.div_ceil(most).max(1));
        for first in (0..m).step_by(block) {
            let n = block.min(m - first);
            let logits = space.part(0, n * v);
            self.linear(logits, rows.part(first * c, n * c), output);
            receive(self, logits, first, n);
        }
    }

    /// From the gradient of the rows that the output's product read to that of the last layer's output.
    fn head_backward(&mut self, step: Step) {
        let c = self.width();
        let (n_hidden, len) = (step.n * c, step.n_judged * c);
        let (dx, ds) = (self.a.dx.part(0, n_hidden), self.a.ds.part(0, n_hidden));
        let at = self.table.places().final_norm.zip(self.a.final_stats);
        let mut dhidden = self.a.drow.part(0, n_hidden);
        if self.a.head.chosen.is_some() {
            let to = if at.is_some() { ds } else { dx };
            self.backend.fill(to, 0.0);
            if len > 0 {
                let drows = self.chosen_backward(step);
                let mean = matches!(self.config.head, Head::Classifier { .. }) && self.config.pooling() == Pooling::Mean;
                if mean {
                    self.backend.pool_backward(to, drows, self.ids.ranges.part(0, 2 * step.n_judged), c);
                } else {
                    self.backend.embedding_backward(to, drows, self.ids.rows.part(0, step.n_judged), c);
                }
            }
            dhidden = if at.is_some() { self.rounded(to) } else { to };
        }
        match at {
            Some((at, stats)) => {
                self.backend.fill(dx, 0.0);
                self.norm_backward(dx, dhidden, self.a.x.part(0, n_hidden), stats, at);
            }
            None if dhidden != dx => self.backend.copy(dx, dhidden),
            None => {}
        }
    }

    /// From the gradient of the output's rows to that of the chosen hidden states.
    fn chosen_backward(&mut self, step: Step) -> View {
        let len = step.n_judged * self.width();
        let (places, h) = (self.table.places().head, &self.a.head);
        let rows = |view: Option<View>| view.map(|v| v.part(0, len));
        let (chosen, dense, act, stats) = (rows(h.chosen), rows(h.dense), rows(h.act), h.norm_stats);
        let [mut d, mut other] = h.drows.map(|v| v.part(0, len));
        if let (Some(at), Some(act), Some(stats)) = (places.norm, act, stats) {
            self.backend.fill(other, 0.0);
            self.norm_backward(other, d, act, stats, at);
            (d, other) = (other, d);
        }
        if let (Some(at), Some(dense), Some(chosen)) = (places.dense, dense, chosen) {
            self.backend.activation_backward(other, d, dense, self.config.hidden_size, activation(&self.config));
            self.linear_backward(d, other, chosen, at, false);
        }
        d
    }

    /// Copies the losses of all targets out; 0 where they are ignored.
    pub(super) fn read_losses(&mut self, step: Step, targets: &[i32]) -> Vec<f32> {
        let mut judged = vec![0f32; step.n_judged];
        self.backend.download(self.a.losses.part(0, judged.len()), &mut judged);
        self.spread_losses(&judged, targets)
    }

    /// From the losses of judged rows to those of all targets.
    pub(super) fn spread_losses(&self, judged: &[f32], targets: &[i32]) -> Vec<f32> {
        if self.config.head != Head::MaskedLm {
            return judged.to_vec();
        }
        let mut judged = judged.iter().copied();
        targets.iter().map(|t| if *t >= 0 { judged.next().unwrap_or(0.0) } else { 0.0 }).collect()
    }

    /// Copies losses and the most probable ids out, for each target that is not ignored.
    pub(super) fn read_choices(&mut self, step: Step, targets: &[i32]) -> Vec<Option<(f32, u32)>> {
        let losses = self.read_losses(step, targets);
        let mut ids = vec![0; step.n_judged];
        if let Some(choices) = self.choices.filter(|_| step.n_judged > 0) {
            self.backend.download_ids(choices.ids.part(0, ids.len()), &mut ids);
        }
        if self.config.head != Head::MaskedLm {
            return targets.iter().zip(losses).zip(ids).map(|((target, loss), id)| (*target >= 0).then_some((loss, id as u32))).collect();
        }
        // Rows without a target were not judged.
        let mut ids = ids.into_iter();
        targets.iter().zip(losses).map(|(target, loss)| (*target >= 0).then(|| (loss, ids.next().unwrap_or(0) as u32))).collect()
    }

    /// Copies the logits of all judged rows out.
    pub(super) fn read_logits(&mut self, step: Step) -> Vec<f32> {
        let Some(output) = self.table.places().head.output else { return Vec::new() };
        let rows = self.head_forward(step);
        let mut out = vec![0f32; step.n_judged * output.n_out];
        self.for_logits(rows, step.n_judged, output, &mut |network, logits, first, _| {
            network.backend.download(logits, &mut out[first * output.n_out..][..logits.len]);
        });
        out
    }

    /// Copies one row a document out.
    pub(super) fn read_embeddings(&mut self, step: Step, pooling: Pooling) -> Vec<f32> {
        let pooled = self.a.pooled.part(0, step.n_judged * self.width());
        self.pool(pooled, step, pooling);
        let mut out = vec![0f32; pooled.len];
        self.backend.download(pooled, &mut out);
        out
    }
}
