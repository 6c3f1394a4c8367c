//! The loss of logits and, in place, its gradient.

use crate::CrossEntropy;

pub fn cross_entropy(losses: &mut [f64], logits: &mut [f64], targets: &[i32], scale: Option<f64>, s: CrossEntropy) {
    let n_classes = if s.n_classes == 0 { s.vocab } else { s.n_classes };
    let cap = f64::from(s.soft_cap);
    for ((loss, row), target) in losses.iter_mut().zip(logits.chunks_mut(s.vocab)).zip(targets) {
        let capped: Vec<f64> = row[..n_classes].iter().map(|x| if cap > 0.0 { cap * (x / cap).tanh() } else { *x }).collect();
        let max = capped.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = capped.iter().map(|x| (x - max).exp()).sum();
        let lse = max + sum.ln();
        *loss = if *target >= 0 { lse - capped[*target as usize] } else { 0.0 };
        let Some(scale) = scale else { continue };
        row.fill(0.0);
        if *target < 0 {
            continue;
        }
        for (i, x) in capped.iter().enumerate() {
            let p = (x - lse).exp();
            let hit = if i == *target as usize { 1.0 } else { 0.0 };
            let slope = if cap > 0.0 { 1.0 - (x / cap).powi(2) } else { 1.0 };
            row[i] = scale * (p - hit + 2.0 * f64::from(s.z_loss) * lse * p) * slope;
        }
    }
}
