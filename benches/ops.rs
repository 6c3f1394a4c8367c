//! Operations of the CPU half at the shapes of the models that `train` measures: GFLOP/s of products and attention, GB/s
//! of the rest.
#![allow(missing_docs, clippy::print_stdout)]

use std::time::Instant;

use polder_compute::{Activation, AdamW, Attention, Backend, Cpu, CrossEntropy, Dtype, Gemm, Norm, NormKind, Rope};

/// (C, F, H, V): 1, 10 and 34 million parameters.
const SIZES: [(usize, usize, usize, usize); 3] = [(128, 352, 4, 4096), (320, 864, 5, 8192), (512, 1376, 8, 16_384)];
/// Tokens a step, and a sequence.
const N: usize = 2048;
const T: usize = 256;

/// The least of several times, in seconds.
fn time(cpu: &mut Cpu, work: &mut dyn FnMut(&mut Cpu)) -> f64 {
    work(cpu);
    let mut best = f64::INFINITY;
    let start = Instant::now();
    let mut n = 0;
    while n < 5 || (start.elapsed().as_secs_f64() < 0.3 && n < 1000) {
        let start = Instant::now();
        work(cpu);
        best = best.min(start.elapsed().as_secs_f64());
        n += 1;
    }
    best
}

fn say(what: &str, dtype: Dtype, seconds: f64, amount: f64, unit: &str) {
    println!("{what:42} {dtype:?} {:9.3} ms {:8.1} {unit}", seconds * 1e3, amount / seconds / 1e9);
}

fn products(dtype: Dtype) {
    for (c, f, _, v) in SIZES {
        for (what, m, n, k, ta, tb) in [
            ("qkv forward", N, 3 * c, c, false, true),
            ("qkv dinput", N, c, 3 * c, false, false),
            ("qkv dweight", 3 * c, c, N, true, false),
            ("o forward", N, c, c, false, true),
            ("up forward", N, 2 * f, c, false, true),
            ("down forward", N, c, f, false, true),
            ("down dweight", c, f, N, true, false),
            ("head forward", 256, v, c, false, true),
            ("head dinput", 256, c, v, false, false),
            ("head dweight", v, c, 256, true, false),
        ] {
            let mut cpu = Cpu::new();
            let out_type = if ta { Dtype::F32 } else { dtype };
            let (out, a, b) = (cpu.alloc(m * n, out_type), cpu.alloc(m * k, dtype), cpu.alloc(k * n, dtype));
            let shape = Gemm { m, n, k, transpose_a: ta, transpose_b: tb, accumulate: ta };
            cpu.fill(a, 0.5);
            cpu.fill(b, 0.25);
            let seconds = time(&mut cpu, &mut |cpu| cpu.gemm(out, a, b, None, shape));
            say(&format!("{what} ({m}, {n}, {k})"), dtype, seconds, 2.0 * (m * n * k) as f64, "GFLOP/s");
        }
    }
}

