//! Muon's updates of wide, tall and square matrices; and that they are nearly orthogonal.

use polder_compute::cuda::{Cuda, Emulated};
use polder_compute::{Backend, Dtype, Muon, MuonStep, Reference};

use super::{compare, compare_at_odd_addresses, emulation, f32s, numbers, view_of};

const STEP: MuonStep = MuonStep { lr: 0.02, momentum: 0.95, weight_decay: 0.1 };

#[test]
fn several_updates_agree_with_the_reference() {
    for (rows, columns, clip) in [(1, 1, 0.0), (5, 9, 0.5), (3, 4, 0.0), (40, 24, 0.0), (33, 33, 1.0), (96, 200, 1.0)] {
        let (n, s) = (rows * columns, Muon { rows, columns });
        for working in [None, Some(Dtype::Bf16)] {
            let mut buffers = f32s([numbers(1, n), vec![0.0; n], numbers(2, n), vec![n as f32 / 3.0]]).to_vec();
            buffers.extend(working.map(|dtype| (vec![0.0; n], dtype)));
            // The iteration enlarges small singular values, and with them what was rounded off.
            compare("muon", &buffers, &[], 2e-5, &|b, v, _| {
                let scratch = b.alloc(s.scratch_len(), Dtype::F32);
                let scalars = view_of(b, &STEP.scalars(s, clip));
                for _ in 0..3 {
                    b.muon(v[0], v.get(4).copied(), v[1], v[2], scratch, v[3], scalars, s);
                }
            });
        }
    }
}

#[test]
fn any_view_may_begin_at_an_odd_address() {
    let (n, s) = (8 * 12, Muon { rows: 8, columns: 12 });
    let mut buffers = f32s([numbers(1, n), vec![0.0; n], numbers(2, n), vec![n as f32 / 3.0]]).to_vec();
    buffers.push((vec![0.0; n], Dtype::Bf16));
    compare_at_odd_addresses("muon", &buffers, &[], 2e-5, &|b, v, _| {
        // What stands in the scratch is left there, and is not the reference's.
        let scratch = b.alloc(s.scratch_len() + 1, Dtype::F32);
        let scalars = view_of(b, &STEP.scalars(s, 1.0));
        b.muon(v[0], Some(v[4]), v[1], v[2], scratch.part(0, s.scratch_len()), v[3], scalars, s);
        b.muon(v[0], Some(v[4]), v[1], v[2], scratch.part(1, s.scratch_len()), v[3], scalars, s);
    });
}

#[test]
fn products_of_bf16_move_an_update_by_less_than_a_hundredth() {
    let Some(library) = emulation() else { return };
    // The second shape fills its scratch to the last number, and within those of the last two an aligned matrix meets one that is not; with
    // POLDER_SOAK, one as large as those whose products are bf16 by themselves.
    let large = std::env::var_os("POLDER_SOAK").map(|_| (256, 320));
    for (rows, columns) in [(48, 24), (33, 33), (40, 136), (3, 4), (4, 5)].into_iter().chain(large) {
        let (n, s) = (rows * columns, Muon { rows, columns });
        let step = MuonStep { weight_decay: 0.0, ..STEP }.scalars(s, 1.0);
        let mut truth = Reference::new();
        let views = f32s([vec![0.0; n], vec![0.0; n], numbers(2, n), vec![0.0]]).map(|(values, dtype)| {
            let view = truth.alloc(values.len(), dtype);
            truth.upload(view, &values);
            view
        });
        let scratch = truth.alloc(s.scratch_len(), Dtype::F32);
        let scalars = view_of(&mut truth, &step);
        truth.muon(views[0], None, views[1], views[2], scratch, views[3], scalars, s);
        let truth = truth.slice(views[0]);
        for capability in super::CAPABILITIES {
            let device = Emulated::open(library, capability, 1).expect("emulation");
            let mut cuda = Cuda::on(Box::new(device), 0).expect("backend");
            let [p, m, g, norm, scratch] = [n, n, n, 1, s.scratch_len() + 2].map(|len| cuda.alloc(len, Dtype::F32));
            let scratch = scratch.part(if rows == 4 { 2 } else { 0 }, s.scratch_len());
            cuda.upload(g, &numbers(2, n));
            let scalars = view_of(&mut cuda, &step);
            cuda.muon_by(Dtype::Bf16, p, None, m, g, scratch, norm, scalars, s);
            let mut ours = vec![0.0; n];
            cuda.download(p, &mut ours);
            let distance = ours.iter().zip(truth).map(|(a, b)| (f64::from(*a) - b).powi(2)).sum::<f64>().sqrt();
            let share = distance / truth.iter().map(|x| x * x).sum::<f64>().sqrt();
            assert!(share < 1e-2, "{rows} × {columns}, emulated {capability:?}: {share}");
        }
    }
}

#[test]
fn an_update_without_decay_is_a_scaled_nearly_orthogonal_matrix() {
    let (rows, columns) = (8, 20);
    let matrix = Muon { rows, columns };
    let mut b = Reference::new();
    let (p, m, g) = (b.alloc(160, Dtype::F32), b.alloc(160, Dtype::F32), b.alloc(160, Dtype::F32));
    let (scratch, norm) = (b.alloc(matrix.scratch_len(), Dtype::F32), b.alloc(1, Dtype::F32));
    b.upload(g, &numbers(4, 160));
    let scalars = view_of(&mut b, &MuonStep { weight_decay: 0.0, ..STEP }.scalars(matrix, 0.0));
    b.muon(p, None, m, g, scratch, norm, scalars, matrix);
    let p: Vec<f64> = b.slice(p).iter().map(|p| p / (-0.02 * 0.2 * 20f64.sqrt())).collect();
    for i in 0..rows {
        for j in 0..rows {
            let dot: f64 = (0..columns).map(|t| p[i * columns + t] * p[j * columns + t]).sum();
            let (low, high) = if i == j { (0.4, 1.5) } else { (-0.35, 0.35) };
            assert!(low < dot && dot < high, "rows {i} and {j}: {dot}");
        }
    }
}
