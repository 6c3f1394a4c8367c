//! The layers, forwards and backwards: blocks in order, and where the norms stand.

use polder_compute::{Attention, Backend, IdView, Rope, View};

use super::{Growth, Network, Recompute, Step};
use crate::config::{NormPlace, Positions};
use crate::table::{LayerPlaces, NormPlaces, Place};

impl<B: Backend> Network<B> {
    pub(super) fn attention_shape(&self, step: Step, layer: usize) -> Attention {
        let c = &self.config;
        let time = match step.growth {
            None => self.options.time,
            Some(Growth::One { .. }) => step.n,
            Some(Growth::All { .. }) => 1,
        };
        Attention {
            batch: step.n / time,
            time,
            n_heads: c.num_attention_heads,
            n_kv_heads: c.num_key_value_heads,
            head: c.head_dim,
            causal: self.parts.causal,
            window: c.range(layer).0,
        }
    }

    fn rope(&mut self, qkv: View, step: Step, layer: usize, inverse: bool) {
        if self.parts.positions == Positions::Rotated {
            let c = &self.config;
            let n_rotated = c.num_attention_heads + c.num_key_value_heads;
            let shape = Rope { n_rotated, head: c.head_dim, row: c.qkv_row(), inverse };
            let table = self.rotations[c.range(layer).1];
            let positions = self.row_ids(step)[1];
            self.backend.rope(qkv, table, positions, shape);
        }
    }

    /// Tokens and positions of the rows.
    fn row_ids(&self, step: Step) -> [IdView; 2] {
        match (step.growth, &self.slots) {
            (Some(Growth::All { n, .. }), Some(slots)) => slots.row_ids(n),
            _ => [self.ids.tokens, self.ids.positions].map(|ids| ids.part(0, step.n)),
        }
    }

    fn documents(&self, step: Step) -> Option<IdView> {
        step.split.then(|| self.ids.documents.part(0, 2 * step.n))
    }

    /// Statistics of a normalisation over the batch's rows.
    fn stats(&self, stats: View, rows: usize) -> View {
        stats.part(0, rows * self.parts.norm.kind.n_stats())
    }

    pub(super) fn norm(&mut self, out: View, stats: View, x: View, at: NormPlaces) {
        let (weight, bias) = (self.vector(at.weight), at.bias.map(|b| self.vector(b)));
        let stats = self.stats(stats, out.len / self.config.hidden_size);
        self.backend.norm_forward(out, stats, x, weight, bias, self.parts.norm);
    }

    pub(super) fn norm_backward(&mut self, dx: View, dout: View, x: View, stats: View, at: NormPlaces) {
        let (weight, dweight, dbias) = (self.vector(at.weight), self.grad(at.weight), at.bias.map(|b| self.grad(b)));
        let stats = self.stats(stats, x.len / self.config.hidden_size);
        self.backend.norm_backward(dx, dweight, dbias, dout, x, weight, stats, self.parts.norm);
    }

    /// The same, and returns dx as rows are stored.
    fn norm_backward_rounded(&mut self, dx: View, dout: View, x: View, stats: View, at: NormPlaces) -> View {
        if dx.dtype == self.options.dtype {
            self.norm_backward(dx, dout, x, stats, at);
            return dx;
        }
        let rounded = self.a.rounded.part(0, dx.len);
        let (weight, dweight, dbias) = (self.vector(at.weight), self.grad(at.weight), at.bias.map(|b| self.grad(b)));
        let stats = self.stats(stats, x.len / self.config.hidden_size);
        self.backend.norm_backward_rounded(dx, rounded, dweight, dbias, dout, x, weight, stats, self.parts.norm);
        rounded
    }

    /// The tables that are added up for each row, with the ids that choose from them.
    fn embeddings_used(&self, step: Step) -> Vec<(Place, IdView)> {
        let (places, [tokens, positions]) = (self.table.places(), self.row_ids(step));
        let position = places.position.map(|p| (p, positions));
        let token_type = places.token_type.zip(self.ids.token_types).map(|(p, ids)| (p, ids.part(0, step.n)));
        [Some((places.word, tokens)), position, token_type].into_iter().flatten().collect()
    }

