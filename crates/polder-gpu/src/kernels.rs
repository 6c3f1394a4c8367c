//! `kernels check`: every kernel on this GPU against the processor's results, and how near each comes to what the GPU can do.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use polder_base::{Advised, ExitKind, Random, units};
use polder_compute::cpu::Sampling;
use polder_compute::cuda::{Cuda, Timed, table};
use polder_compute::trace::Roofline;
use polder_compute::{
    Activation, AdamW, Attention, Backend, Cpu, CrossEntropy, Dtype, Gemm, IdView, KvCache, Muon, MuonStep, Norm, NormKind, Rope, View,
};

use crate::commands::OrAdvise;
use crate::note;

/// What a buffer begins with.
#[derive(Clone, Copy)]
enum Begin {
    /// Numbers in (−1, 1) times this.
    Random(f32),
    /// Numbers above 0, such as second moments have.
    Positive,
    /// One value everywhere.
    All(f32),
    /// The scalars of an update.
    AdamW(AdamW),
    /// The scalars of a matrix's update by Muon.
    Muon(MuonStep, Muon),
    /// Nothing that anybody compares: what an operation computes in.
    Scratch,
    /// The table of a rotation.
    Rotation { time: usize, head: usize },
}

/// An operation on buffers of its own.
struct Case {
    what: String,
    buffers: Vec<(usize, Dtype, Begin)>,
    ids: Vec<Vec<i32>>,
    /// How far results may be from the processor's, as a share of their norm.
    tolerance: f64,
    #[allow(clippy::type_complexity)]
    run: Box<dyn Fn(&mut dyn Backend, &[View], &[IdView])>,
}

/// What is asked of a check.
pub struct Asked {
    /// Part of the names of cases.
    pub only: String,
    /// Fixes the inputs.
    pub seed: Option<u64>,
    /// Measures too.
    pub timed: bool,
    /// Small sizes alone, each once.
    pub small: bool,
}

/// Sizes that operations are tried with.
#[derive(Clone, Copy)]
struct Sizes {
    /// Rows.
    n: usize,
    /// C, F, V.
    width: usize,
    inner: usize,
    vocab: usize,
    /// Sequences, their length, heads and size of a head.
    heads: (usize, usize, usize, usize, usize),
    /// Parameters of an update.
    n_params: usize,
}

/// Multiples of nothing.
const AWKWARD: Sizes = Sizes { n: 333, width: 97, inner: 131, vocab: 1009, heads: (2, 217, 3, 1, 80), n_params: 100_003 };
/// A model's.
const EVEN: Sizes = Sizes { n: 1024, width: 768, inner: 1024, vocab: 4096, heads: (2, 512, 12, 4, 64), n_params: 1 << 20 };
/// Multiples of what fast paths ask for, as few as these take.
const SMALL: Sizes = Sizes { n: 264, width: 128, inner: 192, vocab: 512, heads: (1, 192, 4, 2, 64), n_params: 4096 };
/// Those with heads of 128 numbers.
const WIDE_HEADS: Sizes = Sizes { heads: (1, 640, 8, 2, 128), ..EVEN };
/// What fills a GPU, for the clock.
const LARGE: Sizes = Sizes { n: 32_768, width: 768, inner: 3072, vocab: 50_304, heads: (32, 1024, 12, 12, 64), n_params: 124_000_000 };

fn near(dtype: Dtype) -> f64 {
    match dtype {
        Dtype::F32 => 2e-5,
        Dtype::Bf16 => 1e-2,
    }
}

fn case(
    what: String,
    tolerance: f64,
    buffers: Vec<(usize, Dtype, Begin)>,
    ids: Vec<Vec<i32>>,
    run: impl Fn(&mut dyn Backend, &[View], &[IdView]) + 'static,
) -> Case {
    Case { what, buffers, ids, tolerance, run: Box::new(run) }
}

