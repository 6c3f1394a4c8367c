//! The optimizer over several steps, with clipped gradients and without, with a rounded copy and without.

use polder_compute::cuda::{Cuda, Emulated, Segment};
use polder_compute::{AdamW, Backend, Bf16, Cpu, Dtype, IdView, Number, View, cpu};

use super::{TYPES, compare, compare_at_odd_addresses, emulation, f32s, numbers, view_of};

#[test]
fn several_updates_agree_with_the_reference() {
    for (n, clip) in [(1, 0.0), (17, 0.1), (40_000, 1.0), (500, 1e6)] {
        for working in [None, Some(Dtype::F32), Some(Dtype::Bf16)] {
            let zeros = vec![0.0; n];
            let mut buffers = f32s([numbers(1, n), zeros.clone(), zeros.clone(), numbers(2, n), vec![n as f32 / 3.0]]).to_vec();
            buffers.extend(working.map(|dtype| (zeros, dtype)));
            compare("adamw", &buffers, &[], 2e-6, &|b, v, _| {
                for step in 1..=5 {
                    let settings = AdamW { lr: 1e-2, beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.1, step, clip };
                    let scalars = view_of(b, &settings.scalars());
                    b.adamw(v[0], v.get(5).copied(), v[1], v[2], v[3], v[4], scalars);
                }
            });
        }
    }
}

#[test]
fn the_working_copy_is_the_rounded_parameters() {
    let (mut p, mut m, mut v, g) = (numbers(1, 100), vec![0.0; 100], vec![0.0; 100], numbers(2, 100));
    let mut working = vec![Bf16::default(); 100];
    let step = AdamW { lr: 1e-2, beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.1, step: 1, clip: 0.0 };
    cpu::adamw(&mut p, Some(&mut working), &mut m, &mut v, &g, 1.0, step.scalars());
    assert_eq!(working, p.iter().map(|p| Bf16::of(*p)).collect::<Vec<_>>());
}

#[test]
fn clipping_scales_to_the_largest_norm_and_leaves_smaller_ones() {
    assert_eq!((cpu::clip_scale(4.0, 0.0), cpu::clip_scale(4.0, 2.0), cpu::clip_scale(4.0, 3.0)), (1.0, 1.0, 1.0));
    assert!((cpu::clip_scale(4.0, 1.0) - 0.5).abs() < 1e-6);
}

#[test]
fn a_sum_of_squares_of_many_numbers_keeps_its_digits() {
    let x = vec![1e-3f32; 3_000_001];
    assert!((cpu::sum_squares(&x) / 3.000_001 - 1.0).abs() < 2e-5);
    for dtype in TYPES {
        let buffers = |n: usize| [(numbers(1, n), dtype), (vec![0.0], Dtype::F32)];
        compare("sum of squares", &buffers(70_001), &[], 5e-6, &|b, v, _| b.sum_squares(v[1], v[0]));
        compare_at_odd_addresses("sum of squares", &buffers(100), &[], 5e-6, &|b, v, _| b.sum_squares(v[1], v[0]));
    }
}

#[test]
fn runs_of_a_buffer_agree_with_the_reference_wherever_they_begin() {
    for (first, apart) in [(0usize, 0usize), (1, 0), (2, 0), (3, 0), (1, 1), (2, 2), (3, 3)] {
        let n = 2100;
        let buffers = f32s([numbers(1, n), vec![0.0; n], vec![0.0; n], numbers(2, n), vec![4.0]]).to_vec();
        let buffers = [buffers, vec![(vec![0.0; n], Dtype::Bf16)]].concat();
        compare(&format!("adamw from {first}, {apart} apart"), &buffers, &[], 2e-6, &|b, v, _| {
            let settings = AdamW { lr: 1e-2, beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.1, step: 3, clip: 1.0 };
            let part = |i: usize, shift: usize| v[i].part(first + shift, n - 7);
            let scalars = view_of(b, &settings.scalars());
            b.adamw(part(0, 0), Some(part(5, apart)), part(1, 0), part(2, apart), part(3, 0), v[4], scalars);
        });
    }
}

#[test]
fn any_view_may_begin_at_an_odd_address() {
    for working in TYPES {
        let mut buffers = f32s([numbers(1, 50), vec![0.0; 50], vec![0.0; 50], numbers(2, 50), vec![4.0]]).to_vec();
        buffers.push((vec![0.0; 50], working));
        compare_at_odd_addresses("adamw", &buffers, &[], 2e-6, &|b, v, _| {
            let settings = AdamW { lr: 1e-2, beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.1, step: 3, clip: 1.0 };
            let scalars = view_of(b, &settings.scalars());
            b.adamw(v[0], Some(v[5]), v[1], v[2], v[3], v[4], scalars);
        });
    }
}

