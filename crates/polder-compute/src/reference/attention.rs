//! Attention over the rows that each row sees, probabilities written out.

use crate::Attention;

/// The rows that a row sees.
fn seen(s: &Attention, documents: Option<&[(usize, usize)]>, b: usize, row: usize) -> std::ops::Range<usize> {
    let (from, to) = s.seen(row, documents.map_or((0, s.time), |d| d[b * s.time + row]));
    from..to.max(from)
}

/// Probabilities of one query row over the rows it sees; with the logarithm of their sum.
fn probabilities(qkv: &[f64], s: &Attention, b: usize, h: usize, row: usize, seen: std::ops::Range<usize>) -> (Vec<f64>, f64) {
    if seen.is_empty() {
        return (Vec::new(), 0.0);
    }
    let key = s.n_heads + h / (s.n_heads / s.n_kv_heads);
    let at = |t: usize, head: usize, d: usize| qkv[(b * s.time + t) * s.row() + head * s.head + d];
    let scores: Vec<f64> = seen.map(|t| s.scale() * (0..s.head).map(|d| at(row, h, d) * at(t, key, d)).sum::<f64>()).collect();
    let max = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = scores.iter().map(|x| (x - max).exp()).sum();
    (scores.iter().map(|x| (x - max).exp() / sum).collect(), max + sum.ln())
}

pub fn attention_forward(out: &mut [f64], lse: &mut [f64], qkv: &[f64], documents: Option<&[(usize, usize)]>, s: Attention) {
    for b in 0..s.batch {
        for h in 0..s.n_heads {
            let value = s.n_heads + s.n_kv_heads + h / (s.n_heads / s.n_kv_heads);
            for row in 0..s.time {
                let seen = seen(&s, documents, b, row);
                let (p, sum) = probabilities(qkv, &s, b, h, row, seen.clone());
                lse[(b * s.n_heads + h) * s.time + row] = sum;
                for d in 0..s.head {
                    let mixed = seen.clone().zip(&p).map(|(t, p)| p * qkv[(b * s.time + t) * s.row() + value * s.head + d]).sum();
                    out[(b * s.time + row) * s.n_heads * s.head + h * s.head + d] = mixed;
                }
            }
        }
    }
}

pub fn attention_backward(dqkv: &mut [f64], dout: &[f64], qkv: &[f64], documents: Option<&[(usize, usize)]>, s: Attention) {
    dqkv.fill(0.0);
    for b in 0..s.batch {
        for h in 0..s.n_heads {
            let kv = h / (s.n_heads / s.n_kv_heads);
            let (key, value) = (s.n_heads + kv, s.n_heads + s.n_kv_heads + kv);
            let at = |t: usize, head: usize, d: usize| (b * s.time + t) * s.row() + head * s.head + d;
            for row in 0..s.time {
                let seen = seen(&s, documents, b, row);
                let (p, _) = probabilities(qkv, &s, b, h, row, seen.clone());
                let dout = |d: usize| dout[(b * s.time + row) * s.n_heads * s.head + h * s.head + d];
                let dp: Vec<f64> = seen.clone().map(|t| (0..s.head).map(|d| dout(d) * qkv[at(t, value, d)]).sum()).collect();
                let mean: f64 = p.iter().zip(&dp).map(|(p, dp)| p * dp).sum();
                for (t, (p, dp)) in seen.zip(p.iter().zip(&dp)) {
                    let ds = p * (dp - mean) * s.scale();
                    for d in 0..s.head {
                        dqkv[at(row, h, d)] += ds * qkv[at(t, key, d)];
                        dqkv[at(t, key, d)] += ds * qkv[at(row, h, d)];
                        dqkv[at(t, value, d)] += p * dout(d);
                    }
                }
            }
        }
    }
}
