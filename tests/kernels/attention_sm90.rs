//! Attention on Hopper: edges of tiles, of the sequence, of windows and documents, with heads that share keys.

use polder_compute::{Attention, Dtype};

use super::{Data, assert_near, emulation, numbers, on_emulation, on_reference, stored};

/// Documents of lengths that end within and at tiles, and rows of padding that see nothing.
fn documents(s: &Attention) -> Vec<i32> {
    let mut bounds = Vec::new();
    for b in 0..s.batch {
        let (mut first, whole) = (0, s.time - s.time / 20);
        for length in [3, 61, 64, 1, 130].into_iter().cycle().skip(b) {
            let end = (first + length).min(whole);
            bounds.extend((first..end).flat_map(|_| [first as i32, end as i32]));
            first = end;
            if first == whole {
                break;
            }
        }
        bounds.extend((whole..s.time).flat_map(|_| [0, 0]));
    }
    bounds
}

fn buffers(s: &Attention) -> Vec<Data> {
    let (n, rows) = (s.batch * s.time * s.n_heads * s.head, s.batch * s.time * s.row());
    // Larger queries, so that some probabilities come close to one.
    let qkv: Vec<f32> = numbers(1, rows).iter().map(|x| x * 2.0).collect();
    let mut buffers = stored(Dtype::Bf16, [vec![0.0; n], Vec::new(), qkv, numbers(7, rows), numbers(2, n)]);
    buffers[1] = (vec![0.0; s.batch * s.n_heads * s.time], Dtype::F32);
    buffers.to_vec()
}

fn check(s: Attention, with_documents: bool) {
    check_with(s, &if with_documents { vec![documents(&s)] } else { Vec::new() });
}

fn check_with(s: Attention, ids: &[Vec<i32>]) {
    let Some(library) = emulation() else { return };
    let (what, buffers) = (format!("{s:?}, {} documents", ids.len()), buffers(&s));
    let op = |b: &mut dyn polder_compute::Backend, v: &[polder_compute::View], d: &[polder_compute::IdView]| {
        b.attention_forward(v[0], v[1], v[2], d.first().copied(), s);
        b.attention_backward(v[3], v[4], v[0], v[1], v[2], d.first().copied(), s);
    };
    let ours = on_emulation(library, (9, 0), 1, &buffers, ids, &op);
    assert_near(&what, &ours, &on_reference(&buffers, ids, &op), &buffers, 1e-5);
    let bits = |results: Vec<Vec<f32>>| results.iter().flatten().map(|x| x.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(on_emulation(library, (9, 0), 2, &buffers, ids, &op)), bits(ours), "{what}: the order of threads shows");
}

#[test]
fn tiles_of_heads_agree_with_the_reference() {
    for head in [64, 96, 128] {
        for (batch, time, n_heads, n_kv_heads) in [(1, 1, 1, 1), (2, 65, 2, 1), (1, 130, 1, 1), (1, 200, 4, 2)] {
            let s = Attention { batch, time, n_heads, n_kv_heads, head, causal: true, window: None };
            check(s, false);
            if head == 96 {
                continue;
            }
            check(Attention { causal: false, ..s }, false);
        }
    }
}

#[test]
fn windows_and_documents_bound_the_tiles() {
    for (head, time) in [(64, 270), (128, 200)] {
        for (causal, window, with_documents) in
            [(true, Some(0), false), (true, Some(70), false), (false, Some(3), true), (true, None, true), (false, None, true)]
        {
            check(Attention { batch: 1, time, n_heads: 1, n_kv_heads: 1, head, causal, window }, with_documents);
        }
    }
}

#[test]
fn tiles_of_padding_see_nothing() {
    for head in [64, 96, 128] {
        for causal in [true, false] {
            let s = Attention { batch: 1, time: 300, n_heads: 1, n_kv_heads: 1, head, causal, window: None };
            let ids: Vec<i32> = (0..s.time).flat_map(|t| if t < 50 { [0, 50] } else { [0, 0] }).collect();
            check_with(s, &[ids]);
        }
    }
}

#[test]
fn rings_of_stages_come_round() {
    for (head, time) in [(64, 650), (128, 450)] {
        check(Attention { batch: 1, time, n_heads: 2, n_kv_heads: 1, head, causal: true, window: None }, false);
        check(Attention { batch: 1, time, n_heads: 1, n_kv_heads: 1, head, causal: false, window: Some(300) }, true);
    }
}
