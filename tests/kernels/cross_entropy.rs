//! Losses and their gradients: ignored targets, padded vocabularies, capped logits, and logits that would overflow a
//! careless sum.

use polder_compute::cuda::{Cuda, Emulated};
use polder_compute::{Backend, CrossEntropy, Dtype, IdView, Reference, View, cpu};

use super::{TYPES, check_slopes, compare, compare_at_odd_addresses, emulation, f32s, numbers, view_of};

/// Settings, and what gradients are multiplied by where there are any.
type Case = (CrossEntropy, Option<f32>);

fn judge(b: &mut dyn Backend, [losses, logits]: [View; 2], targets: IdView, (settings, scale): Case) {
    let scale = scale.map(|s| view_of(b, &[s]));
    b.cross_entropy(losses, logits, targets, scale, settings);
}

fn all(vocab: usize, size: f32) -> Vec<Case> {
    let plain = CrossEntropy { vocab, ..CrossEntropy::default() };
    let padded = CrossEntropy { n_classes: vocab.div_ceil(2), ..plain };
    let settings = [plain, padded, CrossEntropy { soft_cap: 2.0 * size, ..plain }, CrossEntropy { soft_cap: size, z_loss: 1e-2, ..padded }];
    settings.into_iter().flat_map(|s| [(s, None), (s, Some(0.25))]).collect()
}

#[test]
fn losses_and_gradients_agree_with_the_reference() {
    for (rows, vocab, size) in [(1, 1, 1.0), (4, 5, 1.0), (33, 300, 20.0), (3, 40, 5000.0)] {
        let logits: Vec<f32> = numbers(1, rows * vocab).iter().map(|x| x * size).collect();
        let targets = [(0..rows).map(|r| if r % 3 == 2 { -1 } else { (r * 7 % vocab.div_ceil(2)) as i32 }).collect()];
        for settings in all(vocab, size) {
            for dtype in TYPES {
                let buffers = [(numbers(2, rows), Dtype::F32), (logits.clone(), dtype)];
                let what = format!("{settings:?} {size}");
                compare(&what, &buffers, &targets, 6e-6, &|b, v, t| judge(b, [v[0], v[1]], t[0], settings));
            }
        }
    }
}

#[test]
fn long_rows_that_begin_anywhere_agree_with_the_reference() {
    // Some rows are longer than what a block keeps of them; with an odd vocabulary each begins at another distance from an aligned address.
    for (rows, vocab, n_classes, dtype) in
        [(2, 2050, 2049, Dtype::F32), (3, 4099, 0, Dtype::Bf16), (2, 30_011, 0, Dtype::F32), (2, 60_003, 59_999, Dtype::Bf16)]
    {
        let logits: Vec<f32> = numbers(1, rows * vocab + 3).iter().map(|x| x * 9.0).collect();
        let last = if n_classes == 0 { vocab } else { n_classes } - 1;
        // First and last numbers of a row are apart from its middle.
        let targets = [[0, last as i32, -1][..rows].to_vec()];
        let plain = CrossEntropy { vocab, n_classes, z_loss: 1e-3, ..CrossEntropy::default() };
        for (settings, first) in [((plain, Some(2.0)), 3), ((CrossEntropy { soft_cap: 15.0, ..plain }, Some(0.5)), 0), ((plain, None), 1)] {
            let buffers = [(numbers(2, rows), Dtype::F32), (logits.clone(), dtype)];
            compare(&format!("{settings:?} at {first}"), &buffers, &targets, 6e-6, &|b, v, t| {
                judge(b, [v[0], v[1].part(first, rows * vocab)], t[0], settings);
            });
        }
    }
}

#[test]
fn any_view_may_begin_at_an_odd_address() {
    let settings = (CrossEntropy { vocab: 40, ..CrossEntropy::default() }, Some(0.5));
    for dtype in TYPES {
        let buffers = [(numbers(2, 3), Dtype::F32), (numbers(1, 120), dtype)];
        compare_at_odd_addresses("loss", &buffers, &[vec![0, 39, -1]], 6e-6, &|b, v, t| judge(b, [v[0], v[1]], t[0], settings));
    }
}

