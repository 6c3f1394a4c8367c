//! Muon's updates of wide, tall and square matrices; and that they are nearly orthogonal.

use polder_compute::{Backend, Dtype, Muon, Reference};

use super::{compare, f32s, numbers};

fn step(rows: usize, columns: usize, clip: f32) -> Muon {
    Muon { rows, columns, lr: 0.02, momentum: 0.95, weight_decay: 0.1, clip }
}

#[test]
fn several_updates_agree_with_the_reference() {
    for (rows, columns, clip) in [(1, 1, 0.0), (5, 9, 0.5), (40, 24, 0.0), (33, 33, 1.0), (96, 200, 1.0)] {
        let (n, s) = (rows * columns, step(rows, columns, clip));
        for working in [None, Some(Dtype::Bf16)] {
            let mut buffers = f32s([numbers(1, n), vec![0.0; n], numbers(2, n), vec![0.0]]).to_vec();
            buffers.extend(working.map(|dtype| (vec![0.0; n], dtype)));
            // The iteration enlarges small singular values, and with them what was rounded off.
            compare("muon", &buffers, &[], 2e-5, &|b, v, _| {
                let scratch = b.alloc(s.scratch_len(), Dtype::F32);
                b.sum_squares(v[3], v[2]);
                for _ in 0..3 {
                    b.muon(v[0], v.get(4).copied(), v[1], v[2], scratch, v[3], s);
                }
            });
        }
    }
}

#[test]
fn an_update_without_decay_is_a_scaled_nearly_orthogonal_matrix() {
    let (rows, columns) = (8, 20);
    let mut b = Reference::new();
    let (p, m, g) = (b.alloc(160, Dtype::F32), b.alloc(160, Dtype::F32), b.alloc(160, Dtype::F32));
    let (scratch, norm) = (b.alloc(step(rows, columns, 0.0).scratch_len(), Dtype::F32), b.alloc(1, Dtype::F32));
    b.upload(g, &numbers(4, 160));
    b.muon(p, None, m, g, scratch, norm, Muon { weight_decay: 0.0, ..step(rows, columns, 0.0) });
    let p: Vec<f64> = b.slice(p).iter().map(|p| p / (-0.02 * 0.2 * 20f64.sqrt())).collect();
    for i in 0..rows {
        for j in 0..rows {
            let dot: f64 = (0..columns).map(|t| p[i * columns + t] * p[j * columns + t]).sum();
            let (low, high) = if i == j { (0.4, 1.5) } else { (-0.35, 0.35) };
            assert!(low < dot && dot < high, "rows {i} and {j}: {dot}");
        }
    }
}
