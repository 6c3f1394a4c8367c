//! Every operation at sizes, types and addresses that nobody chose: a few in the short form, many with `POLDER_SOAK`. A failure names the seed of its
//! trial.

use polder_compute::cpu::Sampling;
use polder_compute::{Activation, AdamW, Attention, CrossEntropy, Dtype, Gemm, Muon, MuonStep, Norm, NormKind, Rope, View};

use super::{Data, Op, TYPES, attention, compare, numbers, sample, view_of};

/// Words that depend on a seed alone.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((x ^ x >> 31) >> 11) as usize % n
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// A size of at most `most`: a few, what 16 bytes divide, one beside it, or any.
    fn size(&mut self, most: usize) -> usize {
        let eights = 8 * (1 + self.below(most.div_ceil(8)));
        let size = match self.below(4) {
            0 => 1 + self.below(9),
            1 => eights,
            2 => eights + self.below(3) - 1,
            _ => 1 + self.below(most),
        };
        size.clamp(1, most)
    }

    fn dtype(&mut self) -> Dtype {
        self.of(&TYPES)
    }

    /// Numbers within (−size, size).
    fn data(&mut self, n: usize, size: f32, dtype: Dtype) -> Data {
        (numbers(self.below(1 << 30) as u64, n).iter().map(|x| x * size).collect(), dtype)
    }

    /// Ids below `n`, some of which stand for none.
    fn ids(&mut self, len: usize, n: usize) -> Vec<i32> {
        let favourite = self.below(n);
        let often = self.of(&[2, 5, 1000]);
        let mut one = || if self.one_in(9) { -1 } else { (if self.one_in(often) { favourite } else { self.below(n) }) as i32 };
        (0..len).map(|_| one()).collect()
    }

    /// Compares with views that begin anywhere, in half of the trials.
    fn compare(&mut self, what: &str, buffers: &[Data], ids: &[Vec<i32>], tolerance: f64, op: Op) {
        let anywhere = self.one_in(2);
        let before: Vec<usize> = buffers.iter().map(|_| if anywhere { self.below(9) } else { 0 }).collect();
        let shifted = buffers.iter().zip(&before).map(|((values, dtype), n)| ([&vec![0.25; *n], &values[..]].concat(), *dtype));
        let shifted: Vec<Data> = shifted.collect();
        compare(&format!("{what} from {before:?} on"), &shifted, ids, tolerance, &|b, v, ids| {
            let views: Vec<View> = v.iter().zip(&before).map(|(v, n)| v.part(*n, v.len - n)).collect();
            op(b, &views, ids);
        });
    }
}

/// Runs trials of an operation.
fn trials(soak: usize, trial: impl Fn(&mut Dice)) {
    let n = if std::env::var_os("POLDER_SOAK").is_some() { soak } else { 2 };
    for seed in 0..n as u64 {
        println!("seed {seed}");
        trial(&mut Dice(seed));
    }
}

#[test]
fn sums_copies_and_fills() {
    trials(300, |d| {
        let n = d.size(5000);
        let (out, x) = (d.dtype(), d.dtype());
        let buffers = [d.data(n, 1.0, out), d.data(n, 1.0, x), d.data(1, 1.0, Dtype::F32)];
        d.compare("add", &buffers, &[], 5e-6, &|b, v, _| {
            b.add(v[0], v[1]);
            b.sum_squares(v[2], v[1]);
        });
        d.compare("copy", &buffers, &[], 5e-6, &|b, v, _| b.copy(v[0], v[1]));
    });
}

#[test]
fn activations() {
    trials(300, |d| {
        let activation = d.of(&[
            Activation::SwiGlu,
            Activation::GeGlu,
            Activation::Gelu,
            Activation::GeluTanh,
            Activation::ReluSquared,
            Activation::Tanh,
        ]);
        let (rows, width, dtype) = (d.size(40), d.size(300), d.dtype());
        let (n, inputs) = (rows * width, rows * width * activation.n_inputs());
        let buffers = [(vec![0.0; n], dtype), d.data(inputs, 4.0, dtype), d.data(n, 1.0, dtype), (vec![0.0; inputs], dtype)];
        d.compare(&format!("{activation:?} {rows} × {width}"), &buffers, &[], 5e-6, &|b, v, _| {
            b.activation_forward(v[0], v[1], width, activation);
            b.activation_backward(v[3], v[2], v[1], width, activation);
        });
    });
}