/// One case an operation and way of using it, with rows of a type.
fn cases(s: Sizes, dtype: Dtype) -> Vec<Case> {
    let Sizes { n, width: c, inner: f, vocab: v, n_params, .. } = s;
    let (r, tolerance) = (Begin::Random(1.0), near(dtype));
    let f32 = Dtype::F32;
    let mut all = vec![
        case(format!("fill {}", n * c), tolerance, vec![(n * c, dtype, r)], vec![], |b, v, _| b.fill(v[0], 0.5)),
        case(format!("copy {}", n * c), tolerance, vec![(n * c, f32, r), (n * c, dtype, r)], vec![], |b, v, _| {
            b.copy(v[0], v[1]);
            b.copy(v[1], v[0]);
        }),
        case(format!("add {}", n * c), tolerance, vec![(n * c, f32, r), (n * c, dtype, r)], vec![], |b, v, _| {
            b.add(v[0], v[1]);
            b.add(v[1], v[0]);
        }),
        case(format!("sum_squares {}", n * c), tolerance, vec![(1, f32, r), (n * c, dtype, r)], vec![], |b, v, _| {
            b.sum_squares(v[0], v[1])
        }),
        case(format!("bias_backward ({n}, {c})"), tolerance, vec![(c, f32, r), (n * c, dtype, r)], vec![], |b, v, _| {
            b.bias_backward(v[0], v[1])
        }),
    ];
    for activation in
        [Activation::SwiGlu, Activation::GeGlu, Activation::Gelu, Activation::GeluTanh, Activation::ReluSquared, Activation::Tanh]
    {
        let wide = f * activation.n_inputs();
        let buffers = vec![(n * f, dtype, r), (n * wide, dtype, Begin::Random(3.0)), (n * wide, dtype, r), (n * f, dtype, r)];
        all.push(case(format!("activation {activation:?} ({n}, {f})"), tolerance, buffers, vec![], move |b, v, _| {
            b.activation_forward(v[0], v[1], f, activation);
            b.activation_backward(v[2], v[3], v[1], f, activation);
        }));
    }
    for kind in [NormKind::Rms, NormKind::Layer] {
        for stream in [f32, dtype] {
            let norm = Norm { kind, eps: 1e-5 };
            let bias = kind == NormKind::Layer;
            let buffers = vec![
                (n * c, dtype, r),
                (n * kind.n_stats(), f32, r),
                (n * c, stream, r),
                (c, f32, r),
                (c, f32, r),
                (n * c, f32, r),
                (c, f32, r),
                (c, f32, r),
                (n * c, dtype, r),
            ];
            all.push(case(format!("norm {kind:?} ({n}, {c}) of {stream:?}"), tolerance, buffers, vec![], move |b, v, _| {
                b.norm_forward(v[0], v[1], v[2], v[3], bias.then_some(v[4]), norm);
                b.norm_backward(v[5], v[6], bias.then_some(v[7]), v[8], v[2], v[3], v[1], norm);
            }));
        }
    }
    let mut random = Random::new(1, "ids");
    let mut ids = |n: usize, below: usize| -> Vec<i32> {
        // Half of the ids are few, as words are.
        let mut one = |below: usize| random.below(below as u64) as i32;
        (0..n).map(|i| if i % 2 == 0 { one(below) } else { one(below.div_ceil(100)) }).collect()
    };
    for (name, rows) in [("tokens", v), ("positions", s.heads.1), ("types", 2)] {
        let buffers = vec![(n * c, f32, r), (rows * c, dtype, r), (rows * c, f32, r)];
        let mut chosen = ids(n, rows);
        chosen[0] = -1;
        all.push(case(format!("embedding of {name} ({n}, {c}) of {rows}"), tolerance, buffers, vec![chosen], move |b, v, i| {
            b.embedding_forward(v[0], v[1], i[0], c, false);
            b.embedding_forward(v[0], v[1], i[0], c, true);
            b.embedding_backward(v[2], v[0], i[0], c);
        }));
    }
    let ranges: Vec<i32> = (0..8).flat_map(|i| [i * n / 8, (i + 1) * n / 8 - i]).map(|x| x as i32).collect();
    all.push(case(
        format!("pool ({n}, {c})"),
        tolerance,
        vec![(8 * c, dtype, r), (n * c, dtype, r), (n * c, f32, r)],
        vec![ranges],
        move |b, v, i| {
            b.pool_forward(v[0], v[1], i[0], c);
            b.pool_backward(v[2], v[0], i[0], c);
        },
    ));
    all.extend(attention_cases(s, dtype));
    for (name, m, n, k, a, b) in products(s) {
        for (out, accumulate, bias) in [(dtype, false, false), (dtype, false, true), (f32, true, false)] {
            let shape = Gemm { m, n, k, transpose_a: a, transpose_b: b, accumulate };
            let buffers = vec![(m * n, out, r), (m * k, dtype, r), (k * n, dtype, r), (n, f32, r)];
            let how = format!("{}{}", if accumulate { " +=" } else { "" }, if bias { " bias" } else { "" });
            all.push(case(format!("gemm {name} ({m}, {n}, {k}) to {out:?}{how}"), tolerance, buffers, vec![], move |backend, v, _| {
                backend.gemm(v[0], v[1], v[2], bias.then_some(v[3]), shape);
            }));
        }
    }
    let plain = Sampling { temperature: 1.0, top_k: 0, top_p: 1.0, seed: 3 };
    let draws = [
        Sampling { temperature: 0.0, ..plain },
        plain,
        Sampling { top_k: 40, ..plain },
        Sampling { top_p: 0.9, ..plain },
        Sampling { temperature: 0.7, top_k: v / 3, top_p: 0.5, seed: 9 },
    ];
    // What was drawn is seen in the rows that it chooses.
    let (words, n_drawn) = (draws.iter().flat_map(Sampling::words).collect(), draws.len());
    let buffers = vec![(n_drawn, f32, r), (n_drawn * v, dtype, Begin::Random(9.0)), (v, f32, r)];
    let drawn = vec![vec![0; n_drawn], words, (0..n_drawn as i32).collect()];
    all.push(case(format!("sample ({n_drawn}, {v})"), tolerance, buffers, drawn, move |b, rows, i| {
        b.sample(i[0], rows[1], i[1], i[2], v, v);
        b.embedding_forward(rows[0], rows[2], i[0], 1, false);
    }));
    let (rows, targets) = (n.min(4096), ids(n.min(4096), v));
    for scale in [None, Some(0.25)] {
        let settings = CrossEntropy { vocab: v, n_classes: v - 3, z_loss: 1e-3, soft_cap: if scale.is_some() { 30.0 } else { 0.0 } };
        let mut targets: Vec<i32> = targets.iter().map(|t| (*t).min(v as i32 - 4)).collect();
        targets[0] = -1;
        let buffers = vec![(rows, f32, r), (rows * v, dtype, Begin::Random(4.0)), (1, f32, Begin::All(scale.unwrap_or_default()))];
        all.push(case(format!("cross_entropy ({rows}, {v}) scale {scale:?}"), tolerance, buffers, vec![targets], move |b, v, i| {
            b.cross_entropy(v[0], v[1], i[0], scale.map(|_| v[2]), settings);
        }));
    }
    let step = AdamW { lr: 1e-3, beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.1, step: 3, clip: 1.0 };
    let buffers = vec![
        (n_params, f32, r),
        (n_params, dtype, r),
        (n_params, f32, r),
        (n_params, f32, Begin::Positive),
        (n_params, f32, r),
        (1, f32, Begin::All(4.0)),
        (AdamW::SCALARS, f32, Begin::AdamW(step)),
    ];
    all.push(case(format!("adamw {n_params}"), tolerance, buffers, vec![], move |b, v, _| {
        b.adamw(v[0], Some(v[1]), v[2], v[3], v[4], v[5], v[6])
    }));
    for (rows, columns) in [(c, f), (f, c)] {
        let (matrix, step) = (Muon { rows, columns }, MuonStep { lr: 1e-2, momentum: 0.95, weight_decay: 0.1 });
        let len = rows * columns;
        let buffers = vec![
            (len, f32, r),
            (len, dtype, r),
            (len, f32, r),
            (len, f32, r),
            (matrix.scratch_len(), f32, Begin::Scratch),
            (1, f32, Begin::All(4.0)),
            (MuonStep::SCALARS, f32, Begin::Muon(step, matrix)),
        ];
        // Five iterations amplify what products in bf16 round.
        all.push(case(format!("muon ({rows}, {columns})"), 3e-2, buffers, vec![], move |b, v, _| {
            b.muon(v[0], Some(v[1]), v[2], v[3], v[4], v[5], v[6], matrix)
        }));
    }
    all
}

