//! The update of AdamW.

pub fn adamw(params: &mut [f64], m: &mut [f64], v: &mut [f64], grads: &[f64], scalars: &[f64]) {
    let [b1, b2, eps, root, keep, rate] = [0, 1, 2, 3, 4, 5].map(|i| scalars[i]);
    for (i, g) in grads.iter().enumerate() {
        m[i] = b1 * m[i] + (1.0 - b1) * g;
        v[i] = b2 * v[i] + (1.0 - b2) * g * g;
        params[i] = keep * params[i] - rate * m[i] / (v[i].sqrt() * root + eps);
    }
}
