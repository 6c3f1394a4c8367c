//! An adapter and the network that it changes, both on one backend, where it learns; nothing of it passes the host but its numbers at the ends.
//!
//! The sum W + s·B·A is made before each pass, so a pass costs what it costs without an adapter, and gradients are exact:
//! dB = s·dW·Aᵀ and dA = s·Bᵀ·dW.

use polder_compute::{AdamW, Backend, Dtype, Gemm, View};
use polder_model::{ModelConfig, Network, NetworkOptions, Weights, memory_bytes};

use crate::adapter::{Adapter, Part};
use crate::error::TuneError;

/// Names the products of a step for [`Backend::replay`]; a network's own names are hashes.
const PROJECT: u64 = 1;
const APPLY: u64 = 2;

/// A network with an adapter added, on a backend.
pub(crate) struct Adapted<B: Backend> {
    pub(crate) network: Network<B>,
    rank: usize,
    parts: Vec<Part>,
    /// The adapter's numbers in its own order, and so are moments and gradients.
    pub(crate) data: View,
    moments: [View; 2],
    pub(crate) grads: View,
    /// s on the diagonal of a matrix (rank, rank): the product with it scales to the bit.
    scale: View,
    /// One part's B or dB, scaled or to be scaled.
    scaled: View,
    /// In f32, the base's adapted matrices one after the other: sums take their places in the network. Where rows meet rounded copies, the network
    /// keeps the base, and this is room for the sum of one part.
    room: View,
    norm_squared: View,
}

/// Numbers of [`Adapted::scaled`] and [`Adapted::room`].
fn room(adapter: &Adapter, dtype: Dtype) -> [usize; 2] {
    let matrices = || adapter.parts.iter().map(|p| p.n_out * p.n_in);
    let scaled = adapter.parts.iter().map(|p| p.n_out * adapter.rank).max();
    [scaled.unwrap_or(0), if dtype == Dtype::F32 { matrices().sum() } else { matrices().max().unwrap_or(0) }]
}

/// Counts the bytes that a network and its adapter take on their backend.
pub(crate) fn adapted_bytes(config: &ModelConfig, options: &NetworkOptions, adapter: &Adapter) -> u64 {
    let [scaled, room] = room(adapter, options.dtype);
    let own = 4 * adapter.n_params() + adapter.rank * adapter.rank + scaled + room + 1;
    // Moments are those of the adapter alone.
    memory_bytes(config, options) - 8 * config.n_params() + 4 * own as u64
}

impl<B: Backend> Adapted<B> {
    /// Puts a model and its adapter on a backend.
    pub(crate) fn try_new(backend: B, base: &Weights, adapter: &Adapter, options: NetworkOptions) -> Result<Self, TuneError> {
        let mut network = Network::with_options(backend, base, options)?;
        let (rank, n) = (adapter.rank, adapter.n_params());
        let params = network.params_view();
        let keeps_base = network.working_view().is_some();
        let backend = network.backend_mut();
        let mut alloc = |len| backend.alloc(len, Dtype::F32);
        let [scaled, room] = room(adapter, options.dtype).map(&mut alloc);
        let [data, grads, m, v] = [n; 4].map(&mut alloc);
        let (scale, norm_squared) = (alloc(rank * rank), alloc(1));
        let diagonal: Vec<f32> = (0..rank * rank).map(|i| if i % (rank + 1) == 0 { adapter.scale() } else { 0.0 }).collect();
        backend.upload(scale, &diagonal);
        backend.upload(data, &adapter.data);
        let mut at = 0;
        for part in adapter.parts.iter().filter(|_| !keeps_base) {
            let len = part.n_out * part.n_in;
            backend.copy(room.part(at, len), params.part(part.place, len));
            at += len;
        }
        let mut adapted =
            Self { network, rank, parts: adapter.parts.clone(), data, moments: [m, v], grads, scale, scaled, room, norm_squared };
        adapted.apply();
        Ok(adapted)
    }

