//! Attention with shared key heads: causal or not, within windows and documents, over and across the edges of blocks.

use polder_compute::{Attention, Backend, Dtype, IdView, KvCache, View, cpu};

use super::{Data, Op, TYPES, assert_near, check_slopes, compare, compare_at_odd_addresses, numbers, on_cpu, on_reference, stored};

fn shape(batch: usize, time: usize, n_heads: usize, n_kv_heads: usize, head: usize) -> Attention {
    Attention { batch, time, n_heads, n_kv_heads, head, causal: true, window: None }
}

/// Every mix of a shape with causality, a window and documents.
fn mixes(s: Attention, causals: &[bool], windows: &[Option<usize>], documents: &[bool]) -> Vec<(Attention, bool)> {
    let mut mixes = Vec::new();
    for causal in causals {
        for window in windows {
            mixes.extend(documents.iter().map(|d| (Attention { causal: *causal, window: *window, ..s }, *d)));
        }
    }
    mixes
}

const BOTH: [bool; 2] = [true, false];

/// The fewest shapes that take every path of the kernels, for emulating them takes its time.
fn cases() -> Vec<(Attention, bool)> {
    [
        mixes(shape(1, 1, 1, 1, 2), &[true], &[None], &[false]),
        mixes(shape(1, 1, 1, 1, 64), &[true], &[None], &[false]),
        mixes(shape(2, 5, 2, 1, 4), &BOTH, &[None, Some(0), Some(3)], &BOTH),
        mixes(shape(2, 65, 3, 3, 6), &BOTH, &[None], &BOTH),
        mixes(shape(1, 129, 4, 2, 16), &BOTH, &[None, Some(0), Some(70)], &[true]),
        mixes(shape(1, 129, 2, 1, 16), &BOTH, &[None, Some(70)], &[false]),
        mixes(shape(1, 300, 2, 1, 32), &BOTH, &[Some(70)], &[true]),
        mixes(shape(2, 65, 4, 2, 64), &BOTH, &[None, Some(3)], &[true]),
        mixes(shape(1, 200, 1, 1, 64), &[true], &[None], &[false]),
        mixes(shape(1, 130, 2, 1, 80), &[true], &[Some(70)], &[true]),
        mixes(shape(1, 40, 1, 1, 96), &[false], &[None], &BOTH),
        mixes(shape(1, 129, 1, 1, 128), &BOTH, &[None], &[false]),
        mixes(shape(1, 70, 2, 1, 128), &[true], &[Some(3)], &[true]),
        mixes(shape(1, 70, 1, 1, 72), &[true], &[None], &[true]),
        mixes(shape(1, 35, 2, 1, 136), &[true], &[Some(3)], &[true]),
    ]
    .concat()
}

/// What else the processor and its reference are asked for; with `POLDER_SOAK`, the emulated kernels too.
fn more_cases() -> Vec<(Attention, bool)> {
    let plain = [
        shape(1, 1, 1, 1, 2),
        shape(2, 5, 2, 1, 4),
        shape(1, 64, 4, 2, 8),
        shape(2, 65, 3, 3, 6),
        shape(1, 150, 4, 1, 16),
        shape(1, 300, 2, 1, 32),
        shape(1, 150, 2, 1, 64),
        shape(1, 130, 1, 1, 80),
        shape(2, 97, 2, 2, 96),
        shape(1, 40, 2, 2, 128),
        shape(1, 50, 1, 1, 256),
    ];
    plain.into_iter().flat_map(|s| mixes(s, &BOTH, &[None, Some(0), Some(3), Some(70)], &BOTH)).collect()
}

/// Bounds of each row's document: lengths of all kinds, and some rows of padding that see nothing.
pub fn documents(s: &Attention) -> Vec<i32> {
    let mut bounds = Vec::new();
    for b in 0..s.batch {
        let mut first = 0;
        for length in [1, 2, 7, 40, 64, 90, 200].into_iter().cycle().skip(b) {
            let end = (first + length).min(s.time - s.time / 10);
            bounds.extend((first..end).flat_map(|_| [first as i32, end as i32]));
            first = end;
            if bounds.len() == 2 * ((b + 1) * s.time - s.time / 10) {
                break;
            }
        }
        bounds.extend((0..s.time / 10).flat_map(|_| [0, 0]));
    }
    bounds
}

pub fn buffers(s: &Attention, dtype: Dtype) -> Vec<Data> {
    let (n, rows) = (s.batch * s.time * s.n_heads * s.head, s.batch * s.time * s.row());
    // Larger queries, so that some probabilities come close to one.
    let qkv: Vec<f32> = numbers(1, rows).iter().map(|x| x * 3.0).collect();
    let mut buffers = stored(dtype, [vec![0.0; n], Vec::new(), qkv, numbers(7, rows), numbers(2, n)]);
    buffers[1] = (vec![0.0; s.batch * s.n_heads * s.time], Dtype::F32);
    buffers.to_vec()
}