/// Attention in all its ways, with what stands around it.
fn attention_cases(s: Sizes, dtype: Dtype) -> Vec<Case> {
    let (batch, time, n_heads, n_kv_heads, head) = s.heads;
    let (rows, tolerance, r) = (batch * time, near(dtype), Begin::Random(1.0));
    let plain = Attention { batch, time, n_heads, n_kv_heads, head, causal: true, window: None };
    let mut all = Vec::new();
    let documents: Vec<i32> = (0..batch)
        .flat_map(|_| 0..time)
        .flat_map(|t| {
            let bound = [0, time / 7, time / 3, time / 2 + 1, time];
            let at = bound.iter().rposition(|b| *b <= t).unwrap_or(0);
            [bound[at] as i32, bound[at + 1] as i32]
        })
        .collect();
    let shapes = [
        (plain, false),
        (Attention { causal: false, ..plain }, false),
        (plain, true),
        (Attention { causal: false, ..plain }, true),
        (Attention { window: Some(time / 5), ..plain }, false),
        (Attention { window: Some(time / 5), causal: false, ..plain }, true),
    ];
    for (shape, split) in shapes {
        let (q, row) = (n_heads * head, shape.row());
        let buffers = vec![
            (rows * q, dtype, r),
            (batch * n_heads * time, Dtype::F32, r),
            (rows * row, dtype, Begin::Random(2.0)),
            (rows * row, dtype, r),
            (rows * q, dtype, r),
        ];
        let (causal, window) =
            (if shape.causal { " causal" } else { "" }, shape.window.map(|w| format!(" window {w}")).unwrap_or_default());
        let what = format!(
            "attention (B {batch}, T {time}, H {n_heads}/{n_kv_heads}, D {head}){causal}{window}{}",
            if split { " documents" } else { "" }
        );
        let ids = if split { vec![documents.clone()] } else { vec![] };
        all.push(case(what, tolerance.max(1e-4), buffers, ids, move |b, v, i| {
            b.attention_forward(v[0], v[1], v[2], i.first().copied(), shape);
            b.attention_backward(v[3], v[4], v[0], v[1], v[2], i.first().copied(), shape);
        }));
    }
    // Rows that go on with what was seen: one a sequence, as tokens are drawn, and a few, as a text goes in by parts.
    for n_new in [1, 5] {
        let shape = Attention { time: n_new, ..plain };
        let (rows, kept) = (batch * n_new, batch * time * n_kv_heads * head);
        let n_seen: Vec<i32> = (0..batch).map(|b| (time - n_new - b * (time / (2 * batch))) as i32).collect();
        let buffers =
            vec![(rows * n_heads * head, dtype, r), (rows * shape.row(), dtype, Begin::Random(2.0)), (kept, dtype, r), (kept, dtype, r)];
        let what = format!("attention over a cache (B {batch}, T {n_new} behind {time}, H {n_heads}/{n_kv_heads}, D {head})");
        all.push(case(what, tolerance.max(1e-4), buffers, vec![n_seen], move |b, v, i| {
            let cache = KvCache { keys: v[2], values: v[3], capacity: time, n_seen: i[0] };
            b.attention_append(&cache, v[1], shape);
            b.attention_decode(v[0], v[1], &cache, time, shape);
        }));
    }
    let row = plain.row();
    let n_rotated = n_heads + n_kv_heads;
    let positions: Vec<i32> = (0..rows).map(|i| (i % time) as i32).collect();
    let buffers = vec![(rows * row, dtype, r), (time * head, Dtype::F32, Begin::Rotation { time, head })];
    all.push(case(format!("rope ({rows}, {n_rotated}, {head})"), tolerance, buffers, vec![positions], move |b, v, i| {
        b.rope(v[0], v[1], i[0], Rope { n_rotated, head, row, inverse: false });
    }));
    let buffers = vec![
        (rows * row, dtype, r),
        (rows * n_heads, Dtype::F32, r),
        (rows * row, dtype, r),
        (head, Dtype::F32, r),
        (rows * row, dtype, r),
        (head, Dtype::F32, r),
    ];
    all.push(case(format!("head_norm ({rows}, {n_heads}, {head})"), tolerance, buffers, vec![], move |b, v, _| {
        b.head_norm_forward(v[0], v[1], v[2], v[3], row, 0, n_heads, 1e-5);
        b.head_norm_backward(v[4], v[5], v[2], v[3], v[1], row, 0, n_heads);
    }));
    all
}

