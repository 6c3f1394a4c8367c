//! The tables in `kernels/README.md`: every kernel as it is launched for the reference shape, and the least time that a GPU's memory and tensor cores
//! allow it. Launchers say so themselves, to a device that only listens.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::super::backend::Cuda;
use super::super::device::{CudaError, Device, Launch, TensorMap, Tiled};
use super::super::table::{Kind, Pointer, Row, table};
use super::tests::{kernels, manifest};
use crate::KvCache;
use crate::cpu::Sampling;
use crate::{Activation, AdamW, Attention, Backend, CrossEntropy, Dtype, Gemm, Muon, MuonStep, Norm, NormKind, Rope};

/// An H200: bytes a second, and operations a second on bf16 in tensor cores and on f32 outside them.
const BYTES_A_SECOND: f64 = 4.3e12;
const TENSOR_FLOP_A_SECOND: f64 = 790e12;
const PLAIN_FLOP_A_SECOND: f64 = 66.9e12;

const B: usize = 8;
const T: usize = 2048;
const N: usize = B * T;
const C: usize = 2048;
const F: usize = 5632;
const V: usize = 50_304;
const H: usize = 16;
const K: usize = 4;
const D: usize = 128;

/// What a launcher asked for.
#[derive(Clone)]
struct Heard {
    row: &'static Row,
    types: Vec<Dtype>,
    grid: [i64; 3],
    shared: usize,
    bytes: f64,
    flop: f64,
}

impl Heard {
    /// Seconds that moving bytes takes at least, and that products take.
    fn seconds(&self) -> (f64, f64) {
        // What the copy engine brings is bf16, whatever type the results have.
        let tensor = self.types.contains(&Dtype::Bf16) || self.row.args.iter().any(|(_, kind)| *kind == Kind::Map);
        let rate = if tensor { TENSOR_FLOP_A_SECOND } else { PLAIN_FLOP_A_SECOND };
        (self.bytes / BYTES_A_SECOND, self.flop / rate)
    }

    fn least(&self) -> f64 {
        self.seconds().0.max(self.seconds().1)
    }
}

/// A device that runs nothing.
struct Listener {
    capability: (i32, i32),
    next: u64,
    heard: Arc<Mutex<Vec<Heard>>>,
}

impl Device for Listener {
    fn name(&self) -> &str {
        "listener"
    }

    fn capability(&self) -> (i32, i32) {
        self.capability
    }

    fn n_multiprocessors(&self) -> usize {
        132
    }

    fn free_bytes(&self) -> u64 {
        u64::MAX
    }

    fn alloc(&mut self, bytes: usize) -> Result<Pointer, CudaError> {
        let at = self.next;
        self.next += (bytes as u64).next_multiple_of(256);
        Ok(Pointer(at))
    }

    fn free_all(&mut self) -> Result<(), CudaError> {
        Ok(())
    }

    fn copy_in(&mut self, _: Pointer, _: &[u8]) -> Result<(), CudaError> {
        Ok(())
    }

    fn copy_out(&mut self, _: Pointer, _: &mut [u8]) -> Result<(), CudaError> {
        Ok(())
    }

    fn tensor_map(&mut self, _: Tiled) -> Result<TensorMap, CudaError> {
        Ok(TensorMap([0; 16]))
    }

    fn launch(&mut self, launch: &Launch<'_>) -> Result<(), CudaError> {
        let Launch { row, types, grid, shared, bytes, flop, .. } = *launch;
        // The emulation, which tries small shapes, would not come near.
        assert!(grid[0] < 1 << 31 && grid[1] < 1 << 16 && grid[2] < 1 << 16, "{}: {grid:?} blocks", row.name);
        assert!(shared <= 227 << 10, "{}: {shared} bytes of shared memory", row.name);
        self.heard.lock().expect("heard").push(Heard { row, types: types.to_vec(), grid, shared, bytes, flop });
        Ok(())
    }

    fn begin_capture(&mut self) -> Result<bool, CudaError> {
        Ok(false)
    }

    fn end_capture(&mut self) -> Result<usize, CudaError> {
        Ok(0)
    }

    fn launch_captured(&mut self, _: usize) -> Result<(), CudaError> {
        Ok(())
    }

    fn wait(&mut self) -> Result<(), CudaError> {
        Ok(())
    }
}

/// Calls an operation; what stands in `kernels/<source>.cu` is launched.
type Op = fn(&mut Cuda);

fn f32s(cuda: &mut Cuda, len: usize) -> crate::View {
    cuda.alloc(len, Dtype::F32)
}