pub fn both_passes(s: Attention, b: &mut dyn Backend, v: &[View], d: &[IdView]) {
    b.attention_forward(v[0], v[1], v[2], d.first().copied(), s);
    b.attention_backward(v[3], v[4], v[0], v[1], v[2], d.first().copied(), s);
}

#[test]
fn both_passes_agree_with_the_reference() {
    for (s, parted) in cases() {
        let ids = if parted { vec![documents(&s)] } else { Vec::new() };
        for dtype in TYPES {
            let what = format!("{s:?}, {} documents, {dtype:?}", ids.len());
            compare(&what, &buffers(&s, dtype), &ids, 1e-5, &|b, v, d| both_passes(s, b, v, d));
        }
    }
}

#[test]
fn both_passes_agree_with_the_reference_on_every_mix() {
    let soak = std::env::var_os("POLDER_SOAK").is_some();
    for (s, parted) in more_cases() {
        let ids = if parted { vec![documents(&s)] } else { Vec::new() };
        for dtype in TYPES {
            let (what, buffers) = (format!("{s:?}, {} documents, {dtype:?}", ids.len()), buffers(&s, dtype));
            let op: Op = &|b, v, d| both_passes(s, b, v, d);
            if soak {
                compare(&what, &buffers, &ids, 1e-5, op);
                continue;
            }
            let truth = on_reference(&buffers, &ids, op);
            for threads in [1, 3] {
                assert_near(&what, &on_cpu(&buffers, &ids, threads, op), &truth, &buffers, 1e-5);
            }
        }
    }
}

#[test]
fn scores_may_grow_along_a_row() {
    let s = Attention { causal: false, ..shape(1, 200, 1, 1, 16) };
    for dtype in TYPES {
        let mut buffers = buffers(&s, dtype);
        for (t, row) in buffers[2].0.chunks_exact_mut(s.row()).enumerate() {
            row[16..32].iter_mut().for_each(|x| *x *= 0.2 + (t / 50) as f32);
        }
        compare(&format!("growing scores, {dtype:?}"), &buffers, &[], 1e-5, &|b, v, d| both_passes(s, b, v, d));
    }
}

#[test]
fn tiles_of_padding_see_nothing() {
    for (head, dtype) in [(16, Dtype::Bf16), (64, Dtype::Bf16), (64, Dtype::F32)] {
        let s = shape(1, 200, 1, 1, head);
        let ids = [(0..200).flat_map(|t| if t < 50 { [0, 50] } else { [0, 0] }).collect()];
        compare("padding", &buffers(&s, dtype), &ids, 1e-5, &|b, v, d| both_passes(s, b, v, d));
    }
}

#[test]
fn addresses_may_be_odd() {
    let s = shape(1, 33, 2, 1, 16);
    // A number before each view.
    let buffers: Vec<Data> = buffers(&s, Dtype::Bf16).into_iter().map(|(x, dtype)| ([vec![0.0], x].concat(), dtype)).collect();
    compare("odd addresses", &buffers, &[], 1e-5, &|b, v, d| {
        let views: Vec<View> = v.iter().map(|v| v.part(1, v.len - 1)).collect();
        both_passes(s, b, &views, d);
    });
}

#[test]
fn any_view_may_begin_at_an_odd_address() {
    for (dtype, head) in TYPES.into_iter().flat_map(|d| [16, 64, 72].map(|head| (d, head))) {
        let s = shape(1, 9, 2, 1, head);
        compare_at_odd_addresses("attention", &buffers(&s, dtype), &[], 1e-5, &|b, v, d| both_passes(s, b, v, d));
        let s = shape(1, 2, 2, 1, head);
        compare_at_odd_addresses("over a cache", &cached(&s, 8, dtype), &[vec![3]], 1e-5, &|b, v, ids| decode(s, b, v, ids[0], 8, 5));
    }
}

#[test]
fn gradients_are_slopes() {
    for (causal, window, documents) in [(true, None, false), (false, Some(1), false), (false, None, true), (true, Some(2), true)] {
        let s = Attention { causal, window, ..shape(2, 6, 2, 1, 2) };
        let ids = [vec![0, 2, 0, 2, 2, 5, 2, 5, 2, 5, 5, 5, 0, 6, 0, 6, 0, 6, 0, 6, 0, 6, 0, 6]];
        check_slopes(
            &format!("{s:?}"),
            &buffers(&s, Dtype::F32),
            if documents { &ids } else { &[] },
            (0, 4),
            &[(2, 3)],
            &|b, v, d| b.attention_forward(v[0], v[1], v[2], d.first().copied(), s),
            &|b, v, d| {
                b.attention_forward(v[0], v[1], v[2], d.first().copied(), s);
                b.attention_backward(v[3], v[4], v[0], v[1], v[2], d.first().copied(), s);
            },
        );
    }
}

