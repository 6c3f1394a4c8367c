//! Backends around backends: [`Traced`] says where a step's time goes, [`LockStep`] which operation differs first.

mod facts;
mod lock_step;
mod watched;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Instant;

use crate::{Activation, Attention, Backend, CrossEntropy, Dtype, Gemm, IdView, KvCache, LogitsRoom, Muon, Norm, Rope, View};
pub use facts::Facts;
pub use lock_step::{Difference, LockStep};
use watched::watched;

/// A call and how long it took.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// What was called.
    pub facts: Facts,
    /// Until its result was there.
    pub seconds: f64,
}

/// A backend that records every operation.
///
/// Each call waits for its result, so a backend that enqueues is measured one operation at a time.
pub struct Traced<B> {
    inner: B,
    calls: Vec<Call>,
}

impl<B: Backend> Traced<B> {
    /// Wraps a backend.
    pub fn new(inner: B) -> Self {
        Self { inner, calls: Vec::new() }
    }

    /// Returns the backend.
    pub fn into_inner(self) -> B {
        self.inner
    }

    /// Returns the calls in their order.
    pub fn calls(&self) -> &[Call] {
        &self.calls
    }

    /// Forgets the calls so far.
    pub fn clear(&mut self) {
        self.calls.clear();
    }

    /// Sums the calls up, the longest first.
    pub fn report(&self, roofline: Roofline) -> Report {
        let mut lines: BTreeMap<(&str, &str, usize), Line> = BTreeMap::new();
        for call in &self.calls {
            let f = &call.facts;
            let empty =
                || Line { op: f.op, sizes: f.sizes.clone(), dtype: f.dtype, n_calls: 0, seconds: 0.0, flop: 0.0, bytes: 0.0, least: 0.0 };
            let line = lines.entry((f.op, &f.sizes, f.dtype.bytes())).or_insert_with(empty);
            line.n_calls += 1;
            line.seconds += call.seconds;
            line.flop += f.flop;
            line.bytes += f.bytes;
            line.least += roofline.seconds(f);
        }
        let mut lines: Vec<Line> = lines.into_values().collect();
        lines.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        Report { roofline, lines }
    }

    fn shown(&self) -> &'static str {
        self.inner.name()
    }

    fn room(&self) -> LogitsRoom {
        self.inner.logits_room()
    }

    fn first(&mut self) -> &mut dyn Backend {
        &mut self.inner
    }

    fn same<R>(&mut self, call: &mut dyn FnMut(&mut dyn Backend) -> R) -> R {
        call(&mut self.inner)
    }

    fn watch(&mut self, facts: Facts, call: &mut dyn FnMut(&mut dyn Backend)) {
        let started = Instant::now();
        call(&mut self.inner);
        if let Some(out) = facts.outs.iter().find(|out| out.len > 0) {
            self.inner.download(out.part(0, 1), &mut [0.0]);
        }
        self.calls.push(Call { facts, seconds: started.elapsed().as_secs_f64() });
    }
}

watched!(Traced<B>);

/// What a machine can do at most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Roofline {
    /// FLOP a second of large products of f32.
    pub flops_f32: f64,
    /// FLOP a second of large products of bf16.
    pub flops_bf16: f64,
    /// Bytes a second that are read and written by copying what fits no cache.
    pub bytes: f64,
}

impl Roofline {
    /// Measures a backend: the best of several products of 1,024 rows and columns, and of several copies of 64 MB.
    pub fn measure(backend: &mut dyn Backend) -> Self {
        let [flops_f32, flops_bf16] = [Dtype::F32, Dtype::Bf16].map(|dtype| Self::peak_flops(backend, dtype));
        let mut copied = |len: usize| {
            let [out, x] = [(); 2].map(|()| backend.alloc(len, Dtype::F32));
            8.0 * len as f64 / best_seconds(backend, out, &mut |backend| backend.copy(out, x))
        };
        let small = copied(1 << 24);
        // What takes a millisecond on a processor is over before a GPU is asked for the next.
        let bytes = if small < 5e11 { small } else { small.max(copied(1 << 28)) };
        Self { flops_f32, flops_bf16, bytes }
    }

