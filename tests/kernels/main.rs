//! Every operation of `polder_compute` on the CPU against the naive f64 reference, and the reference's gradients against
//! finite differences. Each comparison runs on one thread and on three, which must agree bit for bit.

#![allow(missing_docs, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::too_many_arguments)]

mod activation;
mod adamw;
mod attention;
mod attention_sm90;
mod bias;
mod cross_entropy;
mod embedding;
mod gemm;
mod gemm_sm90;
mod gemv;
mod head_norm;
mod muon;
mod norm;
mod plain;
mod pool;
mod random;
mod rope;
mod sample;
mod trace;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use polder_compute::cuda::{self, Cuda, Emulated, EmulationError, Watch};
use polder_compute::{Backend, Cpu, Dtype, IdView, Reference, View};

/// Numbers in (−1, 1) that depend on the seed and the place alone.
pub fn numbers(seed: u64, n: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    // The first numbers still resemble the seed.
    (0..n + 8).map(|_| next()).skip(8).collect()
}

/// A buffer's numbers, and how they are stored.
pub type Data = (Vec<f32>, Dtype);

/// Buffers that are stored as f32.
pub fn f32s<const N: usize>(buffers: [Vec<f32>; N]) -> [Data; N] {
    buffers.map(|b| (b, Dtype::F32))
}

/// Buffers that are stored as the given type.
pub fn stored<const N: usize>(dtype: Dtype, buffers: [Vec<f32>; N]) -> [Data; N] {
    buffers.map(|b| (b, dtype))
}

/// Both types.
pub const TYPES: [Dtype; 2] = [Dtype::F32, Dtype::Bf16];

/// How far from the truth a result may be that is rounded to bf16, or made from one that was; half a unit is 2⁻⁹.
const HALF: f64 = 8e-3;

/// An operation on views of the given buffers.
pub type Op<'a> = &'a (dyn Fn(&mut dyn Backend, &[View], &[IdView]) + Sync);

fn prepare(backend: &mut dyn Backend, buffers: &[Data], ids: &[Vec<i32>]) -> (Vec<View>, Vec<IdView>) {
    let views = buffers.iter().map(|(b, dtype)| {
        let view = backend.alloc(b.len(), *dtype);
        backend.upload(view, b);
        view
    });
    let views = views.collect();
    let ids = ids.iter().map(|b| {
        let view = backend.alloc_ids(b.len());
        backend.upload_ids(view, b);
        view
    });
    (views, ids.collect())
}

/// A view of numbers that stand beside the buffers: a step's scalars.
fn view_of(backend: &mut dyn Backend, values: &[f32]) -> View {
    let view = backend.alloc(values.len(), Dtype::F32);
    backend.upload(view, values);
    view
}

fn on_cpu(buffers: &[Data], ids: &[Vec<i32>], threads: usize, op: Op) -> Vec<Vec<f32>> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
    pool.install(|| {
        let mut cpu = Cpu::new();
        let (views, ids) = prepare(&mut cpu, buffers, ids);
        op(&mut cpu, &views, &ids);
        let read = |v: &View| {
            let mut values = vec![0f32; v.len];
            cpu.download(*v, &mut values);
            values
        };
        views.iter().map(read).collect()
    })
}

/// Names the instructions that the processor's half may use.
const SWITCH: &str = "POLDER_SIMD";

/// Asks for kernels that are watched for addresses out of bounds and undefined behaviour.
const SANITIZE: &str = "POLDER_SANITIZE";

