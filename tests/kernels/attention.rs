//! Causal attention with shared key heads, forward and backward, over and across the edges of blocks.

use polder_compute::Attention;

use super::{check_slopes, compare, numbers, on_reference};

fn shapes() -> [Attention; 5] {
    let shape = |batch, time, n_heads, n_kv_heads, head| Attention { batch, time, n_heads, n_kv_heads, head };
    [shape(1, 1, 1, 1, 2), shape(2, 5, 2, 1, 4), shape(1, 64, 4, 2, 8), shape(2, 65, 3, 3, 6), shape(1, 150, 4, 1, 16)]
}

#[test]
fn both_passes_agree_with_the_reference() {
    for s in shapes() {
        let (n, rows) = (s.batch * s.time * s.n_heads * s.head, s.batch * s.time * s.row());
        let lse = vec![0.0; s.batch * s.n_heads * s.time];
        // Larger queries, so that some probabilities come close to one.
        let qkv: Vec<f32> = numbers(1, rows).iter().map(|x| x * 3.0).collect();
        let buffers = [vec![0.0; n], lse, qkv, numbers(7, rows), numbers(2, n)];
        compare(&format!("attention forward {s:?}"), &buffers[..3], &[], 3e-6, &|b, v, _| b.attention_forward(v[0], v[1], v[2], s));
        compare(&format!("attention backward {s:?}"), &buffers, &[], 1e-5, &|b, v, _| {
            b.attention_forward(v[0], v[1], v[2], s);
            b.attention_backward(v[3], v[4], v[0], v[1], v[2], s);
        });
    }
}

#[test]
fn gradients_are_slopes() {
    let s = Attention { batch: 2, time: 4, n_heads: 2, n_kv_heads: 1, head: 2 };
    let (n, rows) = (s.batch * s.time * s.n_heads * s.head, s.batch * s.time * s.row());
    let dout = numbers(2, n);
    let buffers = [vec![0.0; n], vec![0.0; s.batch * s.n_heads * s.time], numbers(1, rows), vec![0.0; rows], dout.clone()];
    let gradients = on_reference(&buffers, &[], &|b, v, _| {
        b.attention_forward(v[0], v[1], v[2], s);
        b.attention_backward(v[3], v[4], v[0], v[1], v[2], s);
    });
    check_slopes("attention", &buffers, 0, &dout, 2, &gradients[3], &|b, v, _| b.attention_forward(v[0], v[1], v[2], s));
}

#[test]
fn what_comes_later_changes_nothing_before_it() {
    let s = Attention { batch: 1, time: 100, n_heads: 2, n_kv_heads: 2, head: 4 };
    let mut qkv = numbers(1, 100 * s.row());
    let run = |qkv: &[f32]| {
        let (mut out, mut lse) = (vec![0f32; 100 * 8], vec![0f32; 200]);
        polder_compute::cpu::attention_forward(&mut out, &mut lse, qkv, s);
        out
    };
    let before = run(&qkv);
    qkv[80 * s.row()..].iter_mut().for_each(|x| *x = 1e6);
    assert_eq!(run(&qkv)[..80 * 8], before[..80 * 8]);
}
