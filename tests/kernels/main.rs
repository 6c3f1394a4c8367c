//! Every operation of `polder_compute` on the CPU against the naive f64 reference, and the reference's gradients against
//! finite differences. Each comparison runs on one thread and on three, which must agree bit for bit.

#![allow(missing_docs, clippy::expect_used)]

mod adamw;
mod attention;
mod cross_entropy;
mod elementwise;
mod embedding;
mod gemm;
mod gemv;
mod rms_norm;
mod rope;
mod swiglu;

use polder_compute::{Backend, Cpu, IdView, Reference, View};

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

/// An operation on views of the given buffers.
pub type Op<'a> = &'a (dyn Fn(&mut dyn Backend, &[View], &[IdView]) + Sync);

fn prepare(backend: &mut dyn Backend, buffers: &[Vec<f32>], ids: &[Vec<i32>]) -> (Vec<View>, Vec<IdView>) {
    let views = buffers.iter().map(|b| {
        let view = backend.alloc(b.len());
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

fn on_cpu(buffers: &[Vec<f32>], ids: &[Vec<i32>], threads: usize, op: Op) -> Vec<Vec<f32>> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
    pool.install(|| {
        let mut cpu = Cpu::new();
        let (views, ids) = prepare(&mut cpu, buffers, ids);
        op(&mut cpu, &views, &ids);
        views.iter().map(|v| cpu.slice(*v).to_vec()).collect()
    })
}

fn on_reference(buffers: &[Vec<f32>], ids: &[Vec<i32>], op: Op) -> Vec<Vec<f64>> {
    let mut reference = Reference::new();
    let (views, ids) = prepare(&mut reference, buffers, ids);
    op(&mut reference, &views, &ids);
    views.iter().map(|v| reference.slice(*v).to_vec()).collect()
}

/// Runs an operation on both and compares every buffer afterwards: ‖difference‖ ≤ tolerance · ‖reference‖.
pub fn compare(what: &str, buffers: &[Vec<f32>], ids: &[Vec<i32>], tolerance: f64, op: Op) {
    let ours = on_cpu(buffers, ids, 1, op);
    assert_eq!(on_cpu(buffers, ids, 3, op), ours, "{what}: one thread and three differ");
    let truth = on_reference(buffers, ids, op);
    for (i, (ours, truth)) in ours.iter().zip(&truth).enumerate() {
        let norm = truth.iter().map(|x| x * x).sum::<f64>().sqrt();
        let distance = ours.iter().zip(truth).map(|(a, b)| (f64::from(*a) - b).powi(2)).sum::<f64>().sqrt();
        assert!(distance <= tolerance * norm.max(1e-30), "{what}: buffer {i} is {distance:e} from a norm of {norm:e}");
    }
}

/// Compares a gradient with finite differences on the reference: `forward` fills buffer `out`, `gradient` holds
/// d(Σ dout · out) / d(buffer `input`).
pub fn check_slopes(what: &str, buffers: &[Vec<f32>], out: usize, dout: &[f32], input: usize, gradient: &[f64], forward: Op) {
    let mut reference = Reference::new();
    let (views, _) = prepare(&mut reference, buffers, &[]);
    let mut loss = |place: usize, shift: f64| {
        reference.slice_mut(views[input])[place] += shift;
        forward(&mut reference, &views, &[]);
        let loss: f64 = reference.slice(views[out]).iter().zip(dout).map(|(o, d)| o * f64::from(*d)).sum();
        reference.slice_mut(views[input])[place] -= shift;
        loss
    };
    for (place, gradient) in gradient.iter().enumerate() {
        let slope = (loss(place, 1e-6) - loss(place, -1e-6)) / 2e-6;
        let error = (slope - gradient).abs() / (1e-2 + slope.abs());
        assert!(error < 1e-6, "{what}: {slope} by differences, {gradient} by the gradient at {place}");
    }
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
    let view = cpu.alloc(10);
    cpu.add(view.part(0, 6), view.part(4, 6));
}

#[test]
#[should_panic(expected = "sizes")]
fn a_view_of_the_wrong_size_is_a_bug() {
    let mut cpu = Cpu::new();
    let (a, b) = (cpu.alloc(10), cpu.alloc(9));
    cpu.add(a, b);
}