/// Where the kernels are compiled for the processor.
fn emulation() -> Option<&'static Path> {
    static LIBRARY: OnceLock<Option<PathBuf>> = OnceLock::new();
    if std::env::var_os(SWITCH).is_some() {
        // Another run of the same tests looks at what the processor's instructions change.
        return None;
    }
    let compiled = LIBRARY.get_or_init(|| {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../kernels");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let set = |name: &str| std::env::var_os(name).is_some();
        let watch = match (set(SANITIZE), set("POLDER_COVERAGE")) {
            (true, _) => Watch::Faults,
            (false, true) => Watch::Coverage,
            (false, false) => Watch::Nothing,
        };
        match cuda::compile(&sources, folder, watch) {
            Ok(library) => {
                // Stays open to the end, which is when it writes down what it was asked to watch.
                std::mem::forget(Emulated::open(&library, CAPABILITIES[0], 0));
                Some(library)
            }
            Err(EmulationError::NoCompiler) if std::env::var_os("POLDER_REQUIRE_EMULATION").is_none() => {
                println!("skipped: kernels are not emulated, for there is no C++ compiler");
                None
            }
            Err(e) => panic!("{e}"),
        }
    });
    compiled.as_deref()
}

/// Runs an operation on the emulated kernels for a compute capability, threads in the order of a seed. Every buffer begins with what no kernel
/// may leave, and views have no room behind them.
fn on_emulation(library: &Path, capability: (i32, i32), seed: u64, buffers: &[Data], ids: &[Vec<i32>], op: Op) -> Vec<Vec<f32>> {
    let device = Emulated::open(library, capability, seed).expect("emulation");
    let mut cuda = Cuda::on(Box::new(device), 0).expect("backend");
    let (views, ids) = prepare(&mut cuda, buffers, ids);
    op(&mut cuda, &views, &ids);
    let read = |v: &View| {
        let mut values = vec![0f32; v.len];
        cuda.download(*v, &mut values);
        values
    };
    views.iter().map(read).collect()
}

/// Compute capabilities whose kernels differ.
const CAPABILITIES: [(i32, i32); 2] = [(8, 0), (9, 0)];

/// How far from the truth a kernel's f32 results may be where the processor's may be `tolerance`: exponentials and roots are the fast ones.
fn emulated_tolerance(tolerance: f64) -> f64 {
    tolerance.max(2e-6)
}

/// Runs an operation on the reference.
pub fn on_reference(buffers: &[Data], ids: &[Vec<i32>], op: Op) -> Vec<Vec<f64>> {
    let mut reference = Reference::new();
    let (views, ids) = prepare(&mut reference, buffers, ids);
    op(&mut reference, &views, &ids);
    views.iter().map(|v| reference.slice(*v).to_vec()).collect()
}

/// Runs an operation on the processor, on the emulated kernels and on the reference and compares every buffer afterwards. One thread and three must
/// agree bit for bit, and so must two orders of a kernel's threads.
pub fn compare(what: &str, buffers: &[Data], ids: &[Vec<i32>], tolerance: f64, op: Op) {
    let bits = |results: Vec<Vec<f32>>| results.iter().flatten().map(|x| x.to_bits()).collect::<Vec<_>>();
    let ours = on_cpu(buffers, ids, 1, op);
    assert_eq!(bits(on_cpu(buffers, ids, 3, op)), bits(ours.clone()), "{what}: one thread and three differ");
    let truth = on_reference(buffers, ids, op);
    assert_near(what, &ours, &truth, buffers, tolerance);
    let Some(library) = emulation() else { return };
    for capability in CAPABILITIES {
        let what = format!("{what}, emulated {capability:?}");
        let ours = on_emulation(library, capability, 1, buffers, ids, op);
        assert_near(&what, &ours, &truth, buffers, emulated_tolerance(tolerance));
        assert_eq!(bits(on_emulation(library, capability, 2, buffers, ids, op)), bits(ours), "{what}: the order of threads shows");
    }
}

/// The same with each buffer in turn one number further than an aligned address: what moves many numbers at once must look at every address.
pub fn compare_at_odd_addresses(what: &str, buffers: &[Data], ids: &[Vec<i32>], tolerance: f64, op: Op) {
    for odd in 0..buffers.len() {
        let mut shifted = buffers.to_vec();
        shifted[odd].0.insert(0, 0.5);
        compare(&format!("{what}, buffer {odd} at an odd address"), &shifted, ids, tolerance, &|b, v, ids| {
            let views: Vec<View> = v.iter().enumerate().map(|(i, v)| if i == odd { v.part(1, v.len - 1) } else { *v }).collect();
            op(b, &views, ids);
        });
    }
}

