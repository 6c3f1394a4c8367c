//! Attention over keys and values that are kept, probabilities written out.

use crate::Attention;

pub fn attention_append(keys: &mut [f64], values: &mut [f64], qkv: &[f64], n_seen: &[i32], s: Attention) {
    let (q, width) = (s.n_heads * s.head, s.n_kv_heads * s.head);
    let capacity = keys.len() / (s.batch * width);
    for row in 0..s.batch * s.time {
        let Some(place) = s.place(n_seen, row) else { continue };
        for d in 0..width {
            if place < capacity {
                let at = (row / s.time * capacity + place) * width + d;
                keys[at] = qkv[row * s.row() + q + d];
                values[at] = qkv[row * s.row() + q + width + d];
            }
        }
    }
}

pub fn attention_decode(out: &mut [f64], qkv: &[f64], keys: &[f64], values: &[f64], n_seen: &[i32], s: Attention) {
    let width = s.n_kv_heads * s.head;
    let capacity = keys.len() / (s.batch * width);
    for row in 0..s.batch * s.time {
        let (from, to) = s.cached(n_seen, row, capacity);
        for h in 0..s.n_heads {
            let at = |t: usize, d: usize| (row / s.time * capacity + t) * width + h / (s.n_heads / s.n_kv_heads) * s.head + d;
            let score = |t: usize| s.scale() * (0..s.head).map(|d| qkv[row * s.row() + h * s.head + d] * keys[at(t, d)]).sum::<f64>();
            let max = (from..to).map(score).fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = (from..to).map(|t| (score(t) - max).exp()).sum();
            for d in 0..s.head {
                let mixed: f64 = (from..to).map(|t| (score(t) - max).exp() * values[at(t, d)]).sum();
                out[(row * s.n_heads + h) * s.head + d] = if from < to { mixed / sum } else { 0.0 };
            }
        }
    }
}
