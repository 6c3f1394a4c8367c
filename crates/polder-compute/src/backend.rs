//! What a machine must be able to do to train and run a model: some twenty fused operations over views into flat buffers.

/// Names a flat buffer of numbers that a backend owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Buffer(pub usize);

/// Names a flat buffer of token ids that a backend owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IdBuffer(pub usize);

/// A run of numbers in a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct View {
    /// The buffer.
    pub buffer: Buffer,
    /// First number.
    pub offset: usize,
    /// Count of numbers.
    pub len: usize,
}

impl View {
    /// Returns a part of this view.
    ///
    /// # Panics
    /// When the part reaches beyond the view.
    pub fn part(self, offset: usize, len: usize) -> Self {
        assert!(offset + len <= self.len, "part {offset}+{len} of a view of {}", self.len);
        Self { buffer: self.buffer, offset: self.offset + offset, len }
    }

    /// Tells whether two views share a number.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.buffer == other.buffer && self.offset < other.offset + other.len && other.offset < self.offset + self.len
    }
}

/// A run of ids in an id buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IdView {
    /// The buffer.
    pub buffer: IdBuffer,
    /// First id.
    pub offset: usize,
    /// Count of ids.
    pub len: usize,
}

impl IdView {
    /// Returns a part of this view.
    ///
    /// # Panics
    /// When the part reaches beyond the view.
    pub fn part(self, offset: usize, len: usize) -> Self {
        assert!(offset + len <= self.len, "part {offset}+{len} of a view of {}", self.len);
        Self { buffer: self.buffer, offset: self.offset + offset, len }
    }
}

/// Sizes and layout of a matrix product, all matrices row-major.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gemm {
    /// Rows of the output.
    pub m: usize,
    /// Columns of the output.
    pub n: usize,
    /// Terms of each sum.
    pub k: usize,
    /// The left matrix is stored (k, m).
    pub transpose_a: bool,
    /// The right matrix is stored (n, k).
    pub transpose_b: bool,
    /// Adds to the output instead of replacing it.
    pub accumulate: bool,
}

/// Sizes of causal attention with grouped-query heads over packed rows: query heads, then key heads, then value heads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attention {
    /// B: sequences.
    pub batch: usize,
    /// T: tokens a sequence.
    pub time: usize,
    /// H: query heads.
    pub n_heads: usize,
    /// Key and value heads; divides `n_heads`.
    pub n_kv_heads: usize,
    /// D: size of a head.
    pub head: usize,
}

impl Attention {
    /// Numbers in a packed row.
    pub fn row(&self) -> usize {
        (self.n_heads + 2 * self.n_kv_heads) * self.head
    }

    /// What scores are multiplied by, 1/√D.
    pub fn scale(&self) -> f64 {
        1.0 / (self.head as f64).sqrt()
    }
}

/// Sizes of a rotation of heads by their position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rope {
    /// T: tokens a sequence; row r stands at position r mod T.
    pub time: usize,
    /// Leading heads of each row that are rotated.
    pub n_rotated: usize,
    /// D: size of a head.
    pub head: usize,
    /// Numbers in a row.
    pub row: usize,
    /// Rotates backwards, as gradients need.
    pub inverse: bool,
}

impl Rope {
    /// The table that [`Backend::rope`] reads: cosines (T, D/2), then sines (T, D/2).
    pub fn table(time: usize, head: usize, theta: f64) -> Vec<f32> {
        let half = head / 2;
        let angle = |i: usize| (i / half) as f64 * theta.powf(-2.0 * (i % half) as f64 / head as f64);
        (0..time * half).map(|i| angle(i).cos() as f32).chain((0..time * half).map(|i| angle(i).sin() as f32)).collect()
    }
}

/// The scalars of one AdamW update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    /// Learning rate.
    pub lr: f32,
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub eps: f32,
    /// Decoupled weight decay.
    pub weight_decay: f32,
    /// Counted from 1; corrects the moments' bias.
    pub step: u64,
    /// Largest norm of the gradients; they are scaled down to it. 0 leaves them.
    pub clip: f32,
}

