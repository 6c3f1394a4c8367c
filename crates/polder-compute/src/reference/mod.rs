//! The naive truth: every operation in f64, with plain loops that follow the formula. Slow on purpose; it is the oracle.

use crate::{AdamW, Attention, Backend, Buffer, Gemm, IdBuffer, IdView, Rope, View};

/// The reference as a backend, so that a whole model runs on it.
#[derive(Default)]
pub struct Reference {
    buffers: Vec<Vec<f64>>,
    ids: Vec<Vec<i32>>,
}

impl Reference {
    /// Makes one with no buffers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the numbers of a view, in f64.
    pub fn slice(&self, view: View) -> &[f64] {
        &self.buffers[view.buffer.0][view.offset..][..view.len]
    }

    /// Returns the numbers of a view for writing, in f64.
    pub fn slice_mut(&mut self, view: View) -> &mut [f64] {
        &mut self.buffers[view.buffer.0][view.offset..][..view.len]
    }

    // Copies are the price of plain loops over views of one buffer.
    fn get(&self, view: View) -> Vec<f64> {
        self.slice(view).to_vec()
    }

    fn ids(&self, view: IdView) -> Vec<i32> {
        self.ids[view.buffer.0][view.offset..][..view.len].to_vec()
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// Probabilities of one query row over keys 0..=row; with the logarithm of their sum.
fn probabilities(qkv: &[f64], s: &Attention, b: usize, h: usize, row: usize) -> (Vec<f64>, f64) {
    let key = s.n_heads + h / (s.n_heads / s.n_kv_heads);
    let at = |t: usize, head: usize, d: usize| qkv[(b * s.time + t) * s.row() + head * s.head + d];
    let scores: Vec<f64> = (0..=row).map(|t| s.scale() * (0..s.head).map(|d| at(row, h, d) * at(t, key, d)).sum::<f64>()).collect();
    let max = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = scores.iter().map(|x| (x - max).exp()).sum();
    (scores.iter().map(|x| (x - max).exp() / sum).collect(), max + sum.ln())
}

impl Backend for Reference {
    fn name(&self) -> &'static str {
        "reference"
    }

    fn alloc(&mut self, len: usize) -> View {
        self.buffers.push(vec![0.0; len]);
        View { buffer: Buffer(self.buffers.len() - 1), offset: 0, len }
    }

    fn alloc_ids(&mut self, len: usize) -> IdView {
        self.ids.push(vec![0; len]);
        IdView { buffer: IdBuffer(self.ids.len() - 1), offset: 0, len }
    }

    fn upload(&mut self, to: View, values: &[f32]) {
        self.slice_mut(to).iter_mut().zip(values).for_each(|(t, v)| *t = f64::from(*v));
    }

    fn upload_ids(&mut self, to: IdView, values: &[i32]) {
        self.ids[to.buffer.0][to.offset..][..to.len].copy_from_slice(values);
    }

    fn download(&mut self, from: View, values: &mut [f32]) {
        self.slice(from).iter().zip(values).for_each(|(f, v)| *v = *f as f32);
    }

    fn fill(&mut self, out: View, value: f32) {
        self.slice_mut(out).fill(f64::from(value));
    }

    fn copy(&mut self, out: View, x: View) {
        let x = self.get(x);
        self.slice_mut(out).copy_from_slice(&x);
    }

    fn add(&mut self, out: View, x: View) {
        let x = self.get(x);
        self.slice_mut(out).iter_mut().zip(x).for_each(|(o, x)| *o += x);
    }

    fn gemm(&mut self, out: View, a: View, b: View, shape: Gemm) {
        let (a, b) = (self.get(a), self.get(b));
        let Gemm { m, n, k, transpose_a, transpose_b, accumulate } = shape;
        let out = self.slice_mut(out);
        for i in 0..m {
            for j in 0..n {
                let left = |t: usize| if transpose_a { a[t * m + i] } else { a[i * k + t] };
                let right = |t: usize| if transpose_b { b[j * k + t] } else { b[t * n + j] };
                let sum: f64 = (0..k).map(|t| left(t) * right(t)).sum();
                out[i * n + j] = if accumulate { out[i * n + j] + sum } else { sum };
            }
        }
    }

    fn embedding_forward(&mut self, out: View, weight: View, ids: IdView, channels: usize) {
        let (weight, ids) = (self.get(weight), self.ids(ids));
        let out = self.slice_mut(out);
        for (r, id) in ids.iter().enumerate() {
            for c in 0..channels {
                out[r * channels + c] = weight[*id as usize * channels + c];
            }
        }
    }

    fn embedding_backward(&mut self, dweight: View, dout: View, ids: IdView, channels: usize) {
        let (dout, ids) = (self.get(dout), self.ids(ids));
        let dweight = self.slice_mut(dweight);
        for (r, id) in ids.iter().enumerate() {
            for c in 0..channels {
                dweight[*id as usize * channels + c] += dout[r * channels + c];
            }
        }
    }

    fn rms_norm_forward(&mut self, out: View, rstd: View, x: View, weight: View, eps: f32) {
        let (x, weight) = (self.get(x), self.get(weight));
        let c = weight.len();
        for (r, row) in x.chunks(c).enumerate() {
            let s = 1.0 / (row.iter().map(|x| x * x).sum::<f64>() / c as f64 + f64::from(eps)).sqrt();
            self.slice_mut(rstd)[r] = s;
            for i in 0..c {
                self.slice_mut(out)[r * c + i] = row[i] * s * weight[i];
            }
        }
    }

    fn rms_norm_backward(&mut self, dx: View, dweight: View, dout: View, x: View, weight: View, rstd: View) {
        let (dout, x, weight, rstd) = (self.get(dout), self.get(x), self.get(weight), self.get(rstd));
        let c = weight.len();
        for (r, s) in rstd.iter().enumerate() {
            let at = |i: usize| r * c + i;
            let dot: f64 = (0..c).map(|i| dout[at(i)] * weight[i] * x[at(i)]).sum();
            for i in 0..c {
                self.slice_mut(dx)[at(i)] += s * dout[at(i)] * weight[i] - s.powi(3) / c as f64 * x[at(i)] * dot;
                self.slice_mut(dweight)[i] += dout[at(i)] * x[at(i)] * s;
            }
        }
    }

    fn rope(&mut self, x: View, table: View, shape: Rope) {
        let table = self.get(table);
        let half = shape.head / 2;
        for (r, row) in self.slice_mut(x).chunks_mut(shape.row).enumerate() {
            for h in 0..shape.n_rotated {
                for i in 0..half {
                    let place = (r % shape.time) * half + i;
                    let (cos, sin) = (table[place], table[shape.time * half + place] * if shape.inverse { -1.0 } else { 1.0 });
                    let (low, high) = (h * shape.head + i, h * shape.head + i + half);
                    (row[low], row[high]) = (row[low] * cos - row[high] * sin, row[high] * cos + row[low] * sin);
                }
            }
        }
    }

    fn attention_forward(&mut self, out: View, lse: View, qkv: View, s: Attention) {
        let qkv = self.get(qkv);
        for b in 0..s.batch {
            for h in 0..s.n_heads {
                let value = s.n_heads + s.n_kv_heads + h / (s.n_heads / s.n_kv_heads);
                for row in 0..s.time {
                    let (p, sum) = probabilities(&qkv, &s, b, h, row);
                    self.slice_mut(lse)[(b * s.n_heads + h) * s.time + row] = sum;
                    for d in 0..s.head {
                        let mixed = p.iter().enumerate().map(|(t, p)| p * qkv[(b * s.time + t) * s.row() + value * s.head + d]).sum();
                        self.slice_mut(out)[(b * s.time + row) * s.n_heads * s.head + h * s.head + d] = mixed;
                    }
                }
            }
        }
    }

    fn attention_backward(&mut self, dqkv: View, dout: View, _out: View, _lse: View, qkv: View, s: Attention) {
        let (qkv, dout) = (self.get(qkv), self.get(dout));
        self.slice_mut(dqkv).fill(0.0);
        for b in 0..s.batch {
            for h in 0..s.n_heads {
                let kv = h / (s.n_heads / s.n_kv_heads);
                let (key, value) = (s.n_heads + kv, s.n_heads + s.n_kv_heads + kv);
                let at = |t: usize, head: usize, d: usize| (b * s.time + t) * s.row() + head * s.head + d;
                for row in 0..s.time {
                    let (p, _) = probabilities(&qkv, &s, b, h, row);
                    let dout = |d: usize| dout[(b * s.time + row) * s.n_heads * s.head + h * s.head + d];
                    let dp: Vec<f64> = (0..=row).map(|t| (0..s.head).map(|d| dout(d) * qkv[at(t, value, d)]).sum()).collect();
                    let mean: f64 = p.iter().zip(&dp).map(|(p, dp)| p * dp).sum();
                    for t in 0..=row {
                        let ds = p[t] * (dp[t] - mean) * s.scale();
                        for d in 0..s.head {
                            let dqkv = self.slice_mut(dqkv);
                            dqkv[at(row, h, d)] += ds * qkv[at(t, key, d)];
                            dqkv[at(t, key, d)] += ds * qkv[at(row, h, d)];
                            dqkv[at(t, value, d)] += p[t] * dout(d);
                        }
                    }
                }
            }
        }
    }

    fn swiglu_forward(&mut self, out: View, gate_up: View, width: usize) {
        let x = self.get(gate_up);
        for (i, o) in self.slice_mut(out).iter_mut().enumerate() {
            let (gate, up) = (x[i / width * 2 * width + i % width], x[i / width * 2 * width + width + i % width]);
            *o = gate * sigmoid(gate) * up;
        }
    }

    fn swiglu_backward(&mut self, dgate_up: View, dout: View, gate_up: View, width: usize) {
        let (x, dout) = (self.get(gate_up), self.get(dout));
        for (i, d) in dout.iter().enumerate() {
            let (g, u) = (i / width * 2 * width + i % width, i / width * 2 * width + width + i % width);
            let s = sigmoid(x[g]);
            self.slice_mut(dgate_up)[g] = d * x[u] * (s + x[g] * s * (1.0 - s));
            self.slice_mut(dgate_up)[u] = d * x[g] * s;
        }
    }

    fn cross_entropy(&mut self, losses: View, logits: View, targets: IdView, vocab: usize, scale: Option<f32>) {
        for (r, target) in self.ids(targets).into_iter().enumerate() {
            let row = self.get(logits.part(r * vocab, vocab));
            let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = row.iter().map(|x| (x - max).exp()).sum();
            let seen = target >= 0;
            self.slice_mut(losses)[r] = if seen { max + sum.ln() - row[target as usize] } else { 0.0 };
            let Some(scale) = scale.map(f64::from) else { continue };
            for (i, x) in row.iter().enumerate() {
                let hit = if i as i32 == target { 1.0 } else { 0.0 };
                self.slice_mut(logits)[r * vocab + i] = if seen { scale * ((x - max).exp() / sum - hit) } else { 0.0 };
            }
        }
    }

    fn sum_squares(&mut self, out: View, x: View) {
        self.slice_mut(out)[0] = self.slice(x).iter().map(|x| x * x).sum();
    }

    fn adamw(&mut self, params: View, m: View, v: View, grads: View, norm_squared: View, s: AdamW) {
        let norm = self.slice(norm_squared)[0].sqrt();
        let clip = f64::from(s.clip);
        let scale = if clip > 0.0 && norm > clip { clip / (norm + 1e-6) } else { 1.0 };
        let (b1, b2, lr) = (f64::from(s.beta1), f64::from(s.beta2), f64::from(s.lr));
        let grads = self.get(grads);
        for (i, g) in grads.iter().enumerate() {
            let g = g * scale;
            let m_new = b1 * self.slice(m)[i] + (1.0 - b1) * g;
            let v_new = b2 * self.slice(v)[i] + (1.0 - b2) * g * g;
            self.slice_mut(m)[i] = m_new;
            self.slice_mut(v)[i] = v_new;
            let (m_hat, v_hat) = (m_new / (1.0 - b1.powf(s.step as f64)), v_new / (1.0 - b2.powf(s.step as f64)));
            let p = &mut self.slice_mut(params)[i];
            *p -= lr * f64::from(s.weight_decay) * *p;
            *p -= lr * m_hat / (v_hat.sqrt() + f64::from(s.eps));
        }
    }
}