fn rows(cuda: &mut Cuda, len: usize) -> crate::View {
    cuda.alloc(len, Dtype::Bf16)
}

const NORM: Norm = Norm { kind: NormKind::Rms, eps: 1e-6 };
const ATTENTION: Attention = Attention { batch: B, time: T, n_heads: H, n_kv_heads: K, head: D, causal: true, window: None };
const QKV: usize = (H + 2 * K) * D;

/// A training step's operations on the reference shape, and those that make B tokens behind a full cache, by their source. A kernel's numbers are those of its largest launch in the first operation
/// that launches it.
const OPS: &[(&str, Op)] = &[
    ("plain", |cuda| {
        let x = rows(cuda, N * C);
        cuda.fill(x, 0.0);
    }),
    ("plain", |cuda| {
        let (out, x) = (rows(cuda, N * C), f32s(cuda, N * C));
        cuda.copy(out, x);
    }),
    ("plain", |cuda| {
        let (out, x) = (f32s(cuda, N * C), rows(cuda, N * C));
        cuda.add(out, x);
    }),
    ("plain", |cuda| {
        let (out, x) = (f32s(cuda, 1), f32s(cuda, F * C));
        cuda.sum_squares(out, x);
    }),
    ("gemm", |cuda| {
        let (out, a, b) = (rows(cuda, N * F), rows(cuda, N * C), rows(cuda, F * C));
        cuda.gemm(out, a, b, None, Gemm { m: N, n: F, k: C, transpose_a: false, transpose_b: true, accumulate: false });
    }),
    ("gemm", |cuda| {
        let (out, a, b) = (f32s(cuda, F * C), rows(cuda, N * F), rows(cuda, N * C));
        cuda.gemm(out, a, b, None, Gemm { m: F, n: C, k: N, transpose_a: true, transpose_b: false, accumulate: true });
    }),
    ("gemm", |cuda| {
        let (out, a, b) = (rows(cuda, F), rows(cuda, C), rows(cuda, F * C));
        cuda.gemm(out, a, b, None, Gemm { m: 1, n: F, k: C, transpose_a: false, transpose_b: true, accumulate: false });
    }),
    ("bias", |cuda| {
        let (dbias, dout) = (f32s(cuda, F), rows(cuda, N * F));
        cuda.bias_backward(dbias, dout);
    }),
    ("embedding", |cuda| {
        let (out, weight, ids) = (f32s(cuda, N * C), rows(cuda, V * C), cuda.alloc_ids(N));
        cuda.embedding_forward(out, weight, ids, C, false);
    }),
    ("embedding", |cuda| {
        let (dweight, dout, ids) = (f32s(cuda, V * C), f32s(cuda, N * C), cuda.alloc_ids(N));
        cuda.embedding_backward(dweight, dout, ids, C);
    }),
    ("pool", |cuda| {
        let (out, x, ranges) = (f32s(cuda, B * C), rows(cuda, N * C), cuda.alloc_ids(2 * B));
        cuda.pool_forward(out, x, ranges, C);
    }),
    ("pool", |cuda| {
        let (dx, dout, ranges) = (f32s(cuda, N * C), f32s(cuda, B * C), cuda.alloc_ids(2 * B));
        cuda.pool_backward(dx, dout, ranges, C);
    }),
    ("norm", |cuda| {
        let (out, stats, x, weight) = (rows(cuda, N * C), f32s(cuda, N), f32s(cuda, N * C), f32s(cuda, C));
        cuda.norm_forward(out, stats, x, weight, None, NORM);
    }),
    ("norm", |cuda| {
        let (dx, dweight, dout) = (f32s(cuda, N * C), f32s(cuda, C), rows(cuda, N * C));
        let (x, weight, stats) = (f32s(cuda, N * C), f32s(cuda, C), f32s(cuda, N));
        cuda.norm_backward(dx, dweight, None, dout, x, weight, stats, NORM);
    }),
    ("head_norm", |cuda| {
        let (out, rstd, x, weight) = (rows(cuda, N * QKV), f32s(cuda, N * H), rows(cuda, N * QKV), f32s(cuda, D));
        cuda.head_norm_forward(out, rstd, x, weight, QKV, 0, H, 1e-6);
    }),
    ("head_norm", |cuda| {
        let (dx, dweight, x) = (rows(cuda, N * QKV), f32s(cuda, D), rows(cuda, N * QKV));
        let (weight, rstd) = (f32s(cuda, D), f32s(cuda, N * H));
        cuda.head_norm_backward(dx, dweight, x, weight, rstd, QKV, 0, H);
    }),
    ("rope", |cuda| {
        let (x, table, positions) = (rows(cuda, N * QKV), f32s(cuda, T * D), cuda.alloc_ids(N));
        cuda.rope(x, table, positions, Rope { n_rotated: H + K, head: D, row: QKV, inverse: false });
    }),
    ("attention", |cuda| {
        let (out, lse, qkv) = (rows(cuda, N * H * D), f32s(cuda, N * H), rows(cuda, N * QKV));
        cuda.attention_forward(out, lse, qkv, None, ATTENTION);
    }),
    ("attention", |cuda| {
        let (dqkv, dout, out) = (rows(cuda, N * QKV), rows(cuda, N * H * D), rows(cuda, N * H * D));
        let (lse, qkv) = (f32s(cuda, N * H), rows(cuda, N * QKV));
        cuda.attention_backward(dqkv, dout, out, lse, qkv, None, ATTENTION);
    }),
    ("attention", |cuda| {
        let (out, qkv) = (rows(cuda, B * H * D), rows(cuda, B * QKV));
        let [keys, values] = [(); 2].map(|()| rows(cuda, B * K * T * D));
        let cache = KvCache { keys, values, n_seen: cuda.alloc_ids(B), capacity: T };
        let one = Attention { time: 1, ..ATTENTION };
        cuda.attention_append(&cache, qkv, one);
        cuda.attention_decode(out, qkv, &cache, T, one);
    }),
    ("activation", |cuda| {
        let (out, x) = (rows(cuda, N * F), rows(cuda, N * F * 2));
        cuda.activation_forward(out, x, F, Activation::SwiGlu);
    }),
    ("activation", |cuda| {
        let (dx, dout, x) = (rows(cuda, N * F * 2), rows(cuda, N * F), rows(cuda, N * F * 2));
        cuda.activation_backward(dx, dout, x, F, Activation::SwiGlu);
    }),
    ("cross_entropy", |cuda| {
        let (losses, logits, targets, scale) = (f32s(cuda, N), rows(cuda, N * V), cuda.alloc_ids(N), f32s(cuda, 1));
        cuda.cross_entropy(losses, logits, targets, Some(scale), CrossEntropy { vocab: V, ..CrossEntropy::default() });
    }),
    ("sample", |cuda| {
        let (tokens, logits) = (cuda.alloc_ids(B), rows(cuda, B * V));
        let (settings, places) = (cuda.alloc_ids(B * Sampling::WORDS), cuda.alloc_ids(B));
        cuda.sample(tokens, logits, settings, places, V, V);
    }),
    ("adamw", |cuda| {
        let [params, m, v, grads] = [(); 4].map(|()| f32s(cuda, F * C));
        let (working, norm, scalars) = (rows(cuda, F * C), f32s(cuda, 1), f32s(cuda, AdamW::SCALARS));
        cuda.adamw(params, Some(working), m, v, grads, norm, scalars);
    }),
    ("muon", |cuda| {
        let matrix = Muon { rows: F, columns: C };
        let [params, momentum, grads] = [(); 3].map(|()| f32s(cuda, F * C));
        let (working, scratch) = (rows(cuda, F * C), f32s(cuda, matrix.scratch_len()));
        let (norm, scalars) = (f32s(cuda, 1), f32s(cuda, MuonStep::SCALARS));
        cuda.muon(params, Some(working), momentum, grads, scratch, norm, scalars, matrix);
    }),
];