/// The products of a layer and of the head: name, m, n, k, transposes.
fn products(s: Sizes) -> Vec<(&'static str, usize, usize, usize, bool, bool)> {
    let Sizes { n, width: c, inner: f, vocab: v, .. } = s;
    let head_rows = n.min(8192);
    let mut all = Vec::new();
    for (name, rows, n_out, n_in) in [("qkv", n, 3 * c, c), ("o", n, c, c), ("up", n, f, c), ("down", n, c, f), ("head", head_rows, v, c)] {
        all.push((name, rows, n_out, n_in, false, true));
        all.push((name, rows, n_in, n_out, false, false));
        all.push((name, n_out, n_in, rows, true, false));
    }
    all
}

/// Puts a case's buffers on a backend, from numbers of a seed.
fn prepare(case: &Case, seed: u64, backend: &mut dyn Backend) -> (Vec<View>, Vec<IdView>) {
    let views = case.buffers.iter().enumerate().map(|(i, (len, dtype, begin))| {
        let view = backend.alloc(*len, *dtype);
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(i as u64 + 1) | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        };
        let numbers: Vec<f32> = match begin {
            Begin::Random(by) => (0..*len).map(|_| by * next()).collect(),
            Begin::Positive => (0..*len).map(|_| next().abs() * 0.01 + 1e-4).collect(),
            Begin::All(x) => vec![*x; *len],
            Begin::AdamW(step) => step.scalars().to_vec(),
            Begin::Muon(step, matrix) => step.scalars(*matrix, 1.0).to_vec(),
            Begin::Scratch => vec![0.0; *len],
            Begin::Rotation { time, head } => Rope::table(*time, *head, 10_000.0, None),
        };
        backend.upload(view, &numbers);
        view
    });
    let views = views.collect();
    let ids = case.ids.iter().map(|values| {
        let view = backend.alloc_ids(values.len());
        backend.upload_ids(view, values);
        view
    });
    (views, ids.collect())
}