/// Compares every buffer: ‖difference‖ ≤ tolerance · ‖reference‖, the tolerance for what is stored as bf16 being that of its rounding.
fn assert_near(what: &str, ours: &[Vec<f32>], truth: &[Vec<f64>], buffers: &[Data], tolerance: f64) {
    for (i, ((ours, truth), (_, dtype))) in ours.iter().zip(truth).zip(buffers).enumerate() {
        let norm = truth.iter().map(|x| x * x).sum::<f64>().sqrt();
        let distance = ours.iter().zip(truth).map(|(a, b)| (f64::from(*a) - b).powi(2)).sum::<f64>().sqrt();
        let tolerance = if *dtype == Dtype::Bf16 { HALF } else { tolerance };
        assert!(distance <= tolerance * norm.max(1e-30), "{what}: {dtype:?} buffer {i} is {distance:e} from a norm of {norm:e}");
    }
}

/// Compares gradients with central differences on the reference: after `backward`, buffer `gradient` holds
/// d(Σ dout · out) / d(buffer `input`), with `dout` in a buffer of its own. `forward` fills buffer `out`.
pub fn check_slopes(
    what: &str,
    buffers: &[Data],
    ids: &[Vec<i32>],
    (out, dout): (usize, usize),
    pairs: &[(usize, usize)],
    forward: Op,
    backward: Op,
) {
    let gradients = on_reference(buffers, ids, backward);
    let mut reference = Reference::new();
    let (views, ids) = prepare(&mut reference, buffers, ids);
    for (input, gradient) in pairs {
        let mut loss = |place: usize, shift: f64| {
            // What an operation changes in place is put back.
            for (view, (values, _)) in views.iter().zip(buffers) {
                reference.upload(*view, values);
            }
            reference.slice_mut(views[*input])[place] += shift;
            forward(&mut reference, &views, &ids);
            reference.slice(views[out]).iter().zip(reference.slice(views[dout])).map(|(o, d)| o * d).sum::<f64>()
        };
        for (place, gradient) in gradients[*gradient].iter().enumerate() {
            let slope = (loss(place, 1e-5) - loss(place, -1e-5)) / 2e-5;
            let error = (slope - gradient).abs() / (1e-2 + slope.abs());
            assert!(error < 1e-6, "{what}: {slope} by differences, {gradient} by the gradient, of buffer {input} at {place}");
        }
    }
}

#[test]
fn every_operation_agrees_with_the_reference_also_where_the_processor_has_less() {
    if std::env::var_os(SWITCH).is_some() || std::env::var_os(SANITIZE).is_some() {
        // One of the runs below: the other tests are what it is for.
        return;
    }
    for level in ["avx2", "plain"] {
        let program = std::env::current_exe().expect("this program");
        let output = std::process::Command::new(program).env(SWITCH, level).output().expect("a run of the same tests");
        assert!(output.status.success(), "{SWITCH}={level}:\n{}", String::from_utf8_lossy(&output.stdout));
    }
}

/// Where the compiler keeps a sanitizer's library, if it has it.
fn sanitizer(name: &str) -> Option<PathBuf> {
    let output = std::process::Command::new("c++").arg(format!("-print-file-name={name}")).output().ok()?;
    // Without it, the answer is the name.
    let path = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    path.is_absolute().then_some(path)
}