/// Each kernel's launch, by its family.
fn launches() -> HashMap<&'static str, Heard> {
    let mut found: HashMap<&'static str, Heard> = HashMap::new();
    for (_, op) in OPS.iter().filter(|(source, _)| kernels().join(format!("{source}.cu")).exists()) {
        let mut largest: BTreeMap<&'static str, Heard> = BTreeMap::new();
        for capability in [(9, 0), (8, 0)] {
            let heard = Arc::new(Mutex::new(Vec::new()));
            // What buffers are filled with is heard too, before the operation; `fill` itself comes first.
            let device = Listener { capability, next: 256, heard: Arc::clone(&heard) };
            op(&mut Cuda::on(Box::new(device), 0).expect("a device without limits"));
            for launch in heard.lock().expect("heard").drain(..) {
                let best = largest.entry(launch.row.name).or_insert_with(|| launch.clone());
                if launch.least() > best.least() {
                    *best = launch;
                }
            }
        }
        for (name, launch) in largest {
            found.entry(name).or_insert(launch);
        }
    }
    found
}

fn type_names(types: &[Dtype]) -> String {
    let name = |t: &Dtype| if *t == Dtype::F32 { "f32" } else { "bf16" };
    types.iter().map(name).collect::<Vec<_>>().join("_")
}