/// A machine's half of the work. Buffers are made at the start; no operation allocates or waits for the host.
///
/// Operations are ordered as called. Scalars that depend on results (the norm of the gradients) stay in views, so a step
/// is enqueued whole; only [`Backend::download`] waits. Matrices are row-major. No output may overlap another argument;
/// an argument that is read and written is named once, as output.
///
/// # Panics
/// Operations panic when a view does not have the size that the shapes ask for: that is a bug of the caller.
pub trait Backend: Send {
    /// What the backend is called in messages: `cpu`.
    fn name(&self) -> &'static str;

    /// Makes a buffer of zeros.
    fn alloc(&mut self, len: usize) -> View;

    /// Makes a buffer of ids, all 0.
    fn alloc_ids(&mut self, len: usize) -> IdView;

    /// Copies numbers in.
    fn upload(&mut self, to: View, values: &[f32]);

    /// Copies ids in.
    fn upload_ids(&mut self, to: IdView, values: &[i32]);

    /// Copies numbers out, after everything that was called before.
    fn download(&mut self, from: View, values: &mut [f32]);

    /// `out = value`.
    fn fill(&mut self, out: View, value: f32);

    /// `out = x`.
    fn copy(&mut self, out: View, x: View);

    /// `out += x`.
    fn add(&mut self, out: View, x: View);

    /// `out (m, n) = a · b`, or `+=`.
    fn gemm(&mut self, out: View, a: View, b: View, shape: Gemm);

    /// `out (N, C) = weight[ids]`, weight (V, C).
    fn embedding_forward(&mut self, out: View, weight: View, ids: IdView, channels: usize);

    /// `dweight[ids] += dout`, in order of rows.
    fn embedding_backward(&mut self, dweight: View, dout: View, ids: IdView, channels: usize);

    /// `out = x · rstd · weight` a row of C numbers; saves `rstd (N) = 1/√(mean x² + eps)`.
    ///
    /// # Source
    /// Zhang and Sennrich, Root Mean Square Layer Normalization, 2019.
    fn rms_norm_forward(&mut self, out: View, rstd: View, x: View, weight: View, eps: f32);

    /// `dx += …`, `dweight += …` for [`Backend::rms_norm_forward`].
    fn rms_norm_backward(&mut self, dx: View, dweight: View, dout: View, x: View, weight: View, rstd: View);

    /// Rotates the leading heads of each row in place; a head's number i pairs with number i + D/2.
    ///
    /// # Source
    /// Su et al., RoFormer, 2021; the pairing of Hugging Face's Llama.
    fn rope(&mut self, x: View, table: View, shape: Rope);

    /// `out (B·T, H·D) = softmax(q·kᵀ/√D, causal)·v`; saves `lse (B, H, T)`, the logarithm of each softmax's sum.
    fn attention_forward(&mut self, out: View, lse: View, qkv: View, shape: Attention);

    /// `dqkv = …` for [`Backend::attention_forward`].
    fn attention_backward(&mut self, dqkv: View, dout: View, out: View, lse: View, qkv: View, shape: Attention);

    /// `out (N, F) = silu(gate)·up`, gate_up (N, 2F): gate, then up.
    fn swiglu_forward(&mut self, out: View, gate_up: View, width: usize);

    /// `dgate_up = …` for [`Backend::swiglu_forward`].
    fn swiglu_backward(&mut self, dgate_up: View, dout: View, gate_up: View, width: usize);

    /// `losses (N) = −ln softmax(logits)[target]`; with `scale`, the logits (N, V) become `scale ·` their gradient.
    /// A negative target gives 0 and no gradient.
    fn cross_entropy(&mut self, losses: View, logits: View, targets: IdView, vocab: usize, scale: Option<f32>);

    /// `out (1) = Σ x²`.
    fn sum_squares(&mut self, out: View, x: View);

    /// Updates parameters and both moments; `norm_squared (1)` holds the gradients' sum of squares over the whole model.
    ///
    /// # Source
    /// Loshchilov and Hutter, Decoupled Weight Decay Regularization, 2019.
    fn adamw(&mut self, params: View, m: View, v: View, grads: View, norm_squared: View, step: AdamW);
}