/// Parameters, copy, moments, gradients, their norm's square.
fn state(b: &mut dyn Backend, n: usize, working: Dtype) -> [View; 6] {
    let views = [Dtype::F32, working, Dtype::F32, Dtype::F32, Dtype::F32, Dtype::F32].map(|dtype| b.alloc(n, dtype));
    b.upload(views[0], &numbers(1, n));
    b.upload(views[4], &numbers(2, n));
    b.upload(views[5].part(0, 1), &[9.0]);
    views
}

fn read(b: &mut dyn Backend, view: View) -> Vec<f32> {
    let mut values = vec![0.0; view.len];
    b.download(view, &mut values);
    values
}

fn emulated(seed: u64) -> Option<Cuda> {
    let device = Emulated::open(emulation()?, (9, 0), seed).expect("emulation");
    Some(Cuda::on(Box::new(device), 0).expect("backend"))
}

#[test]
fn segments_are_updated_each_in_its_way_and_the_rest_is_left() {
    let settings = AdamW { lr: 1e-2, beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.1, step: 2, clip: 1.0 };
    let segment = |begin, end, decays, lr_factor| Segment { begin, end, decays, lr_factor };
    // Ends that fall into a run of four numbers, two segments and a gap in one run, and long gaps.
    let segments = [segment(9, 11, false, 1.0), segment(12, 13, true, 0.5), segment(13, 1031, true, 1.0), segment(2700, 3998, false, 2.0)];
    for working in TYPES {
        check_segments(settings, &segments, working);
    }
}

fn check_segments(settings: AdamW, segments: &[Segment], working: Dtype) {
    let n = 4001;
    let mut cpu = Cpu::new();
    let views = state(&mut cpu, n, working);
    for s in segments.iter().copied() {
        let [p, w, m, v, g, norm] = views.map(|x| x.part(s.begin, s.end - s.begin));
        let decay = if s.decays { settings.weight_decay } else { 0.0 };
        let norm = View { offset: 0, len: 1, ..norm };
        let settings = AdamW { lr: settings.lr * s.lr_factor, weight_decay: decay, ..settings };
        let scalars = view_of(&mut cpu, &settings.scalars());
        cpu.adamw(p, Some(w), m, v, g, norm, scalars);
    }
    let truth = views.map(|v| read(&mut cpu, v));
    let table = Segment::table(segments);
    for seed in [1, 2] {
        let Some(mut cuda) = emulated(seed) else { return };
        let [p, w, m, v, g, norm] = state(&mut cuda, n, working);
        let ids: IdView = cuda.alloc_ids(table.len());
        cuda.upload_ids(ids, &table);
        cuda.adamw_segments(p, Some(w), m, v, g, norm.part(0, 1), ids, settings, None);
        for (i, (view, truth)) in [p, w, m, v].into_iter().zip(&truth).enumerate() {
            let ours = read(&mut cuda, view);
            let far = ours
                .iter()
                .zip(truth)
                .position(|(a, b)| (a - b).abs() > b.abs() * if i == 1 && working == Dtype::Bf16 { 8e-3 } else { 2e-6 } + 1e-9);
            assert_eq!(far, None, "buffer {i}");
        }
    }
}