/// A number of something, in thousands.
fn unit(x: f64, of: &str) -> String {
    let (scale, letter) = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")].into_iter().find(|(s, _)| x >= *s).unwrap_or((1.0, ""));
    let x = x / scale;
    let digits = match x {
        _ if x.fract() == 0.0 || x >= 100.0 => 0,
        _ if x >= 10.0 => 1,
        _ => 2,
    };
    format!("{x:.digits$} {letter}{of}")
}

/// The most that any variant takes, on both architectures.
fn registers(row: &Row, entries: &Value) -> String {
    let most = |arch: &str| row.variants.iter().filter_map(|types| entries[row.entry(types)][arch]["registers"].as_u64()).max();
    ["sm_90a", "sm_80"].map(|arch| most(arch).map_or_else(|| "–".to_owned(), |n| n.to_string())).join(" / ")
}

/// The family's name and its variants, that of the launch in bold.
fn kernel(row: &Row, launch: Option<&Heard>) -> String {
    let name = |types: &&[Dtype]| {
        let name = type_names(types);
        if launch.is_some_and(|l| l.types == *types) { format!(" **{name}**") } else { format!(" {name}") }
    };
    let variants: String = row.variants.iter().filter(|types| !types.is_empty()).map(name).collect();
    format!("`{}`{variants}", row.name)
}

fn line(launch: &Heard, entries: &Value) -> String {
    let Heard { row, types, grid, shared, bytes, flop } = launch;
    let n_dims = grid.iter().rposition(|n| *n != 1).map_or(1, |last| last + 1);
    let grid = grid[..n_dims].iter().map(ToString::to_string).collect::<Vec<_>>().join("·");
    let fixed = entries[row.entry(types)]["sm_90a"]["shared_bytes"].as_u64().unwrap_or(0);
    let shared = match *shared as u64 + fixed {
        0 => String::new(),
        bytes => format!(", {}", unit(bytes as f64, "B")),
    };
    let (memory, compute) = launch.seconds();
    let bound = if memory >= compute { "memory" } else { "compute" };
    let least = match launch.least() * 1e6 {
        us if us >= 100.0 => format!("{us:.0}"),
        us if us >= 0.1 => format!("{us:.1}"),
        _ => "< 0.1".to_owned(),
    };
    let (bytes, flop) = (unit(*bytes, "B"), if *flop == 0.0 { "–".to_owned() } else { unit(*flop, "") });
    let (kernel, registers) = (kernel(row, Some(launch)), registers(row, entries));
    format!("| {kernel} | {} × {grid}{shared} | {registers} | {bytes} | {flop} | {bound} | {least} |\n", row.threads)
}

/// Both tables as text.
fn text() -> String {
    let (launches, manifest) = (launches(), manifest());
    let entries = &manifest["entries"];
    let mut text = format!(
        "Reference shape: B {B}, T {T}, C {C}, F {F}, H {H}, K {K}, D {D}, V {V}; rows bf16, the residual stream and all that is learnt f32;\n\
         causal, SwiGLU, no documents. Bold is the variant whose numbers stand there.\n\n\
         | kernel and its variants | threads × blocks, shared memory | registers, 9.0a / 8.0 | bytes | FLOP | bound by | µs on an H200, at least |\n\
         |---|---|---|---|---|---|---|\n"
    );
    text.extend(table().filter_map(|row| launches.get(row.name)).map(|launch| line(launch, entries)));
    text.push_str(
        "\nFor other shapes, types and settings:\n\n| kernel and its variants | threads | registers, 9.0a / 8.0 |\n|---|---|---|\n",
    );
    let others = table().filter(|row| !launches.contains_key(row.name));
    text.extend(others.map(|row| format!("| {} | {} | {} |\n", kernel(row, None), row.threads, registers(row, entries))));
    text
}

#[test]
fn the_table_in_the_readme_is_this_one() {
    const MARKS: [&str; 2] = ["<!-- table -->\n", "<!-- /table -->\n"];
    let path = kernels().join("README.md");
    let readme = fs::read_to_string(&path).expect("README");
    let (before, rest) = readme.split_once(MARKS[0]).expect("the table's begin");
    let (old, after) = rest.split_once(MARKS[1]).expect("the table's end");
    let text = text();
    if std::env::var_os("POLDER_WRITE").is_some() {
        fs::write(&path, [before, MARKS[0], &text, MARKS[1], after].concat()).expect("README");
        return;
    }
    assert_eq!(old, text, "`POLDER_WRITE=1 cargo test --release -p polder-compute readme` writes it");
}