fn results(backend: &mut dyn Backend, views: &[View]) -> Vec<Vec<f32>> {
    views
        .iter()
        .map(|v| {
            let mut values = vec![0f32; v.len];
            backend.download(*v, &mut values);
            values
        })
        .collect()
}

/// ‖a − b‖ / ‖b‖; no number where one of them is not finite.
fn distance(a: &[f32], b: &[f32]) -> f64 {
    let (mut apart, mut norm) = (0.0f64, 0.0f64);
    for (a, b) in a.iter().zip(b) {
        let (a, b) = (f64::from(*a), f64::from(*b));
        apart += (a - b) * (a - b);
        norm += b * b;
    }
    if apart == 0.0 { 0.0 } else { (apart / norm.max(1e-30)).sqrt() }
}

/// Checks every case twice (the bits must be the same) against the processor; returns how many failed, and the entry points that ran.
fn check_cases(gpu: &mut Cuda, seed: u64, asked: &Asked, ran: &mut BTreeMap<String, f64>) -> anyhow::Result<usize> {
    let mut failed = 0;
    let all_sizes: &[Sizes] = if asked.small { &[AWKWARD, SMALL] } else { &[AWKWARD, EVEN, WIDE_HEADS] };
    for dtype in [Dtype::Bf16, Dtype::F32] {
        for sizes in all_sizes.iter().copied() {
            let mut all = cases(sizes, dtype);
            if sizes.heads == WIDE_HEADS.heads {
                all.retain(|c| c.what.starts_with("attention"));
            }
            for case in all.iter().filter(|c| c.what.contains(&asked.only)) {
                let mut cpu = Cpu::new();
                let (views, ids) = prepare(case, seed, &mut cpu);
                (case.run)(&mut cpu, &views, &ids);
                let expected = results(&mut cpu, &views);
                let mut outcomes = Vec::new();
                for _ in 0..if asked.small { 1 } else { 2 } {
                    gpu.clear().or_advise()?;
                    let (views, ids) = prepare(case, seed, gpu);
                    gpu.device().begin_timing();
                    (case.run)(gpu, &views, &ids);
                    for call in gpu.device().end_timing().or_advise()? {
                        ran.entry(call.entry).or_insert(0.0);
                    }
                    outcomes.push(results(gpu, &views));
                }
                let mut worst = (0.0f64, 0);
                for (i, ((ours, theirs), (_, kept, begin))) in outcomes[0].iter().zip(&expected).zip(&case.buffers).enumerate() {
                    if matches!(begin, Begin::Scratch) {
                        continue;
                    }
                    let d = distance(ours, theirs);
                    let allowed = if *kept == Dtype::Bf16 { case.tolerance.max(near(Dtype::Bf16)) } else { case.tolerance };
                    if d.is_nan() || d / allowed > worst.0 {
                        worst = (if d.is_nan() { f64::INFINITY } else { d / allowed }, i);
                    }
                }
                let bits = |r: &[Vec<f32>]| r.iter().flatten().map(|x| x.to_bits()).collect::<Vec<_>>();
                let same = outcomes.iter().all(|outcome| bits(outcome) == bits(&outcomes[0]));
                if worst.0 > 1.0 || !same {
                    failed += 1;
                    let d = distance(&outcomes[0][worst.1], &expected[worst.1]);
                    let twice = if same { "" } else { "; a second run gave other bits" };
                    note(&format!("FAILED {} {dtype:?}: buffer {} is {d:.1e} of its norm from the processor's{twice}", case.what, worst.1));
                }
            }
        }
    }
    Ok(failed)
}

