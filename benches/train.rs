//! Training speed: forward, backward and update in tokens a second, and peak memory, at about 1, 10 and 34 million
//! parameters, in f32 and bf16.
//!
//! Arguments choose sizes and types (`10m bf16`); without any, all are measured, each in a process of its own. `trace`
//! shows where a step's time goes instead. `POLDER_BENCH_RUNS` is how often the steps of a size are timed (5); the best
//! counts. `RAYON_NUM_THREADS` sets the threads.
#![allow(clippy::print_stdout)]

use std::process::Command;
use std::time::Instant;

use polder_compute::trace::Roofline;
use polder_compute::{AdamW, Backend, Cpu, Dtype, Traced};
use polder_model::{Batch, ModelConfig, ModelError, Network, NetworkOptions, Weights, preset};

/// A model: (name, C, F, L, H, V, steps in a timed run). The shapes are also measured with PyTorch.
type Size = (&'static str, usize, usize, usize, usize, usize, usize);
const SIZES: [Size; 3] = [("1m", 128, 352, 4, 4, 4096, 8), ("10m", 320, 864, 6, 5, 8192, 4), ("30m", 512, 1376, 8, 8, 16_384, 2)];
const TYPES: [(&str, Dtype); 2] = [("f32", Dtype::F32), ("bf16", Dtype::Bf16)];
/// Sequences a batch, and tokens a sequence.
const BATCH: usize = 8;
const T: usize = 256;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let named = |name: &str| words.iter().any(|w| w == name);
    let sizes = SIZES.iter().filter(|s| named(s.0) || !SIZES.iter().any(|s| named(s.0)));
    let tasks: Vec<(Size, (&str, Dtype))> = sizes
        .flat_map(|size| TYPES.iter().map(|dtype| (*size, *dtype)))
        .filter(|(_, dtype)| named(dtype.0) || !TYPES.iter().any(|t| named(t.0)))
        .collect();
    if let [(size, dtype)] = tasks[..] {
        let done = if named("trace") { trace(size, dtype.1) } else { time(size, dtype) };
        return done.unwrap_or_else(|e| println!("train {} {}: {e}", size.0, dtype.0));
    }
    for (size, dtype) in tasks {
        let mut child = std::env::current_exe().map(Command::new);
        let child = child.as_mut().map(|c| c.args([size.0, dtype.0]).args(named("trace").then_some("trace")).status());
        if !matches!(child, Ok(Ok(status)) if status.success()) {
            println!("train {} {}: its process failed", size.0, dtype.0);
        }
    }
}

/// A network, and one step of it.
struct Learner<B: Backend> {
    network: Network<B>,
    tokens: Vec<u32>,
    targets: Vec<i32>,
    n_steps: usize,
}

impl<B: Backend> Learner<B> {
    fn new(backend: B, model: &ModelConfig, dtype: Dtype) -> Result<Self, ModelError> {
        let options = NetworkOptions { dtype, ..NetworkOptions::new(BATCH, T) };
        let network = Network::with_options(backend, &Weights::init(model, 1234)?, options)?;
        let token = |i: usize| (i * 7919 + i / T * 31) % model.vocab_size;
        let tokens = (0..BATCH * T).map(|i| token(i) as u32).collect();
        let targets = (0..BATCH * T).map(|i| token(i + 1) as i32).collect();
        Ok(Self { network, tokens, targets, n_steps: 0 })
    }

    fn step(&mut self) -> Result<f64, ModelError> {
        self.n_steps += 1;
        self.network.zero_grads();
        let loss = self.network.loss_and_grads(&Batch::new(&self.tokens, &self.targets), 1.0 / (BATCH * T) as f32)?;
        let step = AdamW { lr: 3e-4, beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.1, step: self.n_steps as u64, clip: 1.0 };
        self.network.update(step);
        Ok(loss.mean())
    }
}

fn model((_, c, f, l, h, v, _): Size) -> Result<ModelConfig, ModelError> {
    let nano = preset("nano", v, T).ok_or_else(|| ModelError::Input { reason: "there is no preset `nano`".into() })?;
    Ok(ModelConfig {
        hidden_size: c,
        intermediate_size: f,
        num_hidden_layers: l,
        num_attention_heads: h,
        num_key_value_heads: h,
        head_dim: c / h,
        tie_word_embeddings: true,
        ..nano
    })
}

fn time(size: Size, (type_name, dtype): (&str, Dtype)) -> Result<(), ModelError> {
    let runs = std::env::var("POLDER_BENCH_RUNS").ok().and_then(|n| n.parse().ok()).unwrap_or(5);
    let model = model(size)?;
    let mut learner = Learner::new(Cpu::new(), &model, dtype)?;
    // The first steps touch memory for the first time.
    for _ in 0..2 {
        learner.step()?;
    }
    let mut seconds = Vec::new();
    for _ in 0..runs {
        let started = Instant::now();
        for _ in 0..size.6 {
            learner.step()?;
        }
        seconds.push(started.elapsed().as_secs_f64() / size.6 as f64);
    }
    seconds.sort_by(f64::total_cmp);
    let n = (BATCH * T) as f64;
    let (Some(best), Some(middle)) = (seconds.first(), seconds.get(seconds.len() / 2)) else { return Ok(()) };
    println!(
        "train {} {type_name}: {:.0} tokens/s at best, {:.0} at the median of {runs} ({:.0} GFLOP/s; {} parameters, {} threads, peak memory {:.0} MB)",
        size.0,
        n / best,
        n / middle,
        model.flops_per_token(T) as f64 * n / best / 1e9,
        model.n_params(),
        rayon::current_num_threads(),
        peak_mb(),
    );
    Ok(())
}

/// The most memory that this process has had, where the system tells it.
fn peak_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|l| l.strip_prefix("VmHWM:")?.trim().strip_suffix("kB")?.trim().parse::<f64>().ok());
    peak.unwrap_or(f64::NAN) / 1e3
}

fn trace(size: Size, dtype: Dtype) -> Result<(), ModelError> {
    let roofline = Roofline::measure(&mut Cpu::new());
    let mut learner = Learner::new(Traced::new(Cpu::new()), &model(size)?, dtype)?;
    for _ in 0..2 {
        learner.step()?;
    }
    learner.network.backend_mut().clear();
    for _ in 0..size.6 {
        learner.step()?;
    }
    println!("train {} {dtype:?}: {} steps, {} threads", size.0, size.6, rayon::current_num_threads());
    println!("{}", learner.network.backend_mut().report(roofline));
    Ok(())
}