    /// Copies the adapter's numbers out.
    pub(crate) fn download(&mut self, adapter: &mut Adapter) {
        self.network.backend_mut().download(self.data, &mut adapter.data);
    }

    /// Adds the adapter to the base's matrices, where rows meet them.
    pub(crate) fn apply(&mut self) {
        let (params, working) = (self.network.params_view(), self.network.working_view());
        if self.network.backend_mut().replay(APPLY) {
            return;
        }
        let mut at = 0;
        for i in 0..self.parts.len() {
            let (place, sizes @ [n_out, n_in]) = self.place(i);
            let ([a, b], len) = (self.halves(i, self.data), n_out * n_in);
            let scaled = self.scale(self.scaled.part(0, b.len), b);
            let shape = Gemm { k: self.rank, ..plain(sizes) };
            let (matrix, backend) = (params.part(place, len), self.network.backend_mut());
            match working {
                None => backend.gemm_onto(matrix, self.room.part(at, len), scaled, a, None, shape),
                Some(working) => {
                    let sum = self.room.part(0, len);
                    backend.gemm_onto(sum, matrix, scaled, a, None, shape);
                    backend.copy(working.part(place, len), sum);
                }
            }
            at += len;
        }
        self.network.backend_mut().record_end();
    }

    /// Turns the network's gradients into those of the adapter, and sums their squares.
    pub(crate) fn project(&mut self) {
        let grads = self.network.grads_view();
        if self.network.backend_mut().replay(PROJECT) {
            return;
        }
        let rank = self.rank;
        for i in 0..self.parts.len() {
            let (place, [n_out, n_in]) = self.place(i);
            let dw = grads.part(place, n_out * n_in);
            let ([a, b], [da, db]) = (self.halves(i, self.data), self.halves(i, self.grads));
            let scaled = self.scale(self.scaled.part(0, b.len), b);
            let shape = Gemm { k: n_out, transpose_a: true, ..plain([rank, n_in]) };
            self.network.backend_mut().gemm(da, scaled, dw, None, shape);
            let shape = Gemm { k: n_in, transpose_b: true, ..plain([n_out, rank]) };
            self.network.backend_mut().gemm(scaled, dw, a, None, shape);
            self.scale(db, scaled);
        }
        let (norm_squared, grads) = (self.norm_squared, self.grads);
        let backend = self.network.backend_mut();
        backend.sum_squares(norm_squared, grads);
        backend.record_end();
    }

    /// Updates the adapter by the network's gradients, and the network by the adapter.
    pub(crate) fn update(&mut self, step: AdamW) {
        self.project();
        let (data, grads, norm_squared, [m, v]) = (self.data, self.grads, self.norm_squared, self.moments);
        self.network.backend_mut().adamw(data, None, m, v, grads, norm_squared, step);
        self.apply();
    }

    /// Where a part's matrix stands, and its sizes.
    fn place(&self, i: usize) -> (usize, [usize; 2]) {
        let part = &self.parts[i];
        (part.place, [part.n_out, part.n_in])
    }

    /// A part's A and B among numbers in the adapter's order.
    fn halves(&self, i: usize, of: View) -> [View; 2] {
        let (part, rank) = (&self.parts[i], self.rank);
        [of.part(part.a, rank * part.n_in), of.part(part.a + rank * part.n_in, part.n_out * rank)]
    }

    /// `out (rows, rank) = s · x`.
    fn scale(&mut self, out: View, x: View) -> View {
        let (rank, scale) = (self.rank, self.scale);
        let shape = Gemm { k: rank, ..plain([x.len / rank, rank]) };
        self.network.backend_mut().gemm(out, x, scale, None, shape);
        out
    }
}

/// A product's sizes; its terms are yet to be said.
fn plain([m, n]: [usize; 2]) -> Gemm {
    Gemm { m, n, k: 0, transpose_a: false, transpose_b: false, accumulate: false }
}