/// Checks all kernels and prints what each takes at a model's sizes.
///
/// # Errors
/// No GPU; a kernel that gives other results than the processor.
pub fn check(ordinal: usize, asked: &Asked) -> anyhow::Result<()> {
    let only = asked.only.as_str();
    let seed = asked.seed.unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |d| d.as_millis() as u64));
    let mut gpu = Cuda::open(ordinal, 0).or_advise()?;
    let device = gpu.device();
    let (name, memory) = (device.name().to_owned(), units::bytes(device.free_bytes()));
    note(&format!("{name}, {} multiprocessors, {memory} free; inputs of seed {seed}", device.n_multiprocessors()));
    let mut ran = BTreeMap::new();
    let failed = check_cases(&mut gpu, seed, asked, &mut ran)?;
    if asked.timed {
        time_cases(&mut gpu, seed, only, &mut ran)?;
    }
    let missed: Vec<String> =
        table().flat_map(|row| row.variants.iter().map(move |types| row.entry(types))).filter(|entry| !ran.contains_key(entry)).collect();
    if only.is_empty() && !missed.is_empty() {
        note(&format!("not run here: {}", missed.join(", ")));
    }
    if failed > 0 {
        let message = format!("{failed} kernels differ from the processor");
        return Err(anyhow::Error::new(Advised::new(message, "Do not train on this GPU; report its name and driver.", ExitKind::Failed)));
    }
    let twice = if asked.small { "" } else { ", and give the same bits twice" };
    note(&format!("{} kernels agree with the processor{twice}", ran.len()));
    Ok(())
}