    /// FLOP a second of large products, the best of several: of 1,024 rows and columns, and of 8,192 where those take no time.
    pub fn peak_flops(backend: &mut dyn Backend, dtype: Dtype) -> f64 {
        let mut peak = |n: usize| {
            let shape = Gemm { m: n, n, k: n, transpose_a: false, transpose_b: true, accumulate: false };
            let [out, a, b] = [(); 3].map(|()| backend.alloc(n * n, dtype));
            // Zeros cost less to multiply than numbers do, on some machines.
            let numbers: Vec<f32> = (0..n * n).map(|i| (i.wrapping_mul(0x9e37_79b9) >> 8 & 0xff) as f32 / 128.0 - 1.0).collect();
            [a, b].into_iter().for_each(|view| backend.upload(view, &numbers));
            2.0 * (n as f64).powi(3) / best_seconds(backend, out, &mut |backend| backend.gemm(out, a, b, None, shape))
        };
        let small = peak(1024);
        if small < 1e13 { small } else { small.max(peak(8192)) }
    }

    /// The least seconds that a call can take.
    pub fn seconds(&self, facts: &Facts) -> f64 {
        let flops = match facts.dtype {
            Dtype::F32 => self.flops_f32,
            Dtype::Bf16 => self.flops_bf16,
        };
        (facts.flop / flops).max(facts.bytes / self.bytes)
    }
}

/// The least of five times, after one that does not count.
fn best_seconds(backend: &mut dyn Backend, out: View, work: &mut dyn FnMut(&mut dyn Backend)) -> f64 {
    let mut once = || {
        let started = Instant::now();
        work(backend);
        backend.download(out.part(0, 1), &mut [0.0]);
        started.elapsed().as_secs_f64()
    };
    once();
    (0..5).map(|_| once()).fold(f64::INFINITY, f64::min)
}

/// Calls of one operation with one set of sizes.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// The operation.
    pub op: &'static str,
    /// Its sizes.
    pub sizes: String,
    /// How its rows are stored.
    pub dtype: Dtype,
    /// Count of calls.
    pub n_calls: usize,
    /// What they took together.
    pub seconds: f64,
    /// Their FLOP together.
    pub flop: f64,
    /// Their bytes together.
    pub bytes: f64,
    /// The least that the roofline allows; caches may beat it where bytes decide.
    pub least: f64,
}

/// Where time went, the longest first.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// What calls were compared with.
    pub roofline: Roofline,
    /// One line an operation and sizes.
    pub lines: Vec<Line>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (total, least): (f64, f64) = self.lines.iter().fold((0.0, 0.0), |(t, l), line| (t + line.seconds, l + line.least));
        let Roofline { flops_f32, flops_bf16, bytes } = self.roofline;
        let (f32, bf16, bytes) = (flops_f32 / 1e9, flops_bf16 / 1e9, bytes / 1e9);
        writeln!(f, "roofline: {f32:.0} GFLOP/s in f32, {bf16:.0} in bf16, {bytes:.1} GB/s copied")?;
        writeln!(
            f,
            "{:<20} {:<34} {:>6} {:>10} {:>6} {:>9} {:>7} {:>9}",
            "operation", "sizes", "calls", "ms", "share", "GFLOP/s", "GB/s", "roofline"
        )?;
        for l in &self.lines {
            let (share, roof) = (100.0 * l.seconds / total, 100.0 * l.least / l.seconds);
            let flops = if l.flop > 0.0 { format!("{:.0}", l.flop / l.seconds / 1e9) } else { "-".to_owned() };
            writeln!(
                f,
                "{:<20} {:<34} {:>6} {:>10.3} {share:>5.1}% {flops:>9} {:>7.1} {roof:>8.0}%",
                l.op,
                format!("{} {:?}", l.sizes, l.dtype),
                l.n_calls,
                l.seconds * 1e3,
                l.bytes / l.seconds / 1e9,
            )?;
        }
        write!(
            f,
            "{:<55} {:>6} {:>10.3} {:>42.0}%",
            "all",
            self.lines.iter().map(|l| l.n_calls).sum::<usize>(),
            total * 1e3,
            100.0 * least / total
        )
    }
}
