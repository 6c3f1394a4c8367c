//! The update of AdamW.

use crate::AdamW;

pub fn adamw(params: &mut [f64], m: &mut [f64], v: &mut [f64], grads: &[f64], s: AdamW) {
    let (b1, b2, lr) = (f64::from(s.beta1), f64::from(s.beta2), f64::from(s.lr));
    for (i, g) in grads.iter().enumerate() {
        m[i] = b1 * m[i] + (1.0 - b1) * g;
        v[i] = b2 * v[i] + (1.0 - b2) * g * g;
        let (m_hat, v_hat) = (m[i] / (1.0 - b1.powf(s.step as f64)), v[i] / (1.0 - b2.powf(s.step as f64)));
        params[i] -= lr * f64::from(s.weight_decay) * params[i];
        params[i] -= lr * m_hat / (v_hat.sqrt() + f64::from(s.eps));
    }
}