/// Measures the cases of a model's size, and prints a line a kernel and case.
fn time_cases(gpu: &mut Cuda, seed: u64, only: &str, ran: &mut BTreeMap<String, f64>) -> anyhow::Result<()> {
    gpu.clear().or_advise()?;
    let roofline = Roofline::measure(gpu);
    let tera = |x: f64| x / 1e12;
    note(&format!(
        "roofline: {:.0} TFLOP/s in bf16, {:.1} in f32, {:.2} TB/s copied",
        tera(roofline.flops_bf16),
        tera(roofline.flops_f32),
        tera(roofline.bytes)
    ));
    note(&format!("{:<66} {:<38} {:>9} {:>9} {:>7} {:>9}", "case", "kernel", "µs", "TFLOP/s", "TB/s", "roofline"));
    for sizes in [LARGE, Sizes { heads: (16, 2048, 8, 8, 128), ..LARGE }] {
        let mut all = cases(sizes, Dtype::Bf16);
        if sizes.heads != LARGE.heads {
            all.retain(|c| c.what.starts_with("attention"));
        }
        for case in all.iter().filter(|c| c.what.contains(only)) {
            gpu.clear().or_advise()?;
            let (views, ids) = prepare(case, seed, gpu);
            for _ in 0..2 {
                (case.run)(gpu, &views, &ids);
            }
            gpu.device().begin_timing();
            for _ in 0..5 {
                (case.run)(gpu, &views, &ids);
            }
            for line in sums(gpu.device().end_timing().or_advise()?) {
                let seconds = line.seconds / line.n_calls as f64;
                let (flop, bytes) = (line.flop / line.n_calls as f64, line.bytes / line.n_calls as f64);
                let share = 100.0 * roofline_seconds(&roofline, &line.entry, flop, bytes) / seconds;
                let flops = if flop > 0.0 { format!("{:.0}", flop / seconds / 1e12) } else { "-".to_owned() };
                note(&format!(
                    "{:<66} {:<38} {:>9.1} {flops:>9} {:>7.2} {share:>8.0}%",
                    case.what,
                    line.entry,
                    seconds * 1e6,
                    bytes / seconds / 1e12
                ));
                ran.insert(line.entry, share);
            }
        }
    }
    Ok(())
}

/// The least seconds that a call can take.
pub fn roofline_seconds(roofline: &Roofline, entry: &str, flop: f64, bytes: f64) -> f64 {
    // Hopper's kernels multiply bf16 whatever they write.
    let flops = if entry.contains("bf16") || entry.contains("sm90") { roofline.flops_bf16 } else { roofline.flops_f32 };
    (flop / flops).max(bytes / roofline.bytes)
}

/// Calls of one entry point.
pub struct Line {
    pub entry: String,
    pub n_calls: usize,
    pub seconds: f64,
    pub bytes: f64,
    pub flop: f64,
}

/// Sums calls up by entry point, the longest first.
pub fn sums(calls: Vec<Timed>) -> Vec<Line> {
    let mut lines: BTreeMap<String, Line> = BTreeMap::new();
    for call in calls {
        let empty = || Line { entry: call.entry.clone(), n_calls: 0, seconds: 0.0, bytes: 0.0, flop: 0.0 };
        let line = lines.entry(call.entry.clone()).or_insert_with(empty);
        line.n_calls += 1;
        line.seconds += call.seconds;
        line.bytes += call.bytes;
        line.flop += call.flop;
    }
    let mut lines: Vec<Line> = lines.into_values().collect();
    lines.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_small_case_agrees_on_the_emulated_kernels_too() {
        let asked = Asked { only: String::new(), seed: Some(1), timed: false, small: true };
        for capability in [(8, 0), (9, 0)] {
            let Some(mut gpu) = polder_testkit::emulated_gpu(capability, 1) else { return };
            let failed = check_cases(&mut gpu, 1, &asked, &mut BTreeMap::new()).expect("cases");
            assert_eq!(failed, 0, "{capability:?}");
        }
    }
}
