//! Where numbers stand, and the sizes and settings of each operation.

/// How numbers are stored. Sums are f32 at least, whatever is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Dtype {
    /// Four bytes.
    #[default]
    F32,
    /// Two bytes: the upper half of an f32, rounded to the nearest, ties to even.
    Bf16,
}

impl Dtype {
    /// Bytes a number.
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Bf16 => 2,
        }
    }
}

impl std::str::FromStr for Dtype {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "f32" => Ok(Self::F32),
            "bf16" => Ok(Self::Bf16),
            _ => Err(format!("`{text}` is neither f32 nor bf16")),
        }
    }
}

/// Names a flat buffer of numbers that a backend owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Buffer(pub usize);

/// Names a flat buffer of ids that a backend owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IdBuffer(pub usize);

/// A run of numbers in a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct View {
    /// The buffer.
    pub buffer: Buffer,
    /// How the buffer stores its numbers.
    pub dtype: Dtype,
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
        Self { offset: self.offset + offset, len, ..self }
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

/// How rows are normalised.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Norm {
    /// Which formula.
    pub kind: NormKind,
    /// Keeps the root away from 0.
    pub eps: f32,
}

/// The formula of a normalisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormKind {
    /// `x / √(mean x² + eps)`; a row's statistic is the factor.
    ///
    /// # Source
    /// Zhang and Sennrich, Root Mean Square Layer Normalization, 2019.
    Rms,
    /// `(x − mean) / √(variance + eps)`; a row's statistics are mean and factor.
    ///
    /// # Source
    /// Ba, Kiros and Hinton, Layer Normalization, 2016.
    Layer,
}

impl NormKind {
    /// Statistics that a row leaves for the backward pass.
    pub fn n_stats(self) -> usize {
        match self {
            Self::Rms => 1,
            Self::Layer => 2,
        }
    }
}

/// Sizes of attention with grouped-query heads over packed rows: query heads, then key heads, then value heads.
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
    /// A row sees only itself and what comes before it.
    pub causal: bool,
    /// A row sees only rows at most this far from it; `None` for all.
    pub window: Option<usize>,
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

    /// The rows that a row sees, first and end, within a document that spans `first..end` of the sequence.
    pub fn seen(&self, row: usize, (first, end): (usize, usize)) -> (usize, usize) {
        let from = self.window.map_or(first, |w| first.max(row.saturating_sub(w)));
        let to = if self.causal { row + 1 } else { self.window.map_or(end, |w| end.min(row + w + 1)) };
        (from, to.min(end))
    }

    /// Where a row of the batch stands in its sequence, of which so many tokens came before; `None` for one that rests.
    pub fn place(&self, n_seen: &[i32], row: usize) -> Option<usize> {
        usize::try_from(n_seen[row / self.time]).ok().map(|seen| seen + row % self.time)
    }

    /// The cached tokens that a row of the batch sees, first and end.
    pub fn cached(&self, n_seen: &[i32], row: usize, capacity: usize) -> (usize, usize) {
        self.place(n_seen, row).map_or((0, 0), |place| (self.window.map_or(0, |w| place.saturating_sub(w)), (place + 1).min(capacity)))
    }
}

/// Keys and values of the tokens seen so far, (B, capacity, K · D) each.
#[derive(Clone, Copy, Debug)]
pub struct KvCache {
    /// Keys.
    pub keys: View,
    /// Values.
    pub values: View,
    /// Tokens that a sequence has room for.
    pub capacity: usize,
    /// How many tokens each sequence has seen before those at hand, (B); negative for one that rests.
    pub n_seen: IdView,
}

/// Sizes of a rotation of heads by their position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rope {
    /// Leading heads of each row that are rotated.
    pub n_rotated: usize,
    /// D: size of a head.
    pub head: usize,
    /// Numbers in a row.
    pub row: usize,
    /// Rotates backwards, as gradients need.
    pub inverse: bool,
}

/// How wavelengths of a rotation are stretched beyond the context that a model was first trained with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RopeScaling {
    /// What long wavelengths are multiplied by.
    pub factor: f64,
    /// Wavelengths above `original_context / low_frequency_factor` are stretched in full.
    pub low_frequency_factor: f64,
    /// Wavelengths below `original_context / high_frequency_factor` are left.
    pub high_frequency_factor: f64,
    /// Tokens of the first training's context.
    pub original_context: f64,
}

impl Rope {
    /// The table that [`Backend::rope`](crate::Backend::rope) reads: cosines (T, D/2), then sines (T, D/2).
    ///
    /// # Source
    /// Su et al., RoFormer, 2021; the scaling of Llama 3.
    pub fn table(time: usize, head: usize, theta: f64, scaling: Option<RopeScaling>) -> Vec<f32> {
        let half = head / 2;
        let frequency = |i: usize| {
            let plain = theta.powf(-2.0 * i as f64 / head as f64);
            let Some(s) = scaling else { return plain };
            let turns = s.original_context * plain / std::f64::consts::TAU;
            let kept = ((turns - s.low_frequency_factor) / (s.high_frequency_factor - s.low_frequency_factor)).clamp(0.0, 1.0);
            plain * (kept + (1.0 - kept) / s.factor)
        };
        let frequencies: Vec<f64> = (0..half).map(frequency).collect();
        let angle = |i: usize| (i / half) as f64 * frequencies[i % half];
        (0..time * half).map(|i| angle(i).cos() as f32).chain((0..time * half).map(|i| angle(i).sin() as f32)).collect()
    }
}