#[test]
fn biases() {
    trials(200, |d| {
        let (rows, channels, dtype) = (d.size(700), d.size(400), d.dtype());
        let buffers = [d.data(channels, 1.0, Dtype::F32), d.data(rows * channels, 1.0, dtype)];
        d.compare(&format!("bias {rows} × {channels}"), &buffers, &[], 5e-6, &|b, v, _| b.bias_backward(v[0], v[1]));
    });
}

#[test]
fn norms() {
    trials(300, |d| {
        let norm = Norm { kind: d.of(&[NormKind::Rms, NormKind::Layer]), eps: 1e-5 };
        let (channels, bias) = (d.of(&[600, 5000]), d.one_in(2));
        // The deviation of very few channels may be so small that rounding is all there is.
        let channels = d.size(channels).max(4);
        let n = d.size(12_000 / channels + 3);
        let [out, input, dout, dx] = [0; 4].map(|_| d.dtype());
        let buffers = [
            (vec![0.0; n * channels], out),
            (vec![0.0; n * norm.kind.n_stats()], Dtype::F32),
            d.data(n * channels, 2.0, input),
            d.data(channels, 1.0, Dtype::F32),
            d.data(channels, 1.0, Dtype::F32),
            d.data(n * channels, 1.0, dout),
            d.data(n * channels, 1.0, dx),
            d.data(channels, 1.0, Dtype::F32),
            d.data(channels, 1.0, Dtype::F32),
        ];
        d.compare(&format!("{norm:?} {n} × {channels} {bias}"), &buffers, &[], 2e-5, &|b, v, _| {
            b.norm_forward(v[0], v[1], v[2], v[3], bias.then_some(v[4]), norm);
            b.norm_backward(v[6], v[7], bias.then_some(v[8]), v[5], v[2], v[3], v[1], norm);
        });
    });
}

#[test]
fn normalised_heads() {
    trials(200, |d| {
        let (rows, heads, head, first, dtype) = (d.size(70), 1 + d.below(4), d.size(300).max(4), d.below(3), d.dtype());
        let further = d.size(40);
        let row = (first + heads) * head + if d.one_in(2) { 0 } else { further };
        let buffers = [
            d.data(rows * row, 1.0, dtype),
            (vec![0.0; rows * heads], Dtype::F32),
            d.data(rows * row, 1.0, dtype),
            d.data(head, 1.0, Dtype::F32),
            d.data(rows * row, 1.0, dtype),
            d.data(head, 1.0, Dtype::F32),
        ];
        d.compare(&format!("{rows} × {row}, {heads} of {head} from {first} on"), &buffers, &[], 2e-5, &|b, v, _| {
            b.head_norm_forward(v[0], v[1], v[2], v[3], row, first, heads, 1e-5);
            b.head_norm_backward(v[4], v[5], v[2], v[3], v[1], row, first, heads);
        });
    });
}

#[test]
fn rotations() {
    trials(200, |d| {
        let (rows, head, n_rotated, time, dtype) = (d.size(60), 2 * d.size(70), 1 + d.below(6), 1 + d.below(40), d.dtype());
        let further = d.size(100);
        let shape = Rope { n_rotated, head, row: n_rotated * head + if d.one_in(3) { 0 } else { further }, inverse: d.one_in(2) };
        let positions = [(0..rows).map(|_| d.below(time) as i32).collect()];
        let buffers = [d.data(rows * shape.row, 1.0, dtype), (Rope::table(time, head, 10_000.0, None), Dtype::F32)];
        d.compare(&format!("{shape:?}"), &buffers, &positions, 1e-6, &|b, v, p| b.rope(v[0], v[1], p[0], shape));
    });
}

#[test]
fn means() {
    trials(200, |d| {
        let (n_rows, channels, n_ranges) = (d.size(300), d.size(200), d.size(40));
        // Ranges in order, with gaps and such as are empty.
        let mut edges: Vec<i32> = (0..2 * n_ranges).map(|_| d.below(n_rows + 1) as i32).collect();
        edges.sort_unstable();
        let buffers = [0; 2].map(|_| d.dtype());
        let buffers = [d.data(n_ranges * channels, 1.0, buffers[0]), d.data(n_rows * channels, 1.0, buffers[1])];
        let ranges = [edges];
        let what = format!("{n_ranges} ranges of {n_rows} × {channels}");
        d.compare(&what, &buffers, &ranges, 5e-6, &|b, v, r| b.pool_forward(v[0], v[1], r[0], channels));
        d.compare(&what, &buffers, &ranges, 5e-6, &|b, v, r| b.pool_backward(v[1], v[0], r[0], channels));
    });
}

