//! Wrapped backends: what a trace says of a step, and which operation two backends that differ are told apart by.

use polder_compute::trace::Roofline;
use polder_compute::{Activation, Attention, Backend, Cpu, CrossEntropy, Dtype, Gemm, LockStep, Reference, Rope, Traced, View};

use super::numbers;

const LINEAR: Gemm = Gemm { m: 24, n: 48, k: 16, transpose_a: false, transpose_b: true, accumulate: false };

/// A product, a rotation, attention, an activation and a loss.
fn step(b: &mut dyn Backend, dtype: Dtype) -> View {
    let [x, w, qkv] = [24 * 16, 48 * 16, 24 * 48].map(|n| b.alloc(n, dtype));
    let (out, act) = (b.alloc(24 * 16, dtype), b.alloc(24 * 8, dtype));
    let (lse, losses) = (b.alloc(24 * 2, Dtype::F32), b.alloc(24, Dtype::F32));
    let (table, positions, targets) = (b.alloc(12 * 8, Dtype::F32), b.alloc_ids(24), b.alloc_ids(24));
    b.upload(x, &numbers(1, x.len));
    b.upload(w, &numbers(2, w.len));
    b.upload(table, &Rope::table(12, 8, 10_000.0, None));
    b.upload_ids(positions, &(0..24).map(|i| i % 12).collect::<Vec<_>>());
    b.upload_ids(targets, &(0..24).map(|i| i % 8).collect::<Vec<_>>());
    b.gemm(qkv, x, w, None, LINEAR);
    b.rope(qkv, table, positions, Rope { n_rotated: 4, head: 8, row: 48, inverse: false });
    let attention = Attention { batch: 2, time: 12, n_heads: 2, n_kv_heads: 2, head: 8, causal: true, window: None };
    b.attention_forward(out, lse, qkv, None, attention);
    b.activation_forward(act, out, 8, Activation::SwiGlu);
    let scale = b.alloc(1, Dtype::F32);
    b.upload(scale, &[1.0]);
    b.cross_entropy(losses, act, targets, Some(scale), CrossEntropy { vocab: 8, ..CrossEntropy::default() });
    losses
}

#[test]
fn a_trace_names_every_operation_with_its_work_and_gives_the_same_numbers() {
    let (mut plain, mut traced) = (Cpu::new(), Traced::new(Cpu::new()));
    let (a, b) = (step(&mut plain, Dtype::F32), step(&mut traced, Dtype::F32));
    let ops: Vec<&str> = traced.calls().iter().map(|c| c.facts.op).collect();
    assert_eq!(ops, ["gemm", "rope", "attention_forward", "activation_forward", "cross_entropy"]);
    let gemm = &traced.calls()[0].facts;
    assert_eq!((gemm.flop, gemm.bytes), (2.0 * 24.0 * 48.0 * 16.0, 4.0 * (24.0 * 48.0 + 24.0 * 16.0 + 48.0 * 16.0)));
    // Two products over the 12 · 13 / 2 pairs of each of four heads.
    assert_eq!(traced.calls()[2].facts.flop, 2.0 * 2.0 * 4.0 * 78.0 * 8.0);
    assert!(traced.calls().iter().all(|c| c.seconds > 0.0 && c.facts.bytes > 0.0));
    assert_eq!(plain.slice(a), traced.into_inner().slice(b));
}

#[test]
fn a_report_sums_calls_of_the_same_sizes_and_sets_them_against_the_roofline() {
    let mut traced = Traced::new(Cpu::new());
    step(&mut traced, Dtype::F32);
    step(&mut traced, Dtype::F32);
    let roofline = Roofline { flops_f32: 1e9, flops_bf16: 2e9, bytes: 1e9 };
    let report = traced.report(roofline);
    assert_eq!(report.lines.len(), 5);
    assert!(report.lines.iter().all(|l| l.n_calls == 2) && report.lines.is_sorted_by(|a, b| a.seconds >= b.seconds));
    let gemm = report.lines.iter().find(|l| l.op == "gemm").expect("a product");
    assert!((gemm.least - 2.0 * 36_864e-9).abs() < 1e-12, "{}", gemm.least);
    let text = report.to_string();
    assert!(text.contains("attention_forward    (B 2, T 12, H 2/2, D 8) F32") && text.lines().count() == 8, "{text}");
    traced.clear();
    assert!(traced.calls().is_empty());
}

#[test]
fn a_measured_roofline_is_above_what_a_step_reaches() {
    let roofline = Roofline::measure(&mut Cpu::new());
    assert!(roofline.flops_f32 > 1e8 && roofline.flops_bf16 > 1e8 && roofline.bytes > 1e8, "{roofline:?}");
}

/// Within rounding of what is stored.
fn tolerance(dtype: Dtype) -> f64 {
    match dtype {
        Dtype::F32 => 1e-5,
        Dtype::Bf16 => 8e-3,
    }
}

#[test]
fn the_cpu_and_the_reference_go_in_lock_step() {
    for dtype in super::TYPES {
        let mut both = LockStep::new(Cpu::new(), Reference::new(), tolerance);
        step(&mut both, dtype);
        assert_eq!((both.n_calls(), both.difference()), (5, None));
    }
}

#[test]
fn the_first_operation_that_differs_is_named_and_no_later_one() {
    let mut both = LockStep::new(Cpu::new(), Reference::new(), tolerance);
    let [x, w, out, act] = [24 * 16, 48 * 16, 24 * 48, 24 * 24].map(|n| both.alloc(n, Dtype::F32));
    both.upload(x, &numbers(1, x.len));
    both.upload(w, &numbers(2, w.len));
    both.add(x, w.part(0, x.len));
    both.pair().1.upload(w.part(5, 1), &[7.0]);
    both.gemm(out, x, w, None, LINEAR);
    both.activation_forward(act, out, 24, Activation::SwiGlu);
    let difference = both.difference().expect("a difference").clone();
    assert_eq!((difference.n_before, difference.facts.op, difference.out), (1, "gemm", 0));
    // The number that differs is in the first row of the weights: the first column of the output.
    assert!(difference.distance > 1e-3 && difference.worst.0.is_multiple_of(48), "{difference:?}");
    assert!(difference.to_string().starts_with("gemm (24, 48, 16) bᵀ, operation 1: output 0 differs by "), "{difference}");
    // The second was given the first's results, so the activation was judged by itself.
    let (mut a, mut b) = (vec![0f32; act.len], vec![0f32; act.len]);
    both.pair().0.download(act, &mut a);
    both.pair().1.download(act, &mut b);
    assert_eq!(a, b);
}

#[test]
fn a_number_on_one_side_and_none_on_the_other_is_a_difference() {
    for (theirs, differs) in [(f32::NAN, true), (f32::INFINITY, true), (0.5, false)] {
        let mut both = LockStep::new(Cpu::new(), Reference::new(), tolerance);
        let (out, x) = (both.alloc(4, Dtype::F32), both.alloc(4, Dtype::F32));
        both.upload(x, &[0.5; 4]);
        both.pair().1.upload(x.part(2, 1), &[theirs]);
        both.copy(out, x);
        assert_eq!(both.difference().is_some(), differs, "{theirs}");
    }
    let mut both = LockStep::new(Cpu::new(), Reference::new(), tolerance);
    let (out, x) = (both.alloc(4, Dtype::F32), both.alloc(4, Dtype::F32));
    both.upload(x, &[f32::NAN; 4]);
    both.copy(out, x);
    assert_eq!(both.difference(), None, "neither has a number");
}