    /// Runs the layers; the last hidden states end in `self.a.hidden`.
    pub(super) fn forward(&mut self, step: Step) {
        let c = self.config.hidden_size;
        let rows = |view: View| view.part(0, step.n * c);
        let first = rows(self.a.layers[0].x);
        let sums = self.a.embedded.map_or(first, |(sums, _)| rows(sums));
        for (i, (place, ids)) in self.embeddings_used(step).into_iter().enumerate() {
            let weight = self.matrix(place);
            self.backend.embedding_forward(sums, weight, ids, c, i > 0);
        }
        if let (Some((_, stats)), Some(at)) = (self.a.embedded, self.table.places().embedding_norm) {
            self.norm(first, stats, sums, at);
        }
        for i in 0..self.a.layers.len() {
            self.layer_forward(step, i);
        }
        if let (Some(stats), Some(at)) = (self.a.final_stats, self.table.places().final_norm) {
            self.norm(rows(self.a.hidden), stats, rows(self.a.x), at);
        }
    }

    fn layer_forward(&mut self, step: Step, i: usize) {
        let n_hidden = step.n * self.config.hidden_size;
        let rows = |view: View| view.part(0, n_hidden);
        let at = self.table.places().layers[i];
        self.middle_forward(step, i, &at);
        let l = &self.a.layers[i];
        let (middle, ffn_in, ffn_stats, end) = (rows(l.middle), rows(l.ffn_in), l.ffn_stats, l.end.map(rows));
        let out = rows(self.a.layers.get(i + 1).map_or(self.a.x, |next| next.x));
        let sum = end.unwrap_or(out);
        self.feed_forward(step, i, &at, Some((sum, if end.is_some() { ffn_in } else { middle })));
        if end.is_some() {
            self.norm(out, ffn_stats, sum, at.ffn_norm);
        }
    }

    /// From a layer's input to what its feed-forward layer reads.
    fn middle_forward(&mut self, step: Step, i: usize, at: &LayerPlaces) {
        let n_hidden = step.n * self.config.hidden_size;
        let l = &self.a.layers[i];
        let (x, middle) = (l.x.part(0, n_hidden), l.middle.part(0, n_hidden));
        self.attention_input(step, i, at);
        self.attention_forward(step, i, at, middle, x);
        self.feed_forward_input(step, i, at);
    }

    /// What attention reads, from the layer's input.
    fn attention_input(&mut self, step: Step, i: usize, at: &LayerPlaces) {
        let n_hidden = step.n * self.config.hidden_size;
        let l = &self.a.layers[i];
        let (x, input, stats) = (l.x.part(0, n_hidden), l.attention_in.part(0, n_hidden), l.attention_stats);
        match (self.parts.norm_place, at.attention_norm, stats) {
            (NormPlace::Before, Some(norm), Some(stats)) => self.norm(input, stats, x, norm),
            _ if input != x => self.backend.copy(input, x),
            _ => {}
        }
    }

    /// What the feed-forward layer reads, from the residual stream behind attention.
    fn feed_forward_input(&mut self, step: Step, i: usize, at: &LayerPlaces) {
        let n_hidden = step.n * self.config.hidden_size;
        let l = &self.a.layers[i];
        let (middle, input, ffn_stats) = (l.middle.part(0, n_hidden), l.ffn_in.part(0, n_hidden), l.ffn_stats);
        match (self.parts.norm_place, at.attention_norm, l.attention_stats) {
            (NormPlace::Behind, Some(norm), Some(stats)) => self.norm(input, stats, middle, norm),
            _ => self.norm(input, ffn_stats, middle, at.ffn_norm),
        }
    }

    /// Computes again what was not kept of a layer. The last layer's rows are still there.
    fn recompute(&mut self, step: Step, i: usize, at: &LayerPlaces) {
        if i + 1 == self.a.layers.len() {
            return;
        }
        match self.options.recompute {
            Recompute::None => {}
            Recompute::Pointwise => {
                self.attention_input(step, i, at);
                self.feed_forward_input(step, i, at);
                self.activate(step, i);
            }
            // A norm behind the layer leaves statistics, and its output the bits that stand there.
            Recompute::Layers if self.parts.norm_place == NormPlace::Behind => self.layer_forward(step, i),
            Recompute::Layers => {
                self.middle_forward(step, i, at);
                self.feed_forward(step, i, at, None);
            }
        }
    }