#[test]
fn on_a_gpu_a_target_outside_the_classes_makes_the_loss_no_number() {
    let Some(library) = emulation() else { return };
    for dtype in TYPES {
        // Short rows have a warp each, long ones a block.
        for vocab in [10, 3000] {
            let mut cuda = Cuda::on(Box::new(Emulated::open(library, (9, 0), 1).expect("emulation")), 0).expect("backend");
            let (losses, logits, targets) = (cuda.alloc(2, Dtype::F32), cuda.alloc(2 * vocab, dtype), cuda.alloc_ids(2));
            cuda.upload(logits, &numbers(1, 2 * vocab));
            cuda.upload_ids(targets, &[vocab as i32 - 1, 3]);
            let settings = CrossEntropy { vocab, n_classes: vocab - 1, ..CrossEntropy::default() };
            judge(&mut cuda, [losses, logits], targets, (settings, Some(1.0)));
            let (mut found, mut gradient) = (vec![0.0; 2], vec![0.0; 2 * vocab]);
            cuda.download(losses, &mut found);
            cuda.download(logits, &mut gradient);
            assert!(found[0].is_nan() && found[1] > 0.0, "{found:?}");
            assert!(gradient[..vocab].iter().all(|x| *x == 0.0) && gradient[vocab..].iter().any(|x| *x != 0.0));
        }
    }
}

#[test]
fn gradients_are_slopes() {
    for settings in all(6, 3.0).into_iter().filter(|(s, scale)| scale.is_some() && s.z_loss == 0.0) {
        let logits: Vec<f32> = numbers(1, 18).iter().map(|x| x * 3.0).collect();
        let buffers = f32s([vec![0.0; 3], logits, vec![0.25; 3]]);
        check_slopes(
            &format!("{settings:?}"),
            &buffers,
            &[vec![2, -1, 0]],
            (0, 2),
            &[(1, 1)],
            &|b, v, t| judge(b, [v[0], v[1]], t[0], (settings.0, None)),
            &|b, v, t| judge(b, [v[0], v[1]], t[0], settings),
        );
    }
}

#[test]
fn the_z_loss_adds_its_slope_to_the_gradient_and_nothing_to_the_loss() {
    let settings = CrossEntropy { vocab: 5, z_loss: 0.1, ..CrossEntropy::default() };
    let logits = numbers(3, 5);
    let run = |settings, scale: Option<f32>, place: usize, shift: f64| {
        let mut b = Reference::new();
        let (losses, x, t) = (b.alloc(1, Dtype::F32), b.alloc(5, Dtype::F32), b.alloc_ids(1));
        b.upload(x, &logits);
        b.upload_ids(t, &[2]);
        b.slice_mut(x)[place] += shift;
        let chosen = b.slice(x)[2];
        judge(&mut b, [losses, x], t, (settings, scale));
        (b.slice(losses)[0], chosen, b.slice(x).to_vec())
    };
    let plain = run(CrossEntropy { z_loss: 0.0, ..settings }, Some(1.0), 0, 0.0);
    let (loss, _, gradient) = run(settings, Some(1.0), 0, 0.0);
    assert_eq!(loss, plain.0);
    for (place, gradient) in gradient.iter().enumerate() {
        let total = |shift| {
            let (loss, chosen, _) = run(settings, None, place, shift);
            loss + 0.1f32 as f64 * (loss + chosen) * (loss + chosen)
        };
        let slope = (total(1e-5) - total(-1e-5)) / 2e-5;
        assert!((slope - gradient).abs() < 1e-6 * (1e-2 + slope.abs()), "{slope} and {gradient} at {place}");
    }
}

#[test]
fn a_gradient_sums_to_zero_over_the_vocabulary_and_is_zero_where_ignored() {
    let mut logits = numbers(1, 2 * 100);
    let mut losses = [0f32; 2];
    let settings = CrossEntropy { vocab: 100, ..CrossEntropy::default() };
    cpu::cross_entropy(&mut losses, &mut logits, &[42, -1], Some(2.0), settings);
    assert!(logits[..100].iter().sum::<f32>().abs() < 1e-5 && losses[0] > 0.0);
    assert!(logits[100..].iter().all(|x| *x == 0.0) && losses[1] == 0.0);
}

#[test]
#[should_panic]
fn a_target_outside_the_classes_is_a_bug() {
    let settings = CrossEntropy { vocab: 10, n_classes: 8, ..CrossEntropy::default() };
    cpu::cross_entropy(&mut [0.0], &mut [0.0f32; 10], &[8], None, settings);
}