/// What bends a feed-forward layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `silu(gate) · up`, rows of 2F: gate, then up.
    SwiGlu,
    /// `gelu(gate) · up` with the error function, rows of 2F: gate, then up.
    GeGlu,
    /// `x · Φ(x)`, by the error function.
    Gelu,
    /// GPT-2's approximation of it by tanh.
    GeluTanh,
    /// `max(x, 0)²`.
    ReluSquared,
    /// `tanh x`.
    Tanh,
}

impl Activation {
    /// Numbers that go in for each that comes out.
    pub fn n_inputs(self) -> usize {
        match self {
            Self::SwiGlu | Self::GeGlu => 2,
            Self::Gelu | Self::GeluTanh | Self::ReluSquared | Self::Tanh => 1,
        }
    }
}

/// How logits are kept while the loss is computed: over blocks of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogitsRoom {
    /// Numbers in memory at once.
    pub numbers: usize,
    /// They are stored as rows are, and become their gradients where they stand; else they are f32, and rounded gradients stand beside them.
    pub as_rows: bool,
}

impl LogitsRoom {
    /// Blocks that stay in the caches of a processor.
    pub const PROCESSOR: Self = Self { numbers: 1 << 23, as_rows: false };
    /// Blocks that fill a GPU with each product.
    pub const GPU: Self = Self { numbers: 1 << 29, as_rows: true };
}

/// Settings of the loss.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CrossEntropy {
    /// V: logits a row.
    pub vocab: usize,
    /// Columns that are predicted, at most V; those behind are padding. 0 means all.
    pub n_classes: usize,
    /// Adds `z_loss · ln²(Σ exp)` to what gradients descend; losses are reported without it.
    pub z_loss: f32,
    /// Logits are `cap · tanh(logits / cap)` before all else; 0 leaves them.
    pub soft_cap: f32,
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

impl AdamW {
    /// Count of [`AdamW::scalars`].
    pub const SCALARS: usize = 7;

    /// What an update reads: beta1, beta2, eps, root = 1 / √(1 − beta2ᵗ), keep = 1 − lr · decay, rate = lr / (1 − beta1ᵗ), clip.
    pub fn scalars(&self) -> [f32; Self::SCALARS] {
        let correction = |beta: f32| 1.0 - f64::from(beta).powi(i32::try_from(self.step).unwrap_or(i32::MAX));
        let root = (1.0 / correction(self.beta2).sqrt()) as f32;
        let (keep, rate) = (1.0 - self.lr * self.weight_decay, (f64::from(self.lr) / correction(self.beta1)) as f32);
        [self.beta1, self.beta2, self.eps, root, keep, rate, self.clip]
    }
}

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

impl MuonStep {
    /// Count of [`MuonStep::scalars`].
    pub const SCALARS: usize = 4;

    /// What the update of a matrix reads: momentum, keep = 1 − lr · decay, rate = lr · the matrix's scale, and `clip` as of [`AdamW::clip`].
    pub fn scalars(&self, matrix: Muon, clip: f32) -> [f32; Self::SCALARS] {
        [self.momentum, 1.0 - self.lr * self.weight_decay, (f64::from(self.lr) * matrix.scale()) as f32, clip]
    }
}

/// Sizes of a matrix that Muon updates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Muon {
    /// Rows of the matrix.
    pub rows: usize,
    /// Columns of the matrix.
    pub columns: usize,
}

impl Muon {
    /// Coefficients of the quintic iteration that brings singular values near 1, and how often it runs.
    pub const NEWTON_SCHULZ: ((f32, f32, f32), usize) = ((3.4445, -4.7750, 2.0315), 5);

    /// The least norm that a momentum is divided by.
    pub const EPS: f32 = 1e-7;

    /// Numbers at the end of the scratch that belong to the matrix as a whole.
    pub const SCALARS: usize = 4;

    /// What the orthogonal matrix is multiplied by, beside the learning rate.
    pub fn scale(&self) -> f64 {
        0.2 * (self.rows.max(self.columns) as f64).sqrt()
    }

    /// Numbers of scratch that an update of this matrix needs.
    pub fn scratch_len(&self) -> usize {
        let small = self.rows.min(self.columns);
        2 * self.rows * self.columns + 2 * small * small + Self::SCALARS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scalars_of_an_update_are_those_of_the_formula() {
        for step in [1u64, 2, 7, 1000] {
            let s = AdamW { lr: 3e-3, beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.1, step, clip: 2.0 };
            let (mut power1, mut power2) = (1.0, 1.0);
            for _ in 0..step {
                power1 *= f64::from(s.beta1);
                power2 *= f64::from(s.beta2);
            }
            let keep = 1.0 - f64::from(s.lr) * f64::from(s.weight_decay);
            let rate = f64::from(s.lr) / (1.0 - power1);
            let truth = [s.beta1.into(), s.beta2.into(), s.eps.into(), 1.0 / (1.0 - power2).sqrt(), keep, rate, 2.0];
            for (i, (ours, truth)) in s.scalars().into_iter().zip(truth).enumerate() {
                assert!((f64::from(ours) / truth - 1.0).abs() < 1e-7, "step {step}, scalar {i}: {ours} and {truth}");
            }
        }
        let step = MuonStep { lr: 0.02, momentum: 0.95, weight_decay: 0.1 };
        let [momentum, keep, rate, clip] = step.scalars(Muon { rows: 9, columns: 25 }, 1.5);
        assert_eq!((momentum, clip), (0.95, 1.5));
        assert!((keep - 0.998).abs() < 1e-7 && (rate - 0.02).abs() < 1e-8, "{keep} {rate}");
    }
}