fn others(dtype: Dtype) {
    for (c, f, h, v) in SIZES {
        let mut cpu = Cpu::new();
        let bytes = dtype.bytes();
        let shape = Attention { batch: N / T, time: T, n_heads: h, n_kv_heads: h, head: c / h, causal: true, window: None };
        let (qkv, dqkv) = (cpu.alloc(N * 3 * c, dtype), cpu.alloc(N * 3 * c, dtype));
        let (out, dout, lse) = (cpu.alloc(N * c, dtype), cpu.alloc(N * c, dtype), cpu.alloc(N * h, Dtype::F32));
        let numbers: Vec<f32> = (0..N * 3 * c).map(|i| ((i * 7919) % 1009) as f32 / 500.0 - 1.0).collect();
        cpu.upload(qkv, &numbers);
        cpu.upload(dout, &numbers[..N * c]);
        let seconds = time(&mut cpu, &mut |cpu| cpu.attention_forward(out, lse, qkv, None, shape));
        let flop = 4.0 * (N * T * c) as f64 / 2.0;
        say(&format!("attention forward C {c}"), dtype, seconds, flop, "GFLOP/s");
        let seconds = time(&mut cpu, &mut |cpu| cpu.attention_backward(dqkv, dout, out, lse, qkv, None, shape));
        say(&format!("attention backward C {c}"), dtype, seconds, 2.5 * flop, "GFLOP/s");

        let (positions, table) = (cpu.alloc_ids(N), cpu.alloc(T * c / h, Dtype::F32));
        let rope = Rope { n_rotated: 2 * h, head: c / h, row: 3 * c, inverse: false };
        let seconds = time(&mut cpu, &mut |cpu| cpu.rope(dqkv, table, positions, rope));
        say(&format!("rope C {c}"), dtype, seconds, (4 * N * c * bytes) as f64, "GB/s");

        let (x, dx, stats) = (cpu.alloc(N * c, Dtype::F32), cpu.alloc(N * c, Dtype::F32), cpu.alloc(N, Dtype::F32));
        let (weight, dweight) = (cpu.alloc(c, Dtype::F32), cpu.alloc(c, Dtype::F32));
        let norm = Norm { kind: NormKind::Rms, eps: 1e-5 };
        cpu.upload(x, &numbers[..N * c]);
        let seconds = time(&mut cpu, &mut |cpu| cpu.norm_forward(out, stats, x, weight, None, norm));
        say(&format!("norm forward C {c}"), dtype, seconds, (N * c * (4 + bytes)) as f64, "GB/s");
        let seconds = time(&mut cpu, &mut |cpu| cpu.norm_backward(dx, dweight, None, dout, x, weight, stats, norm));
        say(&format!("norm backward C {c}"), dtype, seconds, (N * c * (12 + bytes)) as f64, "GB/s");

        let (up, dup, act) = (cpu.alloc(N * 2 * f, dtype), cpu.alloc(N * 2 * f, dtype), cpu.alloc(N * f, dtype));
        let seconds = time(&mut cpu, &mut |cpu| cpu.activation_forward(act, up, f, Activation::SwiGlu));
        say(&format!("activation forward F {f}"), dtype, seconds, (3 * N * f * bytes) as f64, "GB/s");
        let seconds = time(&mut cpu, &mut |cpu| cpu.activation_backward(dup, act, up, f, Activation::SwiGlu));
        say(&format!("activation backward F {f}"), dtype, seconds, (5 * N * f * bytes) as f64, "GB/s");

        let (logits, losses, targets) = (cpu.alloc(256 * v, dtype), cpu.alloc(256, Dtype::F32), cpu.alloc_ids(256));
        let settings = CrossEntropy { vocab: v, ..CrossEntropy::default() };
        let scale = cpu.alloc(1, Dtype::F32);
        cpu.upload(scale, &[1e-3]);
        let seconds = time(&mut cpu, &mut |cpu| cpu.cross_entropy(losses, logits, targets, Some(scale), settings));
        say(&format!("cross entropy 256 × {v}"), dtype, seconds, (2 * 256 * v * bytes) as f64, "GB/s");

        let n = v * c;
        let [p, m, s, g] = [(); 4].map(|()| cpu.alloc(n, Dtype::F32));
        let (norm, working) = (cpu.alloc(1, Dtype::F32), cpu.alloc(n, Dtype::Bf16));
        let working = (dtype == Dtype::Bf16).then_some(working);
        let step = AdamW { lr: 1e-3, beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.1, step: 1, clip: 1.0 };
        let scalars = cpu.alloc(AdamW::SCALARS, Dtype::F32);
        cpu.upload(scalars, &step.scalars());
        let seconds = time(&mut cpu, &mut |cpu| cpu.adamw(p, working, m, s, g, norm, scalars));
        say(&format!("adamw {n}"), dtype, seconds, (n * 28) as f64, "GB/s");
        let seconds = time(&mut cpu, &mut |cpu| cpu.sum_squares(norm, g));
        say(&format!("sum of squares {n}"), dtype, seconds, (n * 4) as f64, "GB/s");
        let seconds = time(&mut cpu, &mut |cpu| cpu.fill(g, 0.0));
        say(&format!("fill {n}"), dtype, seconds, (n * 4) as f64, "GB/s");

        let ids = cpu.alloc_ids(N);
        cpu.upload_ids(ids, &(0..N).map(|i| ((i * 7919) % v) as i32).collect::<Vec<_>>());
        let seconds = time(&mut cpu, &mut |cpu| cpu.embedding_backward(g, x, ids, c));
        say(&format!("embedding backward {v} × {c}"), dtype, seconds, (N * c * 12) as f64, "GB/s");
    }
}

fn main() {
    let only: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let wanted = |what: &str| only.is_empty() || only.iter().any(|o| o == what);
    println!("{} threads; least of several runs", rayon::current_num_threads());
    for (dtype, name) in [(Dtype::F32, "f32"), (Dtype::Bf16, "bf16")] {
        if wanted("products") && (only.len() < 2 || wanted(name)) {
            products(dtype);
        }
        if wanted("others") && (only.len() < 2 || wanted(name)) {
            others(dtype);
        }
    }
}
