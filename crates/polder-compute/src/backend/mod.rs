//! What a machine must be able to do to train and run a model: some thirty fused operations over views into flat buffers.

mod boxed;
mod shapes;

pub use shapes::{
    Activation, AdamW, Attention, Buffer, CrossEntropy, Dtype, Gemm, IdBuffer, IdView, KvCache, LogitsRoom, Muon, MuonStep, Norm, NormKind,
    Rope, RopeScaling, View,
};

/// A machine's half of the work. Buffers are made at the start; no operation allocates or waits for the host.
///
/// Operations are ordered as called. Scalars that depend on results (the norm of the gradients) stay in views, so a step
/// is enqueued whole; only copies between machines wait. So do those that differ from step to step (what gradients are multiplied
/// by, the optimizer's), so that it is replayed whole. Matrices are row-major. No output may overlap another argument; an
/// argument that is read and written is named once, as output.
///
/// Activations (rows between operations) are stored as either type, one type an operation where nothing else is said.
/// Statistics, losses, tables, gradients of parameters and the optimizer's state are f32, and so are parameters that are
/// vectors; a matrix of parameters has the type of the rows it meets. The residual stream may be f32 beside bf16 rows:
/// where a formula says `+=`, its output may be f32 whatever the inputs are.
///
/// # Panics
/// Operations panic when a view does not have the size or type that the shapes ask for: that is a bug of the caller.
pub trait Backend: Send {
    /// What the backend is called in messages: `cpu`.
    fn name(&self) -> &'static str;

    /// How it wants logits to be kept.
    fn logits_room(&self) -> LogitsRoom {
        LogitsRoom::PROCESSOR
    }

    /// Makes a buffer of zeros.
    fn alloc(&mut self, len: usize, dtype: Dtype) -> View;

    /// Makes a buffer of ids, all 0.
    fn alloc_ids(&mut self, len: usize) -> IdView;

    /// Copies numbers in, rounded to the view's type.
    fn upload(&mut self, to: View, values: &[f32]);

    /// Copies ids in.
    fn upload_ids(&mut self, to: IdView, values: &[i32]);

    /// Copies numbers out, after everything that was called before.
    fn download(&mut self, from: View, values: &mut [f32]);

    /// Copies ids out, after everything that was called before.
    fn download_ids(&mut self, from: IdView, ids: &mut [i32]);

    /// Makes room for ids and for f32 numbers that go in together, all 0.
    fn alloc_inputs(&mut self, n_ids: usize, n_numbers: usize) -> (IdView, View) {
        (self.alloc_ids(n_ids), self.alloc(n_numbers, Dtype::F32))
    }

    /// Copies in the first of the ids and all of the numbers that one [`Backend::alloc_inputs`] made: where copies wait, as one.
    fn upload_inputs(&mut self, ids: IdView, id_values: &[i32], numbers: View, values: &[f32]) {
        self.upload_ids(ids.part(0, id_values.len()), id_values);
        self.upload(numbers, values);
    }

    /// Whether [`Backend::replay`] may say yes: then it pays to keep sizes alike, and to call much between two waits.
    fn replays(&self) -> bool {
        false
    }

    /// Runs again what was called between this and [`Backend::record_end`] when this was last called with the same key, and says so; else the
    /// caller makes the calls. Under one key, calls and all their arguments are always the same; what views hold may differ. Nothing is
    /// allocated, copied in or copied out between the two.
    fn replay(&mut self, key: u64) -> bool {
        let _ = key;
        false
    }

    /// Ends the calls that [`Backend::replay`] asked for.
    fn record_end(&mut self) {}

    /// `out = value`.
    fn fill(&mut self, out: View, value: f32);

    /// `out = x`, of any types.
    fn copy(&mut self, out: View, x: View);

    /// `out += x`, of any types.
    fn add(&mut self, out: View, x: View);

    /// `out (m, n) = a · b [+ bias (n)]`, or `+=`; a and b of one type, out of that type or f32.
    fn gemm(&mut self, out: View, a: View, b: View, bias: Option<View>, shape: Gemm);

    /// `out = onto + a · b [+ bias (n)]`, onto of out's size; `shape.accumulate` is not looked at.
    fn gemm_onto(&mut self, out: View, onto: View, a: View, b: View, bias: Option<View>, shape: Gemm) {
        self.copy(out, onto);
        self.gemm(out, a, b, bias, Gemm { accumulate: true, ..shape });
    }

    /// `dbias (C) += Σ dout (N, C)` over rows.
    fn bias_backward(&mut self, dbias: View, dout: View);

    /// `out (N, C) = weight[ids]`, weight (V, C); with `accumulate`, `+=`. Negative ids stand for zeros. Types may differ.
    fn embedding_forward(&mut self, out: View, weight: View, ids: IdView, channels: usize, accumulate: bool);

    /// `dweight[ids] += dout`, in order of rows. Negative ids are passed over.
    fn embedding_backward(&mut self, dweight: View, dout: View, ids: IdView, channels: usize);

    /// `out (B, C) = mean of x (N, C)` over rows `ranges[2b]..ranges[2b + 1]`; 0 for an empty range. Types may differ.
    fn pool_forward(&mut self, out: View, x: View, ranges: IdView, channels: usize);

    /// `dx += …` for [`Backend::pool_forward`].
    fn pool_backward(&mut self, dx: View, dout: View, ranges: IdView, channels: usize);

    /// `out = normalised x · weight [+ bias]` a row of C numbers, C the length of `weight`; saves `stats`, all rows' means
    /// first where the formula has one, then all rows' factors. `x` may be f32 beside a bf16 `out`.
    fn norm_forward(&mut self, out: View, stats: View, x: View, weight: View, bias: Option<View>, norm: Norm);