#[test]
fn what_comes_later_changes_nothing_before_it() {
    let s = shape(1, 100, 2, 2, 4);
    let mut qkv = numbers(1, 100 * s.row());
    let run = |qkv: &[f32]| {
        let (mut out, mut lse) = (vec![0f32; 100 * 8], vec![0f32; 200]);
        cpu::attention_forward(&mut out, &mut lse, qkv, None, s);
        out
    };
    let before = run(&qkv);
    qkv[80 * s.row()..].iter_mut().for_each(|x| *x = 1e6);
    assert_eq!(run(&qkv)[..80 * 8], before[..80 * 8]);
}

#[test]
fn packed_documents_give_what_they_give_alone() {
    for causal in [true, false] {
        let s = Attention { causal, ..shape(1, 150, 2, 1, 8) };
        let qkv = numbers(5, 150 * s.row());
        let bounds = [(0, 37), (37, 101), (101, 150)];
        let ids: Vec<i32> = bounds.iter().flat_map(|(a, b)| (*a..*b).flat_map(|_| [*a, *b])).collect();
        let (mut packed, mut lse) = (vec![0f32; 150 * 16], vec![0f32; 300]);
        cpu::attention_forward(&mut packed, &mut lse, &qkv, Some(&ids), s);
        for (first, end) in bounds.map(|(a, b)| (a as usize, b as usize)) {
            let alone = Attention { time: end - first, ..s };
            let (mut out, mut lse) = (vec![0f32; (end - first) * 16], vec![0f32; 2 * (end - first)]);
            cpu::attention_forward(&mut out, &mut lse, &qkv[first * s.row()..end * s.row()], None, alone);
            let near = out.iter().zip(&packed[first * 16..]).all(|(a, b)| (a - b).abs() < 1e-5);
            assert!(near, "document {first}..{end}");
        }
    }
}

/// Output, packed rows, keys and values of rows over a cache.
pub fn cached(s: &Attention, capacity: usize, dtype: Dtype) -> Vec<Data> {
    let (rows, kept) = (s.batch * s.time, s.batch * capacity * s.n_kv_heads * s.head);
    let qkv = numbers(3, rows * s.row()).iter().map(|x| x * 3.0).collect();
    stored(dtype, [numbers(2, rows * s.n_heads * s.head), qkv, numbers(4, kept), numbers(5, kept)]).to_vec()
}

/// Puts the packed rows behind those that each sequence has seen, and attends them.
pub fn decode(s: Attention, b: &mut dyn Backend, v: &[View], seen: IdView, capacity: usize, keys_max: usize) {
    let cache = KvCache { keys: v[2], values: v[3], capacity, n_seen: seen };
    b.attention_append(&cache, v[1], s);
    b.attention_decode(v[0], v[1], &cache, keys_max, s);
}

/// The most tokens that a sequence holds then.
pub fn keys_max(s: &Attention, n_seen: &[i32]) -> usize {
    n_seen.iter().map(|seen| (*seen + s.time as i32).max(0) as usize).max().unwrap_or(0)
}

#[test]
fn rows_over_a_cache_agree_with_the_reference() {
    let check_decoding = |s: Attention, n_seen: &[i32], capacity: usize, dtype: Dtype| {
        let (what, most) = (format!("{s:?} behind {n_seen:?} of {capacity}, {dtype:?}"), keys_max(&s, n_seen));
        compare(&what, &cached(&s, capacity, dtype), &[n_seen.to_vec()], 1e-5, &|b, v, ids| decode(s, b, v, ids[0], capacity, most));
    };
    for dtype in TYPES {
        check_decoding(shape(1, 1, 1, 1, 64), &[0], 4, dtype);
        check_decoding(shape(3, 1, 4, 2, 6), &[0, 299, -1], 300, dtype);
        check_decoding(Attention { window: Some(50), ..shape(2, 1, 6, 1, 128) }, &[70, 270], 300, dtype);
        check_decoding(shape(2, 3, 2, 2, 80), &[0, 256], 300, dtype);
        check_decoding(shape(1, 1, 2, 1, 200), &[40], 64, dtype);
        check_decoding(shape(1, 1, 2, 2, 200), &[40], 64, dtype);
        // Behind the cache's end: nothing is put there, and a window that lies there is empty.
        check_decoding(shape(2, 3, 2, 1, 16), &[62, 70], 64, dtype);
        check_decoding(Attention { window: Some(1), ..shape(2, 1, 2, 1, 16) }, &[64, 70], 64, dtype);
    }
}