    /// `sum = residual + attention(input)`.
    fn attention_forward(&mut self, step: Step, i: usize, at: &LayerPlaces, sum: View, residual: View) {
        let (heads, kv_heads, row) = (self.config.num_attention_heads, self.config.num_key_value_heads, self.config.qkv_row());
        let (n, eps) = (step.n, self.parts.norm.eps);
        let l = &self.a.layers[i];
        let input = l.attention_in.part(0, n * self.config.hidden_size);
        let (qkv, raw) = (l.qkv.part(0, n * row), l.raw.map(|r| r.part(0, n * row)));
        let (mixed, lse) = (l.mixed.part(0, n * heads * self.config.head_dim), l.lse.part(0, n * heads));
        let (q_rstd, k_rstd) = (l.q_rstd, l.k_rstd);
        self.linear(raw.unwrap_or(qkv), input, at.qkv);
        if let (Some(raw), Some(q_rstd), Some(k_rstd), Some(q_norm), Some(k_norm)) = (raw, q_rstd, k_rstd, at.q_norm, at.k_norm) {
            self.backend.copy(qkv, raw);
            let (q_norm, k_norm) = (self.vector(q_norm), self.vector(k_norm));
            self.backend.head_norm_forward(qkv, q_rstd.part(0, n * heads), raw, q_norm, row, 0, heads, eps);
            self.backend.head_norm_forward(qkv, k_rstd.part(0, n * kv_heads), raw, k_norm, row, heads, kv_heads, eps);
        }
        self.rope(qkv, step, i, false);
        match step.growth {
            Some(growth) => self.attend_cached(step, i, growth, (mixed, lse, qkv)),
            None => {
                let (documents, shape) = (self.documents(step), self.attention_shape(step, i));
                self.backend.attention_forward(mixed, lse, qkv, documents, shape);
            }
        }
        self.linear_onto(sum, residual, mixed, at.o);
    }

    /// The gradient of attention's input from that of its output: `dinput = …`, or `+=`.
    fn attention_backward(&mut self, step: Step, i: usize, at: &LayerPlaces, dinput: View, dout: View, accumulate: bool) {
        let (heads, kv_heads, row) = (self.config.num_attention_heads, self.config.num_key_value_heads, self.config.qkv_row());
        let n = step.n;
        let (dmixed, dqkv) = (self.a.dmixed.part(0, n * heads * self.config.head_dim), self.a.dqkv.part(0, n * row));
        let l = &self.a.layers[i];
        let (input, qkv, raw) = (l.attention_in.part(0, n * self.config.hidden_size), l.qkv.part(0, n * row), l.raw);
        let (mixed, lse, q_rstd, k_rstd) = (l.mixed.part(0, dmixed.len), l.lse.part(0, n * heads), l.q_rstd, l.k_rstd);
        self.linear_backward(dmixed, dout, mixed, at.o, false);
        let (documents, shape) = (self.documents(step), self.attention_shape(step, i));
        self.backend.attention_backward(dqkv, dmixed, mixed, lse, qkv, documents, shape);
        self.rope(dqkv, step, i, true);
        if let (Some(raw), Some(q_rstd), Some(k_rstd), Some(q_norm), Some(k_norm)) = (raw, q_rstd, k_rstd, at.q_norm, at.k_norm) {
            let raw = raw.part(0, n * row);
            for (norm, rstd, first, n_heads) in [(q_norm, q_rstd, 0, heads), (k_norm, k_rstd, heads, kv_heads)] {
                let (weight, dweight) = (self.vector(norm), self.grad(norm));
                self.backend.head_norm_backward(dqkv, dweight, raw, weight, rstd.part(0, n * n_heads), row, first, n_heads);
            }
        }
        self.linear_backward(dinput, dqkv, input, at.qkv, accumulate);
    }

    /// `sum = residual + feed-forward(input)`, where sum and residual are asked for.
    fn feed_forward(&mut self, step: Step, i: usize, at: &LayerPlaces, onto: Option<(View, View)>) {
        let (f, n_inputs) = (self.config.intermediate_size, self.parts.activation.n_inputs());
        let l = &self.a.layers[i];
        let (input, up) = (l.ffn_in.part(0, step.n * self.config.hidden_size), l.up.part(0, step.n * f * n_inputs));
        let act = l.act.part(0, step.n * f);
        self.linear(up, input, at.up);
        self.activate(step, i);
        if let Some((sum, residual)) = onto {
            self.linear_onto(sum, residual, act, at.down);
        }
    }