/// Tests whose kernels are watched in the short form: of each file those that cost little and reach much of it.
const WATCHED: [&str; 20] = [
    "activation::any_view_may_begin_at_an_odd_address",
    "adamw::any_view_may_begin_at_an_odd_address",
    "adamw::segments_are_updated_each_in_its_way_and_the_rest_is_left",
    "attention::any_view_may_begin_at_an_odd_address",
    "attention::rows_over_a_cache_agree_with_the_reference",
    "attention_sm90::tiles_of_padding_see_nothing",
    "bias::sums_over_rows_agree_with_the_reference",
    "cross_entropy::any_view_may_begin_at_an_odd_address",
    "cross_entropy::long_rows_that_begin_anywhere_agree_with_the_reference",
    "embedding::any_view_may_begin_at_an_odd_address",
    "gemm::products_at_any_address",
    "gemm_sm90::long_sums_and_narrow_parts_agree_with_the_reference",
    "gemm_sm90::outputs_whose_rows_are_not_aligned_are_written_too",
    "head_norm::both_passes_agree_with_the_reference",
    "muon::products_of_bf16_move_an_update_by_less_than_a_hundredth",
    "norm::any_view_may_begin_at_an_odd_address",
    "plain::any_view_may_begin_at_an_odd_address",
    "pool::any_view_may_begin_at_an_odd_address",
    "rope::any_view_may_begin_at_an_odd_address_and_rows_may_be_of_any_length",
    "sample::rows_that_begin_anywhere_are_drawn_by_the_same_rule",
];

#[test]
fn kernels_touch_only_what_is_theirs_and_do_nothing_undefined() {
    if std::env::var_os(SWITCH).is_some() || std::env::var_os(SANITIZE).is_some() {
        return;
    }
    let (Some(addresses), Some(undefined)) = (sanitizer("libasan.so"), sanitizer("libubsan.so")) else {
        // Past the harness, which keeps what tests print.
        writeln!(
            std::io::stderr(),
            "SKIPPED: kernels are not watched, for the C++ compiler has no address and undefined-behaviour sanitizers"
        )
        .expect("standard error");
        return;
    };
    let mut command = std::process::Command::new(std::env::current_exe().expect("this program"));
    let everything = std::env::var_os("POLDER_SOAK").is_some();
    if !everything {
        command.arg("--exact").args(WATCHED);
    }
    command.env_remove("POLDER_SOAK").env(SANITIZE, "1").env("LD_PRELOAD", format!("{} {}", addresses.display(), undefined.display()));
    // Stacks that fibers change between are told to the sanitizer, but not where on a fake one a variable stands.
    command.env("ASAN_OPTIONS", "detect_leaks=0:detect_stack_use_after_return=0").env("UBSAN_OPTIONS", "print_stacktrace=1");
    let output = command.output().expect("a run of the same tests");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, errors) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "watched kernels:\n{out}\n{errors}");
    assert!(everything || out.contains(&format!("{} passed", WATCHED.len())), "a test has another name: {out}");
}

#[test]
fn every_file_beside_this_one_is_a_module_of_it() {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/kernels");
    let source = std::fs::read_to_string(here.join("main.rs")).expect("this file");
    for entry in std::fs::read_dir(here).expect("this folder") {
        let name = entry.expect("entry").file_name().to_string_lossy().into_owned();
        let Some(stem) = name.strip_suffix(".rs").filter(|s| *s != "main") else { continue };
        assert!(source.contains(&format!("\nmod {stem};\n")), "{name} is not named here");
    }
}

#[test]
#[should_panic(expected = "overlaps")]
fn an_output_that_overlaps_an_input_is_a_bug() {
    let mut cpu = Cpu::new();
    let view = cpu.alloc(10, Dtype::F32);
    cpu.add(view.part(0, 6), view.part(4, 6));
}

#[test]
#[should_panic(expected = "sizes")]
fn a_view_of_the_wrong_size_is_a_bug() {
    let mut cpu = Cpu::new();
    let (a, b) = (cpu.alloc(10, Dtype::F32), cpu.alloc(9, Dtype::F32));
    cpu.add(a, b);
}

#[test]
#[should_panic(expected = "one type")]
fn views_of_two_types_where_one_is_asked_for_are_a_bug() {
    let mut cpu = Cpu::new();
    let (out, x) = (cpu.alloc(8, Dtype::F32), cpu.alloc(8, Dtype::Bf16));
    cpu.activation_forward(out, x, 8, polder_compute::Activation::Gelu);
}
