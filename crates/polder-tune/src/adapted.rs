//! An adapter and the network that it changes, both on one backend, where it learns; nothing of it passes the host but its numbers at the ends.
//!
//! The sum W + s·B·A is made before each pass, so a pass costs what it costs without an adapter, and gradients are exact:
//! dB = s·dW·Aᵀ and dA = s·Bᵀ·dW.

use polder_compute::{AdamW, Backend, Dtype, Gemm, View};
use polder_model::{ModelConfig, Network, NetworkOptions, Weights, memory_bytes};

use crate::adapter::Adapter;
use crate::error::TuneError;

/// Names the products of a step for [`Backend::replay`]; a network's own names are hashes.
const PROJECT: u64 = 1;
const APPLY: u64 = 2;

/// A network with an adapter added, on a backend.
pub(crate) struct Adapted<B: Backend> {
    pub(crate) network: Network<B>,
    matrices: Vec<Matrix>,
    /// The adapter's numbers in its own order, and so are moments and gradients.
    pub(crate) data: View,
    moments: [View; 2],
    pub(crate) grads: View,
    /// s on the diagonal of a matrix (rank, rank): the product with it scales to the bit.
    scale: View,
    /// Room for one matrix' B or dB, scaled or to be scaled.
    scaled: View,
    norm_squared: View,
    scalars: View,
}

/// What belongs to one adapted matrix.
struct Matrix {
    /// (out, in).
    sizes: [usize; 2],
    /// W of the base.
    base: View,
    /// W with the adapter added, in f32.
    sum: View,
    /// The same as rows meet it, where that is a rounded copy.
    working: Option<View>,
    /// dW.
    grads: View,
    a: View,
    b: View,
    da: View,
    db: View,
}

/// Numbers of room for bases or sums. In f32, sums stand in the network and the base's adapted matrices beside it. Where rows meet rounded copies,
/// the base stays in the network, and sums are made one at a time.
fn room(adapter: &Adapter, dtype: Dtype) -> usize {
    let matrices = adapter.parts.iter().map(|p| p.n_out * p.n_in);
    if dtype == Dtype::F32 { matrices.sum() } else { matrices.max().unwrap_or(0) }
}

/// Numbers of the largest B.
fn largest_b(adapter: &Adapter) -> usize {
    adapter.parts.iter().map(|p| p.n_out * adapter.rank).max().unwrap_or(0)
}

/// Counts the bytes that a network and its adapter take on their backend.
pub(crate) fn adapted_bytes(config: &ModelConfig, options: &NetworkOptions, adapter: &Adapter) -> u64 {
    let own = 4 * adapter.n_params() + adapter.rank * adapter.rank + largest_b(adapter) + room(adapter, options.dtype) + 1 + AdamW::SCALARS;
    // Moments are those of the adapter alone.
    memory_bytes(config, options) - 8 * config.n_params() + 4 * own as u64
}

impl<B: Backend> Adapted<B> {
    /// Puts a model and its adapter on a backend.
    pub(crate) fn try_new(backend: B, base: &Weights, adapter: &Adapter, options: NetworkOptions) -> Result<Self, TuneError> {
        let mut network = Network::with_options(backend, base, options)?;
        let (rank, n) = (adapter.rank, adapter.n_params());
        let (params, working, all_grads) = (network.params_view(), network.working_view(), network.grads_view());
        let backend = network.backend_mut();
        let mut alloc = |len| backend.alloc(len, Dtype::F32);
        let [data, grads, m, v] = [n; 4].map(&mut alloc);
        let [scale, scaled, room] = [rank * rank, largest_b(adapter), room(adapter, options.dtype)].map(&mut alloc);
        let [norm_squared, scalars] = [1, AdamW::SCALARS].map(&mut alloc);
        let diagonal: Vec<f32> = (0..rank * rank).map(|i| if i % (rank + 1) == 0 { adapter.scale() } else { 0.0 }).collect();
        backend.upload(scale, &diagonal);
        backend.upload(data, &adapter.data);
        let mut at = 0;
        let matrices = adapter.parts.iter().map(|part| {
            let (sizes @ [n_out, n_in], len) = ([part.n_out, part.n_in], part.n_out * part.n_in);
            let own = params.part(part.place, len);
            let (base, sum) = if working.is_some() { (own, room.part(0, len)) } else { (room.part(at, len), own) };
            if working.is_none() {
                backend.copy(base, own);
            }
            at += len;
            let half = |of: View| [of.part(part.a, rank * n_in), of.part(part.a + rank * n_in, n_out * rank)];
            let ([a, b], [da, db]) = (half(data), half(grads));
            let of_part = |view: View| view.part(part.place, len);
            Matrix { sizes, base, sum, working: working.map(of_part), grads: of_part(all_grads), a, b, da, db }
        });
        let matrices = matrices.collect();
        Ok(Self { network, matrices, data, moments: [m, v], grads, scale, scaled, norm_squared, scalars })
    }

    /// Copies the adapter's numbers out.
    pub(crate) fn download(&mut self, adapter: &mut Adapter) {
        self.network.backend_mut().download(self.data, &mut adapter.data);
    }

    /// Adds the adapter to the base's matrices, where rows meet them.
    pub(crate) fn apply(&mut self) {
        let backend = self.network.backend_mut();
        if backend.replay(APPLY) {
            return;
        }
        for Matrix { sizes: [n_out, n_in], base, sum, working, a, b, .. } in &self.matrices {
            let (scaled, rank) = (self.scaled.part(0, b.len), b.len / n_out);
            backend.gemm(scaled, *b, self.scale, None, product(*n_out, rank, rank));
            backend.gemm_onto(*sum, *base, scaled, *a, None, product(*n_out, *n_in, rank));
            if let Some(working) = working {
                backend.copy(*working, *sum);
            }
        }
        backend.record_end();
    }

    /// Turns the network's gradients into those of the adapter, and sums their squares.
    pub(crate) fn project(&mut self) {
        let backend = self.network.backend_mut();
        if backend.replay(PROJECT) {
            return;
        }
        for Matrix { sizes: [n_out, n_in], grads, a, b, da, db, .. } in &self.matrices {
            let (scaled, rank) = (self.scaled.part(0, b.len), b.len / n_out);
            backend.gemm(scaled, *b, self.scale, None, product(*n_out, rank, rank));
            backend.gemm(*da, scaled, *grads, None, Gemm { transpose_a: true, ..product(rank, *n_in, *n_out) });
            backend.gemm(scaled, *grads, *a, None, Gemm { transpose_b: true, ..product(*n_out, rank, *n_in) });
            backend.gemm(*db, scaled, self.scale, None, product(*n_out, rank, rank));
        }
        backend.sum_squares(self.norm_squared, self.grads);
        backend.record_end();
    }

    /// Updates the adapter by the network's gradients, and the network by the adapter.
    pub(crate) fn update(&mut self, step: AdamW) {
        self.project();
        let [m, v] = self.moments;
        let backend = self.network.backend_mut();
        backend.upload(self.scalars, &step.scalars());
        backend.adamw(self.data, None, m, v, self.grads, self.norm_squared, self.scalars);
        self.apply();
    }
}

fn product(m: usize, n: usize, k: usize) -> Gemm {
    Gemm { m, n, k, transpose_a: false, transpose_b: false, accumulate: false }
}