#[test]
fn embeddings() {
    trials(200, |d| {
        let (n, vocab, channels, accumulate) = (d.size(700), d.of(&[3, 40, 255, 256, 70_000]), d.size(90), d.one_in(2));
        let vocab = if vocab > 1000 { vocab } else { d.size(vocab) };
        let channels = if vocab > 1000 { channels.min(4) } else { channels };
        let ids = [d.ids(n, vocab)];
        let (rows, table) = (d.dtype(), d.dtype());
        let buffers = [d.data(n * channels, 1.0, rows), d.data(vocab * channels, 1.0, table), d.data(vocab * channels, 1.0, Dtype::F32)];
        d.compare(&format!("{n} of {vocab} × {channels}"), &buffers, &ids, 1e-5, &|b, v, ids| {
            b.embedding_backward(v[2], v[0], ids[0], channels);
            b.embedding_forward(v[0], v[1], ids[0], channels, accumulate);
        });
    });
}

#[test]
fn losses() {
    trials(200, |d| {
        let (vocab, rows, dtype) = (d.of(&[300, 9000]), 1 + d.below(9), d.dtype());
        let vocab = d.size(vocab);
        let n_classes = if d.one_in(2) { 0 } else { 1 + d.below(vocab) };
        let settings = CrossEntropy { vocab, n_classes, soft_cap: d.of(&[0.0, 5.0, 30.0]), z_loss: d.of(&[0.0, 1e-3]) };
        let scale = d.of(&[None, Some(0.5)]);
        let n = if n_classes == 0 { vocab } else { n_classes };
        let targets = [(0..rows).map(|_| if d.one_in(5) { -1 } else { d.below(n) as i32 }).collect()];
        let size = d.of(&[1.0, 20.0]);
        let buffers = [d.data(rows, 1.0, Dtype::F32), d.data(rows * vocab, size, dtype)];
        d.compare(&format!("{settings:?} {scale:?} {rows}"), &buffers, &targets, 1e-5, &|b, v, t| {
            let scale = scale.map(|s| view_of(b, &[s]));
            b.cross_entropy(v[0], v[1], t[0], scale, settings);
        });
    });
}

#[test]
fn updates() {
    trials(200, |d| {
        let (n, working) = (d.size(3000), d.of(&[None, Some(Dtype::F32), Some(Dtype::Bf16)]));
        let clip = d.of(&[0.0, 0.1, 1e6]);
        let f32 = Dtype::F32;
        let mut buffers =
            vec![d.data(n, 1.0, f32), d.data(n, 0.1, f32), d.data(n, 0.1, f32), d.data(n, 1.0, f32), (vec![n as f32 / 3.0], f32)];
        buffers[2].0.iter_mut().for_each(|v| *v = v.abs());
        buffers.extend(working.map(|dtype| (vec![0.0; n], dtype)));
        let settings = AdamW { lr: 1e-2, beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.1, step: 1 + d.below(50) as u64, clip };
        d.compare(&format!("{n}, {settings:?}"), &buffers, &[], 5e-6, &|b, v, _| {
            let scalars = view_of(b, &settings.scalars());
            b.adamw(v[0], v.get(5).copied(), v[1], v[2], v[3], v[4], scalars);
        });
    });
}

#[test]
fn orthogonal_updates() {
    trials(60, |d| {
        let (rows, columns) = (d.size(70), d.size(70));
        let (n, s) = (rows * columns, Muon { rows, columns });
        let step = MuonStep { lr: 0.02, momentum: 0.95, weight_decay: 0.1 }.scalars(s, d.of(&[0.0, 1.0]));
        let f32 = Dtype::F32;
        let mut buffers = vec![d.data(n, 1.0, f32), d.data(n, 0.1, f32), d.data(n, 1.0, f32), (vec![n as f32 / 3.0], f32)];
        let working = d.of(&[None, Some(Dtype::F32), Some(Dtype::Bf16)]);
        buffers.extend(working.map(|dtype| (vec![0.0; n], dtype)));
        // The iteration enlarges small singular values, and with them what was rounded off.
        d.compare(&format!("{s:?}"), &buffers, &[], 2e-4, &|b, v, _| {
            let scratch = b.alloc(s.scratch_len(), Dtype::F32);
            let scalars = view_of(b, &step);
            b.muon(v[0], v.get(4).copied(), v[1], v[2], scratch, v[3], scalars, s);
        });
    });
}