#[test]
fn copies_rounded_by_chance_are_right_in_the_mean_and_the_same_for_the_same_step() {
    let Some(mut cuda) = emulated(1) else { return };
    let n = 3001;
    let x = numbers(5, n);
    let (from, to) = (cuda.alloc(n, Dtype::F32), cuda.alloc(n, Dtype::Bf16));
    cuda.upload(from, &x);
    let mut sums = vec![0f64; n];
    let times = 200;
    let mut first = Vec::new();
    for step in 0..times {
        cuda.copy_stochastic(to, from, 7, step);
        let copy = read(&mut cuda, to);
        for ((sum, copy), x) in sums.iter_mut().zip(&copy).zip(&x) {
            let below = f32::from_bits(x.to_bits() & 0xffff_0000);
            let above = f32::from_bits(below.to_bits() + 0x1_0000);
            assert!(*copy == below || *copy == above, "{x} became {copy}");
            // In units of what is between the two neighbours.
            *sum += f64::from((copy - x) / (above - below));
        }
        if step == 0 {
            first = copy;
        }
    }
    // A rounding's error has a variance of a sixth of the unit on average.
    let deviation = (1.0 / 6.0 / times as f64).sqrt();
    let mean = sums.iter().sum::<f64>() / (n as f64 * times as f64);
    assert!(mean.abs() < 5.0 * deviation / (n as f64).sqrt(), "all numbers are {mean} off");
    let square = sums.iter().map(|s| (s / times as f64 / deviation).powi(2)).sum::<f64>() / n as f64;
    assert!((square - 1.0).abs() < 0.2, "errors of single numbers are {square} of what chance makes them");
    let Some(mut again) = emulated(2) else { return };
    let (from, to) = (again.alloc(n, Dtype::F32), again.alloc(n, Dtype::Bf16));
    again.upload(from, &x);
    // In two parts, the second beginning at an odd place: what counts is the place in the buffer.
    again.copy_stochastic(to.part(0, 1001), from.part(0, 1001), 7, 0);
    again.copy_stochastic(to.part(1001, 2000), from.part(1001, 2000), 7, 0);
    assert_eq!(read(&mut again, to), first);
    // Also where the copy begins at another place of a run than the numbers.
    let room = again.alloc(n + 1, Dtype::Bf16).part(1, n);
    again.copy_stochastic(room, from, 7, 0);
    assert_eq!(read(&mut again, room), first);
    again.copy_stochastic(to, from, 8, 0);
    assert_ne!(read(&mut again, to), first);
    // The optimizer rounds as the copy does.
    let settings = AdamW { lr: 1e-2, beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.1, step: 3, clip: 1.0 };
    let whole = Segment::table(&[Segment { begin: 0, end: n, decays: true, lr_factor: 1.0 }]);
    let ids = again.alloc_ids(whole.len());
    again.upload_ids(ids, &whole);
    let copies = [true, false].map(|by_table| {
        let [p, w, m, v, g, norm] = state(&mut again, n, Dtype::Bf16);
        let norm = norm.part(0, 1);
        if by_table {
            again.adamw_segments(p, Some(w), m, v, g, norm, ids, settings, Some(9));
        } else {
            again.adamw_stochastic(p, w, m, v, g, norm, settings, 9);
        }
        let copy = read(&mut again, w);
        again.copy_stochastic(w, p, 9, 3);
        assert_eq!(read(&mut again, w), copy);
        copy
    });
    assert_eq!(copies[0], copies[1]);
}

#[test]
fn what_is_no_number_and_what_has_no_bound_are_rounded_to_themselves() {
    let Some(mut cuda) = emulated(1) else { return };
    let values: Vec<f32> = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::from_bits(0x7f80_0001), f32::MAX, 0.0, -0.0].repeat(3);
    let (from, to) = (cuda.alloc(values.len(), Dtype::F32), cuda.alloc(values.len(), Dtype::Bf16));
    cuda.upload(from, &values);
    for step in 0..50 {
        cuda.copy_stochastic(to, from, 7, step);
        for (x, copy) in values.iter().zip(read(&mut cuda, to)) {
            let largest = *x == f32::MAX && copy >= Bf16(0x7f7f).get();
            assert!(x.is_nan() && copy.is_nan() || x.to_bits() == copy.to_bits() || largest, "{x} became {copy}");
        }
    }
}

#[test]
fn a_part_of_a_buffer_is_rounded_as_the_copy_of_that_part() {
    let Some(mut cuda) = emulated(1) else { return };
    let (n, begin) = (301, 3);
    let settings = AdamW { lr: 1e-2, beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.1, step: 3, clip: 1.0 };
    let whole = Segment::table(&[Segment { begin: 0, end: n - begin, decays: true, lr_factor: 1.0 }]);
    let ids = cuda.alloc_ids(whole.len());
    cuda.upload_ids(ids, &whole);
    for by_table in [true, false] {
        let [p, w, m, v, g, norm] = state(&mut cuda, n, Dtype::Bf16);
        let norm = norm.part(0, 1);
        let [p, w, m, v, g] = [p, w, m, v, g].map(|x| x.part(begin, n - begin));
        if by_table {
            cuda.adamw_segments(p, Some(w), m, v, g, norm, ids, settings, Some(9));
        } else {
            cuda.adamw_stochastic(p, w, m, v, g, norm, settings, 9);
        }
        let copy = read(&mut cuda, w);
        cuda.copy_stochastic(w, p, 9, 3);
        assert_eq!(read(&mut cuda, w), copy, "by a table: {by_table}");
    }
}
