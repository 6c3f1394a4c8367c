//! Losses and their gradients, with ignored targets and logits that would overflow a careless sum.

use polder_compute::cpu;

use super::{compare, numbers};

#[test]
fn losses_and_gradients_agree_with_the_reference() {
    for (rows, vocab, size) in [(1, 1, 1.0), (4, 5, 1.0), (33, 300, 20.0), (3, 40, 5000.0)] {
        let logits: Vec<f32> = numbers(1, rows * vocab).iter().map(|x| x * size).collect();
        let targets = [(0..rows).map(|r| if r % 3 == 2 { -1 } else { (r * 7 % vocab) as i32 }).collect()];
        let buffers = [numbers(2, rows), logits];
        compare("losses", &buffers, &targets, 1e-6, &|b, v, t| b.cross_entropy(v[0], v[1], t[0], vocab, None));
        compare("gradients", &buffers, &targets, 2e-6, &|b, v, t| b.cross_entropy(v[0], v[1], t[0], vocab, Some(0.25)));
    }
}

#[test]
fn a_gradient_sums_to_zero_over_the_vocabulary_and_is_zero_where_ignored() {
    let mut logits = numbers(1, 2 * 100);
    let mut losses = [0f32; 2];
    cpu::cross_entropy_backward(&mut losses, &mut logits, &[42, -1], 100, 2.0);
    assert!(logits[..100].iter().sum::<f32>().abs() < 1e-5 && losses[0] > 0.0);
    assert!(logits[100..].iter().all(|x| *x == 0.0) && losses[1] == 0.0);
}

#[test]
#[should_panic]
fn a_target_outside_the_vocabulary_is_a_bug() {
    cpu::cross_entropy_forward(&mut [0.0], &[0.0; 10], &[10], 10);
}