#[test]
fn products() {
    trials(200, |d| {
        let [m, n, k] = [70, 70, 300].map(|most| d.size(most));
        let shape = Gemm { m, n, k, transpose_a: d.one_in(2), transpose_b: d.one_in(2), accumulate: d.one_in(2) };
        let (out, factors) = d.of(&[(Dtype::F32, Dtype::F32), (Dtype::Bf16, Dtype::Bf16), (Dtype::F32, Dtype::Bf16)]);
        let bias = d.one_in(2);
        let buffers = [d.data(m * n, 1.0, out), d.data(m * k, 1.0, factors), d.data(k * n, 1.0, factors), d.data(n, 1.0, Dtype::F32)];
        d.compare(&format!("{shape:?} {bias}"), &buffers, &[], 5e-6, &|b, v, _| b.gemm(v[0], v[1], v[2], bias.then_some(v[3]), shape));
    });
}

#[test]
fn attentions() {
    trials(120, |d| {
        let head = if d.one_in(3) { 2 * d.size(100) } else { d.of(&[16, 32, 64, 80, 96, 128]) };
        let n_kv_heads = 1 + d.below(2);
        let window = d.of(&[None, Some(150)]).map(|most| d.below(most));
        let most = if head > 64 { 110 } else { 200 };
        let s = Attention {
            batch: 1 + d.below(2),
            time: d.size(most),
            n_heads: n_kv_heads * (1 + d.below(2)),
            n_kv_heads,
            head,
            causal: d.one_in(2),
            window,
        };
        let (dtype, ids) = (d.dtype(), if d.one_in(2) { vec![attention::documents(&s)] } else { Vec::new() });
        let buffers = attention::buffers(&s, dtype);
        d.compare(&format!("{s:?} {dtype:?}, {} documents", ids.len()), &buffers, &ids, 2e-5, &|b, v, ids| {
            attention::both_passes(s, b, v, ids)
        });
    });
}

#[test]
fn rows_over_a_cache() {
    trials(150, |d| {
        let (head, n_kv_heads, capacity, n) = (2 * d.size(128), 1 + d.below(3), d.size(600), 1 + d.below(3));
        let window = d.of(&[None, Some(700)]).map(|most| d.below(most));
        let (batch, n_heads) = (1 + d.below(3), n_kv_heads * (1 + d.below(6)));
        let s = Attention { batch, time: n, n_heads, n_kv_heads, head, causal: true, window };
        let seen: Vec<i32> = (0..batch).map(|_| d.below(capacity + 5) as i32 - 2).collect();
        let (buffers, most) = (attention::cached(&s, capacity, d.dtype()), attention::keys_max(&s, &seen));
        d.compare(&format!("{s:?} behind {seen:?} of {capacity}"), &buffers, &[seen], 2e-5, &|b, v, ids| {
            attention::decode(s, b, v, ids[0], capacity, most)
        });
    });
}

#[test]
fn draws() {
    trials(100, |d| {
        let vocab = d.of(&[50, 5000]);
        let vocab = d.size(vocab);
        let n_classes = if d.one_in(2) { vocab } else { 1 + d.below(vocab) };
        let settings: Vec<Sampling> = (0..1 + d.below(4))
            .map(|_| Sampling {
                temperature: d.of(&[0.0, 0.5, 1.0, 4.0]),
                top_k: if d.one_in(2) { 0 } else { 1 + d.below(vocab) },
                top_p: d.of(&[1.0, 0.9, 0.3]),
                seed: d.below(1 << 40) as u64,
            })
            .collect();
        // Whole numbers stand for many that are equal.
        let (mut logits, dtype) = (d.data(vocab * settings.len(), 9.0, Dtype::F32).0, d.dtype());
        if d.one_in(2) {
            logits.iter_mut().for_each(|x| *x = x.round());
        }
        sample::agree("at random", &logits, dtype, vocab, n_classes, &settings);
    });
}