    /// `dx += …`, `dweight += …`, `dbias += …` for [`Backend::norm_forward`].
    #[allow(clippy::too_many_arguments)]
    fn norm_backward(&mut self, dx: View, dweight: View, dbias: Option<View>, dout: View, x: View, weight: View, stats: View, norm: Norm);

    /// [`Backend::norm_backward`], and then `rounded = dx`.
    #[allow(clippy::too_many_arguments)]
    fn norm_backward_rounded(
        &mut self,
        dx: View,
        rounded: View,
        dweight: View,
        dbias: Option<View>,
        dout: View,
        x: View,
        weight: View,
        stats: View,
        norm: Norm,
    ) {
        self.norm_backward(dx, dweight, dbias, dout, x, weight, stats, norm);
        self.copy(rounded, dx);
    }

    /// Normalises heads by their root mean square: of each packed row the `n_heads` heads of D numbers from head `first`
    /// on, D the length of `weight`. `out` has x's layout and only those heads are written; saves `rstd (N, n_heads)`.
    #[allow(clippy::too_many_arguments)]
    fn head_norm_forward(&mut self, out: View, rstd: View, x: View, weight: View, row: usize, first: usize, n_heads: usize, eps: f32);

    /// In `dx`, which holds the gradient of the output, these heads become the gradient of the input; `dweight += …`.
    #[allow(clippy::too_many_arguments)]
    fn head_norm_backward(&mut self, dx: View, dweight: View, x: View, weight: View, rstd: View, row: usize, first: usize, n_heads: usize);

    /// Rotates the leading heads of each row in place, by the row's position; a head's number i pairs with number i + D/2.
    fn rope(&mut self, x: View, table: View, positions: IdView, shape: Rope);

    /// `out (B·T, H·D) = softmax(q·kᵀ/√D)·v` over the rows that each row sees; saves `lse (B, H, T)`, the logarithm of each
    /// softmax's sum. `documents` holds, for each of the B·T rows, first and end of its document within its sequence: rows
    /// see their own document only. A row that sees nothing gives 0 and an `lse` of 0.
    fn attention_forward(&mut self, out: View, lse: View, qkv: View, documents: Option<IdView>, shape: Attention);

    /// `dqkv = …` for [`Backend::attention_forward`].
    #[allow(clippy::too_many_arguments)]
    fn attention_backward(&mut self, dqkv: View, dout: View, out: View, lse: View, qkv: View, documents: Option<IdView>, shape: Attention);

    /// Puts keys and values of the packed rows `qkv (B·T, …)` into the cache, behind those that each sequence has seen; what has no room is left out.
    fn attention_append(&mut self, cache: &KvCache, qkv: View, shape: Attention);

    /// `out (B·T, H·D)`, where row t of a sequence sees the cached tokens up to its own, which [`Backend::attention_append`] has put there, within
    /// the shape's window. No sequence may hold more than `keys_max` tokens then: the host knows it, and what is launched depends on it.
    fn attention_decode(&mut self, out: View, qkv: View, cache: &KvCache, keys_max: usize, shape: Attention);

    /// `out (N, F) = activation(x)`, x (N, F · inputs).
    fn activation_forward(&mut self, out: View, x: View, width: usize, activation: Activation);

    /// `dx = …` for [`Backend::activation_forward`].
    fn activation_backward(&mut self, dx: View, dout: View, x: View, width: usize, activation: Activation);

    /// `losses (N) = −ln softmax(logits)[target]`; with a `scale (1)`, the logits (N, V) become `scale ·` their gradient.
    /// A negative target gives 0 and no gradient.
    fn cross_entropy(&mut self, losses: View, logits: View, targets: IdView, scale: Option<View>, settings: CrossEntropy);

    /// Draws a token for each of N rows of `vocab` logits, of which the first `n_classes` count: a pure function of the row, its settings
    /// ([`cpu::Sampling::words`](crate::cpu::Sampling::words) a row) and its place, the same on every backend. A temperature of 0 takes the largest, of
    /// equals the first.
    fn sample(&mut self, tokens: IdView, logits: View, settings: IdView, places: IdView, vocab: usize, n_classes: usize);

    /// `out (1) = Σ x²`.
    fn sum_squares(&mut self, out: View, x: View);

    /// Updates parameters and both moments; `norm_squared (1)` holds the gradients' sum of squares over the whole model.
    /// `params` is f32; `working`, where there is one, gets a rounded copy. `scalars` holds [`AdamW::scalars`].
    ///
    /// # Source
    /// Loshchilov and Hutter, Decoupled Weight Decay Regularization, 2019.
    #[allow(clippy::too_many_arguments)]
    fn adamw(&mut self, params: View, working: Option<View>, m: View, v: View, grads: View, norm_squared: View, scalars: View);

    /// Updates a matrix by its momentum (Nesterov's, as a mean: `m = μ·m + (1 − μ)·g`) made orthogonal; see [`Muon::scratch_len`] for `scratch` (f32).
    /// `scalars` holds [`MuonStep::scalars`].
    ///
    /// # Source
    /// Jordan et al., Muon: an optimizer for the hidden layers of neural networks, 2024; the scale of Liu et al., Muon is
    /// scalable for LLM training, 2025: `0.2 · √max(rows, columns)`.
    #[allow(clippy::too_many_arguments)]
    fn muon(
        &mut self,
        params: View,
        working: Option<View>,
        momentum: View,
        grads: View,
        scratch: View,
        norm_squared: View,
        scalars: View,
        matrix: Muon,
    );
}