    fn activate(&mut self, step: Step, i: usize) {
        let (f, activation) = (self.config.intermediate_size, self.parts.activation);
        let l = &self.a.layers[i];
        let (up, act) = (l.up.part(0, step.n * f * activation.n_inputs()), l.act.part(0, step.n * f));
        self.backend.activation_forward(act, up, f, activation);
    }

    /// The gradient of the feed-forward layer's input from that of its output: `dinput = …`, or `+=`.
    fn feed_forward_backward(&mut self, step: Step, i: usize, at: &LayerPlaces, dinput: View, dout: View, accumulate: bool) {
        let (f, activation) = (self.config.intermediate_size, self.parts.activation);
        let (dup, dact) = (self.a.dup.part(0, step.n * f * activation.n_inputs()), self.a.dact.part(0, step.n * f));
        let l = &self.a.layers[i];
        let (input, up, act) = (l.ffn_in.part(0, step.n * self.config.hidden_size), l.up.part(0, dup.len), l.act.part(0, dact.len));
        self.linear_backward(dact, dout, act, at.down, false);
        self.backend.activation_backward(dup, dact, up, f, activation);
        self.linear_backward(dinput, dup, input, at.up, accumulate);
    }

    /// Runs the layers backwards from the gradient of what leaves the last one, in `self.a.dx`.
    pub(super) fn backward(&mut self, step: Step) {
        let mut rounded = None;
        for i in (0..self.a.layers.len()).rev() {
            rounded = self.layer_backward(step, i, rounded);
        }
        let c = self.config.hidden_size;
        let rows = |view: View| view.part(0, step.n * c);
        let (mut dsums, ds) = (rows(self.a.dx), rows(self.a.ds));
        if let (Some((sums, stats)), Some(at)) = (self.a.embedded, self.table.places().embedding_norm) {
            let dout = self.rounded(dsums);
            self.backend.fill(ds, 0.0);
            self.norm_backward(ds, dout, rows(sums), stats, at);
            dsums = ds;
        }
        for (place, ids) in self.embeddings_used(step) {
            let dweight = self.grad(place);
            self.backend.embedding_backward(dweight, dsums, ids, c);
        }
    }

    /// `self.a.dx`: the gradient of the layer's output becomes that of its input. Takes, and returns, that gradient as rows are stored where it is known.
    fn layer_backward(&mut self, step: Step, i: usize, rounded: Option<View>) -> Option<View> {
        let n_hidden = step.n * self.config.hidden_size;
        let rows = |view: View| view.part(0, n_hidden);
        let at = self.table.places().layers[i];
        self.recompute(step, i, &at);
        let (dx, ds, drow) = (rows(self.a.dx), rows(self.a.ds), rows(self.a.drow));
        let l = &self.a.layers[i];
        let (x, middle, end) = (rows(l.x), rows(l.middle), l.end.map(rows));
        let (attention_stats, ffn_stats) = (l.attention_stats, l.ffn_stats);
        match (self.parts.norm_place, end) {
            (NormPlace::Behind, Some(end)) => {
                let dout = self.rounded(dx);
                self.backend.fill(ds, 0.0);
                let dout = self.norm_backward_rounded(ds, dout, end, ffn_stats, at.ffn_norm);
                self.feed_forward_backward(step, i, &at, ds, dout, true);
                if let (Some(norm), Some(stats)) = (at.attention_norm, attention_stats) {
                    let dout = self.rounded(ds);
                    self.backend.fill(dx, 0.0);
                    self.norm_backward(dx, dout, middle, stats, norm);
                }
                let dout = self.rounded(dx);
                self.attention_backward(step, i, &at, dx, dout, true);
                None
            }
            _ => {
                let dout = rounded.unwrap_or_else(|| self.rounded(dx));
                self.feed_forward_backward(step, i, &at, drow, dout, false);
                let dout = self.norm_backward_rounded(dx, drow, middle, ffn_stats, at.ffn_norm);
                match (at.attention_norm, attention_stats) {
                    (Some(norm), Some(stats)) => {
                        self.attention_backward(step, i, &at, drow, dout, false);
                        Some(self.norm_backward_rounded(dx, drow, x, stats, norm))
                    }
                    _ => {
                        self.attention_backward(step, i, &at, dx, dout, true);
                        None
                    }
                }
            }
        }
    }
}
